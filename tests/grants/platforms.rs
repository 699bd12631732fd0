//! The recipes of the guide `docs::workload`, each with a peer that behaves as its platform documents: what is sent is
//! the token that the platform has at that time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientAuth, ClientCredentialsBuilder, Credential, ErrorKind, ManualClock, reqwest};
use http::{HeaderMap, Response, StatusCode};

use crate::builder;
use crate::expired::{jwt, wall};
use crate::harness::child;
use crate::http_server::{Body, serve};

const AUDIENCE: &str = "https://auth.example.com";

/// Two tokens of the server, an hour apart, for the platform's first and second token.
async fn serves(builder: impl Fn(&AuthorizationServer) -> ClientCredentialsBuilder, renew: impl AsyncFn(&str)) {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().public_client("workload").clock(&clock);
    server.until_changed(crate::token(""));
    let (first, second) = (jwt(wall(&clock) + 600), jwt(wall(&clock) + 4_200));
    renew(&first).await;
    let tokens = builder(&server).clock(&clock).build().unwrap();
    tokens.token().await.unwrap();
    renew(&second).await;
    clock.advance(Duration::from_secs(3_600));
    tokens.token().await.unwrap();
    let requests = server.requests();
    for (request, jwt) in requests.iter().zip([&first, &second]) {
        assert!(request.sent("client_assertion", jwt), "{request:?}");
    }
    assert_eq!(requests.len(), 2);
    // And none that has expired.
    clock.advance(Duration::from_secs(3_600));
    let error = tokens.token().await.unwrap_err();
    assert_eq!((error.kind(), server.token_requests()), (ErrorKind::Credential, 2), "{error}");
}

fn asserted(server: &AuthorizationServer, jwt: Credential) -> ClientCredentialsBuilder {
    builder(server, ClientAuth::client_assertion(jwt))
}

/// By a rename, as helpers and webhooks do.
fn replaced(path: &Path, jwt: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, jwt).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn kubernetes() {
    // The kubelet's AtomicWriter: the file is a link into `..data`, a link to a directory that is replaced as a whole.
    let volume = tempfile::tempdir().unwrap();
    let root = volume.path().to_owned();
    let turns = Mutex::new(0);
    let renew = async |jwt: &str| {
        let mut turn = turns.lock().unwrap();
        *turn += 1;
        let name = format!("..2026_11_28_{turn}");
        std::fs::create_dir(root.join(&name)).unwrap();
        std::fs::write(root.join(&name).join("token"), jwt).unwrap();
        std::os::unix::fs::symlink(&name, root.join("..data_tmp")).unwrap();
        std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        if *turn == 1 {
            std::os::unix::fs::symlink("..data/token", root.join("token")).unwrap();
        }
    };
    let path = volume.path().join("token");
    serves(|server| asserted(server, Credential::file(&path)), renew).await;
}

#[tokio::test]
async fn spiffe() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwt_svid.token");
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
    let builder = |server: &AuthorizationServer| {
        builder(server, ClientAuth::client_assertion(Credential::file(&path)).assertion_type(kind))
    };
    serves(builder, async |jwt| replaced(&path, jwt)).await;
}

/// In a process of its own whose variable `name` has the path of a file, as the platform's webhook sets it.
fn by_file_of_variable(test: &str, name: &str, builder: fn(&AuthorizationServer, PathBuf) -> ClientCredentialsBuilder) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    if let Some(output) = child::run(test, &[(name, &path)]) {
        return child::assert_passed(&output);
    }
    let path = PathBuf::from(std::env::var(name).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serves(|server| builder(server, path.clone()), async |jwt| replaced(&path, jwt)));
}

#[test]
fn aws() {
    by_file_of_variable("platforms::aws", "AWS_WEB_IDENTITY_TOKEN_FILE", |server, path| {
        asserted(server, Credential::file(path))
    });
}

#[test]
fn azure() {
    by_file_of_variable("platforms::azure", "AZURE_FEDERATED_TOKEN_FILE", |server, path| {
        let auth = ClientAuth::client_assertion(Credential::file(path)).client_id("workload");
        builder(server, auth).scope("https://graph.microsoft.com/.default")
    });
}

#[test]
fn gitlab() {
    // For the whole job: the variable does not change.
    let clock = ManualClock::new();
    let id_token = jwt(wall(&clock) + 600);
    if let Some(output) = child::run("platforms::gitlab", &[("ID_TOKEN", &id_token)]) {
        return child::assert_passed(&output);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = crate::server();
        let tokens = asserted(&server, Credential::env("ID_TOKEN")).clock(&clock).build().unwrap();
        tokens.token().await.unwrap();
        assert!(server.requests()[0].sent("client_assertion", &id_token));
        clock.advance(Duration::from_secs(3_600));
        let text = tokens.token().await.unwrap_err().to_string();
        assert!(text.contains("ID_TOKEN") && text.contains("expired"), "{text}");
        assert_eq!(server.token_requests(), 1, "no exchange with one that is over");
    });
}

#[cfg(unix)]
#[tokio::test]
async fn buildkite() {
    use std::os::unix::fs::PermissionsExt;
    // The agent prints a job's token, with a newline, if it is called in the right way, and fails otherwise.
    let directory = tempfile::tempdir().unwrap();
    let (agent, issued) = (directory.path().join("buildkite-agent"), directory.path().join("issued"));
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = 'oidc request-token --audience {AUDIENCE}' ] || exit 1\ncat '{}'; echo\n",
        issued.display()
    );
    std::fs::write(&agent, script).unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let id_token = move || {
        let mut agent = tokio::process::Command::new(&agent);
        agent.args(["oidc", "request-token", "--audience", AUDIENCE]);
        async move {
            let output = agent.output().await?;
            let jwt = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            match output.status.success() {
                true => Ok(jwt),
                false => Err(std::io::Error::other("no token from the agent")),
            }
        }
    };
    let credential = Credential::from_fn(id_token);
    serves(|server| asserted(server, credential.clone()), async |jwt| std::fs::write(&issued, jwt).unwrap()).await;
}

/// A peer at a free port, whose answer depends on the headers and the query of a request; and what it issues at present.
async fn peer(answer: fn(&HeaderMap, &str, &str) -> Result<String, StatusCode>) -> (String, Arc<Mutex<String>>) {
    let issued = Arc::new(Mutex::new(String::new()));
    let current = Arc::clone(&issued);
    let answer = move |request: http::Request<_>| {
        let answer = answer(request.headers(), &request.uri().to_string(), &current.lock().unwrap());
        let status = answer.as_ref().map_or_else(|status| *status, |_| StatusCode::OK);
        Response::builder().status(status).body(Body::from(answer.unwrap_or_default())).unwrap()
    };
    (serve(|_| answer).await, issued)
}

#[tokio::test]
async fn github_actions() {
    let (origin, issued) = peer(|headers, uri, jwt| {
        let is_job = headers.get("authorization").is_some_and(|value| value == "Bearer the.jobs.key");
        let is_asked = uri == format!("/id?api-version=2.0&audience={AUDIENCE}");
        match is_job && is_asked {
            true => Ok(format!(r#"{{"count":1,"value":"{jwt}"}}"#)),
            false => Err(StatusCode::UNAUTHORIZED),
        }
    })
    .await;
    let (url, bearer) = (format!("{origin}/id?api-version=2.0"), "the.jobs.key");
    let id_token = move || {
        let url = format!("{url}&audience={AUDIENCE}");
        async move {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let answer = client.get(url).bearer_auth(bearer).send().await?.error_for_status()?;
            let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
            let jwt = body["value"].as_str().ok_or("no id token")?.to_owned();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(jwt)
        }
    };
    let credential = Credential::from_fn(id_token);
    let renew = async |jwt: &str| *issued.lock().unwrap() = jwt.to_owned();
    serves(|server| asserted(server, credential.clone()), renew).await;
}

#[tokio::test]
async fn google_cloud() {
    const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/identity";
    let (origin, issued) = peer(|headers, uri, jwt| {
        let is_local = headers.get("metadata-flavor").is_some_and(|value| value == "Google");
        match (is_local, uri == format!("{PATH}?audience={AUDIENCE}")) {
            (true, true) => Ok(jwt.to_owned()),
            (true, false) => Err(StatusCode::NOT_FOUND),
            (false, _) => Err(StatusCode::FORBIDDEN),
        }
    })
    .await;
    let identity = format!("{origin}{PATH}?audience={AUDIENCE}");
    let credential = Credential::from_fn(move || {
        let identity = identity.clone();
        async move {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let request = client.get(identity).header("Metadata-Flavor", "Google");
            request.send().await?.error_for_status()?.text().await
        }
    });
    let renew = async |jwt: &str| *issued.lock().unwrap() = jwt.to_owned();
    serves(|server| asserted(server, credential.clone()), renew).await;
}

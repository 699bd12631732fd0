//! The recipes of the guide `docs::workload`, each with a peer that behaves as its platform documents: what is sent is
//! the token that the platform has at that time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_credentials::reqwest::{self, redirect::Policy};
use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientAuth, ClientCredentialsBuilder, Credential, ErrorKind, ManualClock};
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
    block_on(serves(|server| builder(server, path.clone()), async |jwt| replaced(&path, jwt)));
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
    block_on(async {
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
#[test]
fn buildkite() {
    use std::os::unix::fs::PermissionsExt;
    // The agent prints a job's token, with a newline, if it is called in the right way, and fails otherwise.
    let directory = tempfile::tempdir().unwrap();
    let (agent, issued) = (directory.path().join("buildkite-agent"), directory.path().join("issued"));
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = 'oidc request-token --audience {AUDIENCE}' ] || exit 1\nread jwt <'{}'; echo $jwt\n",
        issued.display()
    );
    std::fs::write(&agent, script).unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    if let Some(output) = child::run("platforms::buildkite", &[("PATH", directory.path())]) {
        return child::assert_passed(&output);
    }
    let issued = PathBuf::from(std::env::var("PATH").unwrap()).join("issued");
    let renew = async |jwt: &str| std::fs::write(&issued, format!("{jwt}\n")).unwrap();
    let jwt = Credential::from_fn(|| async {
        let mut agent = tokio::process::Command::new("buildkite-agent");
        agent.args(["oidc", "request-token"]);
        agent.args(["--audience", "https://auth.example.com"]);
        let output = agent.output().await?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(std::io::Error::other("no token from the agent")),
        }
    });
    block_on(serves(|server| asserted(server, jwt.clone()), renew));
}

/// A peer whose answer depends on the headers and the query of a request; and what it issues at present.
async fn peer(
    answer: impl Fn(&HeaderMap, &str, &str) -> Result<String, StatusCode> + Clone + Send + Sync + 'static,
) -> (Arc<Mutex<String>>, SocketAddr) {
    let issued = Arc::new(Mutex::new(String::new()));
    let current = Arc::clone(&issued);
    let answer = move |request: http::Request<_>| {
        let answer = answer(request.headers(), &request.uri().to_string(), &current.lock().unwrap());
        let status = answer.as_ref().map_or_else(|status| *status, |_| StatusCode::OK);
        Response::builder().status(status).body(Body::from(answer.unwrap_or_default())).unwrap()
    };
    (issued, address_of(&serve(|_| answer).await))
}

fn address_of(origin: &str) -> SocketAddr {
    origin.strip_prefix("http://").unwrap().parse().unwrap()
}

#[test]
fn github_actions() {
    const ISSUED: &str = "PLATFORMS_ISSUED";
    let issued = tempfile::NamedTempFile::new().unwrap();
    let path = issued.path().to_owned();
    // The runner is this process, the job is its child.
    let runner = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_, address) = runner.block_on(peer(move |headers, uri, _| {
        let is_job = headers.get("authorization").is_some_and(|value| value == "Bearer the.jobs.key");
        let is_asked = uri == format!("/id?api-version=2.0&audience={AUDIENCE}");
        match is_job && is_asked {
            true => Ok(format!(r#"{{"count":1,"value":"{}"}}"#, std::fs::read_to_string(&path).unwrap())),
            false => Err(StatusCode::UNAUTHORIZED),
        }
    }));
    let env = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("http://{address}/id?api-version=2.0")),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the.jobs.key".to_owned()),
        (ISSUED, issued.path().display().to_string()),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ];
    if let Some(output) = child::run("platforms::github_actions", &env) {
        return child::assert_passed(&output);
    }
    block_on(async {
        let jwt = Credential::from_fn(|| async {
            let url = std::env::var("ACTIONS_ID_TOKEN_REQUEST_URL")?;
            let key = std::env::var("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
            let url = format!("{url}&audience=https://auth.example.com");
            let request = reqwest::Client::new().get(url).bearer_auth(key);
            let bytes = request.send().await?.error_for_status()?.bytes().await?;
            let body: serde_json::Value = serde_json::from_slice(&bytes)?;
            let jwt = body["value"].as_str().ok_or("no id token")?.to_owned();
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(jwt)
        });
        let path = std::env::var(ISSUED).unwrap();
        serves(|server| asserted(server, jwt.clone()), async |jwt| std::fs::write(&path, jwt).unwrap()).await;
    });
}

const IDENTITY: &str = "/computeMetadata/v1/instance/service-accounts/default/identity";

/// The recipe, but for the address, which is in the link-local network.
fn of_google_cloud(metadata: SocketAddr) -> Credential {
    Credential::from_fn(move || async move {
        let identity = "http://metadata.google.internal/computeMetadata/v1/instance\
            /service-accounts/default/identity?audience=https://auth.example.com";
        let stay = Policy::custom(|hop| hop.error("not the metadata server"));
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(stay)
            .resolve("metadata.google.internal", metadata)
            .build()?;
        let request = client.get(identity).header("Metadata-Flavor", "Google");
        request.send().await?.error_for_status()?.text().await
    })
}

#[test]
fn google_cloud() {
    // Nothing listens at this port: a request by way of the proxy fails.
    let proxy = "http://127.0.0.1:9";
    let env = [("http_proxy", proxy), ("HTTP_PROXY", proxy), ("ALL_PROXY", proxy), ("NO_PROXY", "localhost")];
    if let Some(output) = child::run("platforms::google_cloud", &env) {
        return child::assert_passed(&output);
    }
    block_on(async {
        let (issued, address) = peer(|headers, uri, jwt| {
            let is_local = headers.get("metadata-flavor").is_some_and(|value| value == "Google");
            match (is_local, uri == format!("{IDENTITY}?audience={AUDIENCE}")) {
                (true, true) => Ok(jwt.to_owned()),
                (true, false) => Err(StatusCode::NOT_FOUND),
                (false, _) => Err(StatusCode::FORBIDDEN),
            }
        })
        .await;
        let renew = async |jwt: &str| *issued.lock().unwrap() = jwt.to_owned();
        serves(|server| asserted(server, of_google_cloud(address)), renew).await;
    });
}

#[tokio::test]
async fn a_metadata_server_that_sends_elsewhere_or_fails_costs_no_token_request() {
    let (issued, elsewhere) = peer(|_, _, jwt| Ok(jwt.to_owned())).await;
    *issued.lock().unwrap() = jwt(u64::MAX);
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    for status in [301, 302, 303, 307, 308, 400, 403, 404, 429, 500, 503] {
        let count = Arc::clone(&asked);
        let answer = move |_: http::Request<_>| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let response = Response::builder().status(status);
            let response = response.header("location", format!("http://{elsewhere}{IDENTITY}"));
            response.body(Body::from("<html>an.error.page</html>")).unwrap()
        };
        let address = address_of(&serve(|_| answer).await);
        let server = crate::server();
        let error = asserted(&server, of_google_cloud(address)).build().unwrap().token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credential, true), "{status}: {error}");
        assert_eq!(server.token_requests(), 0, "{status}");
    }
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) >= 11);
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// What a section of the guide shows, without lines that are hidden, and without `use` and comments.
fn recipe(section: &str) -> Vec<&'static str> {
    let guide = include_str!("../../src/docs/workload.md");
    let (_, rest) = guide.split_once(&format!("\n# {section}\n")).unwrap();
    let code = rest.split("```").nth(1).unwrap().lines().skip(1);
    let is_shown = |line: &&str| !line.starts_with("# ") && !line.starts_with("use ") && !line.starts_with("//");
    code.filter(|line| !line.trim().is_empty()).filter(is_shown).collect()
}

#[test]
fn the_recipes_of_the_guide_have_ten_lines_at_most_and_the_longer_ones_are_those_of_these_tests() {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let here = bare(include_str!("platforms.rs"));
    let here = here.replace(&bare(r#".resolve("metadata.google.internal", metadata)"#), "");
    for section in [
        "Kubernetes",
        "AWS web identity",
        "Azure workload identity",
        "SPIFFE",
        "GitLab",
        "Buildkite",
        "GitHub Actions",
        "Google Cloud",
    ] {
        let lines = recipe(section);
        assert!((1..=10).contains(&lines.len()), "{section} has {} lines", lines.len());
        if let Some(start) = lines.iter().position(|line| line.contains("from_fn")) {
            let body = bare(&lines[start + 1..].concat());
            let body = body.strip_suffix("});").unwrap();
            assert!(here.contains(body), "{section} is not what is tested: {body}");
        }
    }
}

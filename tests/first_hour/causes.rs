//! The usual causes, each as its user meets it: the verdict names the cause and what to change.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client_credentials::testing::{Answer, AuthorizationServer, CA_PEM, CLIENT_CERTIFICATES, Endpoint, Quirk};
use client_credentials::{
    Cause, ClientAuth, ClientCredentials, ClientCredentialsBuilder, Credential, Diagnosis, HttpClient, Issuer,
    ManualClock, Outcome, ProtectedResource, Server,
};

/// In everything that must not be shown.
const CANARY: &str = "canary-5f3a";

/// The verdict, which has to name the cause and what to change, and no secret; at most one token request was sent.
fn assert_verdict(diagnosis: &Diagnosis, cause: Cause, advice: &str) {
    let text = format!("{diagnosis}\n{diagnosis:?}\n{}", serde_json::to_string(diagnosis).unwrap());
    assert_eq!(diagnosis.cause, cause, "{text}");
    assert!(diagnosis.advice.iter().any(|one| one.contains(advice)), "{advice:?} is missing: {text}");
    assert!(!text.contains(CANARY), "{text}");
    assert!(diagnosis.token_requests <= 1, "{text}");
}

fn oauth(status: u16, code: &str, description: &str) -> Answer {
    let body = serde_json::json!({"error": code, "error_description": description}).to_string();
    Answer::Response(
        http::Response::builder().status(status).header("content-type", "application/json").body(body).unwrap(),
    )
}

fn basic(server: &AuthorizationServer) -> ClientCredentialsBuilder {
    let auth = ClientAuth::client_secret_basic("billing", format!("{CANARY}-secret"));
    ClientCredentials::builder(server.token_url(), auth)
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn a_working_setup_gets_no_advice() {
    let server = AuthorizationServer::start().client("billing", format!("{CANARY}-secret")).jwt_tokens();
    let diagnosis = basic(&server).scope("read").diagnose().api(format!("{}/x", server.api_origin())).await;
    assert!(diagnosis.works(), "{diagnosis}");
    assert!(diagnosis.advice.is_empty() && diagnosis.token_requests == 1, "{diagnosis}");
    let names: Vec<_> = diagnosis.steps.iter().map(|step| step.name).collect();
    let all = [
        "configuration",
        "credential",
        "proxy",
        "name",
        "connection",
        "TLS",
        "metadata",
        "clock",
        "token request",
        "token",
        "API",
    ];
    assert_eq!(names, all);
    assert!(diagnosis.to_string().contains("iss http://127.0.0.1"), "{diagnosis}");
}

fn outcome(diagnosis: &Diagnosis, name: &str) -> Option<Outcome> {
    diagnosis.steps.iter().find(|step| step.name == name).map(|step| step.outcome)
}

#[tokio::test]
async fn each_step_has_an_outcome_of_its_own() {
    let server = AuthorizationServer::start().client("billing", format!("{CANARY}-secret"));
    let api = format!("{}/x", server.api_origin());
    let metadata = |grants: &[&str]| {
        let members = serde_json::json!({"issuer": server.issuer(), "token_endpoint": server.token_url(),
            "grant_types_supported": grants});
        Answer::Body(members.to_string())
    };
    for (grants, seen) in
        [(&["client_credentials", "password"][..], Outcome::Fine), (&["password"], Outcome::Suspicious)]
    {
        server.until_changed_at(Endpoint::Metadata, metadata(grants));
        let diagnosis = basic(&server).scope("read").diagnose().api(&api).await;
        assert_eq!(outcome(&diagnosis, "metadata"), Some(seen), "{diagnosis}");
        let lacking = "the grant client_credentials is not among those listed";
        assert_eq!(diagnosis.to_string().contains(lacking), seen == Outcome::Suspicious, "{diagnosis}");
        for step in ["configuration", "credential", "name", "connection", "clock", "token request", "token", "API"] {
            assert_eq!(outcome(&diagnosis, step), Some(Outcome::Fine), "{step}: {diagnosis}");
        }
        assert!(!diagnosis.to_string().contains("not granted"), "{diagnosis}");
    }
    for (status, seen) in
        [(500, Outcome::Suspicious), (404, Outcome::Suspicious), (401, Outcome::Failed), (403, Outcome::Failed)]
    {
        let answer = http::Response::builder().status(status).body(String::new()).unwrap();
        server.until_changed_at(Endpoint::Api, Answer::Response(answer));
        let diagnosis = basic(&server).diagnose().api(&api).await;
        assert_eq!(outcome(&diagnosis, "API"), Some(seen), "{status}: {diagnosis}");
        assert!(diagnosis.to_string().contains(&format!("status {status}")), "{diagnosis}");
    }
    let narrower = Answer::Body(r#"{"access_token":"abc","token_type":"Bearer","scope":"read"}"#.to_owned());
    server.until_changed(narrower);
    let diagnosis = basic(&server).scope("read write").diagnose().await;
    assert_eq!(outcome(&diagnosis, "token request"), Some(Outcome::Suspicious));
    assert!(diagnosis.to_string().contains("not granted: write"), "{diagnosis}");
    server.until_changed_at(Endpoint::Metadata, Answer::Body("no".to_owned()));
    assert_eq!(outcome(&basic(&server).diagnose().await, "metadata"), Some(Outcome::Skipped), "not needed");
    let auth = ClientAuth::client_secret_basic("billing", CANARY);
    let of_issuer = ClientCredentials::builder(Issuer::new(server.issuer()), auth).diagnose().await;
    assert_eq!(outcome(&of_issuer, "metadata"), Some(Outcome::Failed), "{of_issuer}");
}

#[tokio::test]
async fn the_step_of_the_credential_tells_what_is_odd_about_it() {
    let server = AuthorizationServer::start();
    let step = async |auth: ClientAuth| {
        let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().token_request(false).await;
        let step = diagnosis.steps.into_iter().find(|step| step.name == "credential").unwrap();
        (step.outcome, step.details.join("; "))
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let jwt = |claims: serde_json::Value| {
        let part = |value: String| URL_SAFE_NO_PAD.encode(value);
        format!("{}.{}.c2ln", part(r#"{"alg":"none"}"#.to_owned()), part(claims.to_string()))
    };
    let assertion = |claims: serde_json::Value| ClientAuth::from(ClientAuth::client_assertion(jwt(claims)));
    for (auth, outcome, told, other) in [
        (ClientAuth::client_secret_post("billing", CANARY), Outcome::Fine, "11 characters", "no credential"),
        (
            ClientAuth::client_secret_post("billing", format!("{CANARY} ")),
            Outcome::Suspicious,
            "ends with a blank",
            "nbf",
        ),
        (ClientAuth::none("billing"), Outcome::Fine, "the method has no credential to examine", "characters"),
        (assertion(serde_json::json!({"exp": now + 600, "nbf": now + 600})), Outcome::Fine, "nbf ", "no credential"),
        (assertion(serde_json::json!({"exp": now + 600, "nbf": now - 600})), Outcome::Fine, "exp ", "nbf "),
        (assertion(serde_json::json!({"exp": now + 600, "nbf": now + 30})), Outcome::Fine, "exp ", "nbf "),
        (assertion(serde_json::json!({"exp": now - 1})), Outcome::Suspicious, "ago", "nbf "),
    ] {
        let (seen, details) = step(auth).await;
        assert_eq!(seen, outcome, "{details}");
        assert!(details.contains(told) && !details.contains(other), "{told}, {other}: {details}");
    }
}

#[tokio::test]
async fn c01_a_secret_with_a_blank_or_a_line_break() {
    let server = AuthorizationServer::start().client("billing", format!("{CANARY}-secret"));
    for (content, flaw) in [(" \n", "ends with a blank"), ("\n\n", "ends with a line break")] {
        let file = file(&format!("{CANARY}-secret{content}"));
        let auth = ClientAuth::client_secret_post("billing", Credential::file(file.path()));
        let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
        assert_verdict(&diagnosis, Cause::CredentialEdges, "printf");
        assert!(diagnosis.summary.contains(flaw), "{diagnosis}");
    }
}

#[tokio::test]
async fn c02_the_id_of_a_secret_instead_of_its_value() {
    let server = AuthorizationServer::start();
    server.until_changed(oauth(401, "invalid_client", "AADSTS7000215: Invalid client secret provided."));
    let auth = ClientAuth::client_secret_post("billing", "5d1a3c5e-4b0f-4a53-a7c0-30b1f6ae9ed0");
    let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::SecretId, "\"Value\"");
    assert!(!diagnosis.to_string().contains("4b0f"), "{diagnosis}");
}

#[tokio::test]
async fn c03_encoding_under_basic() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Refuse("invalid_client"));
    let auth = ClientAuth::client_secret_basic("billing", format!("{CANARY}+/="));
    let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::BasicEncoding, "client_secret_basic_raw");
}

#[tokio::test]
async fn c04_the_method_is_not_supported() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Refuse("invalid_client"));
    let metadata = serde_json::json!({
        "issuer": server.issuer(), "token_endpoint": server.token_url(),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    });
    server.until_changed_at(Endpoint::Metadata, Answer::Body(metadata.to_string()));
    let diagnosis = basic(&server).diagnose().await;
    assert_verdict(&diagnosis, Cause::MethodNotSupported, "the server lists client_secret_post");
    let metadata = diagnosis.steps.iter().find(|step| step.name == "metadata").unwrap();
    assert_eq!(metadata.outcome, Outcome::Suspicious);
}

#[tokio::test]
async fn c05_the_grant_is_not_allowed() {
    let server = AuthorizationServer::start();
    for (code, description) in [
        ("unauthorized_client", "Client not enabled to retrieve service account"),
        ("unauthorized_client", "Grant type 'client_credentials' not allowed for the client."),
        ("unsupported_grant_type", ""),
    ] {
        server.until_changed(oauth(400, code, description));
        assert_verdict(&basic(&server).diagnose().await, Cause::GrantNotAllowed, "Service accounts roles");
    }
    server.until_changed(oauth(401, "unauthorized_client", "Invalid client or Invalid client credentials"));
    assert_verdict(&basic(&server).diagnose().await, Cause::ClientRefused, "compare client id and secret");
}

#[tokio::test]
async fn c06_it_is_not_the_token_endpoint() {
    let server = AuthorizationServer::start();
    let redirect = http::Response::builder().status(302).header("location", "https://elsewhere.example/token?x=1");
    for answer in [
        Answer::Status(404),
        Answer::Status(405),
        Answer::Html,
        Answer::Response(redirect.body(String::new()).unwrap()),
    ] {
        server.until_changed(answer);
        let suggestion = format!("names this token endpoint: {}", server.token_url());
        assert_verdict(&basic(&server).diagnose().await, Cause::NotATokenEndpoint, &suggestion);
    }
}

#[tokio::test]
async fn c07_the_scope() {
    let server = AuthorizationServer::start().scopes(["read"]);
    server.next(Answer::Refuse("invalid_scope"));
    assert_verdict(&basic(&server).scope("write").diagnose().await, Cause::Scope, "the requested scope is write");
    let narrower = r#"{"access_token":"canary-5f3a","token_type":"Bearer","expires_in":60,"scope":"read"}"#;
    server.next(Answer::Body(narrower.to_owned()));
    assert_verdict(&basic(&server).scope("read write").diagnose().await, Cause::Scope, "granted to the client");
    let entra = AuthorizationServer::start().quirk(Quirk::EntraV2);
    assert_verdict(&basic(&entra).scope("read").diagnose().await, Cause::Scope, "followed by /.default");
}

#[tokio::test]
async fn c08_the_audience_or_the_resource_is_missing() {
    let auth0 = AuthorizationServer::start().quirk(Quirk::Auth0);
    assert_verdict(&basic(&auth0).diagnose().await, Cause::AudienceOrResource, ".audience(..)");
    let entra = AuthorizationServer::start().quirk(Quirk::EntraV1);
    assert_verdict(&basic(&entra).diagnose().await, Cause::AudienceOrResource, ".resource(..)");
    let server = AuthorizationServer::start();
    server.next(Answer::Refuse("invalid_target"));
    assert_verdict(
        &basic(&server).resource("https://x").diagnose().await,
        Cause::AudienceOrResource,
        "RESOURCE/.default",
    );
}

#[tokio::test]
async fn c09_the_certificate_is_not_trusted() {
    let server = AuthorizationServer::start_https();
    let diagnosis = basic(&server).diagnose().await;
    assert_verdict(&diagnosis, Cause::Tls, "http.ca_file");
    assert_eq!(server.requests().len(), 0, "nothing was sent");
    let tls = diagnosis.steps.iter().find(|step| step.name == "TLS").unwrap();
    assert!(tls.details.iter().any(|line| line.contains("issued by")), "{diagnosis}");
    assert!(tls.details.iter().any(|line| line.starts_with("valid until ")), "{diagnosis}");
    assert_verdict(&diagnosis, Cause::Tls, "the certificate was issued by ");
}

#[tokio::test]
async fn c10_the_network() {
    let auth = || ClientAuth::client_secret_basic("billing", CANARY);
    // RFC 6761 section 6.4: it never resolves.
    let diagnosis = ClientCredentials::builder("https://nowhere.invalid/token", auth()).diagnose().await;
    assert_verdict(&diagnosis, Cause::Dns, "typing mistake");
    assert_eq!(outcome(&diagnosis, "name"), Some(Outcome::Failed), "{diagnosis}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let diagnosis = ClientCredentials::builder(closed, auth()).diagnose().await;
    assert_verdict(&diagnosis, Cause::ConnectionRefused, "inside a container");
    assert_eq!(outcome(&diagnosis, "connection"), Some(Outcome::Failed), "{diagnosis}");
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Hang);
    let limits = client_credentials::Limits::new().attempt_timeout(Duration::from_millis(200));
    assert_verdict(&basic(&server).limits(limits).diagnose().await, Cause::Timeout, "attempt_timeout");
    server.until_changed(Answer::Reset);
    assert_verdict(&basic(&server).diagnose().await, Cause::Outage, "the connection broke");
}

fn pem() -> String {
    CLIENT_CERTIFICATES[0].key.to_owned()
}

#[tokio::test]
async fn c11_the_clock() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Refuse("invalid_client"));
    // The server uses the real time, the client a clock that is two days ahead.
    clock.set_wall(|_| std::time::UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(2 * 86_400));
    let auth = ClientAuth::private_key_jwt("billing", pem());
    let diagnosis = ClientCredentials::builder(Issuer::new(server.issuer()), auth).clock(&clock).diagnose().await;
    assert_verdict(&diagnosis, Cause::Clock, "NTP");
    let line = |wall: Duration| {
        clock.set_wall(|_| wall);
        let builder = basic(&server).clock(&clock);
        async move {
            let diagnosis = builder.diagnose().token_request(false).await;
            let step = diagnosis.steps.into_iter().find(|step| step.name == "clock").unwrap();
            (step.outcome, step.details.join("; "))
        }
    };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let day = Duration::from_secs(86_400);
    let (outcome, text) = line(now + 3 * day).await;
    assert!(outcome == Outcome::Suspicious && text.contains("ahead of the server's Date"), "{text}");
    let (outcome, text) = line(now - 3 * day).await;
    assert!(outcome == Outcome::Suspicious && text.contains("behind the server's Date"), "{text}");
}

#[tokio::test]
async fn c12_the_assertion() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Refuse("invalid_client"));
    let metadata = serde_json::json!({
        "issuer": server.issuer(), "token_endpoint": server.token_url(),
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
    });
    server.until_changed_at(Endpoint::Metadata, Answer::Body(metadata.to_string()));
    let auth = ClientAuth::private_key_jwt("billing", pem()).audience("https://elsewhere.example");
    let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::Assertion, "alg is ES256, and the server lists RS256");
    assert_verdict(&diagnosis, Cause::Assertion, "aud is https://elsewhere.example, and the issuer is");
    assert_verdict(&diagnosis, Cause::Assertion, "there is no kid");
    let typ = "typ is client-authentication+jwt: older servers require";
    assert_verdict(&diagnosis, Cause::Assertion, typ);
    let auth = ClientAuth::private_key_jwt("billing", pem()).audience("https://elsewhere.example").typ("JWT");
    let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
    assert!(diagnosis.cause == Cause::Assertion && !diagnosis.to_string().contains(typ), "{diagnosis}");
}

#[tokio::test]
async fn c13_an_assertion_that_has_expired() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Refuse("invalid_client"));
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let token = format!(
        "{}.{}.{CANARY}",
        part(r#"{"alg":"RS256"}"#),
        part(r#"{"iss":"https://k8s","aud":["x"],"exp":1600000000}"#)
    );
    let file = file(&token);
    let auth = ClientAuth::client_assertion(Credential::file(file.path()));
    let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::CredentialExpired, "subPath");
}

#[tokio::test]
async fn c14_the_api_refuses_a_new_token() {
    let server = AuthorizationServer::start().jwt_tokens().api_audience("https://api.example.com");
    let api = format!("{}/x", server.api_origin());
    let diagnosis = basic(&server).audience("https://other.example").diagnose().api(&api).await;
    assert_verdict(&diagnosis, Cause::ApiAudience, "the token is for https://other.example");

    let server = AuthorizationServer::start().api_scope("write");
    let api = format!("{}/x", server.api_origin());
    assert_verdict(&basic(&server).scope("read").diagnose().api(&api).await, Cause::ApiScope, "add the scope write");

    let challenge = http::Response::builder().status(401).header("www-authenticate", r#"DPoP algs="ES256""#);
    server.until_changed_at(Endpoint::Api, Answer::Response(challenge.body(String::new()).unwrap()));
    assert_verdict(&basic(&server).diagnose().api(&api).await, Cause::ApiDpop, ".dpop(..)");
    // The token has the scope that the API misses.
    let challenge = r#"Bearer error="insufficient_scope", scope="write""#;
    let answer = || http::Response::builder().status(403).header("www-authenticate", challenge).body(String::new());
    server.until_changed_at(Endpoint::Api, Answer::Response(answer().unwrap()));
    let diagnosis = basic(&server).scope("write").diagnose().api(&api).await;
    assert_verdict(&diagnosis, Cause::ApiScope, "the token has it, as far as the authorization server says");
    // It takes tokens of both kinds, and this one lacks a scope.
    for code in ["insufficient_scope", "Insufficient Scope"] {
        let both = format!(r#"DPoP algs="ES256", Bearer realm="a", Bearer error="{code}", scope="write""#);
        let challenge = http::Response::builder().status(401).header("www-authenticate", both);
        server.until_changed_at(Endpoint::Api, Answer::Response(challenge.body(String::new()).unwrap()));
        assert_verdict(&basic(&server).diagnose().api(&api).await, Cause::ApiScope, "add the scope write");
    }
    server.until_changed(Answer::Refuse("invalid_dpop_proof"));
    assert_verdict(&basic(&server).diagnose().await, Cause::DpopRequired, ".dpop(..)");
}

#[tokio::test]
async fn the_url_of_an_api_is_checked_before_a_token_is_requested() {
    let server = AuthorizationServer::start();
    for url in [
        "not a url",
        "ftp://a.example/",
        "http:///127.0.0.1:1/x",
        "http://api.example.com/",
        "https://me:pw@a.example/",
    ] {
        assert_verdict(&basic(&server).diagnose().api(url).await, Cause::Configuration, "api ");
    }
    assert_eq!(server.token_requests(), 0);
}

#[tokio::test]
async fn an_api_that_is_down_is_reported_as_unreachable() {
    let server = AuthorizationServer::start();
    let unbound = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let diagnosis = basic(&server).diagnose().api(format!("http://{unbound}/x")).await;
    assert_verdict(&diagnosis, Cause::Api, "whether the API is up");
    assert!(diagnosis.to_string().contains("but the API could not be reached"), "{diagnosis}");
}

#[test]
fn plain_http_is_unusual_unless_it_stays_on_the_machine() {
    let unusual = |url: &str| {
        let auth = ClientAuth::client_secret_basic("billing", "a secret");
        let builder = ClientCredentials::builder(url, auth).dangerously_allow_http("auth.internal");
        builder.explain().to_string().contains("plain http: secret and token can be read")
    };
    assert!(unusual("http://auth.internal/token"));
    assert!(!unusual("http://127.0.0.1:8080/token") && !unusual("https://auth.internal/token"));
}

#[tokio::test]
async fn c15_the_quota() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::RetryAfter(Duration::from_secs(90)));
    assert_verdict(&basic(&server).diagnose().await, Cause::Quota, "wait 90 s");
    assert_eq!(server.token_requests(), 1);
}

#[tokio::test]
async fn several_credentials_are_examined_and_one_is_sent() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Refuse("invalid_client"));
    let secret = Credential::from(CANARY).or(Credential::from(format!("{CANARY}2")));
    let auth = ClientAuth::client_secret_post("billing", secret);
    let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::ClientRefused, "the server supports client_secret_basic");
    assert_eq!(server.token_requests(), 1);
}

#[tokio::test]
async fn a_server_that_repeats_the_secret_is_not_quoted() {
    let server = AuthorizationServer::start();
    server.until_changed(oauth(401, "invalid_client", &format!("the secret {CANARY}-secret is wrong")));
    assert_verdict(&basic(&server).diagnose().await, Cause::ClientRefused, "compare client id");
}

#[tokio::test]
async fn a_trusted_ca_and_a_client_certificate_work() {
    let server = AuthorizationServer::start_https().public_client("billing");
    let ca = reqwest::Certificate::from_pem(CA_PEM.as_bytes()).unwrap();
    let pair = CLIENT_CERTIFICATES[0];
    let auth = ClientAuth::mutual_tls("billing", pair.certificate, pair.key);
    let builder = ClientCredentials::builder(server.token_url(), auth)
        .http_client(HttpClient::from_reqwest_0_13(move || reqwest::Client::builder().tls_certs_only([ca.clone()])));
    let diagnosis = builder.diagnose().await;
    assert!(diagnosis.works(), "{diagnosis}");
    assert!(diagnosis.to_string().contains("certificate of"), "{diagnosis}");
}

#[tokio::test]
async fn missing_settings_are_found_before_anything_is_sent() {
    let server = AuthorizationServer::start();
    let auth = ClientAuth::client_secret_basic("billing", Credential::file("/nowhere/secret"));
    let diagnosis = ClientCredentials::builder(server.token_url(), auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::CredentialUnreadable, "provide the credential in the configured place");
    assert_eq!(server.token_requests(), 0);
    let auth = ClientAuth::client_secret_basic("", "x");
    let diagnosis = ClientCredentials::builder("nonsense", auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::Configuration, "client_id is empty");
}

#[tokio::test]
async fn the_issuer_is_spelled_differently() {
    let server = AuthorizationServer::start();
    let auth = ClientAuth::client_secret_basic("billing", CANARY);
    let issuer = Issuer::new(format!("{}/", server.issuer()));
    let diagnosis = ClientCredentials::builder(issuer, auth).diagnose().await;
    assert_verdict(&diagnosis, Cause::Metadata, "use exactly that as the issuer");
}

#[tokio::test]
async fn progress_says_beforehand_that_a_token_is_requested() {
    let server = AuthorizationServer::start();
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = lines.clone();
    let diagnosis = basic(&server).diagnose().progress(move |line| told.lock().unwrap().push(line.to_owned())).await;
    let lines = lines.lock().unwrap().clone();
    let before = lines.iter().position(|line| line == "one token request follows").unwrap();
    assert!(lines[before + 1].contains("token request"), "{lines:?}");
    assert!(diagnosis.works());
    let diagnosis = basic(&server).diagnose().token_request(false).await;
    assert_eq!((diagnosis.token_requests, server.token_requests()), (0, 1));
}

#[tokio::test]
async fn c16_the_client_id_in_quotes_as_an_env_file_has_it() {
    // FB15
    let server = AuthorizationServer::start().client("billing", format!("{CANARY}-secret"));
    let auth = ClientAuth::client_secret_basic("\"billing\"", format!("{CANARY}-secret"));
    let builder = ClientCredentials::builder(server.token_url(), auth);
    let diagnosis = builder.diagnose().await;
    assert_verdict(&diagnosis, Cause::CredentialEdges, "quotes");
    assert!(diagnosis.summary.contains("client ID is in quotes"), "{diagnosis}");
    let error = builder.clone().build().unwrap().token().await.unwrap_err().to_string();
    assert!(error.contains("Note that the client ID is in quotes: it is sent that way"), "{error}");
    assert!(!error.contains("percent-encodes"), "{error}");
    let quoted = ClientCredentials::builder("\"https://auth.example.com/token\"", ClientAuth::none("billing"));
    assert!(quoted.build().unwrap_err().to_string().contains("is in quotes: leave them out"));
}

#[tokio::test]
async fn a_secret_with_a_blank_or_a_line_break_is_named_by_the_error_itself() {
    // FB15
    let server = AuthorizationServer::start().client("billing", format!("{CANARY}-secret"));
    for (content, told, is_sent) in [
        (" ", "Note that the secret ends with a blank: it is sent that way", true),
        ("\n\n", "ends with a line break (one is dropped from a file): write it without", false),
    ] {
        let file = file(&format!("{CANARY}-secret{content}"));
        let auth = ClientAuth::client_secret_post("billing", Credential::file(file.path()));
        let builder = ClientCredentials::builder(server.token_url(), auth);
        let error = builder.clone().build().unwrap().token().await.unwrap_err().to_string();
        assert!(error.contains(told) && !error.contains(CANARY), "{error}");
        let diagnosis = builder.diagnose().await;
        assert_eq!(diagnosis.summary.ends_with("it is sent that way."), is_sent, "{diagnosis}");
        assert_eq!(diagnosis.token_requests, u64::from(is_sent), "{diagnosis}");
    }
}

#[tokio::test]
async fn c17_scopes_that_are_separated_by_commas() {
    // FB16
    let server = AuthorizationServer::start().scopes(["read", "write"]);
    server.next(Answer::Refuse("invalid_scope"));
    assert_verdict(&basic(&server).scope("read,write").diagnose().await, Cause::Scope, "blanks do");
    let fewer = r#"{"access_token":"canary-5f3a","token_type":"Bearer","expires_in":60,"scope":"read"}"#;
    server.next(Answer::Body(fewer.to_owned()));
    assert_verdict(&basic(&server).scope("a;b").diagnose().await, Cause::Scope, "blanks do");
    server.next(Answer::Refuse("invalid_scope"));
    let error = basic(&server).scope("read,write").build().unwrap().token().await.unwrap_err().to_string();
    assert!(error.contains("requested: read,write; it has a comma or semicolon"), "{error}");
}

#[tokio::test]
async fn c18_the_address_of_metadata_is_refused_where_another_address_belongs() {
    // FB17
    let auth = || ClientAuth::client_secret_basic("billing", CANARY);
    let known = "https://a.example/realms/demo/.well-known/openid-configuration";
    for (server, told) in [
        (Server::from(Issuer::new(known)), "give the issuer that is in it, probably https://a.example/realms/demo"),
        (
            Issuer::new("https://a.example:8443/.well-known/oauth-authorization-server/realms/demo").into(),
            "give the issuer that is in it, probably https://a.example:8443/realms/demo",
        ),
        (known.into(), "give the token_endpoint that is in it, or the issuer in place of the token endpoint, probably"),
        (
            ProtectedResource::new(
                "https://mcp.example/.well-known/oauth-protected-resource/mcp",
                ["https://a.example"],
            )
            .into(),
            "give that of the API, probably https://mcp.example/mcp",
        ),
        (ProtectedResource::new("https://mcp.example/mcp", [known]).into(), "give the issuer that is in it"),
    ] {
        let builder = ClientCredentials::builder(server, auth());
        let refused = builder.clone().build().unwrap_err().to_string();
        assert!(refused.contains(told), "{refused}");
        assert_verdict(&builder.diagnose().await, Cause::Configuration, told);
    }
    for fine in ["https://a.example/.well-known", "https://a.example/.well-known/openid-configurations"] {
        assert!(ClientCredentials::builder(Issuer::new(fine), auth()).build().is_ok(), "{fine}");
    }
    let server = AuthorizationServer::start();
    let diagnosis = ClientCredentials::builder(Issuer::new(server.token_url()), auth()).diagnose().await;
    assert_verdict(&diagnosis, Cause::Metadata, "this looks like the token endpoint");
}

#[tokio::test]
async fn c19_a_page_with_status_200() {
    // FB18
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Html);
    let error = basic(&server).build().unwrap().token().await.unwrap_err().to_string();
    assert!(error.contains("its body is a page and not JSON (") && error.contains("a login page"), "{error}");
    assert_verdict(&basic(&server).diagnose().await, Cause::NotATokenEndpoint, "captive portal");
    server.until_changed_at(Endpoint::Metadata, Answer::Html);
    let auth = ClientAuth::client_secret_basic("billing", CANARY);
    let of_issuer = ClientCredentials::builder(Issuer::new(server.issuer()), auth).diagnose().await;
    assert!(of_issuer.cause == Cause::Metadata && of_issuer.summary.contains("a page and not JSON"), "{of_issuer}");
}

#[tokio::test]
async fn c20_a_proxy() {
    // FB12, FB14
    let server = AuthorizationServer::start();
    let proxy_page = http::Response::builder().status(407).body("<html>sign in</html>".to_owned()).unwrap();
    server.next(Answer::Response(proxy_page));
    assert_verdict(&basic(&server).diagnose().await, Cause::Proxy, "USER:PASSWORD");
    let port = http::Response::builder().status(400).body("Client sent an HTTP request to an HTTPS server.".to_owned());
    server.next(Answer::Response(port.unwrap()));
    assert_verdict(&basic(&server).diagnose().await, Cause::NotATokenEndpoint, "write https://");

    let unbound = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://me:{CANARY}@{unbound}");
    let http =
        HttpClient::from_reqwest_0_13(move || reqwest::Client::builder().proxy(reqwest::Proxy::all(&url).unwrap()));
    let auth = ClientAuth::client_secret_basic("billing", CANARY);
    let builder = ClientCredentials::builder("https://auth.example.invalid/token", auth).http_client(http);
    let diagnosis = builder.diagnose().await;
    assert_verdict(&diagnosis, Cause::Proxy, &format!("the proxy {unbound} from the HTTP client's own settings"));
    assert_eq!(outcome(&diagnosis, "proxy"), Some(Outcome::Fine), "{diagnosis}");
    assert_eq!(outcome(&diagnosis, "name"), None, "the proxy resolves: {diagnosis}");
}

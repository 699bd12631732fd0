//! Edges and details of the steps, with the test kit and a manual clock.

use std::time::Duration;

use super::credential::examine_credential;
use super::diagnosis::{Cause, Diagnosis, Outcome};
use super::findings::Findings;
use super::steps::Steps;
use crate::client_auth::ClientAuth;
use crate::client_credentials::{ClientCredentials, ClientCredentialsBuilder, Issuer, ProtectedResource};
use crate::clock::ManualClock;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, OAuthError};
use crate::testing::{Answer, AuthorizationServer, Endpoint};

fn post() -> ClientAuth {
    ClientAuth::client_secret_post("billing", "x")
}

fn found(builder: &ClientCredentialsBuilder) -> Findings {
    Findings::new(builder.draft())
}

fn step(diagnosis: &Diagnosis, name: &str) -> (Outcome, String) {
    let step = diagnosis.steps.iter().find(|step| step.name == name).unwrap();
    (step.outcome, step.details.join("; "))
}

/// Outcome and details of the step of the credential at this time, and what has expired.
async fn credential(auth: impl Into<ClientAuth>, now: Duration) -> (Outcome, String, Option<String>) {
    let clock = ManualClock::new();
    clock.set_wall(|_| now);
    let mut findings = found(&ClientCredentials::builder("https://auth.example.com/token", auth).clock(&clock));
    let mut steps = Steps::new(None);
    examine_credential(&mut findings, &mut steps).await;
    let step = steps.all.pop().unwrap();
    (step.outcome, step.details.join("; "), findings.expired)
}

#[tokio::test]
async fn a_credential_has_expired_at_its_end_and_may_be_a_minute_early() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let second = Duration::from_secs(1);
    let begin = Duration::from_secs(1_790_000_060);
    let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1800000000,"nbf":1790000060}"#);
    let jwt = || ClientAuth::client_assertion(format!("e30.{claims}.c2ln"));
    for (now, early) in [(begin - 60 * second, false), (begin - 61 * second, true)] {
        let (_, told, expired) = credential(jwt(), now).await;
        assert_eq!((told.contains("nbf "), expired), (early, None), "{told}");
    }
    #[cfg(feature = "mtls")]
    {
        let [pem, _] = crate::testing::CLIENT_CERTIFICATES;
        let end = crate::x509::of_pem(pem.certificate).unwrap().not_after;
        for (now, has_expired) in [(end - second, false), (end, true), (end + second, true)] {
            let auth = ClientAuth::mutual_tls("billing", pem.certificate, pem.key);
            let (_, told, expired) = credential(auth, now).await;
            assert!(told.contains("certificate of "), "{told}");
            assert_eq!(expired.is_some(), has_expired, "{now:?} {expired:?}");
        }
    }
    let (one, both) = (Credential::from("x ").or("y"), Credential::from("x ").or("y "));
    for several in [one, both] {
        let (outcome, told, _) = credential(ClientAuth::client_secret_post("billing", several), begin).await;
        assert_eq!(outcome, Outcome::Suspicious, "{told}");
    }
}

#[test]
fn a_server_is_reached_if_no_step_has_failed() {
    let builder = ClientCredentials::builder("https://auth.example.com/token", post());
    let found = || found(&builder);
    assert!(found().is_reachable());
    assert!(!Findings { dns: Some("no".into()), ..found() }.is_reachable());
    let connect = Some(std::io::ErrorKind::ConnectionRefused.into());
    assert!(!Findings { connect, ..found() }.is_reachable());
    assert!(!Findings { handshake: Some("no".into()), ..found() }.is_reachable());
}

#[test]
fn entra_id_is_known_by_its_hosts() {
    for (host, is_entra) in [
        ("login.microsoftonline.com", true),
        ("login.microsoftonline.us", true),
        ("sts.windows.net", true),
        ("contoso.ciamlogin.com", true),
        ("ciamlogin.com", false),
        ("login.microsoft.com", false),
        ("auth.example.com", false),
    ] {
        let builder = ClientCredentials::builder(format!("https://{host}/t/oauth2/token"), post());
        assert_eq!(found(&builder).is_entra(), is_entra, "{host}");
    }
}

#[test]
fn a_resource_is_asked_for_by_its_parameter_or_by_the_api() {
    let api = || ProtectedResource::new("https://mcp.example.com", ["https://auth.example.com"]);
    let asks = |builder: ClientCredentialsBuilder| {
        let findings = found(&builder);
        ["resource", "audience", "scope"].map(|name| findings.asks_for(name))
    };
    assert_eq!(asks(ClientCredentials::builder(api(), post())), [true, false, false]);
    assert_eq!(asks(ClientCredentials::builder(api().omit_resource(true), post()).scope("a")), [false, false, true]);
    let endpoint = || ClientCredentials::builder("https://auth.example.com/token", post());
    assert_eq!(asks(endpoint().audience("a")), [false, true, false]);
    assert_eq!(asks(endpoint().resource("https://a.example")), [true, false, false]);
}

#[test]
fn an_answer_without_an_oauth_error_may_be_of_another_endpoint() {
    let builder = ClientCredentials::builder("https://auth.example.com/token", post());
    let seems_misplaced = |kind: ErrorKind, code: Option<&str>, token_requests: u64| {
        let error = Error::of(kind, "no token");
        let error = code.into_iter().fold(error, |e, code| e.with_oauth(OAuthError::new(code.to_owned(), None, None)));
        Findings { token: Some(Err(error)), token_requests, ..found(&builder) }.seems_misplaced()
    };
    assert!(seems_misplaced(ErrorKind::Response, None, 1));
    assert!(!seems_misplaced(ErrorKind::Response, None, 0), "of another request");
    assert!(!seems_misplaced(ErrorKind::Response, Some("server_error"), 1));
    assert!(!seems_misplaced(ErrorKind::Denied, None, 1));
    assert!(!found(&builder).seems_misplaced());
}

#[tokio::test]
async fn metadata_is_asked_for_in_order_until_a_document_or_an_error_comes() {
    let server = AuthorizationServer::start();
    let asked = || server.requests().iter().filter(|request| request.endpoint() == Endpoint::Metadata).count();
    let diagnose = async || {
        let before = asked();
        let issuer = Issuer::new(server.issuer());
        let diagnosis = ClientCredentials::builder(issuer, post()).diagnose().token_request(false).await;
        let (outcome, told) = step(&diagnosis, "metadata");
        (outcome, asked() - before, told)
    };
    let (outcome, requests, told) = diagnose().await;
    assert_eq!((outcome, requests), (Outcome::Fine, 1), "{told}");
    for line in ["issuer: http", &format!("token_endpoint: {}", server.token_url()), "methods: ", "grants: "] {
        assert!(told.contains(line), "{line}: {told}");
    }
    for first in [Answer::Status(404), Answer::Body("{}".to_owned()), Answer::Body("no".to_owned())] {
        server.next_at(Endpoint::Metadata, first);
        let (outcome, requests, told) = diagnose().await;
        assert_eq!((outcome, requests), (Outcome::Fine, 2), "{told}");
    }
    server.next_at(Endpoint::Metadata, Answer::Reset);
    let (outcome, requests, told) = diagnose().await;
    assert_eq!((outcome, requests), (Outcome::Failed, 1), "{told}");
}

#[tokio::test]
async fn the_metadata_of_an_api_leads_to_a_server_that_the_user_named() {
    let server = AuthorizationServer::start();
    let api = format!("{}/mcp", server.api_origin());
    let diagnose = async |allowed: &str| {
        let api = ProtectedResource::new(&api, [allowed]);
        let diagnosis = ClientCredentials::builder(api, post()).diagnose().token_request(false).await;
        step(&diagnosis, "metadata")
    };
    let (outcome, told) = diagnose(server.issuer()).await;
    assert_eq!(outcome, Outcome::Fine, "{told}");
    let named = format!("the API names: {}", server.issuer());
    assert!(told.contains(&named) && told.contains("token_endpoint: "), "{told}");
    let (outcome, told) = diagnose("https://auth.example.com").await;
    assert_eq!(outcome, Outcome::Failed, "{told}");
    assert!(told.contains(&named) && !told.contains("token_endpoint: "), "{told}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn the_certificate_of_the_server_is_valid_from_its_first_to_its_last_second() {
    let server = AuthorizationServer::start_https();
    let leaf = crate::x509::of_pem(include_str!("../testing/certificates/server.pem")).unwrap();
    let second = Duration::from_secs(1);
    for (now, outcome) in [
        (leaf.not_before - second, Outcome::Suspicious),
        (leaf.not_before, Outcome::Fine),
        (leaf.not_after - second, Outcome::Fine),
        (leaf.not_after, Outcome::Suspicious),
        (leaf.not_after + second, Outcome::Suspicious),
    ] {
        let clock = ManualClock::new();
        clock.set_wall(|_| now);
        let builder = ClientCredentials::builder(server.token_url(), post()).clock(&clock);
        let diagnosis = builder.diagnose().token_request(false).await;
        let (seen, told) = step(&diagnosis, "TLS");
        assert_eq!(seen, outcome, "{now:?}: {told}");
        assert!(told.starts_with("TLSv1_3, 1 certificate(s); of "), "{told}");
    }
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_port_without_tls_has_no_handshake() {
    let server = AuthorizationServer::start();
    let url = server.token_url().replace("http:", "https:");
    let diagnosis = ClientCredentials::builder(url, post()).diagnose().token_request(false).await;
    assert_eq!(step(&diagnosis, "TLS").0, Outcome::Failed, "{diagnosis}");
    assert_eq!(step(&diagnosis, "metadata"), (Outcome::Skipped, "the server cannot be reached".to_owned()));
}

#[cfg(feature = "rustls")]
#[tokio::test(start_paused = true)]
async fn a_port_that_never_answers_has_no_handshake() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let url = url::Url::parse(&format!("https://{address}/token")).unwrap();
    let flaw = super::tls::handshake(&url, stream, Duration::from_secs(5)).await.err();
    assert_eq!(flaw.as_deref(), Some("no handshake within 5s"));
}

#[test]
fn a_clock_before_the_crate_is_unusual() {
    let clock = ManualClock::new();
    for (now, is_unusual) in [(1_700_000_000, false), (1_699_999_999, true)] {
        clock.set_wall(|_| Duration::from_secs(now));
        let builder = ClientCredentials::builder("https://auth.example.com/token", post()).clock(&clock);
        let text = builder.explain().to_string();
        assert_eq!(text.contains("the clock of this machine is before November 2023"), is_unusual, "{text}");
    }
}

#[test]
fn a_certificate_is_judged_by_the_second() {
    for (before, after, advice) in [(0, 0, "has expired"), (0, 1, "of other.example, not of this host")] {
        let mut findings = found(&ClientCredentials::builder("https://auth.example.com/token", post()));
        let now = findings.draft.now.wall();
        findings.leaf = Some(crate::x509::Facts {
            issuer: "Inspector".into(),
            subject: "other.example".into(),
            not_before: now - Duration::from_secs(before),
            not_after: now + Duration::from_secs(after),
        });
        findings.token = Some(Err(Error::of(ErrorKind::Tls, "NotValidForName")));
        let diagnosis = super::judge::judge(&findings, Vec::new());
        assert_eq!(diagnosis.cause, Cause::Tls);
        assert!(diagnosis.advice[0].contains(advice), "{advice}: {diagnosis}");
    }
}

#[test]
fn an_examination_is_shown_without_the_secret() {
    let builder = ClientCredentials::builder("https://auth.example.com/token", post());
    let shown = format!("{:?}", builder.diagnose());
    assert!(shown.starts_with("Diagnose { builder: ") && shown.contains("client_secret_post"), "{shown}");
}

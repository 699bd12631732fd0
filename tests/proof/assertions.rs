use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client_credentials::testing::Answer;
use client_credentials::{ClientAuth, ClientCredentials, ErrorKind, Issuer, Signer, SigningAlgorithm, SigningFuture};
use serde_json::json;

use crate::keys::Key;
use crate::server::{Server, token};
use crate::{ISSUER, client};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

#[tokio::test]
async fn every_attempt_has_an_assertion_of_its_own() {
    // M13
    let key = Key::new("k");
    let server = Server::start(|_| Answer::Status(503));
    let tokens = client(&server, ClientAuth::private_key_jwt("me", key.jwk.as_str()).audience(ISSUER));
    tokens.token().await.unwrap_err();
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    let jtis: BTreeSet<_> = seen.iter().map(|one| one.claims()["jti"].to_string()).collect();
    assert_eq!(jtis.len(), 3, "{jtis:?}");
    for one in seen {
        let claims = one.claims();
        let (iat, exp) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        assert!(iat <= now() && now() < iat + 30, "not ahead, and fresh");
        assert!(exp - iat <= 60);
        assert!(claims.get("nbf").is_none());
        assert!(key.signed(&one));
    }
}

#[tokio::test]
async fn the_audience_is_the_issuer_as_a_string() {
    // M12
    let key = Key::new("k");
    let server = Server::start(|_| token());
    let tokens = client(&server, ClientAuth::private_key_jwt("me", key.jwk.as_str()).audience(ISSUER));
    tokens.token().await.unwrap();
    let seen = server.last();
    assert_eq!(seen.claims()["aud"], ISSUER);
    assert_eq!(seen.claims()["iss"], "me");
    assert_eq!(seen.claims()["sub"], "me");
    assert_eq!(seen.header(), json!({"alg": "ES256", "kid": "k", "typ": "client-authentication+jwt"}));
    assert!(seen.param("client_id").is_none(), "only where it is asked for");
    assert!(!seen.has_header("authorization"));
}

#[tokio::test]
async fn a_server_that_requires_the_client_id_with_the_assertion_gets_it() {
    let server = Server::start(|_| token());
    let auth = ClientAuth::client_secret_jwt("me", "a secret of some length, 32 bytes").audience(ISSUER);
    let builder = ClientCredentials::builder(&server.url, auth);
    let tokens = builder.client_id_in_body(true).build().unwrap();
    tokens.token().await.unwrap();
    assert_eq!(server.last().param("client_id"), Some("me"));
}

#[tokio::test]
async fn an_explicit_audience_takes_precedence_over_the_issuer() {
    let server = Server::start(|_| token());
    let auth = ClientAuth::client_secret_jwt("me", "a secret of some length, 32 bytes").audience(&server.url);
    client(&server, auth).token().await.unwrap();
    assert_eq!(server.last().claims()["aud"], server.url.as_str());
    assert_eq!(server.last().header()["alg"], "HS256");
}

#[test]
fn build_refuses_what_cannot_work_with_every_fault_at_once() {
    // M11
    let auth = ClientAuth::private_key_jwt("", Key::new("k").pem).algorithm(SigningAlgorithm::HS256);
    let built = ClientCredentials::builder("https://auth.example.com/token", auth).build();
    let error = built.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let text = error.to_string();
    for part in ["client_id is empty", "HS256 needs a shared secret", ".audience(", "Issuer::new"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_issuer_is_a_secure_url_without_a_query() {
    for (issuer, flaw) in [
        ("auth.example.com", "is not an absolute URL"),
        ("http://auth.example.com", "use https"),
        ("https://auth.example.com/?x", "issuer has a query"),
        ("https://me@auth.example.com/", "user information"),
    ] {
        let auth = ClientAuth::client_secret_jwt("me", "s");
        let text = ClientCredentials::builder(Issuer::new(issuer), auth).build().unwrap_err().to_string();
        assert!(text.contains(flaw), "{text}");
    }
}

#[derive(Debug)]
struct Sealed;

impl Signer for Sealed {
    fn algorithm(&self) -> SigningAlgorithm {
        SigningAlgorithm::RS256
    }
    fn key_id(&self) -> Option<String> {
        None
    }
    fn sign<'a>(&'a self, _: &'a [u8]) -> SigningFuture<'a> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Err("the vault is sealed".into())
        })
    }
}

#[tokio::test]
async fn a_signer_that_is_down_sends_nothing() {
    let server = Server::start(|_| token());
    let tokens = client(&server, ClientAuth::private_key_jwt_with_signer("me", Sealed).audience(ISSUER));
    let error = tokens.token().await.unwrap_err();
    let shown = format!("{error:#}");
    assert!(shown.starts_with("the signer failed (") && shown.ends_with("): the vault is sealed"), "{shown}");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(server.seen().is_empty());
}

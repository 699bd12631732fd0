//! At the token endpoint (RFC 9449 sections 5 and 8).

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use client_credentials::testing::Answer;
use client_credentials::{
    AccessToken, ClientAuth, ClientCredentials, Credential, DpopKey, ErrorKind, SigningAlgorithm,
};
use http::Method;

use crate::keys::{Kms, p256, pem};
use crate::proof::Proof;
use crate::refreshed::refreshed;
use crate::server::{Server, nth, token, token_response, use_dpop_nonce, with_nonce};
use crate::tokens;

/// The key that a token is bound to, from its proofs.
async fn key_of(token: &AccessToken) -> String {
    let url = "https://api.example.com/";
    let headers = token.request_headers(&Method::GET, url).await.unwrap();
    Proof::of(&headers).unwrap().jkt
}

#[tokio::test]
async fn a_token_request_carries_a_proof_for_the_endpoint() {
    // M18
    let server = Server::that_binds();
    let tokens = tokens(&server, DpopKey::generate());
    let token = tokens.token().await.unwrap();
    assert_eq!(token.authorization(), format!("DPoP {}", nth(0)));
    assert_eq!(token.expose_secret(), nth(0));
    let asked = server.asked();
    let proof = asked[0].proof();
    assert_eq!(proof.header["typ"], "dpop+jwt");
    assert_eq!(proof.header["alg"], "ES256");
    let members: Vec<_> = proof.header["jwk"].as_object().unwrap().keys().collect();
    assert_eq!(members, ["crv", "kty", "x", "y"], "and nothing that is private");
    assert_eq!(proof.claim("htm"), "POST");
    assert_eq!(Some(proof.claim("htu")), server.url.strip_suffix("?tenant=1"));
    let iat = proof.claims["iat"].as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!((iat..iat + 30).contains(&now.as_secs()), "not ahead, and fresh");
    for absent in ["ath", "nonce"] {
        assert!(proof.claims.get(absent).is_none(), "{absent}");
    }
    assert_eq!(key_of(&token).await, proof.jkt);
}

#[tokio::test]
async fn every_attempt_has_a_proof_of_its_own_by_one_key() {
    let server = Server::start(|_| Answer::Status(503));
    let failed = tokens(&server, DpopKey::generate()).token().await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Response);
    let asked = server.asked();
    let proofs = || asked.iter().map(|one| one.proof());
    let jtis: BTreeSet<_> = proofs().map(|proof| proof.claim("jti")).collect();
    let keys: BTreeSet<_> = proofs().map(|proof| &proof.jkt).collect();
    assert_eq!((asked.len(), jtis.len(), keys.len()), (3, 3, 1));
}

#[tokio::test]
async fn a_nonce_is_taken_and_the_request_repeated_once() {
    // M14
    let server = Server::start(|asked| match asked.proof().claim("nonce") {
        "n1" => token("t", "DPoP"),
        _ => use_dpop_nonce("n1"),
    });
    tokens(&server, DpopKey::generate()).token().await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0].proof().claim("jti"), asked[1].proof().claim("jti"));
    assert_ne!(asked[0].assertion(), asked[1].assertion(), "used once each");
}

#[tokio::test]
async fn a_second_demand_is_an_error_and_its_nonce_serves_the_next_fetch() {
    // M14
    let server = Server::start(|asked| match asked.proof().claim("nonce") {
        "n1" => token("t", "DPoP"),
        _ => use_dpop_nonce(&format!("n{}", asked.before)),
    });
    let tokens = tokens(&server, DpopKey::generate());
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.oauth().unwrap().code(), "use_dpop_nonce");
    assert_eq!(server.asked().len(), 2);
    while tokens.token().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn the_nonce_of_a_success_is_used_the_next_time() {
    // QUIRKS row 10
    let server = Server::start(|asked| with_nonce(token_response(&format!("t{}", asked.before), "DPoP"), "n"));
    let tokens = tokens(&server, DpopKey::generate());
    refreshed(&tokens).await.unwrap();
    refreshed(&tokens).await.unwrap();
    let asked = server.asked();
    let nonces: Vec<_> = asked.iter().map(|one| one.proof().claim("nonce")).collect();
    assert_eq!(nonces, ["", "n"]);
}

#[tokio::test]
async fn a_nonce_that_is_too_long_or_has_spaces_is_not_used() {
    let too_long = "n".repeat(1025);
    for nonce in [too_long, "a b".to_owned(), "a\tb".to_owned()] {
        let server = Server::start(move |_| use_dpop_nonce(&nonce));
        let error = tokens(&server, DpopKey::generate()).token().await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_token_that_is_not_bound_is_refused() {
    for token_type in ["Bearer", "bearer", "", "mac"] {
        let server = Server::start(move |_| match token_type {
            "" => Answer::Body(r#"{"access_token":"CANARY"}"#.to_owned()),
            other => token("CANARY", other),
        });
        let error = tokens(&server, DpopKey::generate()).token().await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response, "{token_type}");
        let text = format!("{error:#} {error:?}");
        assert!(text.contains("DPoP") && !text.contains("CANARY"), "{text}");
        assert_eq!(server.asked().len(), 1, "no attempt mends it");
    }
}

#[tokio::test]
async fn a_bound_token_that_was_not_requested_is_refused() {
    let server = Server::start(|_| token("t", "DPoP"));
    let auth = ClientAuth::none("me");
    let tokens = ClientCredentials::builder(&server.url, auth).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Response);
    assert!(server.asked()[0].proof.is_none());
}

#[tokio::test]
async fn a_rotated_key_binds_the_next_token_and_the_old_one_keeps_its_own() {
    // X13
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, p256()).unwrap();
    let server = Server::that_binds();
    let tokens = tokens(&server, Credential::file(&path));
    let first = refreshed(&tokens).await.unwrap();
    std::fs::write(&path, p256()).unwrap();
    let second = refreshed(&tokens).await.unwrap();
    let asked = server.asked();
    let [old, new] = [asked[0].proof(), asked[1].proof()].map(|proof| proof.jkt.clone());
    assert_ne!(old, new);
    assert_eq!(key_of(&first).await, old, "no proof of one key with a token of the other");
    assert_eq!(key_of(&second).await, new);
    assert_eq!(key_of(&tokens.token().await.unwrap()).await, new);
}

#[tokio::test]
async fn a_new_key_that_is_garbage_leaves_the_previous_one_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, p256()).unwrap();
    let server = Server::that_binds();
    let tokens = tokens(&server, Credential::file(&path));
    let first = refreshed(&tokens).await.unwrap();
    std::fs::write(&path, "half of a ke").unwrap();
    let second = refreshed(&tokens).await.unwrap();
    assert_eq!(key_of(&first).await, key_of(&second).await);
}

#[tokio::test]
async fn processes_with_one_key_are_one_client() {
    let key = p256();
    let server = Server::that_binds();
    for _ in 0..2 {
        let tokens = tokens(&server, Credential::from(key.as_str()));
        tokens.token().await.unwrap();
    }
    let asked = server.asked();
    assert_eq!(asked[0].proof().jkt, asked[1].proof().jkt);
}

#[tokio::test]
async fn a_key_may_stay_in_a_kms() {
    let server = Server::that_binds();
    let kms = Kms::new(SigningAlgorithm::ES256);
    let public = kms.public();
    let tokens = tokens(&server, DpopKey::from_signer(kms, &public));
    let token = tokens.token().await.unwrap();
    assert_eq!(key_of(&token).await, server.asked()[0].proof().jkt);
}

#[test]
fn build_refuses_a_key_that_cannot_work() {
    let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let rsa = pem("PRIVATE KEY", rsa.as_der().unwrap().as_ref());
    let (es384, hs256) = (Kms::new(SigningAlgorithm::ES384), Kms::new(SigningAlgorithm::HS256));
    let (public, other) = (es384.public(), hs256.public());
    for (key, told) in [
        (Credential::from(rsa).into(), "RSA"),
        (Credential::from("CANARY").into(), "no complete private key"),
        (Credential::env("NO_SUCH_VARIABLE").into(), "NO_SUCH_VARIABLE"),
        (DpopKey::from_signer(es384, &public), "ES384"),
        (DpopKey::from_signer(hs256, &other), "HS256"),
        (DpopKey::from_signer(Kms::new(SigningAlgorithm::ES256), "CANARY"), "no complete public key"),
    ] {
        let builder = ClientCredentials::builder("https://auth.example.com/token", ClientAuth::none("me"));
        let error = builder.dpop(key).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = error.to_string();
        assert!(text.contains("dpop ") && text.contains(told), "{text}");
        assert!(!text.contains("CANARY"), "{text}");
    }
}

#[tokio::test]
async fn neither_key_nor_token_nor_proof_is_ever_shown() {
    let server = Server::that_binds();
    let pem = p256();
    let piece = &pem.lines().nth(1).unwrap()[60..90];
    let key = DpopKey::from(Credential::from(pem.as_str()));
    let shown = format!("{key:?} {key:#?}");
    let tokens = tokens(&server, key);
    let token = tokens.token().await.unwrap();
    let headers = token.request_headers(&Method::GET, "https://api.example.com/").await.unwrap();
    assert!(headers.values().all(http::HeaderValue::is_sensitive));
    let shown = format!("{shown} {tokens:?} {tokens:#?} {token:?} {headers:?}");
    assert!(!shown.contains(piece), "{shown}");
    assert!(!shown.contains(&nth(0)), "{shown}");
    assert!(!shown.contains("eyJ"), "{shown}");
}

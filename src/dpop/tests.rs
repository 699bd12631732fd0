use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

use super::*;
use crate::clock::{Clock, manual};
use crate::contained::panics_of;
use crate::error::ErrorKind;
use crate::possession::{Proving, Role, demands_nonce};
use crate::signing::tests::{p256, pem};
use crate::signing::{SigningAlgorithm, SigningFuture};
use crate::token::AccessToken;
use crate::token::{Holder, Terms};

/// The time of the manual clock.
const NOW: u64 = 1_790_000_000;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn claims(proof: &HeaderValue) -> Value {
    let claims = proof.to_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn proving<'a>(url: &'a Url, token: Option<&'a AccessToken>, clock: &Clock) -> Proving<'a> {
    let token = token.map(AccessToken::expose_secret);
    Proving { role: Role::Resource, method: "GET", url, token, now: clock.now(), nonce: None, sent_as: None }
}

async fn proof(binding: &Binding, url: &Url, token: Option<&AccessToken>, clock: &Clock) -> Value {
    claims(&binding.prove(proving(url, token, clock)).await.unwrap().1)
}

#[tokio::test]
async fn a_proof_has_what_rfc_9449_requires() {
    let (clock, _) = manual::clock();
    let binding = DpopKey::generate().binding().await.unwrap();
    let holder = Holder { key: Some(Arc::clone(&binding) as _), ..Holder::default() };
    let terms = Terms { holder, ..Terms::default() };
    // Section 7.1: the token of the example, and its hash.
    let secret = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU".into();
    let token = AccessToken::issued(&secret, terms, clock.now(), &Clock::System).unwrap();
    let at = url("https://user:CANARY@resource.example.org/protectedresource?a=b#c");
    let claims = proof(&binding, &at, Some(&token), &clock).await;
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["htu"], "https://resource.example.org/protectedresource");
    assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert_eq!(claims["iat"], NOW);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22, "128 bits");
    assert_eq!(claims.as_object().unwrap().len(), 5, "no nonce: {claims}");
    let next = proof(&binding, &at, Some(&token), &clock).await;
    assert_ne!(claims["jti"], next["jti"]);
}

#[tokio::test]
async fn a_proof_has_the_last_nonce_of_its_server() {
    let (clock, _) = manual::clock();
    let binding = DpopKey::generate().binding().await.unwrap();
    let at = url("https://api.example.com/");
    for nonce in ["one", "two"] {
        let value = HeaderValue::from_static(nonce);
        let headers: HeaderMap = [(http::HeaderName::from_static("dpop-nonce"), value)].into_iter().collect();
        assert_eq!(binding.hear(Role::Resource, &at, &headers), Some(nonce));
        assert_eq!(proof(&binding, &at, None, &clock).await["nonce"], nonce);
    }
    let other = url("https://other.example.com/");
    assert!(proof(&binding, &other, None, &clock).await.get("nonce").is_none());
}

#[tokio::test]
async fn clones_of_a_generated_key_are_one_key_and_share_nonces() {
    let key = DpopKey::generate();
    let (one, other) = (key.clone().binding().await, key.binding().await);
    assert!(Arc::ptr_eq(&one.unwrap(), &other.unwrap()));
    let another = DpopKey::generate().binding().await.unwrap();
    let same = key.binding().await.unwrap();
    assert_ne!(another.thumbprint(), same.thumbprint());
}

#[tokio::test]
async fn of_two_keys_the_first_that_can_be_read_is_used() {
    let key = Credential::file("/no/such/file").or(p256());
    assert!(DpopKey::from(key).binding().await.is_ok());
    let error = DpopKey::from(Credential::file("/no/such/file")).binding().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.is_transient() && error.to_string().contains("/no/such/file"));
}

#[tokio::test]
async fn a_clock_that_was_never_set_is_an_error_and_not_a_panic() {
    let (clock, hands) = manual::clock();
    hands.set_wall(|_| Duration::ZERO);
    let binding = DpopKey::generate().binding().await.unwrap();
    let at = url("https://api.example.com/");
    let proof = binding.prove(proving(&at, None, &clock));
    assert_eq!(proof.await.unwrap_err().kind(), ErrorKind::Credential);
}

#[test]
fn a_nonce_is_demanded_by_a_challenge_for_dpop_with_this_error_only() {
    for (challenge, demanded) in [
        (r#"DPoP error="use_dpop_nonce""#, true),
        (r#"Bearer, DPoP algs="ES256", error="use_dpop_nonce""#, true),
        (r#"DPoP error="invalid_token""#, false),
        (r#"Bearer error="use_dpop_nonce""#, false),
        (r#"DPoP error="invalid_token", Bearer error="use_dpop_nonce""#, false),
        ("DPoP", false),
    ] {
        let headers = [(http::header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))].into_iter().collect();
        assert_eq!(demands_nonce(&headers), demanded, "{challenge}");
    }
}

#[tokio::test]
async fn a_key_that_was_used_before_is_judged_anew_for_fapi() {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let for_es384 = pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref());
    let key = DpopKey::from(Credential::from(for_es384));
    assert!(key.binding().await.is_ok());
    assert!(key.clone().with_fapi(true).binding().await.is_err());
    assert!(key.with_fapi(false).binding().await.is_ok());
}

/// A key management service that fails.
#[derive(Debug)]
enum Kms {
    Silent,
    Panics,
}

impl Signer for Kms {
    fn algorithm(&self) -> SigningAlgorithm {
        SigningAlgorithm::ES256
    }
    fn key_id(&self) -> Option<String> {
        None
    }
    fn sign<'a>(&'a self, _: &'a [u8]) -> SigningFuture<'a> {
        match self {
            Kms::Silent => Box::pin(std::future::pending()),
            Kms::Panics => panic!("a bug in the signer"),
        }
    }
}

/// The headers of a request whose token is bound to the key there.
async fn headers_by(kms: Kms) -> Result<HeaderMap, Error> {
    const PUBLIC: &str = r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;
    headers_with(DpopKey::from_signer(kms, PUBLIC)).await
}

async fn headers_with(key: DpopKey) -> Result<HeaderMap, Error> {
    let holder = Holder { key: Some(key.binding().await?), ..Holder::default() };
    let terms = Terms { holder, ..Terms::default() };
    let token = AccessToken::issued(&"t".into(), terms, Clock::System.now(), &Clock::System)?;
    let url = "https://api.example.com/";
    token.request_headers(&http::Method::GET, url).await
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_hangs_or_panics_fails_its_own_request_only() {
    for (kms, told) in [(Kms::Silent, "no signature within 10s"), (Kms::Panics, "panicked")] {
        let minute = Duration::from_secs(60);
        let headers = tokio::time::timeout(minute, headers_by(kms)).await;
        let error = headers.expect("it has an end").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credential);
        assert!(error.is_transient() && error.to_string().contains(told));
    }
}

#[test]
fn without_a_runtime_a_signer_is_waited_for() {
    assert!(headers_by(Kms::Silent).now_or_never().is_none());
}

#[test]
fn a_proof_by_a_key_in_memory_needs_no_timers() {
    // tokio reports missing timers by a panic, which would be contained for each request.
    let panics = panics_of(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let headers = runtime.block_on(headers_with(DpopKey::generate())).unwrap();
        assert!(headers.contains_key("dpop"));
    });
    assert_eq!(panics, 0);
}

#[test]
fn a_fault_of_a_key_is_reported_when_the_source_is_built() {
    let built = |key: DpopKey| {
        let auth = crate::client_auth::ClientAuth::client_secret_basic("billing", "secret");
        crate::client_credentials::ClientCredentials::builder("https://auth.example.com/token", auth)
            .dpop(key)
            .build()
            .map(drop)
            .map_err(|error| error.to_string())
    };
    built(DpopKey::generate()).unwrap();
    built(DpopKey::from(Credential::file("/read/when/it/is/needed"))).unwrap();
    let error = built(DpopKey::from(Credential::from("CANARY: no key"))).unwrap_err();
    assert!(error.contains("dpop") && !error.contains("CANARY"), "{error}");
    let error = built(DpopKey::from_signer(Kms::Silent, "CANARY: no key")).unwrap_err();
    assert!(error.contains("dpop has a public key that "), "{error}");
    assert!(!error.contains("CANARY"), "{error}");
}

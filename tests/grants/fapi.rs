//! What `.fapi(true)` requires (FAPI 2.0 Security Profile sections 5.3.3.1 and 5.4.1), as `build()` reports it.

use client_credentials::{
    ClientAuth, ClientCredentials, Credential, DpopKey, ErrorKind, Issuer, Server, Signer, SigningAlgorithm,
    SigningFuture,
};

const ISSUER: &str = "https://auth.example.com";
/// RFC 7515 appendix A.3.1, on P-256.
const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

#[derive(Debug)]
struct Kms(SigningAlgorithm);

impl Signer for Kms {
    fn algorithm(&self) -> SigningAlgorithm {
        self.0
    }
    fn key_id(&self) -> Option<String> {
        None
    }
    fn sign<'a>(&'a self, _: &'a [u8]) -> SigningFuture<'a> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// The error of `build()`; empty if there is none.
fn said(server: impl Into<Server>, auth: impl Into<ClientAuth>, key: Option<DpopKey>) -> String {
    let builder = ClientCredentials::builder(server, auth).fapi(true);
    let builder = match key {
        Some(key) => builder.dpop(key),
        None => builder,
    };
    match builder.build() {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            error.to_string()
        }
    }
}

#[test]
fn a_key_of_one_of_three_algorithms_a_bound_token_and_the_issuer_are_all_that_fapi_requires() {
    let auth = || ClientAuth::private_key_jwt("me", P256);
    let key = DpopKey::generate();
    assert_eq!(said(Issuer::new(ISSUER), auth(), Some(key.clone())), "");
    for algorithm in [SigningAlgorithm::PS256, SigningAlgorithm::ES256, SigningAlgorithm::EdDSA] {
        let signer = ClientAuth::private_key_jwt_with_signer("me", Kms(algorithm));
        assert_eq!(said(Issuer::new(ISSUER), signer, Some(key.clone())), "", "{algorithm}");
    }
    // A file is read by the first fetch.
    let file = ClientAuth::private_key_jwt("me", Credential::file("/nowhere/key"));
    assert_eq!(said(Issuer::new(ISSUER), file, Some(key)), "");
}

#[test]
fn missing_settings_are_reported() {
    let key = || Some(DpopKey::generate());
    let private = || ClientAuth::private_key_jwt("me", P256);
    for (text, part) in [
        (said(Issuer::new(ISSUER), ClientAuth::client_secret_basic("me", "s"), key()), "client_secret_basic"),
        (said(Issuer::new(ISSUER), ClientAuth::client_secret_jwt("me", "s"), key()), "client_secret_jwt"),
        (said(Issuer::new(ISSUER), private(), None), ".dpop(..) or mutual_tls"),
        (said(Issuer::new(ISSUER), private().audience(ISSUER), key()), "the issuer as the audience"),
        (said(Issuer::new(ISSUER), private().token_endpoint_as_audience(true), key()), "the issuer as the audience"),
        (said("https://auth.example.com/token", private(), key()), "audience"),
        (
            said(Issuer::new(ISSUER), private().algorithm(SigningAlgorithm::RS256), key()),
            "PS256, ES256 or EdDSA instead of RS256",
        ),
        (
            said(
                Issuer::new(ISSUER),
                ClientAuth::private_key_jwt_with_signer("me", Kms(SigningAlgorithm::RS256)),
                key(),
            ),
            "PS256, ES256 or EdDSA instead of RS256",
        ),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn all_missing_settings_are_reported_at_once() {
    let wrong = ClientAuth::private_key_jwt("me", P256).audience("https://elsewhere.example");
    let several = said(Issuer::new(ISSUER), wrong, None);
    for part in ["the issuer as the audience", ".dpop(..) or mutual_tls"] {
        assert!(several.contains(part), "{part}: {several}");
    }
    let more = said("http://auth.example.com/token", ClientAuth::client_secret_post("", "s"), None);
    for part in ["private_key_jwt or mutual_tls instead of client_secret_post", ".dpop(..) or mutual_tls"] {
        assert!(more.contains(part), "{part}: {more}");
    }
    assert!(
        more.contains("client_id is empty") && more.contains("token_endpoint"),
        "other faults are reported too: {more}"
    );
    let signer = ClientAuth::private_key_jwt_with_signer("me", Kms(SigningAlgorithm::RS256));
    let all = said("https://auth.example.com/token", signer.audience("https://auth.example.com/token"), None);
    for part in ["the issuer as the audience", "PS256, ES256 or EdDSA instead of RS256", ".dpop(..) or mutual_tls"] {
        assert!(all.contains(part), "{part}: {all}");
    }
}

#[test]
fn clients_without_a_key_are_refused_and_fapi_can_be_switched_off() {
    for auth in [
        ClientAuth::anonymous(),
        ClientAuth::none("me"),
        ClientAuth::client_secret_post("me", "s"),
        ClientAuth::client_secret_basic_raw("me", "s"),
        ClientAuth::client_assertion("a.b.c").client_id("me").into(),
    ] {
        let builder = ClientCredentials::builder(Issuer::new(ISSUER), auth.clone()).dpop(DpopKey::generate());
        builder.clone().fapi(true).fapi(false).build().unwrap();
        let error = builder.fapi(true).build().unwrap_err().to_string();
        assert!(error.contains("requires private_key_jwt or mutual_tls instead of"), "{auth:?}: {error}");
    }
}

#[cfg(feature = "mtls")]
#[test]
fn mutual_tls_authenticates_and_binds_the_tokens() {
    let (certificate, key) =
        (include_str!("../certificates/client_1.crt"), include_str!("../certificates/client_1.key"));
    assert_eq!(said(Issuer::new(ISSUER), ClientAuth::mutual_tls("me", certificate, key), None), "");
}

#[test]
fn dpop_proofs_are_signed_with_one_of_the_three_whichever_setter_comes_first() {
    // RFC 7517 appendix A.1, the RSA key's public part; the signer is for another algorithm than those of FAPI.
    let public = r#"{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
    let auth = || ClientAuth::private_key_jwt("me", P256);
    for (algorithm, is_refused) in [(SigningAlgorithm::RS256, true), (SigningAlgorithm::PS256, false)] {
        let key = DpopKey::from_signer(Kms(algorithm), public);
        let first = ClientCredentials::builder(Issuer::new(ISSUER), auth()).fapi(true).dpop(key.clone());
        let second = ClientCredentials::builder(Issuer::new(ISSUER), auth()).dpop(key).fapi(true);
        for builder in [first, second] {
            let error = builder.build().err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(error.contains("dpop has a signer for RS256"), is_refused, "{algorithm}: {error}");
            assert_eq!(error.is_empty(), !is_refused, "{error}");
        }
    }
}

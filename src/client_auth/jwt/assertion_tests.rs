use std::time::Duration;

use aws_lc_rs::{digest, signature};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::*;
use crate::client_auth::ClientAuth;
use crate::client_auth::{Method, Proof};
use crate::clock::manual;
use crate::error::ErrorKind;
use crate::signing::tests::{ED25519_JWK, RSA_JWK, p256, pem, verifies};
use crate::signing::{SigningAlgorithm, SigningFuture};

const ISSUER: &str = "https://auth.example.com/";
/// The time of the manual clock.
const NOW: u64 = 1_790_000_000;

fn faultless(auth: impl Into<ClientAuth>) -> ClientAuth {
    let auth = auth.into();
    assert_eq!(auth.faults(true), []);
    auth
}

fn proof(auth: &ClientAuth) -> Result<Proof, Error> {
    proof_at(auth, manual::clock().0.now())
}

fn proof_at(auth: &ClientAuth, now: Moment) -> Result<Proof, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let evidence = auth.read(0, now).await?;
        let to = Recipient { issuer: Some(ISSUER), token_endpoint: "https://auth.example.com/token" };
        auth.prove(&evidence, to, now).await
    })
}

/// Header, claims, signing input and signature of the assertion.
fn sent(auth: &ClientAuth) -> (Value, Value, String, Vec<u8>) {
    let params = proof(auth).unwrap_or_else(|e| panic!("{e:#}")).params;
    let names: Vec<_> = params.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["client_assertion_type", "client_assertion"]);
    assert_eq!(*params[0].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (message, signature) = params[1].1.rsplit_once('.').unwrap();
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    (
        serde_json::from_slice(&decoded(header)).unwrap(),
        serde_json::from_slice(&decoded(claims)).unwrap(),
        message.to_owned(),
        decoded(signature),
    )
}

#[test]
fn an_assertion_has_what_rfc_7523_requires() {
    // M12
    let text = p256();
    let auth = faultless(ClientAuth::private_key_jwt("me", text.as_str()).key_id("k1"));
    let (header, mut claims, message, signature) = sent(&auth);
    assert_eq!(header, json!({"alg": "ES256", "kid": "k1", "typ": "client-authentication+jwt"}));
    let jti = claims["jti"].take();
    assert!(jti.as_str().unwrap().len() >= 22, "128 bits");
    assert_eq!(claims, json!({"iss": "me", "sub": "me", "aud": ISSUER, "iat": NOW, "exp": NOW + 60, "jti": null}));
    let key = SigningKey::parse(&text, Choice::default()).ok().unwrap();
    assert!(verifies(&key, message.as_bytes(), &signature));
}

#[test]
fn no_two_assertions_are_the_same() {
    let auth = faultless(ClientAuth::client_secret_jwt("me", "s"));
    let jtis: std::collections::BTreeSet<_> = (0..100).map(|_| sent(&auth).1["jti"].to_string()).collect();
    assert_eq!(jtis.len(), 100);
}

#[test]
fn a_shared_secret_signs_by_hmac() {
    let algorithms = [
        (None, "HS256", hmac::HMAC_SHA256),
        (Some(SigningAlgorithm::HS384), "HS384", hmac::HMAC_SHA384),
        (Some(SigningAlgorithm::HS512), "HS512", hmac::HMAC_SHA512),
    ];
    for (chosen, name, by) in algorithms {
        let mut auth = ClientAuth::client_secret_jwt("me", "the secret");
        if let Some(algorithm) = chosen {
            auth = auth.algorithm(algorithm);
        }
        let (header, _, message, tag) = sent(&faultless(auth));
        assert_eq!(header["alg"], name);
        let key = hmac::Key::new(by, b"the secret");
        assert!(hmac::verify(&key, message.as_bytes(), &tag).is_ok());
    }
}

#[test]
fn with_fapi_an_rsa_key_signs_with_ps256() {
    for (key, algorithm) in [(RSA_JWK, "PS256"), (&p256(), "ES256"), (ED25519_JWK, "EdDSA")] {
        let auth = ClientAuth::from(ClientAuth::private_key_jwt("me", key)).with_fapi(true);
        // Parsed before, for other settings.
        let before = auth.clone().with_fapi(false);
        assert!(proof(&before).is_ok());
        for auth in [auth, before.with_fapi(true)] {
            let (header, _, message, signature) = sent(&faultless(auth));
            assert_eq!(header["alg"], algorithm);
            let key = SigningKey::parse(key, Choice { wanted: None, fapi: true }).ok().unwrap();
            assert!(verifies(&key, message.as_bytes(), &signature));
        }
    }
}

#[test]
fn with_fapi_a_key_for_another_algorithm_is_refused_wherever_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let for_rs256 = RSA_JWK.replace("\"kty\"", "\"alg\":\"RS256\",\"kty\"");
    for (key, name) in [(&*for_rs256, "RS256"), (P384_JWK, "ES384")] {
        let auth = |key: Credential| ClientAuth::from(ClientAuth::private_key_jwt("me", key)).with_fapi(true);
        let [(setter, flaw)] = auth(key.into()).faults(true).try_into().unwrap();
        assert_eq!(setter, "key");
        assert!(flaw.contains(name) && flaw.contains("PS256, ES256 or EdDSA"), "{flaw}");
        std::fs::write(&path, key).unwrap();
        let in_file = faultless(auth(Credential::file(&path)));
        let error = proof(&in_file).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Credential);
        assert!(error.to_string().contains("PS256, ES256 or EdDSA"), "{error}");
    }
}

/// A key for this test only.
const P384_JWK: &str = r#"{"kty":"EC","crv":"P-384",
"x":"1hWkN78LBQfEVcLXYZpE61NQpmn4SYILEqrpxa4LEykrbt9mpOiFfhcZFpc0uMoI","y":"YmWbdSERWyUHHAMV9rmEiNj0L6gW-50UC5xZ7JxnffwhL_icTTsQ2QMgOLZzEjd4",
"d":"hoCGlNQf17w6kcSEEciaBFaENlafVyMf_Jl_FhfJzwD1O3g3CjHUYnh4HbtA-b6Y"}"#;

const CERTIFICATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));
const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key"));
const OTHER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_2.crt"));

#[test]
fn what_entra_requires_can_be_set() {
    let endpoint = "https://login.example.com/tenant/oauth2/v2.0/token";
    // One file with key and certificates, the other certificate first.
    let text = format!("{OTHER}{KEY}{CERTIFICATE}");
    let auth = ClientAuth::private_key_jwt("me", text.as_str())
        .certificate(text.as_str())
        .audience(endpoint)
        .typ("JWT")
        .lifetime(Duration::from_secs(600))
        .not_before(true);
    let (header, claims, ..) = sent(&faultless(auth));
    let sha256 = digest::digest(&digest::SHA256, &CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap());
    assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(sha256)}));
    assert_eq!(claims["aud"], endpoint);
    assert_eq!(claims["exp"], NOW + 600);
    assert_eq!(claims["nbf"], NOW);
}

#[test]
fn further_claims_and_header_members_can_be_set() {
    // FE8
    let jwks = "https://client.example.com/jwks.json";
    let auth = ClientAuth::private_key_jwt("me", p256())
        .claim("tenant", "contoso")
        .claim("roles", json!(["a", "b"]))
        .header_member("jku", jwks)
        .header_member("x5u", "https://client.example.com/chain.pem");
    let (header, claims, ..) = sent(&faultless(auth));
    assert_eq!((&claims["tenant"], &claims["roles"]), (&json!("contoso"), &json!(["a", "b"])));
    assert_eq!((&header["jku"], &header["alg"]), (&json!(jwks), &json!("ES256")));
    let auth = ClientAuth::client_secret_jwt("me", "0123456789abcdef0123456789abcdef").claim("tenant", 7);
    assert_eq!(sent(&faultless(auth)).1["tenant"], 7);
}

#[test]
fn claims_that_the_crate_sets_cannot_be_set_by_the_user() {
    for claim in ["iss", "sub", "aud", "jti", "iat", "exp", "nbf"] {
        let auth: ClientAuth = ClientAuth::private_key_jwt("me", p256()).claim(claim, "x").into();
        assert!(matches!(&*auth.faults(true), [("claim", flaw)] if flaw.contains(claim)), "{claim}");
    }
    for member in ["alg", "kid", "typ", "x5t#S256"] {
        let auth: ClientAuth = ClientAuth::private_key_jwt("me", p256()).header_member(member, "x").into();
        assert!(matches!(&*auth.faults(true), [("header_member", flaw)] if flaw.contains(member)), "{member}");
    }
    let auth: ClientAuth = ClientAuth::private_key_jwt("me", p256()).x5c(true).into();
    assert!(matches!(&*auth.faults(true), [("x5c", _)]));
}

#[test]
fn the_certificate_of_the_key_is_sent_with_those_that_follow_it() {
    // FE8
    let text = format!("{KEY}{CERTIFICATE}{OTHER}");
    let auth = ClientAuth::private_key_jwt("me", text.as_str()).certificate(text.as_str()).x5c(true);
    let (header, ..) = sent(&faultless(auth));
    let base64 = |pem: &str| STANDARD.encode(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    assert_eq!(header["x5c"], json!([base64(CERTIFICATE), base64(OTHER)]));
    // A preceding certificate is not part of the chain.
    let text = format!("{OTHER}{KEY}{CERTIFICATE}");
    let auth = ClientAuth::private_key_jwt("me", text.as_str()).certificate(text.as_str()).x5c(true);
    assert_eq!(sent(&faultless(auth)).0["x5c"], json!([base64(CERTIFICATE)]));
}

#[test]
fn the_audience_may_be_the_token_endpoint_that_is_called() {
    // FE8
    let auth: ClientAuth = ClientAuth::private_key_jwt("me", p256()).token_endpoint_as_audience(true).into();
    assert_eq!(auth.faults(false), [], "known without metadata, too");
    assert_eq!(sent(&auth).1["aud"], "https://auth.example.com/token");
    let auth =
        ClientAuth::private_key_jwt("me", p256()).token_endpoint_as_audience(true).token_endpoint_as_audience(false);
    assert_eq!(sent(&faultless(auth)).1["aud"], ISSUER);
}

#[test]
fn a_certificate_of_another_key_is_an_error() {
    let auth = ClientAuth::private_key_jwt("me", p256()).certificate(OTHER);
    let error = proof(&faultless(auth)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.to_string().contains("the certificate (Credential(value)) belongs to another key"), "{error}");
}

#[test]
fn faults_name_the_field_and_the_remedy() {
    // M11
    use SigningAlgorithm::*;
    let rsa = || ClientAuth::private_key_jwt("me", p256()).audience("x");
    let shared = || ClientAuth::client_secret_jwt("me", "s").audience("x");
    let hsm = |algorithm| {
        let hsm = Hsm { algorithm, ..Hsm::new(ES256) };
        ClientAuth::private_key_jwt_with_signer("me", hsm).audience("x")
    };
    let canary = ClientAuth::private_key_jwt("me", "canary").audience("x");
    for (auth, field, flaw) in [
        (shared().audience("").into(), "audience", "empty"),
        (rsa().algorithm(HS256).into(), "algorithm", "needs a shared secret"),
        (shared().algorithm(RS256).into(), "algorithm", "needs a private key"),
        (rsa().algorithm(PS256).into(), "key", "curve P-256, which the algorithm PS256 does not fit"),
        (canary.into(), "key", "no complete private key"),
        (rsa().certificate("canary").into(), "certificate", "no complete certificate"),
        (hsm(HS256).into(), "signer", "needs a shared secret"),
        (rsa().key_id("").into(), "key_id", "empty"),
        (rsa().lifetime(Duration::from_millis(999)).into(), "lifetime", "1 s"),
        (rsa().lifetime(Duration::from_secs(3601)).into(), "lifetime", "1 h"),
    ] {
        let auth: ClientAuth = auth;
        let faults = auth.faults(false);
        assert!(faults.iter().any(|(f, text)| *f == field && text.contains(flaw)), "{field} {flaw}: {faults:?}");
        assert!(!format!("{faults:?}").contains("canary"));
    }
    for lifetime in [1, 3600] {
        faultless(rsa().lifetime(Duration::from_secs(lifetime)));
    }
}

#[test]
fn the_issuer_is_needed_for_assertions_without_an_audience() {
    let bare = ClientAuth::client_secret_jwt("me", "s");
    let told = ClientAuth::from(bare.clone().audience("https://other.example/token"));
    let bare = ClientAuth::from(bare);
    assert!(bare.faults(false).iter().any(|(field, flaw)| *field == "audience" && flaw.contains(".audience(..)")));
    assert_eq!(bare.faults(true), []);
    assert_eq!(sent(&bare).1["aud"], ISSUER);
    assert_eq!(told.faults(false), []);
    assert_eq!(sent(&told).1["aud"], "https://other.example/token");
    assert_eq!(ClientAuth::client_secret_post("me", "s").faults(false), []);
}

#[test]
fn a_clock_that_was_never_set_is_an_error_and_not_a_panic() {
    // K15: a clock before 1970 is read as the epoch.
    let auth = faultless(ClientAuth::client_secret_jwt("me", "s"));
    let now = Moment::new(manual::clock().0.now().mono(), Duration::ZERO);
    let error = proof_at(&auth, now).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.is_transient() && error.to_string().contains("before the year 2000"));
    let in_2000 = Moment::new(now.mono(), Duration::from_secs(946_684_800));
    assert!(proof_at(&auth, in_2000).is_ok());
}

#[test]
fn the_servers_date_corrects_iat_if_that_is_set() {
    // K05: the server is 10 min ahead of us, 10 min behind us.
    for (date, corrected) in
        [("Mon, 21 Sep 2026 14:23:20 GMT", NOW + 600), ("Mon, 21 Sep 2026 14:03:20 GMT", NOW - 600)]
    {
        let mut headers = http::HeaderMap::new();
        headers.insert("date", date.parse().unwrap());
        let (clock, _) = manual::clock();
        let auth = ClientAuth::client_secret_jwt("me", "s").server_time(true);
        let auth = faultless(auth);
        auth.server_clock().unwrap().hear(&headers, clock.now());
        assert_eq!(sent(&auth).1["iat"], corrected);
        assert_eq!(sent(&auth).1["exp"], corrected + 60);
        // `Date` is truncated to seconds, so it may be behind, but never ahead.
        let late = clock.now().plus(Duration::from_millis(1));
        auth.server_clock().unwrap().hear(&headers, late);
        assert_eq!(sent(&auth).1["iat"], corrected - 1);
    }
    assert!(ClientAuth::from(ClientAuth::client_secret_jwt("me", "s")).server_clock().is_none());
}

#[test]
fn a_date_that_either_clock_had_before_it_was_set_corrects_nothing() {
    let (clock, _) = manual::clock();
    let now = clock.now();
    let heard = |date: &str, at: Moment| {
        let mut headers = http::HeaderMap::new();
        headers.insert("date", date.parse().unwrap());
        let server = ServerClock::default();
        server.hear(&headers, at);
        server
    };
    let in_2000 = Duration::from_secs(946_684_800);
    // The server's clock.
    assert_eq!(heard("Fri, 31 Dec 1999 23:59:59 GMT", now).time(now), now.wall());
    assert_eq!(heard("Sat, 01 Jan 2000 00:00:00 GMT", now).time(now), in_2000);
    // Ours, which was 30 years ahead until it was set.
    let ahead = Moment::new(now.mono(), now.wall() + Duration::from_secs(30 * 365 * 86_400));
    assert_eq!(heard("Mon, 21 Sep 2026 14:13:20 GMT", ahead).time(now), now.wall());
}

/// A key in a service that returns DER, as most do.
#[derive(Debug)]
struct Hsm {
    algorithm: SigningAlgorithm,
    pair: Option<signature::EcdsaKeyPair>,
}

impl Hsm {
    fn new(algorithm: SigningAlgorithm) -> Self {
        let pair = signature::EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING);
        Hsm { algorithm, pair: pair.ok() }
    }
}

impl Signer for Hsm {
    fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }
    fn key_id(&self) -> Option<String> {
        Some("in the hsm".to_owned())
    }
    fn sign<'a>(&'a self, message: &'a [u8]) -> SigningFuture<'a> {
        Box::pin(async move {
            let pair = self.pair.as_ref().ok_or("the service is down")?;
            let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), message)?;
            Ok(signature.as_ref().to_vec())
        })
    }
}

#[test]
fn a_signer_signs() {
    use signature::KeyPair;
    let hsm = Hsm::new(SigningAlgorithm::ES256);
    let public = hsm.pair.as_ref().unwrap().public_key().as_ref().to_vec();
    let auth = faultless(ClientAuth::private_key_jwt_with_signer("me", hsm));
    let (header, _, message, signature) = sent(&auth);
    assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &json!("in the hsm")));
    let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, public);
    key.verify(message.as_bytes(), &signature).unwrap();
}

#[test]
fn a_signer_sends_the_certificate_that_is_set() {
    let signer = || ClientAuth::private_key_jwt_with_signer("me", Hsm::new(SigningAlgorithm::ES256));
    let thumbprint = |pem: &str| {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        json!(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, &der)))
    };
    let (header, ..) = sent(&faultless(signer().certificate(CERTIFICATE)));
    assert_eq!((&header["x5t#S256"], &header["x5c"]), (&thumbprint(CERTIFICATE), &Value::Null));
    let (header, ..) = sent(&faultless(signer().certificate(CERTIFICATE).x5c(true)));
    let der = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    assert_eq!((&header["x5t#S256"], &header["x5c"]), (&thumbprint(CERTIFICATE), &json!([STANDARD.encode(der)])));
}

#[tokio::test]
async fn a_signer_shows_each_of_its_certificates_once() {
    let certificates = Credential::from(CERTIFICATE).or(OTHER);
    let auth: ClientAuth = ClientAuth::private_key_jwt_with_signer("me", Hsm::new(SigningAlgorithm::ES256))
        .certificate(certificates)
        .into();
    let now = manual::clock().0.now();
    assert_eq!(auth.places(), [0, 1, 0]);
    let (first, second) = (auth.read(0, now).await.unwrap(), auth.read(1, now).await.unwrap());
    assert!(!first.is(&second) && first.is(&auth.read(0, now).await.unwrap()));
}

#[test]
fn a_certificate_that_cannot_be_read_is_an_error_unless_another_can() {
    let missing = || Credential::file("/nonexistent/certificate");
    let key = || ClientAuth::private_key_jwt("me", KEY);
    let error = proof(&faultless(key().certificate(missing()))).err().unwrap();
    assert!(error.kind() == ErrorKind::Credential && error.to_string().contains("/nonexistent/certificate"), "{error}");
    let (header, ..) = sent(&faultless(key().certificate(missing().or(CERTIFICATE))));
    assert!(header["x5t#S256"].is_string(), "{header}");
}

#[test]
fn a_signer_that_fails_is_a_transient_error_with_its_text() {
    let hsm = Hsm { algorithm: SigningAlgorithm::ES256, pair: None };
    let auth = faultless(ClientAuth::private_key_jwt_with_signer("me", hsm));
    let error = proof(&auth).err().unwrap();
    assert!(error.is_transient() && error.kind() == ErrorKind::Credential);
    assert_eq!(format!("{error:#}"), "the signer failed: the service is down");
}

#[test]
fn clones_with_other_settings_do_not_share_what_was_parsed() {
    let jwk = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let one = ClientAuth::private_key_jwt("me", jwk);
    let auth = faultless(one.clone());
    assert_eq!(sent(&auth).0["alg"], "EdDSA");
    let other = faultless(one.algorithm(SigningAlgorithm::Ed25519));
    assert_eq!(sent(&other).0["alg"], "Ed25519");
    assert_eq!(sent(&auth).0["alg"], "EdDSA");
}

#[test]
fn no_part_of_the_key_is_shown() {
    let text = p256();
    let auth = faultless(ClientAuth::private_key_jwt("me", text.as_str()).certificate(pem("CERTIFICATE", b"x")));
    let shown = format!("{auth:?} {auth:#?}");
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).unwrap();
    assert!(!shown.contains("BEGIN") && !shown.contains(&format!("{:?}", der.secret_pkcs8_der())));
    assert!(shown.contains("private_key_jwt") && shown.contains("Credential(value)"), "{shown}");
    let Method::Jwt(assertions) = &auth.method else { unreachable!("it is one") };
    assert_eq!(assertions.name(), "private_key_jwt");
}

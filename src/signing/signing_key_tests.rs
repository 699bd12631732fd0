use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::super::curve::Curve;
use super::*;

/// RFC 7515 appendix A.2.1.
pub(crate) const RSA_JWK: &str = r#"{"kty":"RSA",
"n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
"e":"AQAB",
"d":"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
"p":"4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
"q":"uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
"dp":"BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
"dq":"h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
"qi":"IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U"}"#;

/// RFC 7515 appendix A.3.1.
const EC_JWK: &str = r#"{"kty":"EC","crv":"P-256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

/// RFC 8037 appendix A.1.
pub(crate) const ED25519_JWK: &str = r#"{"kty":"OKP","crv":"Ed25519",
"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn rsa_pkcs8() -> Vec<u8> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
}

fn ec_pkcs8(curve: &Curve) -> Vec<u8> {
    let pair = EcdsaKeyPair::generate(curve.signing).unwrap();
    pair.to_pkcs8v1().unwrap().as_ref().to_vec()
}

/// A new P-256 key.
pub(crate) fn p256() -> String {
    pem("PRIVATE KEY", &ec_pkcs8(&CURVES[0]))
}

fn ed25519_pkcs8() -> Vec<u8> {
    let pair = Ed25519KeyPair::generate().unwrap();
    pair.to_pkcs8v1().unwrap().as_ref().to_vec()
}

fn parsed(text: &str) -> SigningKey {
    SigningKey::parse(text, Choice::default()).unwrap_or_else(|flaw| panic!("{flaw}"))
}

fn refused(text: &str, wanted: Option<SigningAlgorithm>) -> String {
    SigningKey::parse(text, Choice { wanted, fapi: false }).expect_err("refused")
}

pub(crate) fn verifies(key: &SigningKey, message: &[u8], signature: &[u8]) -> bool {
    use SigningAlgorithm::*;
    use aws_lc_rs::signature as s;
    let by: &'static dyn VerificationAlgorithm = match key.algorithm() {
        RS256 => &s::RSA_PKCS1_2048_8192_SHA256,
        RS384 => &s::RSA_PKCS1_2048_8192_SHA384,
        RS512 => &s::RSA_PKCS1_2048_8192_SHA512,
        PS256 => &s::RSA_PSS_2048_8192_SHA256,
        PS384 => &s::RSA_PSS_2048_8192_SHA384,
        PS512 => &s::RSA_PSS_2048_8192_SHA512,
        ES256 => &s::ECDSA_P256_SHA256_FIXED,
        ES384 => &s::ECDSA_P384_SHA384_FIXED,
        ES512 => &s::ECDSA_P521_SHA512_FIXED,
        EdDSA | Ed25519 => &s::ED25519,
        HS256 | HS384 | HS512 => unreachable!("no key pair"),
    };
    let public = match &key.pair {
        Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        Pair::Ec(_, pair) => pair.public_key().as_ref().to_vec(),
        Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
    };
    UnparsedPublicKey::new(by, public).verify(message, signature).is_ok()
}

#[test]
fn the_vector_of_rfc_7515_appendix_a_2() {
    let input = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let key = parsed(RSA_JWK);
    assert_eq!(key.algorithm(), SigningAlgorithm::RS256);
    assert_eq!(
        URL_SAFE_NO_PAD.encode(key.signature(input).unwrap()),
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
}

#[test]
fn the_vector_of_rfc_8037_appendix_a_4() {
    let key = parsed(ED25519_JWK);
    assert_eq!(key.algorithm(), SigningAlgorithm::EdDSA);
    let signature = key.signature(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc").unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

#[test]
fn the_signature_in_rfc_7515_appendix_a_3_verifies_with_its_key() {
    let key = parsed(EC_JWK);
    let input = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert!(verifies(&key, input, &URL_SAFE_NO_PAD.decode(signature).unwrap()));
    assert!(verifies(&key, input, &key.signature(input).unwrap()));
}

#[test]
fn every_form_of_pem_is_read_and_every_algorithm_verifies() {
    use SigningAlgorithm::*;
    let rsa = rsa_pkcs8();
    // RFC 5958: the rest after the 26 bytes of version, algorithm and lengths is PKCS#1.
    let pkcs1 = pem("RSA PRIVATE KEY", &rsa[26..]);
    let mut cases = vec![
        (pkcs1, vec![RS256]),
        (pem("PRIVATE KEY", &rsa), vec![RS256, RS384, RS512, PS256, PS384, PS512]),
        (pem("PRIVATE KEY", &ed25519_pkcs8()), vec![EdDSA, Ed25519]),
    ];
    for (curve, algorithm) in CURVES.iter().zip([ES256, ES384, ES512]) {
        let pair = EcdsaKeyPair::generate(curve.signing).unwrap();
        let sec1 = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&pair.private_key()).unwrap();
        cases.push((pem("EC PRIVATE KEY", sec1.as_ref()), vec![algorithm]));
        cases.push((pem("PRIVATE KEY", &ec_pkcs8(curve)), vec![algorithm]));
    }
    for (text, algorithms) in cases {
        assert_eq!(parsed(&text).algorithm(), algorithms[0]);
        for algorithm in algorithms {
            // openssl and Azure write such text before and after.
            let text = format!("Bag Attributes\n    x: y\n{text}\n");
            let key = SigningKey::parse(&text, Choice { wanted: Some(algorithm), fapi: false }).ok().unwrap();
            let signature = key.signature(b"message").unwrap();
            assert!(verifies(&key, b"message", &signature), "{algorithm}");
            assert!(!verifies(&key, b"messagf", &signature), "{algorithm}");
        }
    }
}

#[test]
fn an_algorithm_that_does_not_fit_the_key_is_named() {
    // M11
    use SigningAlgorithm::*;
    assert_eq!(refused(EC_JWK, Some(ES384)), "is a key on the curve P-256, which the algorithm ES384 does not fit");
    assert_eq!(refused(RSA_JWK, Some(ES256)), "is an RSA key, which the algorithm ES256 does not fit");
    for wrong in [HS256, RS256, ES256] {
        assert!(refused(ED25519_JWK, Some(wrong)).contains("an Ed25519 key"));
    }
    let none = EC_JWK.replace("{", r#"{"alg":"none","#);
    assert_eq!(refused(&none, None), "is a JWK whose alg is not known here");
    let hs256 = RSA_JWK.replace("{", r#"{"alg":"HS256","#);
    assert!(refused(&hs256, None).contains("does not fit"));
}

#[test]
fn alg_and_kid_of_a_jwk_are_honoured() {
    let key = parsed(&RSA_JWK.replace("{", r#"{"alg":"PS384","kid":"k1","#));
    assert_eq!((key.algorithm(), key.key_id()), (SigningAlgorithm::PS384, Some("k1".to_owned())));
    let choice = Choice { wanted: Some(SigningAlgorithm::RS512), fapi: false };
    let chosen = SigningKey::parse(&RSA_JWK.replace("{", r#"{"alg":"PS384","#), choice);
    assert_eq!(chosen.ok().map(|key| key.algorithm()), Some(SigningAlgorithm::RS512));
}

#[test]
fn a_key_is_read_in_every_form_of_deployment() {
    // FE9
    let pem = pem("PRIVATE KEY", &rsa_pkcs8());
    let others = EC_JWK.replace("\"d\"", "\"was_d\"");
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let certificate = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));
    for text in [
        format!("{parameters}{}", p256()),
        format!("{certificate}{pem}{certificate}"),
        pem.replace('\n', "\\n"),
        pem.replace('\n', " "),
        format!("{pem:?}"),
        EC_JWK.replace('"', "\\\""),
        format!(r#"{{"keys":[{EC_JWK}]}}"#),
        // One key that signs, and others.
        format!(r#"{{"keys":[{others},{ED25519_JWK},{{"kty":"oct","k":"c2VjcmV0","d":"x"}}]}}"#),
    ] {
        let key = parsed(&text);
        assert!(verifies(&key, b"message", &key.signature(b"message").unwrap()), "{text}");
    }
}

#[test]
fn an_error_about_anything_but_a_single_key_says_what_it_looks_like() {
    // F20
    let public = EC_JWK.replace("\"d\"", "\"was_d\"");
    let (one, other) = (p256(), p256());
    for (text, told) in [
        (format!("{one}{other}"), "has 2 private keys (PEM): give one of them"),
        (format!("{other}{}", one.replace('\n', "\\n")), "has 2 private keys"),
        (format!("{one}{}", other.replace("PRIVATE", "ENCRYPTED PRIVATE")), "has 2 private keys"),
        (format!(r#"{{"keys":[{EC_JWK},{ED25519_JWK}]}}"#), "a JWK set with 2 such keys"),
        (format!(r#"{{"keys":[{public}]}}"#), "none of which is of use"),
        (r#"{"keys":[]}"#.to_owned(), "a JWK set of 0 keys"),
        (public, "has no d"),
        (r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned(), "shared secret"),
        (r#"{"type":"service_account","private_key":"c2VjcmV0"}"#.to_owned(), "service account"),
        (
            r#"{"type":"service_account","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}"#.to_owned(),
            "service account",
        ),
        ("-----BEGIN PRIVATE KEY-----%0AAAAA%0A-----END PRIVATE KEY-----".to_owned(), "something else than base64"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".to_owned(), "a certificate and nothing else"),
        ("/run/secrets/key.pem".to_owned(), "a path"),
    ] {
        let said = refused(&text, None);
        assert!(said.contains(told) && !said.contains("c2VjcmV0"), "{said}");
    }
}

#[test]
fn an_invalid_key_is_refused_without_being_shown() {
    let good = p256();
    let half = &good[..good.len() / 2];
    let public = EC_JWK.replace("\"d\"", "\"was-d\"");
    let other_point = EC_JWK.replace("f83OJ3D2", "f83OJ3D3");
    for (text, flaw) in [
        ("canary", "no complete private key"),
        (half, "no complete private key"),
        (&good.replace('M', "?"), "no complete private key"),
        (&good.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), "is encrypted"),
        (&pem("PRIVATE KEY", b"canary"), "cannot be used"),
        (&pem("RSA PRIVATE KEY", b"canary"), "cannot be used"),
        (&RSA_JWK[..300], "is not valid JSON"),
        (&public, "it has no d"),
        (&other_point, "cannot be used"),
        (r#"{"kty":"oct","k":"canary"}"#, "a shared secret (kty oct)"),
        (r#"{"kty":"AKP","pub":"canary"}"#, "none of RSA, EC, OKP"),
        (r#"{"kty":"EC","crv":"canary"}"#, "none of P-256"),
    ] {
        let shown = refused(text, None);
        assert!(shown.contains(flaw), "{shown}");
        assert!(!shown.contains("canary") && !shown.contains("jpsQnnGQ"), "{shown}");
    }
}

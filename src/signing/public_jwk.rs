//! A public key as a JSON Web Key (RFC 7517) with the required members only.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value};

use super::SigningAlgorithm;
use super::curve::CURVES;
use super::jwk::{Jwk, Kind};
use super::jws;
use crate::pem::{at_most_one, corrected, looks_like};

/// The members that are required of its kind, in lexicographic order (RFC 7638 section 3.2).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PublicJwk(Vec<(&'static str, String)>);

impl PublicJwk {
    /// Parses a JWK, without its other members, or PEM (`PUBLIC KEY`; elliptic curves only).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = corrected(text);
        if !Jwk::is_meant(&text) {
            return from_pem(&text);
        }
        let jwk = Jwk::parse(&text, |_| true)?;
        match jwk.kind()? {
            Kind::Ec(curve) => {
                let point = jwk.point(curve)?;
                ParsedPublicKey::new(curve.verifying, &point)
                    .ok()
                    .and_then(|_| PublicJwk::ec(curve.name, &point))
                    .ok_or_else(|| unusable(curve.name))
            }
            Kind::Ed25519 => match jwk.bytes("x")? {
                public if public.len() == 32 => Ok(PublicJwk::ed25519(&public)),
                _ => Err(unusable("Ed25519")),
            },
            // RFC 7518 section 6.3.1.1: without leading zeros, which some producers write.
            Kind::Rsa => Ok(PublicJwk(vec![
                ("e", URL_SAFE_NO_PAD.encode(jwk.number("e")?)),
                ("kty", "RSA".to_owned()),
                ("n", URL_SAFE_NO_PAD.encode(jwk.number("n")?)),
            ])),
        }
    }

    /// The key of an uncompressed point (SEC 1 section 2.3.3) on this curve.
    pub(super) fn ec(curve: &str, point: &[u8]) -> Option<Self> {
        let [4, coordinates @ ..] = point else {
            return None;
        };
        let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
        Some(PublicJwk(vec![
            ("crv", curve.to_owned()),
            ("kty", "EC".to_owned()),
            ("x", URL_SAFE_NO_PAD.encode(x)),
            ("y", URL_SAFE_NO_PAD.encode(y)),
        ]))
    }

    /// RFC 8037 section 2.
    pub(super) fn ed25519(public: &[u8]) -> Self {
        PublicJwk(vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", URL_SAFE_NO_PAD.encode(public))])
    }

    pub(crate) fn members(&self) -> Map<String, Value> {
        let member = |(name, value): &(&str, String)| ((*name).to_owned(), value.as_str().into());
        self.0.iter().map(member).collect()
    }

    /// RFC 7638: the SHA-256 of the key's canonical JSON, in base64url; `jkt` of RFC 9449 section 6.
    pub(crate) fn thumbprint(&self) -> String {
        let member = |(name, value): &(&str, String)| format!("\"{name}\":{}", Value::from(&**value));
        let members: Vec<_> = self.0.iter().map(member).collect();
        let canonical = format!("{{{}}}", members.join(","));
        jws::hash(canonical.as_bytes())
    }

    /// Whether the key can verify signatures of this algorithm.
    #[cfg_attr(not(feature = "dpop"), allow(dead_code, reason = "for the keys of signers"))]
    pub(crate) fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        use SigningAlgorithm::*;
        let value = |name| self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        match (value("kty"), value("crv")) {
            (Some("EC"), name) => CURVES.iter().any(|curve| Some(curve.name) == name && curve.algorithm == algorithm),
            (Some("OKP"), Some("Ed25519")) => matches!(algorithm, EdDSA | Ed25519),
            (Some("RSA"), _) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            _ => false,
        }
    }
}

fn unusable(kind: &str) -> String {
    format!("is a JWK without a usable {kind} key")
}

/// Parses a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), which key management services export.
fn from_pem(text: &str) -> Result<PublicJwk, String> {
    at_most_one("public", text)?;
    let spki = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
        .map_err(|_| format!("has no complete public key (PEM, PUBLIC KEY, or a JWK){}", looks_like(text)))?;
    // aws-lc-rs has checked the key and writes it uncompressed: it is at the end (RFC 5480 section 2.2).
    let ends_in = |public: &ParsedPublicKey, length: usize| {
        let der = public.as_der().ok()?;
        let der = der.as_ref();
        Some(der.get(der.len().checked_sub(length)?..)?.to_vec())
    };
    let on_a_curve = CURVES.iter().find_map(|curve| {
        let public = ParsedPublicKey::new(curve.verifying, &spki).ok()?;
        PublicJwk::ec(curve.name, &ends_in(&public, 1 + 2 * curve.bytes)?)
    });
    let ed25519 = || {
        let public = ParsedPublicKey::new(&ED25519, &spki).ok()?;
        Some(PublicJwk::ed25519(&ends_in(&public, 32)?))
    };
    on_a_curve.or_else(ed25519).ok_or_else(|| {
        "has a public key of another kind than P-256, P-384, P-521, Ed25519; give an RSA key as JWK".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::engine::general_purpose::URL_SAFE;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_vector_of_rfc_7638() {
        let jwk = PublicJwk::parse(
            r#"{"kty": "RSA", "alg": "RS256", "kid": "2011-04-29", "e": "AQAB",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#,
        );
        let thumbprint = jwk.unwrap().thumbprint();
        assert_eq!(thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_vector_of_rfc_9449() {
        // Sections 4.1 and 6.1: the key of the example, and its jkt.
        let jwk = PublicJwk::parse(
            r#"{"kty":"EC","crv":"P-256","d":"never","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#,
        )
        .unwrap();
        assert_eq!(jwk.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
        assert!(!format!("{jwk:?}").contains("never"), "a private member stays behind");
        #[cfg(feature = "dpop")]
        assert!(jwk.fits(SigningAlgorithm::ES256) && !jwk.fits(SigningAlgorithm::ES384));
    }

    #[test]
    fn a_loosely_written_jwk_is_normalized_as_in_rfc_7518() {
        // Section 6.2.1.2: a coordinate has the length of the curve. Some producers drop zeros, and some pad.
        let strict = loop {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let point = pair.public_key().as_ref();
            if point[1] == 0 {
                break PublicJwk::ec("P-256", point).unwrap();
            }
        };
        let text = |name: &str| {
            let value = strict.members()[name].as_str().unwrap().to_owned();
            let bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            URL_SAFE.encode(&bytes[zeros..])
        };
        let loose = json!({"kty": "EC", "crv": "P-256", "x": text("x"), "y": text("y")});
        assert_eq!(PublicJwk::parse(&loose.to_string()).unwrap(), strict);
    }

    #[test]
    fn pem_and_jwk_of_one_key_are_the_same() {
        // F20
        use super::super::tests::pem;
        use aws_lc_rs::signature::Ed25519KeyPair;
        for curve in &CURVES {
            let pair = EcdsaKeyPair::generate(curve.signing).unwrap();
            let spki = pair.public_key().as_der().unwrap();
            let jwk = PublicJwk::ec(curve.name, pair.public_key().as_ref()).unwrap();
            let read = PublicJwk::parse(&pem("PUBLIC KEY", spki.as_ref())).unwrap();
            assert_eq!(read, jwk, "{}", curve.name);
            let text = Value::Object(jwk.members()).to_string();
            assert_eq!(PublicJwk::parse(&text).unwrap(), jwk);
        }
        let pair = Ed25519KeyPair::generate().unwrap();
        let spki = pair.public_key().as_der().unwrap();
        let read = PublicJwk::parse(&pem("PUBLIC KEY", spki.as_ref()));
        let jwk = PublicJwk::ed25519(pair.public_key().as_ref());
        assert_eq!(read.unwrap(), jwk);
        let two = pem("PUBLIC KEY", spki.as_ref()).repeat(2);
        assert_eq!(PublicJwk::parse(&two).unwrap_err(), "has 2 public keys (PEM): give one of them");
        assert_eq!(PublicJwk::parse(&Value::Object(jwk.members()).to_string()).unwrap(), jwk);
    }

    #[cfg(feature = "dpop")]
    #[test]
    fn the_algorithms_of_a_key_are_those_of_its_kind() {
        use SigningAlgorithm::*;
        let rsa = [RS256, RS384, RS512, PS256, PS384, PS512];
        let on = |curve| PublicJwk::ec(curve, &[4; 65]).unwrap();
        for (key, fitting) in [
            (on("P-256"), &[ES256][..]),
            (on("P-384"), &[ES384]),
            (on("P-521"), &[ES512]),
            (PublicJwk::ed25519(&[0; 32]), &[EdDSA, Ed25519]),
            (PublicJwk::parse(r#"{"kty":"RSA","e":"AQAB","n":"0vx7"}"#).unwrap(), &rsa),
            (on("secp256k1"), &[]),
        ] {
            for algorithm in rsa.into_iter().chain([HS256, HS384, HS512, ES256, ES384, ES512, EdDSA, Ed25519]) {
                assert_eq!(key.fits(algorithm), fitting.contains(&algorithm), "{key:?} {algorithm}");
            }
        }
    }

    #[test]
    fn a_text_that_is_not_a_public_key_is_reported() {
        for (text, told) in [
            ("", "PEM"),
            ("{", "not valid JSON"),
            (r#"{"kty":"oct","k":"x"}"#, "kty"),
            (r#"{"kty":"EC","crv":"P-256","x":"AQ"}"#, "without y"),
            (r#"{"kty":"EC","crv":"P-256","x":"+/","y":"AQ"}"#, "base64url"),
            (r#"{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}"#, "without a usable"),
            (r#"{"kty":"EC","crv":"secp256k1","x":"AQ","y":"AQ"}"#, "crv"),
            (r#"{"kty":"OKP","crv":"X25519","x":"AQ"}"#, "crv"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AQ"}"#, "without a usable"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "another kind"),
        ] {
            assert!(PublicJwk::parse(text).unwrap_err().contains(told), "{text}");
        }
    }
}

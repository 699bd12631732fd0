//! A proof as a server sees it.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    /// Thumbprint of the key that signed it.
    pub(crate) jkt: String,
}

impl Proof {
    /// The only proof of a request, whose signature must be valid. `None`: it has none.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Proof> {
        Proof::among(headers.get_all("dpop").iter().map(|value| value.to_str().unwrap()))
    }

    /// As [`of`](Proof::of), among the values of the header.
    pub(crate) fn among<'v>(mut values: impl Iterator<Item = &'v str>) -> Option<Proof> {
        let proof = values.next()?;
        assert!(values.next().is_none(), "exactly one proof");
        let parts: Vec<_> = proof.split('.').collect();
        let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        let (header, claims) = (json(parts[0]), json(parts[1]));
        let text = |name: &str| header["jwk"][name].as_str().unwrap().to_owned();
        let mut point = vec![4];
        for coordinate in ["x", "y"] {
            point.extend(URL_SAFE_NO_PAD.decode(text(coordinate)).unwrap());
        }
        let (message, signature) = proof.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
            .verify(message.as_bytes(), &signature)
            .expect("the proof is signed by the key that it names");
        // RFC 7638
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
        let jkt = hash(&canonical);
        Some(Proof { header, claims, jkt })
    }

    pub(crate) fn claim(&self, name: &str) -> &str {
        self.claims[name].as_str().unwrap_or_default()
    }
}

/// SHA-256 in base64url.
pub(crate) fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

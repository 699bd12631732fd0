//! Keys made for a test, verified here by aws-lc-rs and not by the crate.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::server::Seen;

#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) pem: String,
    pub(crate) jwk: String,
    public: Vec<u8>,
}

impl Key {
    /// P-256; the JWK has this `kid`.
    pub(crate) fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let pkcs8 = pair.to_pkcs8v1().unwrap();
        let text = STANDARD.encode(pkcs8.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let public = pair.public_key().as_ref().to_vec();
        // In PKCS#8 of P-256 (RFC 5915) the private number is at a fixed offset.
        let private = &pkcs8.as_ref()[36..68];
        let [x, y, d] = [&public[1..33], &public[33..65], private].map(|part| URL_SAFE_NO_PAD.encode(part));
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y, "d": d});
        Key { pem, jwk: jwk.to_string(), public }
    }

    /// Whether the assertion of this request is signed by it.
    pub(crate) fn signed(&self, seen: &Seen) -> bool {
        let (message, signature) = seen.signed();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.public).verify(message.as_bytes(), &signature).is_ok()
    }

    /// What must not be seen anywhere: pieces of the key as text.
    pub(crate) fn canaries(&self) -> Vec<String> {
        let pem = self.pem.lines().nth(1).unwrap();
        let jwk: serde_json::Value = serde_json::from_str(&self.jwk).unwrap();
        vec![pem[60..90].to_owned(), jwk["d"].as_str().unwrap()[..20].to_owned()]
    }
}

//! Keys made for a test.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client_credentials::{Signer, SigningAlgorithm, SigningFuture};

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A private key on P-256.
pub(crate) fn p256() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())
}

/// A key management service, which signs in DER.
pub(crate) struct Kms {
    pair: EcdsaKeyPair,
    algorithm: SigningAlgorithm,
}

impl Kms {
    pub(crate) fn new(algorithm: SigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Kms { pair, algorithm }
    }

    pub(crate) fn public(&self) -> String {
        let der = self.pair.public_key().as_der().unwrap();
        pem("PUBLIC KEY", der.as_ref())
    }
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kms")
    }
}

impl Signer for Kms {
    fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }
    fn key_id(&self) -> Option<String> {
        None
    }
    fn sign<'a>(&'a self, message: &'a [u8]) -> SigningFuture<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let signature = self.pair.sign(&SystemRandom::new(), message)?;
            Ok(signature.as_ref().to_vec())
        })
    }
}

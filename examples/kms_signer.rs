//! The key stays in a key management service: it signs what it is sent, and no program has the key.

#![expect(clippy::print_stdout, reason = "an example shows something")]
mod support;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use client_credentials::{ClientAuth, ClientCredentials, Signer, SigningAlgorithm, SigningFuture, TokenSource};

/// Here would be the client of AWS KMS, Google Cloud KMS or Azure Key Vault.
#[derive(Debug)]
struct Kms(EcdsaKeyPair);

impl Signer for Kms {
    fn algorithm(&self) -> SigningAlgorithm {
        SigningAlgorithm::ES256
    }
    fn key_id(&self) -> Option<String> {
        Some("2026-11".to_owned())
    }
    fn sign<'a>(&'a self, message: &'a [u8]) -> SigningFuture<'a> {
        Box::pin(async move {
            let signature = self.0.sign(&aws_lc_rs::rand::SystemRandom::new(), message)?;
            Ok(signature.as_ref().to_vec())
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = support::Servers::start()?;
    let kms = Kms(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?);
    let auth = ClientAuth::private_key_jwt_with_signer(support::CLIENT_ID, kms).audience("https://auth.example.com");
    let builder = ClientCredentials::builder(&servers.token_url, auth);
    let tokens = builder.build()?;
    println!("expires at {:?}", tokens.token().await?.expires_at());
    Ok(())
}

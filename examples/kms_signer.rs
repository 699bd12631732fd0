//! Signs assertions with a key that stays in a key management service.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientAuth, ClientCredentials, Issuer, Signer, SigningAlgorithm, SigningFuture};

/// In a service, this is the client of AWS KMS, Google Cloud KMS or Azure Key Vault.
#[derive(Debug)]
struct Kms(EcdsaKeyPair);

impl Kms {
    /// The key to register with the authorization server, in PEM.
    fn public_key(&self) -> Result<String, Box<dyn std::error::Error>> {
        let der = STANDARD.encode(self.0.public_key().as_der()?.as_ref());
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n"))
    }
}

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
    let kms = Kms(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?);
    let server = AuthorizationServer::start().client_with_key("example", &kms.public_key()?);
    let auth = ClientAuth::private_key_jwt_with_signer("example", kms);
    let tokens = ClientCredentials::builder(Issuer::new(server.issuer()), auth).build()?;
    println!("expires at {:?}", tokens.token().await?.expires_at());
    print!("{}", server.story());
    Ok(())
}

//! A private key in text form: PEM (PKCS#8, PKCS#1, SEC1) or JWK.
//!
//! Parse errors are texts without any part of the key. aws-lc-rs does all arithmetic.

use std::fmt;

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::curve::{CURVES, Pair, rsa};
use super::jwk::Jwk;
use super::public_jwk::PublicJwk;
use super::{Choice, Signer, SigningAlgorithm, SigningFuture};
use crate::pem::{at_most_one, corrected, looks_like};

pub(crate) struct SigningKey {
    pair: Pair,
    algorithm: SigningAlgorithm,
    key_id: Option<String>,
}

impl SigningKey {
    /// The user's choice takes precedence over a JWK's `alg`, which takes precedence over the key's default.
    pub(crate) fn parse(text: &str, choice: Choice) -> Result<Self, String> {
        let Choice { wanted, fapi } = choice;
        let text = corrected(text);
        let (pair, alg, key_id) = if Jwk::is_meant(&text) {
            let jwk = Jwk::parse(&text, Jwk::is_private)?;
            (jwk.pair()?, jwk.algorithm()?, jwk.key_id())
        } else {
            (from_pem(&text)?, None, None)
        };
        let algorithm = wanted.or(alg).unwrap_or(pair.algorithm(fapi));
        if !pair.fits(algorithm) {
            return Err(format!("is {}, which the algorithm {algorithm} does not fit", pair.name()));
        }
        if fapi && !algorithm.is_of_fapi() {
            let name = pair.name();
            return Err(format!("is {name} for {algorithm}, and FAPI 2.0 requires PS256, ES256 or EdDSA"));
        }
        Ok(SigningKey { pair, algorithm, key_id })
    }

    /// Generates a key on P-256, which every server of RFC 9449 supports. `None` if the system has no random numbers.
    pub(crate) fn generate() -> Option<Self> {
        let [curve, ..] = &CURVES;
        let pair = EcdsaKeyPair::generate(curve.signing).ok()?;
        Some(SigningKey { pair: Pair::Ec(curve, pair.into()), algorithm: curve.algorithm, key_id: None })
    }

    /// `None`: an RSA key, whose proofs would be several times as long.
    pub(crate) fn public_jwk(&self) -> Option<PublicJwk> {
        match &self.pair {
            Pair::Rsa(_) => None,
            Pair::Ec(curve, pair) => PublicJwk::ec(curve.name, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => Some(PublicJwk::ed25519(pair.public_key().as_ref())),
        }
    }

    /// The signature in the form of JWS. It takes about a millisecond with RSA, so it needs no thread of its own.
    pub(crate) fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(rsa(self.algorithm)?, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Pair::Ec(_, pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }

    /// Whether a certificate (DER) is that of this key: it has the bytes of the public key.
    pub(crate) fn is_in(&self, certificate: &[u8]) -> bool {
        let public = self.pair.public();
        certificate.windows(public.len()).any(|window| window == public)
    }
}

/// A key in memory is a signer that never waits.
impl Signer for SigningKey {
    fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// `kid` of a JWK.
    fn key_id(&self) -> Option<String> {
        self.key_id.clone()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> SigningFuture<'a> {
        Box::pin(async { self.signature(message).ok_or_else(|| "the key could not sign".into()) })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// The private key in the text, which may also have certificates.
fn from_pem(text: &str) -> Result<Pair, String> {
    const UNUSABLE: &str = "has a private key that cannot be used: damaged, an RSA key of less than 2048 or more than 8192 bits, or of another kind than RSA, P-256, P-384, P-521, Ed25519";
    at_most_one("private", text)?;
    let key = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Zeroizing::new(key),
        Err(_) => {
            let form = match looks_like(text) {
                ": it has a private key" => ": between its lines BEGIN and END is something else than base64",
                other => other,
            };
            return Err(format!("has no complete private key (PEM: PKCS#8, PKCS#1, SEC1; or a JWK){form}"));
        }
    };
    let der = key.secret_der();
    let on_a_curve =
        |parse: ParseEc| CURVES.iter().find_map(|curve| Some(Pair::Ec(curve, parse(curve.signing, der).ok()?.into())));
    let pair = match &*key {
        PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(der).ok().map(|p| Pair::Rsa(p.into())),
        PrivateKeyDer::Sec1(_) => on_a_curve(EcdsaKeyPair::from_private_key_der),
        _ => match (RsaKeyPair::from_pkcs8(der), Ed25519KeyPair::from_pkcs8(der)) {
            (Ok(pair), _) => Some(Pair::Rsa(pair.into())),
            (_, Ok(pair)) => Some(Pair::Ed25519(pair.into())),
            _ => on_a_curve(EcdsaKeyPair::from_pkcs8),
        },
    };
    pair.ok_or_else(|| UNUSABLE.to_owned())
}

type ParseEc = fn(&'static EcdsaSigningAlgorithm, &[u8]) -> Result<EcdsaKeyPair, KeyRejected>;

#[cfg(test)]
#[path = "signing_key_tests.rs"]
pub(crate) mod tests;

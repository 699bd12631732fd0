//! A private key that was handed out as text: PEM (PKCS#8, PKCS#1, SEC1) or JWK.
//!
//! Parsing tells what is wrong as text without anything of the key in it. All arithmetic is aws-lc-rs's.

use aws_lc_rs::rand::SystemRandom;
#[cfg(any(feature = "dpop", feature = "test-util"))]
use aws_lc_rs::signature::EcdsaVerificationAlgorithm;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

#[cfg(any(feature = "dpop", feature = "test-util"))]
use super::PublicJwk;
use super::SigningAlgorithm;
use super::jwk::Jwk;

pub(crate) struct SigningKey {
    pair: Pair,
    algorithm: SigningAlgorithm,
    key_id: Option<String>,
}

pub(crate) enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(&'static Curve, Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// Of a coordinate.
    pub(crate) bytes: usize,
    pub(crate) signing: &'static EcdsaSigningAlgorithm,
    #[cfg(any(feature = "dpop", feature = "test-util"))]
    pub(crate) verifying: &'static EcdsaVerificationAlgorithm,
    algorithm: SigningAlgorithm,
}

pub(crate) static CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        bytes: 32,
        signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        #[cfg(any(feature = "dpop", feature = "test-util"))]
        verifying: &signature::ECDSA_P256_SHA256_FIXED,
        algorithm: SigningAlgorithm::ES256,
    },
    Curve {
        name: "P-384",
        bytes: 48,
        signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        #[cfg(any(feature = "dpop", feature = "test-util"))]
        verifying: &signature::ECDSA_P384_SHA384_FIXED,
        algorithm: SigningAlgorithm::ES384,
    },
    Curve {
        name: "P-521",
        bytes: 66,
        signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        #[cfg(any(feature = "dpop", feature = "test-util"))]
        verifying: &signature::ECDSA_P521_SHA512_FIXED,
        algorithm: SigningAlgorithm::ES512,
    },
];

impl SigningKey {
    /// `wanted` is what the user chose; a JWK's own `alg` counts less, what follows from the key least.
    pub(crate) fn parse(text: &str, wanted: Option<SigningAlgorithm>) -> Result<Self, String> {
        let (pair, alg, key_id) = if text.trim_start().starts_with('{') {
            let jwk = Jwk::parse(text)?;
            (jwk.pair()?, jwk.algorithm()?, jwk.key_id())
        } else {
            (from_pem(text)?, None, None)
        };
        let algorithm = wanted.or(alg).unwrap_or(pair.algorithm());
        if !pair.fits(algorithm) {
            return Err(format!("is {}, which the algorithm {algorithm} does not fit", pair.name()));
        }
        Ok(SigningKey { pair, algorithm, key_id })
    }

    /// A new one on P-256: the algorithm that every server of RFC 9449 knows. `None`: the system gives no random numbers.
    #[cfg(any(feature = "dpop", feature = "test-util"))]
    pub(crate) fn generate() -> Option<Self> {
        let [curve, ..] = &CURVES;
        let pair = EcdsaKeyPair::generate(curve.signing).ok()?;
        Some(SigningKey { pair: Pair::Ec(curve, pair.into()), algorithm: curve.algorithm, key_id: None })
    }

    /// `None`: an RSA key, whose proofs would be several times as long.
    #[cfg(any(feature = "dpop", feature = "test-util"))]
    pub(crate) fn public_jwk(&self) -> Option<PublicJwk> {
        match &self.pair {
            Pair::Rsa(_) => None,
            Pair::Ec(curve, pair) => PublicJwk::ec(curve.name, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => Some(PublicJwk::ed25519(pair.public_key().as_ref())),
        }
    }

    pub(crate) fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// `kid` of a JWK.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// In the form of JWS. Takes about a millisecond with RSA, which is why it needs no thread of its own.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
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

    /// Whether a certificate (DER) is of this key: its public key stands in there, byte for byte.
    pub(crate) fn is_in(&self, certificate: &[u8]) -> bool {
        let public = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ec(_, pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        };
        certificate.windows(public.len()).any(|window| window == public)
    }
}

impl Pair {
    fn name(&self) -> String {
        match self {
            Pair::Rsa(_) => "an RSA key".to_owned(),
            Pair::Ec(curve, _) => format!("a key on the curve {}", curve.name),
            Pair::Ed25519(_) => "an Ed25519 key".to_owned(),
        }
    }

    fn algorithm(&self) -> SigningAlgorithm {
        match self {
            Pair::Rsa(_) => SigningAlgorithm::RS256,
            Pair::Ec(curve, _) => curve.algorithm,
            Pair::Ed25519(_) => SigningAlgorithm::EdDSA,
        }
    }

    fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        match self {
            Pair::Rsa(_) => rsa(algorithm).is_some(),
            Pair::Ec(curve, _) => curve.algorithm == algorithm,
            Pair::Ed25519(_) => matches!(algorithm, SigningAlgorithm::EdDSA | SigningAlgorithm::Ed25519),
        }
    }
}

fn rsa(algorithm: SigningAlgorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        SigningAlgorithm::RS256 => &signature::RSA_PKCS1_SHA256,
        SigningAlgorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        SigningAlgorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        SigningAlgorithm::PS256 => &signature::RSA_PSS_SHA256,
        SigningAlgorithm::PS384 => &signature::RSA_PSS_SHA384,
        SigningAlgorithm::PS512 => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}

/// The first private key in the text; certificates may stand beside it.
fn from_pem(text: &str) -> Result<Pair, String> {
    const UNUSABLE: &str = "has a private key that cannot be used: damaged, an RSA key of less than 2048 or more than 8192 bits, or of another kind than RSA, P-256, P-384, P-521, Ed25519";
    let key = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Zeroizing::new(key),
        Err(_) if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            return Err("has a private key that is encrypted: decrypt it first (openssl pkey)".into());
        }
        Err(_) => {
            return Err("has no complete private key: PEM (PKCS#8, PKCS#1, SEC1) or a JWK is expected".into());
        }
    };
    let der = key.secret_der();
    let pair = match &*key {
        PrivateKeyDer::Pkcs1(_) => RsaKeyPair::from_der(der).ok().map(|p| Pair::Rsa(p.into())),
        PrivateKeyDer::Sec1(_) => CURVES.iter().find_map(|curve| {
            let pair = EcdsaKeyPair::from_private_key_der(curve.signing, der).ok()?;
            Some(Pair::Ec(curve, pair.into()))
        }),
        _ => from_pkcs8(der),
    };
    pair.ok_or_else(|| UNUSABLE.to_owned())
}

fn from_pkcs8(der: &[u8]) -> Option<Pair> {
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        return Some(Pair::Rsa(pair.into()));
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
        return Some(Pair::Ed25519(pair.into()));
    }
    CURVES.iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing, der).ok()?;
        Some(Pair::Ec(curve, pair.into()))
    })
}

#[cfg(test)]
#[path = "signing_key_tests.rs"]
pub(crate) mod tests;

//! Kinds of keys and their algorithms (RFC 7518 section 3.4, RFC 8037 section 3.1).

use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding,
    RsaKeyPair,
};

use super::SigningAlgorithm;

/// A private key.
pub(super) enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(&'static Curve, Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

pub(super) struct Curve {
    pub(super) name: &'static str,
    /// The length of a coordinate.
    pub(super) bytes: usize,
    pub(super) signing: &'static EcdsaSigningAlgorithm,
    pub(super) verifying: &'static EcdsaVerificationAlgorithm,
    pub(super) algorithm: SigningAlgorithm,
}

pub(super) static CURVES: [Curve; 3] = [
    Curve {
        name: "P-256",
        bytes: 32,
        signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        verifying: &signature::ECDSA_P256_SHA256_FIXED,
        algorithm: SigningAlgorithm::ES256,
    },
    Curve {
        name: "P-384",
        bytes: 48,
        signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        verifying: &signature::ECDSA_P384_SHA384_FIXED,
        algorithm: SigningAlgorithm::ES384,
    },
    Curve {
        name: "P-521",
        bytes: 66,
        signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        verifying: &signature::ECDSA_P521_SHA512_FIXED,
        algorithm: SigningAlgorithm::ES512,
    },
];

impl Pair {
    pub(super) fn name(&self) -> String {
        match self {
            Pair::Rsa(_) => "an RSA key".to_owned(),
            Pair::Ec(curve, _) => format!("a key on the curve {}", curve.name),
            Pair::Ed25519(_) => "an Ed25519 key".to_owned(),
        }
    }

    /// The default algorithm of the key.
    pub(super) fn algorithm(&self, fapi: bool) -> SigningAlgorithm {
        match self {
            Pair::Rsa(_) if fapi => SigningAlgorithm::PS256,
            Pair::Rsa(_) => SigningAlgorithm::RS256,
            Pair::Ec(curve, _) => curve.algorithm,
            Pair::Ed25519(_) => SigningAlgorithm::EdDSA,
        }
    }

    pub(super) fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        match self {
            Pair::Rsa(_) => rsa(algorithm).is_some(),
            Pair::Ec(curve, _) => curve.algorithm == algorithm,
            Pair::Ed25519(_) => matches!(algorithm, SigningAlgorithm::EdDSA | SigningAlgorithm::Ed25519),
        }
    }

    /// The public key, in the form that certificates have.
    pub(super) fn public(&self) -> &[u8] {
        match self {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ec(_, pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }
}

pub(super) fn rsa(algorithm: SigningAlgorithm) -> Option<&'static dyn RsaEncoding> {
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

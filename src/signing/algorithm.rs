//! Signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A signature algorithm, by its name in the IANA registry "JSON Web Signature and Encryption Algorithms".
///
/// The key usually determines it. Choose one to use PS256 instead of RS256 with an RSA key (FAPI requires PS256), or another
/// hash length.
///
/// ```
/// use client_credentials::{ClientAuth, Credential, SigningAlgorithm};
/// let key = Credential::file("/run/secrets/key.pem");
/// let auth = ClientAuth::private_key_jwt("billing", key)
///     .algorithm(SigningAlgorithm::PS256);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SigningAlgorithm {
    /// HMAC with SHA-256: for [`client_secret_jwt`](crate::ClientAuth::client_secret_jwt).
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA with P-256 and SHA-256.
    ES256,
    /// ECDSA with P-384 and SHA-384.
    ES384,
    /// ECDSA with P-521 and SHA-512.
    ES512,
    /// Ed25519, by the name that most servers support.
    EdDSA,
    /// Ed25519, by its name in RFC 9864.
    Ed25519,
}

impl SigningAlgorithm {
    /// Returns the registered name, as in the header member `alg`.
    pub fn name(self) -> &'static str {
        use SigningAlgorithm::*;
        match self {
            HS256 => "HS256",
            HS384 => "HS384",
            HS512 => "HS512",
            RS256 => "RS256",
            RS384 => "RS384",
            RS512 => "RS512",
            PS256 => "PS256",
            PS384 => "PS384",
            PS512 => "PS512",
            ES256 => "ES256",
            ES384 => "ES384",
            ES512 => "ES512",
            EdDSA => "EdDSA",
            Ed25519 => "Ed25519",
        }
    }

    /// Whether FAPI 2.0 allows it (Security Profile section 5.4.1).
    pub(crate) fn is_of_fapi(self) -> bool {
        use SigningAlgorithm::*;
        matches!(self, PS256 | ES256 | EdDSA | Ed25519)
    }

    /// Whether both sides share the key.
    pub(crate) fn is_symmetric(self) -> bool {
        use SigningAlgorithm::*;
        matches!(self, HS256 | HS384 | HS512)
    }
}

/// The settings that determine the algorithm of a private key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Choice {
    /// The algorithm that the user has set.
    pub(crate) wanted: Option<SigningAlgorithm>,
    /// Whether only those of FAPI 2.0 are allowed.
    pub(crate) fapi: bool,
}

/// Parses the registered name, as in the header member `alg`.
///
/// ```
/// use client_credentials::SigningAlgorithm;
/// assert_eq!("PS256".parse::<SigningAlgorithm>()?, SigningAlgorithm::PS256);
/// assert!("ps256".parse::<SigningAlgorithm>().is_err());
/// # Ok::<(), client_credentials::Error>(())
/// ```
impl FromStr for SigningAlgorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        use SigningAlgorithm::*;
        let all = [HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519];
        all.into_iter().find(|one| one.name() == name).ok_or_else(|| {
            let names = all.map(SigningAlgorithm::name).join(", ");
            let text = format!("{name:?} is none of the signing algorithms {names}");
            Error::of(ErrorKind::Configuration, text)
        })
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//! Tokens that are of no use without a key (RFC 9449, "Demonstrating Proof of Possession").

mod binding;
mod nonces;
mod request;

use std::fmt;
use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::credential::{Credential, LastGood, unusable};
use crate::error::Error;
use crate::lock::Lock;
use crate::possession::Possession;
use crate::signing::{Choice, Signer, SigningKey};
pub(crate) use binding::Binding;
pub(crate) use nonces::Nonces;
pub use request::Retry;
#[cfg(any(test, fuzzing))]
pub(crate) use request::demands_nonce;

/// The key that DPoP tokens are bound to (RFC 9449).
///
/// With it, [`ClientCredentialsBuilder::dpop`](crate::ClientCredentialsBuilder::dpop) asks for tokens that are of no
/// use to a thief: each request that carries one carries a proof as well, signed for that one request. A handle: clones
/// are one key, and share what servers said about nonces.
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, Credential, DpopKey};
/// let auth = ClientAuth::client_secret_basic("billing", Credential::file("/run/secrets/client-secret"));
/// let tokens = ClientCredentials::builder("https://auth.example.com/oauth2/token", auth)
///     .dpop(DpopKey::generate())
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
///
/// # Which key
///
/// - [`generate`](Self::generate): made at start, never leaves the process. The right one unless something below applies.
/// - A [`Credential`] (`DpopKey::from`): PEM or JWK, on P-256, P-384 or P-521 or of Ed25519, for processes that share one key or
///   a key that is registered with the authorization server. It is read anew for each attempt to fetch a token; while
///   the new text is not a usable key, the previous key stays in use. A token stays bound to the key that it was fetched
///   with.
/// - [`from_signer`](Self::from_signer): the key stays in a KMS or an HSM, which is then asked for each request.
///
/// # Errors
///
/// A value or variable that is no such key is a fault that `build()` reports. In a file it is an error of kind
/// [`Credential`](crate::ErrorKind::Credential) when it is read.
#[derive(Clone)]
pub struct DpopKey {
    place: Place,
    nonces: Arc<Nonces>,
    /// It signs with an algorithm of FAPI 2.0, or not at all.
    fapi: bool,
}

#[derive(Clone)]
enum Place {
    /// Made when it is needed first.
    Here(Arc<Lock<Option<Arc<Binding>>>>),
    Credential(Credential, LastGood<Binding>),
    Elsewhere(Result<Arc<Binding>, String>),
}

impl DpopKey {
    /// A new key on P-256 (ES256), made when it is needed first. It is in the memory of this process only.
    pub fn generate() -> Self {
        DpopKey::at(Place::Here(Arc::default()))
    }

    /// A key that stays in a KMS or an HSM. `public_key` is its public part: PEM (`PUBLIC KEY`; for RSA a JWK), or a JWK.
    ///
    /// The signer is asked once for each attempt to fetch a token and once for each request to an API. There it has 10 s:
    /// the request fails with an error of kind [`Credential`](crate::ErrorKind::Credential) then, and is not sent.
    ///
    /// ```
    /// use client_credentials::{DpopKey, Signer, SigningAlgorithm, SigningFuture};
    ///
    /// #[derive(Debug)]
    /// struct Kms;
    /// impl Signer for Kms {
    ///     fn algorithm(&self) -> SigningAlgorithm { SigningAlgorithm::ES256 }
    ///     fn key_id(&self) -> Option<String> { None }
    ///     fn sign<'a>(&'a self, message: &'a [u8]) -> SigningFuture<'a> {
    ///         Box::pin(async move { ask_the_service(message).await.map_err(Into::into) })
    ///     }
    /// }
    /// # async fn ask_the_service(_: &[u8]) -> Result<Vec<u8>, std::io::Error> { Ok(Vec::new()) }
    /// let key = DpopKey::from_signer(Kms, r#"{"kty":"EC","crv":"P-256",
    ///     "x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#);
    /// ```
    pub fn from_signer(signer: impl Signer + 'static, public_key: &str) -> Self {
        let nonces = Arc::default();
        let binding = Binding::to_signer(Arc::new(signer), public_key, &nonces);
        let place = Place::Elsewhere(binding.map(Arc::new));
        DpopKey { place, nonces, fapi: false }
    }

    pub(crate) fn with_fapi(mut self, fapi: bool) -> Self {
        if let Place::Credential(_, known) = &mut self.place {
            // What clones have parsed was parsed for their settings.
            if self.fapi != fapi {
                *known = LastGood::default();
            }
        }
        self.fapi = fapi;
        self
    }

    fn at(place: Place) -> Self {
        DpopKey { place, nonces: Arc::default(), fapi: false }
    }

    /// What is wrong with it, as far as can be told without I/O.
    pub(crate) fn fault(&self) -> Option<String> {
        match &self.place {
            Place::Here(_) => None,
            Place::Credential(credential, _) => credential.fault_by(|text| self.bind(text).err()),
            Place::Elsewhere(Err(flaw)) => Some(format!("has a public key that {flaw}")),
            Place::Elsewhere(Ok(binding)) => {
                let algorithm = Some(binding.algorithm()).filter(|one| self.fapi && !one.is_of_fapi())?;
                Some(format!("has a signer for {algorithm}, and FAPI 2.0 demands PS256, ES256 or EdDSA"))
            }
        }
    }

    /// The key to fetch a token with.
    pub(crate) async fn binding(&self) -> Result<Arc<Binding>, Error> {
        match &self.place {
            Place::Here(made) => {
                let mut made = made.lock();
                if let Some(binding) = &*made {
                    return Ok(Arc::clone(binding));
                }
                let key = SigningKey::generate().ok_or_else(|| unusable("no DPoP key can be made".to_owned()))?;
                let binding = Arc::new(Binding::to(key, &self.nonces).map_err(unusable)?);
                *made = Some(Arc::clone(&binding));
                Ok(binding)
            }
            Place::Credential(credential, known) => {
                let mut unread = None;
                for place in credential.places() {
                    let text = match credential.read_text(place).await {
                        Ok(text) => text,
                        Err(error) => {
                            unread.get_or_insert(error);
                            continue;
                        }
                    };
                    let made = known.made_of(vec![text], place, |texts| {
                        let [text] = texts else {
                            return Err("there is no DPoP key".to_owned());
                        };
                        self.bind(text.expose_secret()).map_err(|flaw| format!("the DPoP key ({credential:?}) {flaw}"))
                    });
                    match made {
                        Ok(binding) => return Ok(binding),
                        Err(error) => {
                            unread.get_or_insert(error);
                        }
                    }
                }
                Err(unread.unwrap_or_else(|| unusable("there is no DPoP key".to_owned())))
            }
            Place::Elsewhere(binding) => binding.clone().map_err(unusable),
        }
    }

    fn bind(&self, text: &str) -> Result<Binding, String> {
        Binding::to(SigningKey::parse(text, Choice { wanted: None, fapi: self.fapi })?, &self.nonces)
    }
}

impl From<Credential> for DpopKey {
    fn from(key: Credential) -> Self {
        DpopKey::at(Place::Credential(key, LastGood::default()))
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("DpopKey");
        match &self.place {
            Place::Here(_) => out.field(&format_args!("generated")),
            Place::Credential(credential, _) => out.field(credential),
            Place::Elsewhere(Ok(binding)) => out.field(&format_args!("signer {}", binding.thumbprint())),
            Place::Elsewhere(Err(_)) => out.field(&format_args!("signer")),
        };
        out.finish()
    }
}

#[cfg(test)]
mod tests;

//! The key that a token is bound to, which signs a proof for each request (RFC 9449 section 4).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::nonces::Nonces;
use super::request::DPOP;
use crate::contained::{Panicked, contained_future};
use crate::error::Error;
use crate::possession::{Possession, Proof, Proving, Role};
use crate::runtime::within;
use crate::signing::{PublicJwk, Signer, SigningAlgorithm, SigningKey, jws, signature};

pub(crate) struct Binding {
    key: Arc<dyn Signer>,
    /// The header of every proof, encoded.
    header: String,
    /// `jkt` (RFC 9449 section 6.1).
    thumbprint: String,
    nonces: Arc<Nonces>,
}

impl Binding {
    /// Binds to a key in memory.
    pub(super) fn to(key: SigningKey, nonces: &Arc<Nonces>) -> Result<Self, String> {
        let Some(public) = key.public_jwk() else {
            return Err("is an RSA key: give one on P-256, P-384 or P-521, or of Ed25519".into());
        };
        Ok(Binding::new(Arc::new(key), &public, nonces))
    }

    /// Binds to a key in a KMS or HSM; `public` is its public part.
    pub(super) fn to_signer(signer: Arc<dyn Signer>, public: &str, nonces: &Arc<Nonces>) -> Result<Self, String> {
        let public = PublicJwk::parse(public)?;
        let algorithm = signer.algorithm();
        if !public.fits(algorithm) {
            return Err(format!("does not fit the signer's algorithm {algorithm}"));
        }
        Ok(Binding::new(signer, &public, nonces))
    }

    fn new(key: Arc<dyn Signer>, public: &PublicJwk, nonces: &Arc<Nonces>) -> Self {
        let mut header = serde_json::Map::new();
        header.insert("typ".to_owned(), "dpop+jwt".into());
        header.insert("alg".to_owned(), key.algorithm().name().into());
        header.insert("jwk".to_owned(), Value::Object(public.members()));
        Binding { key, header: jws::header(header), thumbprint: public.thumbprint(), nonces: Arc::clone(nonces) }
    }
}

impl Possession for Binding {
    fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn prove<'a>(&'a self, request: Proving<'a>) -> Proof<'a> {
        Box::pin(async move { Ok((DPOP, self.proof(request).await?)) })
    }

    fn hear<'h>(&self, role: Role, url: &Url, headers: &'h HeaderMap) -> Option<&'h str> {
        self.nonces.hear(role, url, headers)
    }
}

impl Binding {
    pub(super) fn algorithm(&self) -> SigningAlgorithm {
        self.key.algorithm()
    }

    /// The value of the header `DPoP` for one request.
    async fn proof(&self, request: Proving<'_>) -> Result<HeaderValue, Error> {
        let mut claims = json!({
            "jti": jws::jti()?,
            "htm": request.method,
            "htu": request.sent_as.map_or_else(|| bare(request.url).into(), str::to_owned),
            "iat": jws::issued_at(request.now.wall())?,
        });
        let mut add = |name: &str, value: String| {
            if let Some(claims) = claims.as_object_mut() {
                claims.insert(name.to_owned(), value.into());
            }
        };
        if let Some(token) = request.token {
            add("ath", jws::hash(token.as_bytes()));
        }
        let nonce = request.nonce.map(Into::into);
        if let Some(nonce) = nonce.or_else(|| self.nonces.last(request.role, request.url)) {
            add("nonce", nonce);
        }
        let message = jws::signing_input(&self.header, &claims);
        let signature = signature(&*self.key, message.as_bytes());
        let signature = match request.role {
            // Within a fetch, which has a timeout and contains panics.
            Role::Authorization => signature.await?,
            Role::Resource => bounded(signature).await?,
        };
        let proof = jws::compact(message, &signature);
        let mut value =
            HeaderValue::from_str(&proof).map_err(|_| Error::of_credential("the DPoP proof could not be signed"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// 10 s: as long as a whole attempt at the token endpoint may take.
const LONGEST_SIGNING: Duration = Duration::from_secs(10);

/// Outside a fetch, the signer has its own timeout and panic fence.
async fn bounded(signature: impl Future<Output = Result<Vec<u8>, Error>>) -> Result<Vec<u8>, Error> {
    match within(LONGEST_SIGNING, contained_future(signature)).await {
        Some(Ok(signed)) => signed,
        Some(Err(Panicked)) => Err(Error::of_credential(Panicked::text("the signer"))),
        None => Err(Error::of_credential(format!("the signer returned no signature within {LONGEST_SIGNING:?}"))),
    }
}

/// `htu` (RFC 9449 section 4.2): without query and fragment, and without user information, which is private.
fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    // Both fail only for URLs without a host, which have no user information.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({})", self.thumbprint)
    }
}

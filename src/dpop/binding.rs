//! What a token is bound to: a key that signs a proof for each request (RFC 9449 section 4).

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::nonces::{Nonces, Role};
use crate::cache::Runtime;
use crate::cache::clock::Moment;
use crate::signing::{PublicJwk, Signer, SigningAlgorithm, SigningKey, jws, signature};
use crate::{AccessToken, Error, ErrorKind};

pub(crate) struct Binding {
    key: Key,
    /// The header of every proof, encoded.
    header: String,
    /// `jkt` (RFC 9449 section 6.1).
    thumbprint: String,
    nonces: Arc<Nonces>,
}

enum Key {
    Here(SigningKey),
    Elsewhere(Arc<dyn Signer>),
}

impl Binding {
    /// To a key that is at hand.
    pub(super) fn to(key: SigningKey, nonces: &Arc<Nonces>) -> Result<Self, String> {
        let Some(public) = key.public_jwk() else {
            return Err("is an RSA key: give one on P-256, P-384 or P-521, or of Ed25519".into());
        };
        let algorithm = key.algorithm();
        Ok(Binding::new(Key::Here(key), algorithm, &public, nonces))
    }

    /// To a key that stays where it is; `public` is its public part.
    pub(super) fn to_signer(signer: Arc<dyn Signer>, public: &str, nonces: &Arc<Nonces>) -> Result<Self, String> {
        let public = PublicJwk::parse(public)?;
        let algorithm = signer.algorithm();
        if !public.fits(algorithm) {
            return Err(format!("does not fit the signer's algorithm {algorithm}"));
        }
        Ok(Binding::new(Key::Elsewhere(signer), algorithm, &public, nonces))
    }

    fn new(key: Key, algorithm: SigningAlgorithm, public: &PublicJwk, nonces: &Arc<Nonces>) -> Self {
        let mut header = serde_json::Map::new();
        header.insert("typ".to_owned(), "dpop+jwt".into());
        header.insert("alg".to_owned(), algorithm.name().into());
        header.insert("jwk".to_owned(), Value::Object(public.members()));
        Binding { key, header: jws::header(header), thumbprint: public.thumbprint(), nonces: Arc::clone(nonces) }
    }

    /// The public key, by its SHA-256.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The value of the header `DPoP` for one request, good for that one; `token` is what goes along with it, `demanded` the
    /// nonce of the answer that wants this request repeated: meanwhile others may have brought another one.
    pub(crate) async fn proof(
        &self,
        role: Role,
        method: &str,
        url: &Url,
        token: Option<&AccessToken>,
        now: Moment,
        demanded: Option<&str>,
    ) -> Result<HeaderValue, Error> {
        let mut claims = json!({
            "jti": jws::jti()?,
            "htm": method,
            "htu": bare(url).as_str(),
            "iat": jws::issued_at(now.wall())?,
        });
        let mut add = |name: &str, value: String| {
            if let Some(claims) = claims.as_object_mut() {
                claims.insert(name.to_owned(), value.into());
            }
        };
        if let Some(token) = token {
            let hash = digest::digest(&digest::SHA256, token.expose_secret().as_bytes());
            add("ath", URL_SAFE_NO_PAD.encode(hash));
        }
        let nonce = demanded.map(Into::into);
        if let Some(nonce) = nonce.or_else(|| self.nonces.last(role, url)) {
            add("nonce", nonce);
        }
        let message = jws::signing_input(&self.header, &claims);
        let signature = match &self.key {
            Key::Here(key) => key.sign(message.as_bytes()).ok_or_else(unsigned)?,
            Key::Elsewhere(signer) => {
                let signature = signature(&**signer, message.as_bytes());
                match role {
                    // Inside a flight, which has a deadline and outlives a panic.
                    Role::Authorization => signature.await?,
                    Role::Resource => contained(signature).await?,
                }
            }
        };
        let proof = jws::compact(message, &signature);
        let mut value = HeaderValue::from_str(&proof).map_err(|_| unsigned())?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Remembers the nonce of a response from `url`, and tells it.
    pub(crate) fn hear<'a>(&self, role: Role, url: &Url, headers: &'a HeaderMap) -> Option<&'a str> {
        self.nonces.hear(role, url, headers)
    }
}

/// 10 s: as long as a whole attempt at the token endpoint may take.
const LONGEST_SIGNING: Duration = Duration::from_secs(10);

/// Before a request to an API there is no flight around the signer: neither its silence nor its panic is the request's.
async fn contained(signature: impl Future<Output = Result<Vec<u8>, Error>>) -> Result<Vec<u8>, Error> {
    let failed = |text: String| Error::new(ErrorKind::Credential, text).transient();
    let mut signature = pin!(signature);
    // Without timers only the caller's own deadline is left.
    let limit = match Runtime::current() {
        Runtime::Ready(_) => Some(tokio::time::sleep(LONGEST_SIGNING)),
        Runtime::Unfit(_) => None,
    };
    let mut limit = pin!(limit);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let signed = signature.as_mut().poll(cx);
            let limit = limit.as_mut().as_pin_mut();
            let late = signed.is_pending() && limit.is_some_and(|limit| limit.poll(cx).is_ready());
            (signed, late)
        }));
        match polled {
            Ok((Poll::Ready(signed), _)) => Poll::Ready(signed),
            Ok((Poll::Pending, true)) => {
                Poll::Ready(Err(failed(format!("the signer gave no signature within {LONGEST_SIGNING:?}"))))
            }
            Ok((Poll::Pending, false)) => Poll::Pending,
            Err(_) => Poll::Ready(Err(failed("the signer panicked (its message went to the panic hook)".to_owned()))),
        }
    })
    .await
}

/// `htu` (RFC 9449 section 4.2): without query and fragment; and what stands before the host is nobody's business.
fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    // They fail for URLs that have no host, and therefore neither of the two.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare
}

fn unsigned() -> Error {
    Error::new(ErrorKind::Credential, "the DPoP proof could not be signed").transient()
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({})", self.thumbprint)
    }
}

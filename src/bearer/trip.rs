//! One request on its way: the policy that all adapters share, without I/O of its own.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::origin::Target;
use super::{BearerAuth, Choice, Policy};
use crate::clock::Clock;
use crate::error::Error;
use crate::possession::{Proving, Role};
use crate::token::AccessToken;

/// A request of one of the HTTP stacks.
pub(super) trait Outgoing: Sized {
    fn target(&self) -> Option<Target<'_>>;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// What is kept to repeat it.
    type Kept: Send;
    /// `None` if there can be none.
    fn keep(&self, policy: &Policy) -> Option<Self::Kept>;
    fn from_kept(kept: Self::Kept) -> Self;
    fn method(&self) -> &Method;
    fn url(&self) -> Option<Cow<'_, Url>>;
}

/// What matters of a response.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// Where it came from in the end, if the stack tells.
    pub(super) from: Option<Target<'a>>,
}

/// What an answer asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    HandBack,
    /// The token was refused.
    AnotherToken,
    /// The proof was refused for want of this nonce (RFC 9449 section 9).
    AnotherProof(String),
}

/// What is to be remembered of a request with our token until its answer comes.
pub(super) struct Trip<Q: Outgoing> {
    token: AccessToken,
    /// The request without the headers of ours; `None`: it cannot be repeated.
    kept: Option<Q::Kept>,
    /// Where it goes: the number of the configured origin.
    origin: usize,
    /// The token is another one than at the beginning: a second refusal is handed back.
    replaced: bool,
    /// Every gRPC call is one ("gRPC over HTTP2", Requests): what is no POST is not asked for a `grpc-status`.
    is_post: bool,
    proved: Option<Box<Proved>>,
}

/// What is to be remembered of a proof.
struct Proved {
    url: Url,
    /// The nonce that the next proof has to have.
    demanded: Option<String>,
    /// The request was repeated with a nonce: another wish for one is handed back.
    repeated: bool,
}

impl Proved {
    fn at(url: &Url) -> Box<Self> {
        Box::new(Proved { url: url.clone(), demanded: None, repeated: false })
    }
}

impl<Q: Outgoing> Trip<Q> {
    /// To which of the configured origins `request` goes; `None`: it is sent without a token of ours, and whatever the
    /// answer, that is none of our business. An error means that it must not be sent.
    pub(super) fn destination(policy: &Policy, request: &Q) -> Result<Option<usize>, Error> {
        // The caller's own header is never touched, and its answer never judged.
        if request.headers().contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        policy.admits(request.target())
    }

    /// Puts `token` on `request`. A token that is bound to a key needs [`prove`](Self::prove) besides.
    #[inline]
    pub(super) fn begin(policy: &Policy, origin: usize, token: AccessToken, request: &mut Q) -> Self {
        let kept = if policy.repeat { request.keep(policy) } else { None };
        request.headers_mut().insert(AUTHORIZATION, token.authorization());
        Trip { token, kept, origin, replaced: false, is_post: request.method() == Method::POST, proved: None }
    }

    /// The one that is on the request now.
    #[cfg(all(feature = "reqwest-middleware", feature = "mtls"))]
    pub(super) fn token(&self) -> &AccessToken {
        &self.token
    }

    /// Puts a proof on `request`, if its token is bound to a key.
    pub(super) async fn prove(&mut self, request: &mut Q) -> Result<(), Error> {
        let Some(key) = self.token.possession() else {
            return Ok(());
        };
        // The origin rule has seen that there is one.
        let Some(url) = request.url() else {
            return Err(Error::other("a DPoP proof is for an absolute URL"));
        };
        let method = request.method().as_str();
        let now = Clock::System.now();
        let proved = self.proved.get_or_insert_with(|| Proved::at(&url));
        let nonce = proved.demanded.take();
        let token = Some(self.token.expose_secret());
        let nonce = nonce.as_deref();
        let proving = Proving { role: Role::Resource, method, url: &url, token, now, nonce };
        let header = key.prove(proving).await?;
        request.headers_mut().extend([header]);
        Ok(())
    }

    /// What the answer asks for. Its nonce, whatever its status, is for the proofs to come.
    pub(super) fn judge(&self, policy: &Policy, answer: &Answer<'_>) -> Verdict {
        // After a redirect to another origin the token was not on the request any more.
        let is_ours = || answer.from.is_none_or(|from| policy.is_from(from, self.origin));
        if let (Some(proved), Some(key)) = (&self.proved, self.token.possession()) {
            let nonce = match is_ours() {
                true => key.hear(Role::Resource, &proved.url, answer.headers),
                false => None,
            };
            let demanded =
                nonce.filter(|_| answer.status == StatusCode::UNAUTHORIZED && key.demands_nonce(answer.headers));
            if let Some(nonce) = demanded {
                return match proved.repeated {
                    true => Verdict::HandBack,
                    false => Verdict::AnotherProof(nonce.to_owned()),
                };
            }
        }
        let scheme = self.token.scheme();
        match !self.replaced && policy.says_rejected(scheme, self.is_post, answer.status, answer.headers) && is_ours() {
            true => Verdict::AnotherToken,
            false => Verdict::HandBack,
        }
    }

    /// The request as the answer wants it; `None`: the answer is handed back.
    pub(super) async fn again<S: Choice>(
        &mut self,
        bearer: &BearerAuth<S>,
        key: &S::Key,
        verdict: Verdict,
    ) -> Option<Q> {
        match verdict {
            Verdict::HandBack => return None,
            Verdict::AnotherToken => {
                bearer.source.reject_for(key, &self.token);
                self.kept.as_ref()?;
                let another = bearer.source.token_for(key).await.ok()?;
                // By value: a source of the user's may give its one token a new identity each time.
                if another.same_value(&self.token) {
                    return None;
                }
                (self.token, self.replaced) = (another, true);
            }
            Verdict::AnotherProof(nonce) => {
                if let Some(proved) = &mut self.proved {
                    (proved.demanded, proved.repeated) = (Some(nonce), true);
                }
            }
        }
        let mut again = Q::from_kept(self.kept.take()?);
        // Each of the two repetitions may be needed.
        if self.token.possession().is_some() {
            self.kept = again.keep(&bearer.policy);
        }
        again.headers_mut().insert(AUTHORIZATION, self.token.authorization());
        self.prove(&mut again).await.ok()?;
        Some(again)
    }
}

//! One request on its way: what all integrations share, whatever their HTTP stack.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::origin::Target;
use super::policy::{Place, Policy};
use super::refusals::Said;
use crate::clock::Clock;
use crate::error::Error;
use crate::possession::{Proving, Role};
use crate::runtime::Runtime;
use crate::source::TokenSource;
use crate::token::AccessToken;

/// A request of one of the HTTP stacks.
pub(super) trait Outgoing: Sized {
    fn target(&self) -> Option<Target<'_>>;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// What is kept to repeat it.
    type Kept: Send;
    /// `None` if there can be none.
    fn keep(&mut self, policy: &Policy) -> Option<Self::Kept>;
    fn from_kept(kept: Self::Kept) -> Self;
    fn method(&self) -> &Method;
    fn url(&self) -> Option<Cow<'_, Url>>;
    /// The same as it is sent, without query and fragment, where that may differ.
    fn sent_as(&self, url: &Url) -> Option<String>;
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
    /// The token was refused, with these words.
    AnotherToken(Box<Said>),
    /// The proof was refused for want of this nonce (RFC 9449 section 9).
    AnotherProof(String),
}

/// What is to be remembered of a request with our token until its answer comes.
pub(super) struct Trip<Q: Outgoing> {
    source: Arc<dyn TokenSource>,
    token: AccessToken,
    /// The request without the headers of ours; `None`: it cannot be repeated.
    kept: Option<Q::Kept>,
    place: Place,
    /// The token that was refused before this one: a second refusal is handed back.
    before: Option<AccessToken>,
    /// Every gRPC call is one ("gRPC over HTTP2", Requests): what is no POST is not asked for a `grpc-status`.
    is_post: bool,
    proved: Option<Box<Proved>>,
}

/// What is to be remembered of a proof.
struct Proved {
    url: Url,
    sent_as: Option<String>,
    /// The nonce that the next proof has to have.
    demanded: Option<String>,
    /// The request was repeated with a nonce: another wish for one is handed back.
    repeated: bool,
}

impl<Q: Outgoing> Trip<Q> {
    /// Puts `token`, which is of `source`, on `request`. If it is bound to a key it needs [`prove`](Self::prove) besides.
    #[inline]
    pub(super) fn begin(
        policy: &Policy,
        place: Place,
        source: Arc<dyn TokenSource>,
        token: AccessToken,
        request: &mut Q,
    ) -> Self {
        let kept = if policy.repeat { request.keep(policy) } else { None };
        request.headers_mut().insert(policy.header(), policy.value(&token));
        let is_post = request.method() == Method::POST;
        Trip { source, token, kept, place, before: None, is_post, proved: None }
    }

    /// The one that is on the request now.
    #[cfg_attr(
        not(all(feature = "reqwest-middleware", feature = "mtls")),
        expect(dead_code, reason = "for SameCertificate")
    )]
    pub(super) fn token(&self) -> &AccessToken {
        &self.token
    }

    /// Puts a proof on `request`, if its token is bound to a key.
    pub(super) async fn prove(&mut self, request: &mut Q) -> Result<(), Error> {
        let Some(key) = self.token.possession() else {
            return Ok(());
        };
        let proved = match &mut self.proved {
            Some(proved) => proved,
            none => {
                // The origin rule has seen that there is one.
                let url =
                    request.url().ok_or_else(|| Error::other("a DPoP proof is for an absolute URL"))?.into_owned();
                let sent_as = request.sent_as(&url);
                none.insert(Box::new(Proved { url, sent_as, demanded: None, repeated: false }))
            }
        };
        let nonce = proved.demanded.take();
        let proving = Proving {
            role: Role::Resource,
            method: request.method().as_str(),
            url: &proved.url,
            sent_as: proved.sent_as.as_deref(),
            token: Some(self.token.expose_secret()),
            now: Clock::System.now(),
            nonce: nonce.as_deref(),
        };
        let header = key.prove(proving).await?;
        request.headers_mut().extend([header]);
        Ok(())
    }

    fn is_ours(&self, policy: &Policy, answer: &Answer<'_>) -> bool {
        answer.from.is_none_or(|from| policy.is_from(from, &self.place))
    }

    /// What status and headers of the answer ask for. Its nonce, whatever its status, is for the proofs to come.
    pub(super) fn judge(&self, policy: &Policy, answer: &Answer<'_>) -> Verdict {
        if let (Some(proved), Some(key)) = (&self.proved, self.token.possession()) {
            let nonce = match self.is_ours(policy, answer) {
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
        let rejected = policy.says_rejected(&self.token, self.is_post, answer.status, answer.headers);
        let may_be_scope = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        match (rejected || may_be_scope) && self.is_ours(policy, answer) {
            true if rejected => Verdict::AnotherToken(self.said(policy, answer)),
            true => {
                policy.note_scope(&self.place, &self.token, answer.status, answer.headers);
                Verdict::HandBack
            }
            false => Verdict::HandBack,
        }
    }

    #[cold]
    fn said(&self, policy: &Policy, answer: &Answer<'_>) -> Box<Said> {
        Box::new(policy.said(&self.token, self.before.as_ref(), answer.status, answer.headers))
    }

    /// How much of the body has to be looked at, if status and headers ask for nothing.
    pub(super) fn looks_at(&self, policy: &Policy, answer: &Answer<'_>) -> Option<usize> {
        let limit = policy.looks_at(answer.headers)?;
        self.is_ours(policy, answer).then_some(limit)
    }

    /// What the body asks for, which was looked at because of [`looks_at`](Self::looks_at).
    pub(super) fn judge_body(&self, policy: &Policy, answer: &Answer<'_>, body: Option<&[u8]>) -> Verdict {
        match body.is_some_and(|body| policy.body_says_rejected(answer.status, answer.headers, body)) {
            true => Verdict::AnotherToken(self.said(policy, answer)),
            false => Verdict::HandBack,
        }
    }

    /// The request as the answer wants it; `None`: the answer is handed back.
    pub(super) async fn again(&mut self, policy: &Policy, verdict: Verdict) -> Option<Q> {
        match verdict {
            Verdict::HandBack => return None,
            Verdict::AnotherToken(said) if self.before.is_some() => {
                policy.note_refused(&self.place, &self.token, &said, true);
                return None;
            }
            Verdict::AnotherToken(said) => {
                policy.note_refused(&self.place, &self.token, &said, false);
                self.source.reject(&self.token);
                if self.kept.is_none() {
                    policy.note_unrepeated();
                    return None;
                }
                let another = within(policy.replacement_timeout, &*self.source).await?;
                // By value: a source of the user's may give its one token a new identity each time.
                if another.same_value(&self.token) {
                    policy.note_refused(&self.place, &self.token, &said, true);
                    return None;
                }
                self.before = Some(std::mem::replace(&mut self.token, another));
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
            self.kept = again.keep(policy);
        }
        again.headers_mut().insert(policy.header(), policy.value(&self.token));
        self.prove(&mut again).await.ok()?;
        Some(again)
    }
}

/// Another token, if it comes in time: the caller has an answer already. The fetch goes on without us.
async fn within(limit: Duration, source: &dyn TokenSource) -> Option<AccessToken> {
    match Runtime::current() {
        Runtime::Ready(_) => tokio::time::timeout(limit, source.token()).await.ok()?.ok(),
        // Without timers only the caller's own deadline is left.
        Runtime::Unfit(_) => source.token().await.ok(),
    }
}

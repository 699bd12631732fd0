//! The handling of one request, shared by all integrations.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::origin::Target;
use super::policy::{Answer, Place, Policy};
use super::refusals::Said;
use crate::clock::Clock;
use crate::error::Error;
use crate::possession::{Proving, Role, demands_nonce};
use crate::runtime::within;
use crate::source::{TokenSource, with_more_scope};
use crate::token::AccessToken;

/// A request of one of the HTTP stacks.
pub(super) trait Outgoing: Sized {
    fn target(&self) -> Option<Target<'_>>;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// The copy that is kept to repeat it.
    type Kept: Send;
    /// `None` if it cannot be copied.
    fn keep(&mut self, policy: &Policy) -> Option<Self::Kept>;
    fn from_kept(kept: Self::Kept) -> Self;
    fn method(&self) -> &Method;
    /// The URL, and how it is sent, without query and fragment, if that may differ.
    fn url_in_proof(&self) -> Option<(Url, Option<String>)>;
}

/// How the responses of one HTTP stack are inspected.
pub(super) struct Stack<R, E> {
    pub(super) answer: fn(&R) -> Answer<'_>,
    /// Returns the body, if it ends within this many bytes, and the response with its body unread.
    pub(super) look: fn(R, usize) -> Looking<R, E>,
}

type Looking<R, E> = Pin<Box<dyn Future<Output = Result<(R, Option<Bytes>), E>> + Send>>;

/// What a response requires.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    HandBack,
    /// The body must be inspected, up to this many bytes.
    ReadBody(usize),
    /// The token was rejected, for this reason.
    AnotherToken(Box<Said>),
    /// The proof was refused because it lacks this nonce (RFC 9449 section 9).
    AnotherProof(String),
    /// The API requires this scope, which the source may request (RFC 6750 section 3.1).
    MoreScope(String),
}

/// The state of a request with our token until its response arrives.
pub(super) struct Trip<Q: Outgoing> {
    source: Arc<dyn TokenSource>,
    token: AccessToken,
    /// The request without our headers; `None` if it cannot be repeated.
    kept: Option<Q::Kept>,
    place: Place,
    /// The token that was replaced. A second rejection is returned to the caller.
    before: Option<AccessToken>,
    /// Every gRPC call is a POST ("gRPC over HTTP2", Requests): `grpc-status` is read only in responses to a POST.
    is_post: bool,
    proved: Option<Box<Proved>>,
}

/// The state of a proof.
struct Proved {
    url: Url,
    sent_as: Option<String>,
    /// The nonce that the next proof must have.
    demanded: Option<String>,
    /// Whether the request was repeated with a nonce. A second `use_dpop_nonce` is returned to the caller.
    repeated: bool,
}

impl<Q: Outgoing> Trip<Q> {
    /// Puts `token`, obtained from `source`, on `request`. A token that is bound to a key also needs [`prove`](Self::prove).
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

    /// The token on the request.
    #[cfg(feature = "reqwest-middleware")]
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
                // Checked with the origin.
                let url = request.url_in_proof();
                let (url, sent_as) = url.ok_or_else(|| Error::other("a DPoP proof is for an absolute URL"))?;
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

    /// What status and headers of the response require.
    pub(super) fn judge(&self, policy: &Policy, answer: &Answer<'_>) -> Verdict {
        match (self.judge_head(policy, answer), policy.looks_at(answer.headers)) {
            (Verdict::HandBack, Some(limit)) if self.is_ours(policy, answer) => Verdict::ReadBody(limit),
            (verdict, _) => verdict,
        }
    }

    /// The same without regard to the body. The nonce is kept for later proofs, whatever the status.
    fn judge_head(&self, policy: &Policy, answer: &Answer<'_>) -> Verdict {
        let is_ours = self.is_ours(policy, answer);
        let is_another = |from| self.proved.is_some() || !policy.is_kept_from_others() && !policy.is_for(from);
        if !is_ours && answer.from.is_some_and(is_another) {
            policy.note_taken_along();
        }
        if let (Some(proved), Some(key)) = (&self.proved, self.token.possession()) {
            let nonce = is_ours.then(|| key.hear(Role::Resource, &proved.url, answer.headers)).flatten();
            let demanded = nonce.filter(|_| answer.status == StatusCode::UNAUTHORIZED && demands_nonce(answer.headers));
            if let Some(nonce) = demanded {
                return match proved.repeated {
                    true => Verdict::HandBack,
                    false => Verdict::AnotherProof(nonce.to_owned()),
                };
            }
        }
        let rejected = policy.says_rejected(&self.token, self.is_post, answer);
        let may_be_scope = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        match is_ours {
            true if rejected => Verdict::AnotherToken(self.said(policy, answer)),
            true if may_be_scope => match self.scope_demanded(answer) {
                Some(scope) => Verdict::MoreScope(scope),
                None => {
                    policy.note_scope(&self.place, &self.token, answer);
                    Verdict::HandBack
                }
            },
            _ => Verdict::HandBack,
        }
    }

    /// A scope that the source may request in addition.
    fn scope_demanded(&self, answer: &Answer<'_>) -> Option<String> {
        (self.before.is_none() && self.token.on_demand().is_some()).then(|| self.token.demanded(answer.headers))?
    }

    #[cold]
    fn said(&self, policy: &Policy, answer: &Answer<'_>) -> Box<Said> {
        Box::new(policy.said(&self.token, self.before.as_ref(), answer))
    }

    /// The response, with its body unread, and the request to send next; `None`: the response is returned to the caller.
    pub(super) async fn next<R, E>(
        &mut self,
        policy: &Policy,
        stack: &Stack<R, E>,
        mut response: R,
        mut verdict: Verdict,
    ) -> Result<(R, Option<Q>), E> {
        if let Verdict::ReadBody(limit) = verdict {
            let body;
            (response, body) = (stack.look)(response, limit).await?;
            let answer = (stack.answer)(&response);
            let is_rejected = body.is_some_and(|body| policy.body_says_rejected(&answer, &body));
            verdict = match is_rejected {
                true => Verdict::AnotherToken(self.said(policy, &answer)),
                false => Verdict::HandBack,
            };
        }
        let again = self.again(policy, verdict).await;
        Ok((response, again))
    }

    async fn again(&mut self, policy: &Policy, verdict: Verdict) -> Option<Q> {
        match verdict {
            Verdict::HandBack | Verdict::ReadBody(_) => return None,
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
                // If it does not arrive in time, the caller gets the response. The fetch continues.
                let another = within(policy.replacement_timeout, self.source.token()).await?.ok()?;
                // Compared by value: a custom source may give its only token a new identity each time.
                if another.same_value(&self.token) {
                    policy.note_refused(&self.place, &self.token, &said, true);
                    return None;
                }
                self.before = Some(std::mem::replace(&mut self.token, another));
            }
            Verdict::MoreScope(scope) => {
                if self.kept.is_none() {
                    let asked = self.token.on_demand()?;
                    asked.demands.meet_later(self.token.id(), &asked.scope, &scope);
                    policy.note_unrepeated();
                    return None;
                }
                let more = with_more_scope(&*self.source, &self.token, &scope);
                let more = within(policy.replacement_timeout, more).await??;
                self.before = Some(std::mem::replace(&mut self.token, more));
            }
            Verdict::AnotherProof(nonce) => {
                if let Some(proved) = &mut self.proved {
                    (proved.demanded, proved.repeated) = (Some(nonce), true);
                }
            }
        }
        let mut again = Q::from_kept(self.kept.take()?);
        // Nonce and token may each have to be replaced.
        if self.token.possession().is_some() {
            self.kept = again.keep(policy);
        }
        again.headers_mut().insert(policy.header(), policy.value(&self.token));
        self.prove(&mut again).await.ok()?;
        Some(again)
    }
}

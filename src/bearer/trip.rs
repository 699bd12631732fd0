//! One request on its way: the policy that all adapters share, without I/O of its own.

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};

use super::origin::Target;
use super::{BearerAuth, Policy};
use crate::{AccessToken, Error, TokenSource};

/// A request of one of the HTTP stacks.
pub(super) trait Outgoing: Sized {
    fn target(&self) -> Option<Target<'_>>;
    fn headers(&self) -> &HeaderMap;
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// A copy to repeat; `None` if there can be none.
    fn copy(&self, policy: &Policy) -> Option<Self>;
}

/// What matters of a response.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// Where it came from in the end, if the stack tells.
    pub(super) from: Option<Target<'a>>,
}

/// What is to be remembered of a request with our token until its answer comes.
pub(super) struct Trip<Q> {
    token: AccessToken,
    /// The request without the header; `None`: it cannot be repeated.
    copy: Option<Q>,
    /// Where it goes: the number of the configured origin.
    origin: usize,
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

    /// Puts `token` on `request`.
    pub(super) fn begin(
        policy: &Policy,
        origin: usize,
        token: AccessToken,
        request: &mut Q,
    ) -> Self {
        let copy = if policy.repeat {
            request.copy(policy)
        } else {
            None
        };
        request
            .headers_mut()
            .insert(AUTHORIZATION, token.authorization());
        Trip {
            token,
            copy,
            origin,
        }
    }

    #[cfg(feature = "tower")]
    pub(super) fn can_be_repeated(&self) -> bool {
        self.copy.is_some()
    }

    /// Whether the answer says that the token was refused.
    pub(super) fn is_refused(&self, policy: &Policy, answer: &Answer<'_>) -> bool {
        // After a redirect to another origin the token was not on the request any more.
        policy.says_rejected(answer.status, answer.headers)
            && answer
                .from
                .is_none_or(|from| policy.is_from(from, self.origin))
    }

    /// After a refusal: the request with another token on it; `None`: the answer is handed back.
    pub(super) async fn again<S: TokenSource>(self, bearer: &BearerAuth<S>) -> Option<Q> {
        bearer.source.reject(&self.token);
        let mut again = self.copy?;
        let another = bearer.source.token().await.ok()?;
        // By value: a source of the user's may give its one token a new identity each time.
        if another.same_value(&self.token) {
            return None;
        }
        again
            .headers_mut()
            .insert(AUTHORIZATION, another.authorization());
        Some(again)
    }
}

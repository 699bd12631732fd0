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

/// What is to be remembered until the answer comes.
pub(super) enum Trip<Q> {
    /// Without a token of ours: whatever the answer, it is none of our business.
    NotOurs,
    Ours {
        token: AccessToken,
        /// Without the header.
        copy: Option<Q>,
        /// Where it went: the number of the configured origin.
        origin: usize,
    },
}

impl<Q: Outgoing> Trip<Q> {
    /// Puts the token on `request`, if that is where it belongs.
    ///
    /// An error means that the request must not be sent.
    pub(super) async fn begin<S: TokenSource>(
        bearer: &BearerAuth<S>,
        request: &mut Q,
    ) -> Result<Self, Error> {
        // The caller's own header is never touched, and its answer never judged.
        if request.headers().contains_key(AUTHORIZATION) {
            return Ok(Trip::NotOurs);
        }
        let Some(origin) = bearer.policy.admits(request.target())? else {
            return Ok(Trip::NotOurs);
        };
        let token = bearer.source.token().await?;
        let copy = if bearer.policy.repeat {
            request.copy(&bearer.policy)
        } else {
            None
        };
        request
            .headers_mut()
            .insert(AUTHORIZATION, token.authorization());
        Ok(Trip::Ours {
            token,
            copy,
            origin,
        })
    }

    /// Judges the answer. Returns the request to repeat, with another token on it; `None`: the answer is handed back.
    pub(super) async fn judge<S: TokenSource>(
        self,
        bearer: &BearerAuth<S>,
        answer: Answer<'_>,
    ) -> Option<Q> {
        let Trip::Ours {
            token,
            copy,
            origin,
        } = self
        else {
            return None;
        };
        if !bearer.policy.says_rejected(answer.status, answer.headers) {
            return None;
        }
        // After a redirect to another origin the token was not on the request any more.
        if answer
            .from
            .is_some_and(|from| !bearer.policy.is_from(from, origin))
        {
            return None;
        }
        bearer.source.reject(&token);
        let mut again = copy?;
        let another = bearer.source.token().await.ok()?;
        // By value: a source of the user's may give its one token a new identity each time.
        if another.same_value(&token) {
            return None;
        }
        again
            .headers_mut()
            .insert(AUTHORIZATION, another.authorization());
        Some(again)
    }
}

//! Which tokens a request gets: those of the one source, or those of the key that it carries.

use std::fmt;

use http::Extensions;

use crate::error::Error;
use crate::future::TokenFuture;
use crate::source::TokenSource;
use crate::token::AccessToken;

/// What [`BearerAuth`](crate::BearerAuth) takes: every [`TokenSource`], and
/// [`TokenPool::by_extension`](crate::TokenPool::by_extension).
pub trait Choice: fmt::Debug + Send + Sync {
    /// What is to be remembered of a request, so that its 401 rejects the token of that very key.
    type Key: Send + Sync;

    /// `None`: this HTTP stack has no extensions.
    fn key(&self, extensions: Option<&Extensions>) -> Result<Self::Key, Error>;
    fn token_for<'a>(&'a self, key: &'a Self::Key) -> TokenFuture<'a>;
    fn reject_for(&self, key: &Self::Key, token: &AccessToken);
}

impl<S: TokenSource> Choice for S {
    type Key = ();

    #[inline]
    fn key(&self, _: Option<&Extensions>) -> Result<(), Error> {
        Ok(())
    }
    #[inline]
    fn token_for<'a>(&'a self, (): &'a ()) -> TokenFuture<'a> {
        self.token()
    }
    fn reject_for(&self, (): &(), token: &AccessToken) {
        self.reject(token);
    }
}

//! The source of one key.

use std::fmt;
use std::hash::Hash;

use super::{Pooled, TokenPool};
use crate::future::TokenFuture;
use crate::source::forward;
use crate::token::AccessToken;

/// A handle to the tokens of one key of a [`TokenPool`].
///
/// Holding this handle does not keep the source in the pool; using it does.
pub struct PooledSource<K, S: 'static> {
    pub(super) pool: TokenPool<K, S>,
    pub(super) key: K,
}

impl<K, S> PooledSource<K, S>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    S: Pooled + 'static,
{
    /// Returns a usable token, and creates the source if there is none.
    ///
    /// # Errors
    ///
    /// The errors of the source and of the closure that creates it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the wait. The fetch continues.
    #[inline]
    pub fn token(&self) -> TokenFuture<'_> {
        self.pool.0.token_of(&self.key)
    }

    /// Reports that the API rejected `token`; see [`TokenSource::reject`](crate::TokenSource::reject).
    pub fn reject(&self, token: &AccessToken) {
        self.pool.0.reject_of(&self.key, token);
    }

    /// Calls `look` with the source itself, for example to read its [`quota`](crate::ClientCredentials::quota). Returns `None`
    /// if the source does not exist at present.
    pub fn inspect<R>(&self, look: impl FnOnce(&S) -> R) -> Option<R> {
        let entry = self.pool.0.find(&self.key)?;
        Some(look(&entry.source))
    }
}

forward!([K, S] PooledSource<K, S>
    where [K: Clone + Eq + Hash + Send + Sync + 'static, S: Pooled + 'static]: this => this);

impl<K: Clone, S> Clone for PooledSource<K, S> {
    fn clone(&self) -> Self {
        PooledSource { pool: self.pool.clone(), key: self.key.clone() }
    }
}

// The key is not shown: it may be secret.
impl<K, S> fmt::Debug for PooledSource<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledSource").field("pool", &self.pool).finish_non_exhaustive()
    }
}

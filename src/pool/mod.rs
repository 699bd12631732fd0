//! [`TokenPool`]: token sources by key, created on demand and dropped when idle.

mod entries;
mod loads;
mod policy;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use crate::cache::Cached;
use crate::clock::Clock;
use crate::error::Error;
use crate::source::TokenSource;
use entries::{Making, Name, Pool};
use loads::Loads;
pub use policy::PoolPolicy;
pub use source::PooledSource;

/// A pool of token sources by key, for a process with thousands of tenants. A closure creates the sources on demand; their
/// number is limited, and idle ones are dropped.
///
/// This is a handle: cloning it increments a reference count, and clones share the sources. The key is a type of your own with
/// everything that distinguishes the tokens: the tenant, the scopes, the audience. Its `Eq` decides which keys are the same:
/// put scopes into a `BTreeSet`, where `{a b}` equals `{b a}`. A key that is cheap to clone (an `Arc<str>`, a number) saves
/// some allocations.
///
/// ```
/// use std::collections::BTreeSet;
/// use std::sync::Arc;
/// use client_credentials::{
///     ClientAuth, ClientCredentials, Credential, Issuer, TokenPool,
/// };
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Access { tenant: Arc<str>, scopes: BTreeSet<&'static str> }
///
/// let pool = TokenPool::new(|access: &Access| {
///     let secret = Credential::file(format!("/run/secrets/{}", access.tenant));
///     let auth = ClientAuth::client_secret_basic(&*access.tenant, secret);
///     ClientCredentials::builder(Issuer::new("https://auth.example.com"), auth)
///         .scopes(access.scopes.iter().copied())
///         .build()
/// });
/// let access = Access {
///     tenant: "red".into(),
///     scopes: BTreeSet::from(["invoices:read"]),
/// };
/// // A `TokenSource`; nothing is made or fetched yet.
/// let tokens = pool.source(&access);
/// ```
///
/// # Contract
///
/// - Each key has one source and therefore at most one fetch, even if the key is used again after its source was dropped from
///   the pool while a fetch is in progress or the source is still referenced. Eviction never cancels a fetch.
/// - No key waits for another. The closure runs on the calling thread, without a lock. If two threads use a new key at the
///   same time, it may run twice, and one of the two sources is dropped unused.
/// - A cached token costs no allocation, and one lookup in a sharded hash map in addition to the source itself.
/// - If the closure fails or panics, that call of `token()` fails and the next one runs it again. Errors of the future of
///   [`new_async`](Self::new_async) are cached for a short time.
/// - When an evicted key is used again, it costs a token request.
///
/// [`HttpClient`](crate::HttpClient) describes what the sources share (TLS roots, the metadata of an issuer); the
/// [guide](crate::docs::tenants) states the cost of an idle source.
pub struct TokenPool<K, S: 'static>(Arc<Pool<K, S>>);

/// The sources that a [`TokenPool`] can hold: [`ClientCredentials`](crate::ClientCredentials), and [`Cached`](crate::Cached)
/// around a custom source. This trait is sealed, because a pool must know whether a fetch is in progress, to avoid cancelling
/// it.
pub trait Pooled: TokenSource + sealed::Fetching {}

impl<S: TokenSource + 'static> Pooled for Cached<S> {}

pub(crate) mod sealed {
    use crate::cache::Cached;
    use crate::source::TokenSource;

    pub trait Fetching {
        fn is_fetching(&self) -> bool;
    }

    impl<S: TokenSource + 'static> Fetching for Cached<S> {
        fn is_fetching(&self) -> bool {
            self.is_fetching()
        }
    }
}

impl<K, S> TokenPool<K, S>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    S: Pooled + 'static,
{
    /// Creates a pool whose sources are made by `make`. Does no I/O and works outside a runtime.
    pub fn new(make: impl Fn(&K) -> Result<S, Error> + Send + Sync + 'static) -> Self {
        TokenPool::assemble(Making::AtOnce(Arc::new(make)), PoolPolicy::new(), Clock::System)
    }

    /// Creates a pool whose sources are loaded by `load`, which may wait for a database or a secret store. Does no I/O itself
    /// and works outside a runtime.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Error, TokenPool};
    ///
    /// # struct Database;
    /// # struct Row { token_url: String, client_id: String, secret: String }
    /// # impl Database { async fn tenant(&self, _: u64) -> Result<Row, std::io::Error> { Err(std::io::ErrorKind::NotFound.into()) } }
    /// fn pool(
    ///     database: std::sync::Arc<Database>,
    /// ) -> TokenPool<u64, ClientCredentials> {
    ///     TokenPool::new_async(move |tenant| {
    ///         let database = database.clone();
    ///         async move {
    ///             let row = database.tenant(tenant).await.map_err(Error::other)?;
    ///             let auth =
    ///                 ClientAuth::client_secret_basic(row.client_id, row.secret);
    ///             ClientCredentials::builder(row.token_url, auth).build()
    ///         }
    ///     })
    /// }
    /// ```
    ///
    /// - Each key has one load at a time, however many callers wait for it. It runs in a task of its own with a timeout of 30
    ///   s, and continues if callers give up.
    /// - All waiting callers get the same error. It is then returned without another load for the time that a
    ///   [`Cached`](crate::Cached) source without a token waits: 250 ms doubling to 10 s, or 1 s doubling to 60 s if its kind
    ///   is [`Denied`](crate::ErrorKind::Denied) or [`Throttled`](crate::ErrorKind::Throttled); at least the
    ///   [`retry_after`](Error::with_retry_after) of the error, up to 5 min. The pool caches as many failures as sources.
    /// - A source is loaded again only after it was dropped from the pool, so a changed row takes effect then. To apply
    ///   changes of a secret sooner, use a [`Credential`](crate::Credential) that is read for each attempt.
    ///
    /// A load needs a tokio runtime with timers; without one, `token()` fails with [`ErrorKind::Other`](crate::ErrorKind::Other).
    pub fn new_async<Fut>(load: impl Fn(K) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = Result<S, Error>> + Send + 'static,
    {
        TokenPool::assemble(TokenPool::loaded(load, PoolPolicy::new()), PoolPolicy::new(), Clock::System)
    }

    /// The same as [`new_async`](Self::new_async), with this policy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the policy has an invalid value.
    pub fn new_async_with_policy<Fut>(
        load: impl Fn(K) -> Fut + Send + Sync + 'static,
        policy: PoolPolicy,
    ) -> Result<Self, Error>
    where
        Fut: Future<Output = Result<S, Error>> + Send + 'static,
    {
        policy.check()?;
        Ok(TokenPool::assemble(TokenPool::loaded(load, policy), policy, Clock::System))
    }

    fn loaded<Fut>(load: impl Fn(K) -> Fut + Send + Sync + 'static, policy: PoolPolicy) -> Making<K, S>
    where
        Fut: Future<Output = Result<S, Error>> + Send + 'static,
    {
        Making::Loaded(Loads::new(Arc::new(move |key| Box::pin(load(key))), policy.capacity))
    }

    /// Includes `name(key)` in errors of the closure or future that makes sources. By default these errors do not show the
    /// key, because it might be a secret. Returns an empty pool, so call it before cloning the pool.
    #[must_use = "it returns the pool"]
    pub fn named(self, name: impl Fn(&K) -> String + Send + Sync + 'static) -> Self {
        let make = match &self.0.make {
            Making::AtOnce(make) => Making::AtOnce(Arc::clone(make)),
            Making::Loaded(loads) => Making::Loaded(Loads::new(loads.load(), self.0.policy.capacity)),
        };
        let name: Arc<Name<K>> = Arc::new(name);
        TokenPool(Arc::new(Pool::new(make, Some(name), self.0.policy, self.0.clock.clone())))
    }

    /// The same as [`new`](Self::new), with this policy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the policy has an invalid value.
    pub fn with_policy(
        make: impl Fn(&K) -> Result<S, Error> + Send + Sync + 'static,
        policy: PoolPolicy,
    ) -> Result<Self, Error> {
        policy.check()?;
        Ok(TokenPool::assemble(Making::AtOnce(Arc::new(make)), policy, Clock::System))
    }

    /// Returns a handle to the tokens of `key`. It clones the key; the source is created when a token is requested.
    pub fn source(&self, key: &K) -> PooledSource<K, S> {
        PooledSource { pool: self.clone(), key: key.clone() }
    }

    fn assemble(make: Making<K, S>, policy: PoolPolicy, clock: Clock) -> Self {
        TokenPool(Arc::new(Pool::new(make, None, policy, clock)))
    }
}

impl<K, S> Clone for TokenPool<K, S> {
    fn clone(&self) -> Self {
        TokenPool(Arc::clone(&self.0))
    }
}

// Keys are not shown: they may be secret.
impl<K, S> fmt::Debug for TokenPool<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPool")
            .field("capacity", &self.0.policy.capacity)
            .field("time_to_idle", &self.0.policy.time_to_idle)
            .finish_non_exhaustive()
    }
}

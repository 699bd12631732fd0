//! [`TokenPool`]: token sources by key, created on demand and dropped when idle.

mod loads;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, UnitWeighter};

use crate::cache::Cached;
use crate::clock::Clock;
use crate::contained::{Panicked, contained};
use crate::error::{Error, ErrorKind};
use crate::future::TokenFuture;
use crate::lock::Lock;
use crate::source::{TokenSource, forward};
use crate::token::AccessToken;
use loads::Loads;

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

struct Pool<K, S> {
    make: Making<K, S>,
    name: Option<Arc<Name<K>>>,
    policy: PoolPolicy,
    clock: Clock,
    /// Bounded; idle sources are removed.
    kept: Cache<K, Arc<Entry<S>>, UnitWeighter, RandomState, Evictions<S>>,
    /// Evicted during a fetch, which continues.
    fetching: Arc<Lock<Vec<Arc<Entry<S>>>>>,
    /// All live sources: kept, referenced, or with a fetch in progress. Locked for a few instructions and the key's own code,
    /// never while a source is made, used or dropped.
    alive: Lock<Alive<K, S>>,
    /// When idle sources were looked for, in seconds of the monotonic clock.
    swept: AtomicU64,
}

type Make<K, S> = dyn Fn(&K) -> Result<S, Error> + Send + Sync;

type Name<K> = dyn Fn(&K) -> String + Send + Sync;

/// How sources are made.
enum Making<K, S> {
    AtOnce(Arc<Make<K, S>>),
    Loaded(Loads<K, S>),
}

impl<K, S> Making<K, S> {
    fn loads(&self) -> Option<&Loads<K, S>> {
        match self {
            Making::AtOnce(_) => None,
            Making::Loaded(loads) => Some(loads),
        }
    }
}

/// The limits of a [`TokenPool`]: how many sources it keeps, and for how long.
///
/// ```
/// use client_credentials::PoolPolicy;
/// use std::time::Duration;
///
/// let policy = PoolPolicy::new()
///     .capacity(500)
///     .time_to_idle(Duration::from_secs(600));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a policy does nothing before it is given to a pool"]
pub struct PoolPolicy {
    /// 10 000: some tens of MiB of idle sources.
    capacity: usize,
    /// 1 h: by then the token of most servers has expired anyway.
    time_to_idle: Duration,
}

impl PoolPolicy {
    /// Returns the default policy.
    pub const fn new() -> Self {
        PoolPolicy { capacity: 10_000, time_to_idle: Duration::from_secs(3600) }
    }

    /// Sets how many sources are kept, approximately; beyond that, the least used are dropped. Default: 10 000.
    ///
    /// The capacity is divided among shards that do not fill evenly: set it a tenth higher than needed.
    pub const fn capacity(mut self, sources: usize) -> Self {
        self.capacity = sources;
        self
    }

    /// Sets how long a source is kept without use, at least 1 s. Default: 1 h.
    ///
    /// Idle sources are dropped while others are created or refreshed, not by a background task: an unused pool keeps its
    /// sources.
    pub const fn time_to_idle(mut self, time: Duration) -> Self {
        self.time_to_idle = time;
        self
    }

    fn check(&self) -> Result<(), Error> {
        let fault = if self.capacity == 0 {
            "capacity is zero: no source could be kept"
        } else if self.time_to_idle < Duration::from_secs(1) {
            "time_to_idle is below 1 s, the resolution of the pool's timestamps"
        } else {
            return Ok(());
        };
        Err(Error::of(ErrorKind::Configuration, format!("the pool policy is not usable: {fault}")))
    }
}

impl Default for PoolPolicy {
    fn default() -> Self {
        PoolPolicy::new()
    }
}

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

/// What happens to an evicted source.
struct Evictions<S> {
    fetching: Arc<Lock<Vec<Arc<Entry<S>>>>>,
}

impl<S> Clone for Evictions<S> {
    fn clone(&self) -> Self {
        Evictions { fetching: Arc::clone(&self.fetching) }
    }
}

impl<K, S: Pooled> Lifecycle<K, Arc<Entry<S>>> for Evictions<S> {
    /// Dropped after the cache has released its lock: a source is user code.
    type RequestState = Vec<Arc<Entry<S>>>;

    fn on_evict(&self, evicted: &mut Self::RequestState, _: K, entry: Arc<Entry<S>>) {
        match entry.source.is_fetching() {
            true => self.fetching.lock().push(entry),
            false => evicted.push(entry),
        }
    }
}

struct Entry<S> {
    source: S,
    /// In seconds of the monotonic clock.
    used: AtomicU64,
}

struct Alive<K, S> {
    sources: HashMap<K, Weak<Entry<S>>>,
    /// The number of entries at which to remove those of dropped sources.
    crowded: usize,
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
    ///   is [`Denied`](ErrorKind::Denied) or [`Throttled`](ErrorKind::Throttled); at least the
    ///   [`retry_after`](Error::with_retry_after) of the error, up to 5 min. The pool caches as many failures as sources.
    /// - A source is loaded again only after it was dropped from the pool, so a changed row takes effect then. To apply
    ///   changes of a secret sooner, use a [`Credential`](crate::Credential) that is read for each attempt.
    ///
    /// A load needs a tokio runtime with timers; without one, `token()` fails with [`ErrorKind::Other`].
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
    /// [`ErrorKind::Configuration`] if the policy has an invalid value.
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
        TokenPool::build(make, Some(Arc::new(name)), self.0.policy, self.0.clock.clone())
    }

    /// The same as [`new`](Self::new), with this policy.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the policy has an invalid value.
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
        TokenPool::build(make, None, policy, clock)
    }

    fn build(make: Making<K, S>, name: Option<Arc<Name<K>>>, policy: PoolPolicy, clock: Clock) -> Self {
        let fetching = Arc::<Lock<Vec<_>>>::default();
        let evictions = Evictions { fetching: Arc::clone(&fetching) };
        let capacity = policy.capacity;
        TokenPool(Arc::new(Pool {
            make,
            name,
            policy,
            kept: Cache::with(capacity, capacity as u64, UnitWeighter, RandomState::default(), evictions),
            fetching,
            alive: Lock::new(Alive { sources: HashMap::new(), crowded: FEW }),
            swept: AtomicU64::new(clock.now().mono().as_secs()),
            clock,
        }))
    }

    #[inline]
    fn token_of<'a>(&'a self, key: &'a K) -> TokenFuture<'a> {
        let kept = self.0.kept.get(key);
        let ready = kept.and_then(|entry| {
            entry.touch(self.0.now());
            entry.source.token().if_ready()
        });
        match ready {
            Some(result) => TokenFuture::ready(result),
            None => TokenFuture::new(self.obtain(key)),
        }
    }

    async fn obtain(&self, key: &K) -> Result<AccessToken, Error> {
        let entry = match &self.0.make {
            Making::AtOnce(make) => self.0.entry(&**make, key)?,
            Making::Loaded(loads) => loads.entry(&self.0, key).await?,
        };
        let now = self.0.now();
        entry.touch(now);
        self.0.sweep(now);
        self.0.forget_fetched();
        entry.source.token().await
    }

    fn reject_of(&self, key: &K, token: &AccessToken) {
        if let Some(entry) = self.0.find(key) {
            entry.source.reject(token);
        }
    }
}

impl<K, S> Pool<K, S>
where
    K: Clone + Eq + Hash,
    S: Pooled,
{
    fn now(&self) -> u64 {
        self.clock.now().mono().as_secs()
    }

    fn find(&self, key: &K) -> Option<Arc<Entry<S>>> {
        let kept = self.kept.get(key);
        kept.or_else(|| self.alive.lock().find(key))
    }

    /// The source of this key, created if there is none, and kept.
    fn entry(&self, make: &Make<K, S>, key: &K) -> Result<Arc<Entry<S>>, Error> {
        if let Some(entry) = self.found(key) {
            return Ok(entry);
        }
        let made = contained(|| make(key)).unwrap_or_else(|Panicked| {
            Err(Error::of(ErrorKind::Other, Panicked::text("the closure that makes token sources")))
        });
        let source = made.map_err(|error| self.name_in(error, key))?;
        Ok(self.keep(key, self.first(key, Arc::new(Entry::new(source, self.now())))))
    }

    /// The source of this key if there is one, and kept.
    fn found(&self, key: &K) -> Option<Arc<Entry<S>>> {
        let kept = self.kept.get(key);
        kept.or_else(|| {
            let alive = self.alive.lock().find(key);
            alive.map(|alive| self.keep(key, alive))
        })
    }

    fn keep(&self, key: &K, entry: Arc<Entry<S>>) -> Arc<Entry<S>> {
        // An evicted source is dropped in here, without one of our locks.
        self.kept.insert(key.clone(), Arc::clone(&entry));
        entry
    }

    /// Names the key whose source could not be made, if it may be shown.
    fn name_in(&self, error: Error, key: &K) -> Error {
        let Some(Ok(name)) = self.name.as_ref().map(|name| contained(|| name(key))) else { return error };
        let named = Error::of(error.kind(), format!("no token source for {name}")).asked_to_wait(error.retry_after());
        let named = if error.is_transient() { named.transient() } else { named };
        named.because_of(error)
    }

    /// `made`, unless another one of its key came first.
    fn first(&self, key: &K, made: Arc<Entry<S>>) -> Arc<Entry<S>> {
        let mut alive = self.alive.lock();
        if let Some(first) = alive.find(key) {
            drop(alive);
            return first;
        }
        if alive.sources.len() >= alive.crowded {
            alive.sources.retain(|_, entry| entry.strong_count() > 0);
            alive.crowded = FEW.max(2 * alive.sources.len());
        }
        alive.sources.insert(key.clone(), Arc::downgrade(&made));
        drop(alive);
        made
    }

    /// Drops evicted sources whose fetch has completed, without the lock: a source is user code.
    fn forget_fetched(&self) {
        let mut fetching = self.fetching.lock();
        if fetching.is_empty() {
            return;
        }
        let (still, done): (Vec<_>, Vec<_>) = fetching.drain(..).partition(|entry| entry.source.is_fetching());
        *fetching = still;
        drop(fetching);
        drop(done);
    }

    /// Drops idle sources, from time to time.
    fn sweep(&self, now: u64) {
        let idle = self.policy.time_to_idle.as_secs();
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now.saturating_sub(swept) >= (idle / 4).max(1);
        let ours = || {
            let swap = self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed);
            swap.is_ok()
        };
        if !due || !ours() {
            return;
        }
        // Dropped after the cache has released its locks: a source is user code.
        let dropped = Lock::new(Vec::new());
        self.kept.retain(|_, entry| {
            let is_idle = now.saturating_sub(entry.used.load(Ordering::Relaxed)) >= idle && !entry.source.is_fetching();
            if is_idle {
                dropped.lock().push(Arc::clone(entry));
            }
            !is_idle
        });
    }
}

impl<S> Entry<S> {
    fn new(source: S, now: u64) -> Self {
        Entry { source, used: AtomicU64::new(now) }
    }

    #[inline]
    fn touch(&self, now: u64) {
        // At most once a second, to avoid contention for the cache line.
        if self.used.load(Ordering::Relaxed) != now {
            self.used.store(now, Ordering::Relaxed);
        }
    }
}

impl<K: Eq + Hash, S> Alive<K, S> {
    fn find(&self, key: &K) -> Option<Arc<Entry<S>>> {
        self.sources.get(key).and_then(Weak::upgrade)
    }
}

/// 64: fewer entries than this are not searched.
const FEW: usize = 64;

/// A handle to the tokens of one key of a [`TokenPool`].
///
/// Holding this handle does not keep the source in the pool; using it does.
pub struct PooledSource<K, S: 'static> {
    pool: TokenPool<K, S>,
    key: K,
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
        self.pool.token_of(&self.key)
    }

    /// Reports that the API rejected `token`; see [`TokenSource::reject`].
    pub fn reject(&self, token: &AccessToken) {
        self.pool.reject_of(&self.key, token);
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

impl<K, S> Clone for TokenPool<K, S> {
    fn clone(&self) -> Self {
        TokenPool(Arc::clone(&self.0))
    }
}

impl<K: Clone, S> Clone for PooledSource<K, S> {
    fn clone(&self) -> Self {
        PooledSource { pool: self.pool.clone(), key: self.key.clone() }
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

impl<K, S> fmt::Debug for PooledSource<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledSource").field("pool", &self.pool).finish_non_exhaustive()
    }
}

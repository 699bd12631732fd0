//! The sources of a pool: found by key, kept, evicted, dropped.

use std::collections::HashMap;
use std::hash::{Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, UnitWeighter};

use super::Pooled;
use super::loads::Loads;
use super::policy::PoolPolicy;
use crate::clock::Clock;
use crate::contained::{Panicked, contained};
use crate::error::Error;
use crate::future::TokenFuture;
use crate::lock::Lock;
use crate::token::AccessToken;

pub(super) struct Pool<K, S> {
    pub(super) make: Making<K, S>,
    name: Option<Arc<Name<K>>>,
    pub(super) policy: PoolPolicy,
    pub(super) clock: Clock,
    /// Bounded; idle sources are removed.
    kept: Cache<K, Arc<Entry<S>>, UnitWeighter, RandomState, Evictions<S>>,
    /// Evicted during a fetch, which continues.
    fetching: Arc<Lock<Vec<Arc<Entry<S>>>>>,
    /// All live sources: kept, referenced, or with a fetch in progress. Locked for a few instructions and the key's own code,
    /// never while a source is made, used or dropped.
    pub(super) alive: Lock<Alive<K, S>>,
    /// When idle sources were looked for, in seconds of the monotonic clock.
    swept: AtomicU64,
}

pub(super) type Make<K, S> = dyn Fn(&K) -> Result<S, Error> + Send + Sync;

pub(super) type Name<K> = dyn Fn(&K) -> String + Send + Sync;

/// How sources are made.
pub(super) enum Making<K, S> {
    AtOnce(Arc<Make<K, S>>),
    Loaded(Loads<K, S>),
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

pub(super) struct Entry<S> {
    pub(super) source: S,
    /// In seconds of the monotonic clock.
    used: AtomicU64,
}

pub(super) struct Alive<K, S> {
    pub(super) sources: HashMap<K, Weak<Entry<S>>>,
    /// The number of entries at which to remove those of dropped sources.
    pub(super) crowded: usize,
}

impl<K, S> Pool<K, S>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    S: Pooled + 'static,
{
    pub(super) fn new(make: Making<K, S>, name: Option<Arc<Name<K>>>, policy: PoolPolicy, clock: Clock) -> Self {
        let fetching = Arc::<Lock<Vec<_>>>::default();
        let evictions = Evictions { fetching: Arc::clone(&fetching) };
        let capacity = policy.capacity;
        Pool {
            make,
            name,
            policy,
            kept: Cache::with(capacity, capacity as u64, UnitWeighter, RandomState::default(), evictions),
            fetching,
            alive: Lock::new(Alive { sources: HashMap::new(), crowded: FEW }),
            swept: AtomicU64::new(clock.now().mono().as_secs()),
            clock,
        }
    }

    #[inline]
    pub(super) fn token_of<'a>(self: &'a Arc<Self>, key: &'a K) -> TokenFuture<'a> {
        let kept = self.kept.get(key);
        let ready = kept.and_then(|entry| {
            entry.touch(self.now());
            entry.source.token().if_ready()
        });
        match ready {
            Some(result) => TokenFuture::ready(result),
            None => TokenFuture::new(self.obtain(key)),
        }
    }

    async fn obtain(self: &Arc<Self>, key: &K) -> Result<AccessToken, Error> {
        let entry = match &self.make {
            Making::AtOnce(make) => self.entry(&**make, key)?,
            Making::Loaded(loads) => loads.entry(self, key).await?,
        };
        let now = self.now();
        entry.touch(now);
        self.sweep(now);
        self.forget_fetched();
        entry.source.token().await
    }

    pub(super) fn reject_of(&self, key: &K, token: &AccessToken) {
        if let Some(entry) = self.find(key) {
            entry.source.reject(token);
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now().mono().as_secs()
    }

    pub(super) fn find(&self, key: &K) -> Option<Arc<Entry<S>>> {
        let kept = self.kept.get(key);
        kept.or_else(|| self.alive.lock().find(key))
    }

    /// The source of this key, created if there is none, and kept.
    fn entry(&self, make: &Make<K, S>, key: &K) -> Result<Arc<Entry<S>>, Error> {
        if let Some(entry) = self.found(key) {
            return Ok(entry);
        }
        let made = contained(|| make(key))
            .unwrap_or_else(|Panicked| Err(Panicked::error("the closure that makes token sources")));
        let source = made.map_err(|error| self.name_in(error, key))?;
        Ok(self.keep(key, self.first(key, Arc::new(Entry::new(source, self.now())))))
    }

    /// The source of this key if there is one, and kept.
    pub(super) fn found(&self, key: &K) -> Option<Arc<Entry<S>>> {
        let kept = self.kept.get(key);
        kept.or_else(|| {
            let alive = self.alive.lock().find(key);
            alive.map(|alive| self.keep(key, alive))
        })
    }

    pub(super) fn keep(&self, key: &K, entry: Arc<Entry<S>>) -> Arc<Entry<S>> {
        // An evicted source is dropped in here, without one of our locks.
        self.kept.insert(key.clone(), Arc::clone(&entry));
        entry
    }

    /// Names the key whose source could not be made, if it may be shown.
    pub(super) fn name_in(&self, error: Error, key: &K) -> Error {
        let Some(Ok(name)) = self.name.as_ref().map(|name| contained(|| name(key))) else { return error };
        let named = Error::of(error.kind(), format!("no token source for {name}")).asked_to_wait(error.retry_after());
        let named = if error.is_transient() { named.transient() } else { named };
        named.because_of(error)
    }

    /// `made`, unless another one of its key came first.
    pub(super) fn first(&self, key: &K, made: Arc<Entry<S>>) -> Arc<Entry<S>> {
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
    pub(super) fn new(source: S, now: u64) -> Self {
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

//! Sources that are made by a future: one load for each key at a time, and failures remembered for a while.

use std::collections::HashMap;
use std::hash::{Hash, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Pooled;
use super::entries::{Entry, Making, Pool};
use crate::cache::CachePolicy;
use crate::clock::Moment;
use crate::contained::{Panicked, contained, contained_future};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::runtime::{self, value_of};

pub(super) type Load<K, S> = dyn Fn(K) -> Pin<Box<dyn Future<Output = Result<S, Error>> + Send>> + Send + Sync;

pub(super) struct Loads<K, S> {
    load: Arc<Load<K, S>>,
    /// Locked for a few instructions and the key's own code.
    under_way: Lock<UnderWay<K, S>>,
    /// Bounded, like the sources, so that keys that do not exist cannot fill the memory.
    failed: Cache<K, Failed, UnitWeighter, RandomState, DefaultLifecycle<K, Failed>>,
}

struct UnderWay<K, S> {
    loads: HashMap<K, (u64, Loading<S>)>,
    /// How many have started, which is the number of the last one.
    started: u64,
}

/// Closed without a value: its runtime is gone.
type Loading<S> = watch::Receiver<Option<Result<Arc<Entry<S>>, Error>>>;

#[derive(Clone)]
struct Failed {
    error: Error,
    /// In a row.
    count: u32,
    /// When to load again.
    until: Moment,
}

/// The next step of a caller.
enum Step<S> {
    Done(Result<Arc<Entry<S>>, Error>),
    Wait(u64, Loading<S>),
}

impl<K, S> Loads<K, S>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    S: Pooled + 'static,
{
    pub(super) fn new(load: Arc<Load<K, S>>, capacity: usize) -> Self {
        let (failed, weigh) = (capacity as u64, UnitWeighter);
        let failed = Cache::with(capacity, failed, weigh, RandomState::default(), DefaultLifecycle::default());
        let under_way = UnderWay { loads: HashMap::new(), started: 0 };
        Loads { load, under_way: Lock::new(under_way), failed }
    }

    pub(super) fn load(&self) -> Arc<Load<K, S>> {
        Arc::clone(&self.load)
    }

    #[cfg(test)]
    pub(super) fn failures(&self) -> usize {
        self.failed.len()
    }

    #[cfg(test)]
    pub(super) fn loading(&self) -> usize {
        self.under_way.lock().loads.len()
    }

    /// The source of `key`, loaded if there is none.
    pub(super) async fn entry(&self, pool: &Arc<Pool<K, S>>, key: &K) -> Result<Arc<Entry<S>>, Error> {
        for _ in 0..MOST_LOADS {
            match self.step(pool, key) {
                Step::Done(result) => return result,
                Step::Wait(number, loading) => {
                    if let Some(result) = value_of(loading, OVERDUE).await {
                        return result;
                    }
                    // Its runtime has shut down or is blocked.
                    self.finish(key, number);
                }
            }
        }
        Err(Error::of(ErrorKind::Other, "no load of a token source completes: the tokio runtime is shutting down"))
    }

    fn step(&self, pool: &Arc<Pool<K, S>>, key: &K) -> Step<S> {
        if let Some(entry) = pool.found(key) {
            return Step::Done(Ok(entry));
        }
        let now = pool.clock.now();
        let mut under_way = self.under_way.lock();
        if let Some((number, loading)) = under_way.loads.get(key) {
            return Step::Wait(*number, loading.clone());
        }
        // A load that has completed meanwhile is found now: it is removed from `under_way` last.
        if let Some(entry) = pool.find(key) {
            return Step::Done(Ok(entry));
        }
        if let Some(failed) = self.failed.get(key).filter(|failed| !failed.until.reached(now)) {
            return Step::Done(Err(failed.error));
        }
        let runtime = match runtime::current() {
            Ok(runtime) => runtime,
            Err(why) => return Step::Done(Err(Error::of(ErrorKind::Other, why))),
        };
        under_way.started += 1;
        let number = under_way.started;
        let loading = self.start(pool, &runtime, key, number);
        under_way.loads.insert(key.clone(), (number, loading.clone()));
        Step::Wait(number, loading)
    }

    /// Spawns the load while `under_way` is locked: the task does not access it until it completes.
    fn start(&self, pool: &Arc<Pool<K, S>>, runtime: &Handle, key: &K, number: u64) -> Loading<S> {
        let (done, loading) = watch::channel(None);
        let (load, key, pool) = (self.load(), key.clone(), Arc::downgrade(pool));
        runtime.spawn(async move {
            let load = contained_future(async { load(key.clone()).await });
            let loaded = match tokio::time::timeout(TIMEOUT, load).await {
                Ok(Ok(loaded)) => loaded,
                Ok(Err(Panicked)) => Err(Panicked::error("the future that makes token sources")),
                Err(_) => {
                    let text = format!("no token source was made within {TIMEOUT:?}");
                    Err(Error::of(ErrorKind::Other, text).transient())
                }
            };
            // Without a handle left, the result is not needed.
            let Some(pool) = Weak::upgrade(&pool) else { return };
            let Making::Loaded(loads) = &pool.make else { return };
            let result = loads.loaded(&pool, &key, loaded);
            let _ = done.send(Some(result));
            loads.finish(&key, number);
        });
        loading
    }

    fn loaded(&self, pool: &Pool<K, S>, key: &K, loaded: Result<S, Error>) -> Result<Arc<Entry<S>>, Error> {
        match loaded {
            Ok(source) => {
                self.failed.remove(key);
                Ok(pool.keep(key, pool.first(key, Arc::new(Entry::new(source, pool.now())))))
            }
            Err(error) => {
                let (now, error) = (pool.clock.now(), pool.name_in(error, key));
                let before = self.failed.get(key).filter(|failed| !failed.until.plus(FORGOTTEN).reached(now));
                let count = before.map_or(1, |failed| failed.count.saturating_add(1));
                let until = now.plus(CachePolicy::new().wait_after(Some(&error), count, false, fastrand::f64()));
                self.failed.insert(key.clone(), Failed { error: error.clone(), count, until });
                Err(error)
            }
        }
    }

    /// The load with this number has ended.
    fn finish(&self, key: &K, number: u64) {
        let mut under_way = self.under_way.lock();
        let gone = match under_way.loads.get(key) {
            Some((current, _)) if *current == number => under_way.loads.remove(key),
            _ => None,
        };
        drop(under_way);
        // It may hold the last reference to a source, which is user code.
        let _ = contained(|| drop(gone));
    }
}

/// 30 s, as for a fetch: a row of a database, with its retries.
const TIMEOUT: Duration = Duration::from_secs(30);

/// 40 s: one attempt timeout longer than a load, by which a working runtime has ended it.
const OVERDUE: Duration = Duration::from_secs(40);

/// 1 min: after that long without a load, failures are counted from one again.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A load that ends without a result has lost its runtime to a shutdown, and so will the next one there.
const MOST_LOADS: u32 = 8;

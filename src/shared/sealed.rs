//! A store with the keys that seal its records: operations are limited in time, fenced against panics, and skipped while the
//! store fails.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::record::{self, Content, LARGEST};
use super::ring::{Ring, SealKey};
use super::store::{Store, StoreFuture};
use crate::clock::Clock;
use crate::contained::{Panicked, contained_future};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind};
use crate::event::event;
use crate::lock::Lock;
use crate::observer::{Event, Observers};
use crate::token::AccessToken;

/// A [`Store`] with the key that seals its records.
///
/// This is a handle: clones share the store and its health state, so one is enough for all sources of a process.
///
/// The key is 32 random bytes in base64, the same for all processes that share the store:
///
/// ```console
/// $ openssl rand -base64 32
/// ```
///
/// It is read again for each fetch that uses the store. To rotate it, let two overlap ([`Credential::or`]): the first seals,
/// all open. Reading the tokens requires both the key and access to the store.
///
/// ```
/// use client_credentials::{
///     ClientAuth, ClientCredentials, Credential, FileStore, SealedStore,
/// };
///
/// let key = Credential::file("/run/secrets/new-seal-key")
///     .or(Credential::file("/run/secrets/old-seal-key"));
/// let store = SealedStore::new(FileStore::new("/var/cache/billing"), key);
/// let auth = ClientAuth::client_secret_basic(
///     "billing",
///     Credential::file("/run/secrets/client-secret"),
/// );
/// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth)
///     .shared(store)
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
#[derive(Clone)]
pub struct SealedStore {
    store: Arc<dyn Store>,
    key: Credential,
    timeout: Duration,
    health: Arc<Health>,
}

#[derive(Default)]
struct Health {
    breaker: Lock<Breaker>,
    invalid_records: AtomicU64,
}

/// 100 ms: a store in the same network responds within 2 ms. Fetching the token takes about as long as this timeout.
const TIMEOUT: Duration = Duration::from_millis(100);

/// The name of reading the key, in events.
const READ_KEY: &str = "key";

impl SealedStore {
    /// Creates a sealed store from `store` and its key. Does no I/O.
    pub fn new(store: impl Store + 'static, key: impl Into<Credential>) -> Self {
        SealedStore { store: Arc::new(store), key: key.into(), timeout: TIMEOUT, health: Arc::default() }
    }

    /// Sets how long one fetch waits in total for a store that does not respond; at most a quarter of the fetch timeout.
    /// Default: 100 ms.
    #[must_use = "it returns the store"]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Returns how many records were unusable: damaged, sealed with an unknown key, or stored under a wrong name. Such records
    /// count as missing and are overwritten.
    pub fn invalid_records(&self) -> u64 {
        self.health.invalid_records.load(Ordering::Relaxed)
    }

    /// Its faults that can be found without I/O.
    pub(crate) fn fault(&self) -> Option<String> {
        self.key.fault_by(|text| SealKey::parse(text).err())
    }

    /// One fetch's operations on the store, which take at most this long. `None`: the store is skipped.
    pub(crate) async fn visit<'v>(
        &'v self,
        clock: &Clock,
        most: Duration,
        observers: &'v Observers,
    ) -> Option<Visit<'v>> {
        if !self.health.breaker.lock().admits(clock.now()) {
            return None;
        }
        // A caller that waits until the end of the fetch gets no token.
        let timeout = self.timeout.min(most);
        let mut visit = Visit {
            store: self,
            observers,
            clock: clock.clone(),
            ring: Ring(Vec::new()),
            timeout,
            left: timeout,
            failed: false,
            met_defect: false,
        };
        let ring = visit.attempt(READ_KEY, Spend::Time, self.ring()).await?;
        visit.ring = ring;
        Some(visit)
    }

    async fn ring(&self) -> Result<Ring, Error> {
        let (mut keys, mut last) = (Vec::new(), None);
        for place in self.key.places() {
            let key = self.key.read_text(place).await.and_then(|text| {
                SealKey::parse(text.expose_secret()).map_err(|flaw| {
                    let text = format!("the seal key ({:?}) {flaw}", self.key);
                    Error::of(ErrorKind::Credential, text)
                })
            });
            match key {
                Ok(key) => keys.push(key),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) if keys.is_empty() => Err(error),
            _ => Ok(Ring(keys)),
        }
    }

    fn defective(&self) {
        // Reported once.
        if self.health.invalid_records.fetch_add(1, Ordering::Relaxed) == 0 {
            event!(warn, store = ?self.store, "a record in the shared store cannot be opened: it has another seal key or version, or was not written by this crate");
        }
    }
}

impl fmt::Debug for SealedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStore").field("store", &self.store).field("key", &self.key).finish_non_exhaustive()
    }
}

/// One fetch's operations on the store; none after the first failure.
pub(crate) struct Visit<'a> {
    store: &'a SealedStore,
    observers: &'a Observers,
    clock: Clock,
    ring: Ring,
    timeout: Duration,
    /// The rest of the timeout.
    left: Duration,
    pub(crate) failed: bool,
    met_defect: bool,
}

/// The place of a record, and its content.
pub(crate) struct Sealed {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) content: Content,
}

/// Whether a successful operation counts towards the timeout. It does not while the fetch waits for another host's token.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Spend {
    Time,
    Nothing,
}

impl<'a> Visit<'a> {
    /// The records of `key`, one for each key of the ring at most, those of the sealing key first.
    pub(crate) async fn look(&mut self, key: &[u8], spend: Spend) -> Vec<Sealed> {
        let names: Vec<_> = self.ring.0.iter().map(|one| one.name(key)).collect();
        let mut found = Vec::new();
        for name in names {
            let bytes = self.operate("get", spend, |store| store.get(&name, LARGEST)).await;
            if let Some(Some(bytes)) = bytes {
                match record::open(&bytes, key, &self.ring) {
                    Some(content) => found.push(Sealed { name, bytes, content }),
                    // Reported once, however often the record is read.
                    None if !std::mem::replace(&mut self.met_defect, true) => self.store.defective(),
                    None => {}
                }
            }
        }
        found
    }

    /// Stores `token` for other processes.
    pub(crate) async fn put(&mut self, key: &[u8], token: &AccessToken, expiry: Duration) {
        let Some(sealing) = self.ring.0.first() else {
            return;
        };
        let name = sealing.name(key);
        if let Ok(record) = record::seal(token, key, sealing) {
            self.operate("put", Spend::Time, |store| store.put(&name, &record, expiry)).await;
        }
    }

    /// Deletes this record, if it is still stored.
    pub(crate) async fn delete(&mut self, name: &str, record: &[u8]) {
        self.operate("delete", Spend::Time, |store| store.delete(name, record)).await;
    }

    /// Whether `owner` has the lease now. `None`: the store failed.
    pub(crate) async fn lease(&mut self, key: &[u8], owner: &str, time: Duration, spend: Spend) -> Option<bool> {
        let name = self.ring.0.first()?.name(key);
        self.operate("lease", spend, |store| store.lease(&name, owner, time)).await
    }

    pub(crate) async fn release(&mut self, key: &[u8], owner: &str) {
        if let Some(name) = self.ring.0.first().map(|one| one.name(key)) {
            self.operate("release", Spend::Time, |store| store.release(&name, owner)).await;
        }
    }

    /// An operation of the store. Its success ends a failure.
    async fn operate<'s, T>(
        &mut self,
        name: &'static str,
        spend: Spend,
        operation: impl FnOnce(&'s dyn Store) -> StoreFuture<'s, T>,
    ) -> Option<T>
    where
        'a: 's,
    {
        let store = &*self.store.store;
        // The call is in the fence, too.
        let value = self.attempt(name, spend, async { operation(store).await }).await?;
        let now = self.clock.now();
        if self.store.health.breaker.lock().succeeded(now) {
            event!(info, store = ?self.store.store, "the shared store is used again");
        }
        Some(value)
    }

    /// Runs an operation within the rest of the timeout. Fenced against panics, since a store is user code. `name` is
    /// that of the operation in events. Of a read of the key only a failure is an event: it is not the store's.
    async fn attempt<T>(
        &mut self,
        name: &'static str,
        spend: Spend,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        if self.failed {
            return None;
        }
        let start = Instant::now();
        let outcome = tokio::time::timeout(self.left, contained_future(operation)).await;
        let duration = start.elapsed();
        if spend == Spend::Time {
            self.left = self.left.saturating_sub(duration);
        }
        let outcome = match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Panicked)) => Err(Panicked::error("the store")),
            Err(_) => Err(Error::of(ErrorKind::Other, format!("no answer within {:?}", self.timeout))),
        };
        let error = outcome.as_ref().err();
        if name != READ_KEY || error.is_some() {
            self.observers.emit(&Event::StoreOperation { operation: name, duration, error });
        }
        let _error = match outcome {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        self.failed = true;
        let now = self.clock.now();
        if self.store.health.breaker.lock().failed(now) {
            event!(warn, store = ?self.store.store, error = %format_args!("{_error:#}"), "the shared store fails: tokens are fetched without it");
        }
        None
    }
}

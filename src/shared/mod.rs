//! One token for a fleet of replicas, shared through a store.

mod bound_to;
mod breaker;
mod file;
pub(crate) mod key;
mod protocol;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod ring;
mod sealed;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;

use crate::cache::CachePolicy;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::event::event;
use crate::future::TokenFuture;
use crate::lock::Lock;
use crate::observer::{Observer, Observers};
use crate::source::TokenSource;
use crate::token::AccessToken;
use crate::token::Holder;
pub(crate) use bound_to::BoundTo;
use bound_to::thumbprint;
pub use file::FileStore;
use key::Key;
use protocol::{Admission, Event, Memory, Step, Turn, newer};
use record::{Fingerprint, Found, fingerprint};
#[cfg(any(test, fuzzing))]
pub(crate) use record::{open, sealed};
#[cfg(feature = "redis")]
pub use redis::RedisStore;
#[cfg(any(test, fuzzing))]
pub(crate) use ring::{Ring, SealKey};
pub use sealed::SealedStore;
use sealed::{Sealed, Spend, Visit};
pub use store::{Store, StoreFuture};

/// Shares one token between all replicas of a service, through a [`SealedStore`] (feature `shared`).
///
/// [`ClientCredentials`](crate::ClientCredentials) contains one if [`shared`](crate::ClientCredentialsBuilder::shared)
/// is set. Use this type for a source of your own, inside a [`Cached`](crate::Cached), which calls it once for each
/// fetch:
///
/// | the record in the store is | what happens |
/// |---|---|
/// | fresh | it is used |
/// | due, and no replica refreshes it | it is refreshed under a lease, and stored for the others |
/// | due, and another replica refreshes it | it is used meanwhile |
/// | missing, and another replica fetches one | this source waits for it for up to 5 s, and then fetches one by itself |
/// | missing, damaged, expired or rejected by the API | a token is fetched under a lease, and stored |
/// | unavailable: the store is down or slow | after 100 ms in total a token is fetched without the store, which is then skipped for 1 s, doubling to 30 s |
///
/// ```
/// use client_credentials::{
///     AccessToken, Cached, Credential, FileStore, SealedStore, Shared, source_fn,
/// };
/// use std::time::Duration;
///
/// let source = source_fn(|| async {
///     AccessToken::builder("abc")
///         .lifetime(Duration::from_secs(3600))
///         .build()
/// });
/// let store = SealedStore::new(
///     FileStore::new("/var/cache/reports"),
///     Credential::file("/run/secrets/seal-key"),
/// );
/// let tokens = Cached::new(Shared::new(
///     source,
///     store,
///     "https://auth.example.com, client reports, scope read",
/// ));
/// ```
///
/// # Errors
///
/// The errors of the source. A failure of the store is not an error.
///
/// # Cancel safety
///
/// Dropping the future of `token()` drops the future of the source. A lease that was held ends by itself, after the
/// fetch timeout.
pub struct Shared<S> {
    source: S,
    store: SealedStore,
    key: Key,
    bound_to: BoundTo,
    policy: CachePolicy,
    clock: Clock,
    observers: Observers,
    memory: Lock<Memory<Fingerprint>>,
}

/// 50 ms doubling to 500 ms: the pauses of a replica that waits for another one's token.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_millis(500);

impl<S: TokenSource> Shared<S> {
    /// Shares the tokens of `source` between all sources with the same `store` and the same `name`.
    ///
    /// `name` has to distinguish these tokens from all others in the store: authorization server, client, scope,
    /// audience. It is not revealed to the store.
    ///
    /// A token becomes due by the default [`CachePolicy`](crate::CachePolicy): a longer
    /// [`refresh_window`](crate::CachePolicy::refresh_window) or a shorter [`max_age`](crate::CachePolicy::max_age) of
    /// the [`Cached`](crate::Cached) around it does not refresh it earlier.
    pub fn new(source: S, store: SealedStore, name: impl Into<String>) -> Self {
        Shared::assemble(
            source,
            store,
            Key::named(&name.into()),
            BoundTo::default(),
            CachePolicy::new(),
            Clock::System,
            Observers::unnamed("shared"),
        )
    }

    /// Sets the name of the source in the events and metrics of its store, and also sends these to `observer`. Default:
    /// a number.
    #[must_use = "it returns the source"]
    pub fn observed(self, name: impl Into<String>, observer: impl Observer + 'static) -> Self {
        Shared { observers: Observers::new(name.into(), vec![Arc::new(observer)]), ..self }
    }

    /// Uses this clock instead of the system clock (feature `test-util`).
    #[cfg(feature = "test-util")]
    #[must_use = "it returns the source"]
    pub fn clock(self, clock: &crate::clock::ManualClock) -> Self {
        Shared { clock: Clock::Manual(clock.clone()), ..self }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: TokenSource> TokenSource for Shared<S> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.obtain())
    }

    /// Does no I/O: the record is deleted when the next token is requested.
    fn reject(&self, token: &AccessToken) {
        self.memory.lock().refuse(fingerprint(token), token.received().wall());
        self.source.reject(token);
    }
}

impl<S: TokenSource> Shared<S> {
    pub(crate) fn assemble(
        source: S,
        store: SealedStore,
        key: Key,
        bound_to: BoundTo,
        policy: CachePolicy,
        clock: Clock,
        observers: Observers,
    ) -> Self {
        Shared { source, store, key, bound_to, policy, clock, observers, memory: Lock::default() }
    }

    async fn obtain(&self) -> Result<AccessToken, Error> {
        let token = self.shared_or_fetched().await?;
        self.memory.lock().note_returned(fingerprint(&token));
        Ok(token)
    }

    async fn shared_or_fetched(&self) -> Result<AccessToken, Error> {
        if self.memory.lock().unshareable {
            return self.alone().await;
        }
        // The source reports what is wrong with its key or certificate.
        let Ok(holder) = self.bound_to.holder().await else {
            return self.source.token().await;
        };
        let quarter = self.policy.fetch_timeout / 4;
        let mut turn = Turn::new(&mut self.memory.lock(), quarter);
        let Some(mut visit) = self.store.visit(&self.clock, quarter, &self.observers).await else {
            return self.source.token().await;
        };
        let key = self.key.bound_to(thumbprint(&holder).as_deref());
        let key = key.bytes();
        let Some(owner) = owner() else {
            return self.source.token().await;
        };
        let (mut pause, mut spend, mut fetched) = (FIRST_LOOK, Spend::Time, None);
        let start = Instant::now();
        let mut step = Step::Look;
        loop {
            let event = match step {
                Step::Look => Event::Looked(self.look(&mut visit, key, &holder, spend).await),
                Step::Lease => match visit.lease(key, &owner, self.policy.fetch_timeout, spend).await {
                    Some(granted) => Event::Leased { granted, waited: start.elapsed() },
                    None => Event::Failed,
                },
                Step::Pause => {
                    // With jitter, so that the replicas do not ask all at once.
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_LOOK);
                    spend = Spend::Nothing;
                    Event::Paused
                }
                Step::Fetch => {
                    let answer = fetched.insert(self.source.token().await);
                    self.fetched(answer, &holder)
                }
                Step::Put(expiry) => {
                    if let Some(Ok(token)) = &fetched {
                        visit.put(key, token, expiry).await;
                    }
                    Event::Put
                }
                Step::Release => {
                    visit.release(key, &owner).await;
                    Event::Released
                }
                Step::Use(token) => return Ok(token),
                Step::Fetched => {
                    let nothing = || Err(Error::of(ErrorKind::Other, "the source was not asked for a token"));
                    return fetched.unwrap_or_else(nothing);
                }
            };
            step = turn.next(event, visit.failed, &mut self.memory.lock(), self.clock.now());
        }
    }

    /// Fetches without the store, on which no replica waits.
    async fn alone(&self) -> Result<AccessToken, Error> {
        let token = self.source.token().await?;
        let worth = record::worth(&token, &self.policy, self.clock.now());
        self.memory.lock().note_worth(worth);
        Ok(token)
    }

    fn fetched(&self, answer: &Result<AccessToken, Error>, holder: &Holder) -> Event<AccessToken, Fingerprint> {
        match answer {
            Ok(token) => Event::Fetched {
                token: fingerprint(token),
                worth: record::worth(token, &self.policy, self.clock.now()),
                ours: thumbprint(&token.terms().holder) == thumbprint(holder),
            },
            Err(error) => Event::Refused { throttled: error.kind() == ErrorKind::Throttled },
        }
    }

    /// The newest record that may be used. The record of a rejected token is deleted.
    async fn look(&self, visit: &mut Visit<'_>, key: &[u8], holder: &Holder, spend: Spend) -> Option<Found> {
        let mut newest = None;
        for sealed in visit.look(key, spend).await {
            newest = newer(newest, self.admit(visit, holder, sealed).await);
        }
        newest
    }

    async fn admit(&self, visit: &mut Visit<'_>, holder: &Holder, sealed: Sealed) -> Option<Found> {
        let found = sealed.content.arrive(&self.policy, holder, self.clock.now(), &self.clock)?;
        let admission = self.memory.lock().admit(&found.id, found.received);
        if admission == Admission::Delete {
            event!(debug, "a token that the API rejected is deleted from the shared store");
            visit.delete(&sealed.name, &sealed.bytes).await;
        }
        (admission == Admission::Use).then_some(found)
    }
}

/// 128 random bits that identify the owner of a lease.
fn owner() -> Option<String> {
    let mut owner = [0; 16];
    rand::fill(&mut owner).ok()?;
    Some(URL_SAFE_NO_PAD.encode(owner))
}

impl<S: fmt::Debug> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).field("source", &self.source).finish_non_exhaustive()
    }
}

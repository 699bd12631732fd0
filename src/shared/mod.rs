//! Turns one token into a fleet's token, through a store.

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

/// One token for all replicas of a service, by way of a [`SealedStore`] (feature `shared`).
///
/// [`ClientCredentials`](crate::ClientCredentials) has one inside after
/// [`shared`](crate::ClientCredentialsBuilder::shared); use this for a source of your own, inside a
/// [`Cached`](crate::Cached), which asks it once for each fetch:
///
/// | the record in the store is | what happens |
/// |---|---|
/// | fresh | it is used |
/// | due, and nobody refreshes it | it is refreshed under a lease, and put there for the others |
/// | due, and somebody refreshes it | it is used meanwhile |
/// | not there, and somebody fetches one | that is waited for, for 5 s; then this source fetches one by itself |
/// | not there, damaged, expired, refused by the API | a token is fetched under a lease, and put there |
/// | not to be had: the store is down or slow | after 100 ms in total a token is fetched as if there were no store; the store is left alone for 1 s, doubling to 30 s |
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
/// Those of the source. What goes wrong with the store is none.
///
/// # Cancel safety
///
/// Dropping the future of `token()` drops what the source was doing. A lease that was held ends by itself, after the
/// fetch deadline.
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

/// 50 ms doubling to 500 ms: how often somebody who waits looks again.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_millis(500);

impl<S: TokenSource> Shared<S> {
    /// Shares the tokens of `source` with all who have the same `store` and the same `name`.
    ///
    /// `name` is what distinguishes these tokens from all others there: authorization server, client, scope, audience.
    /// The store does not get to see it.
    ///
    /// When a token is due is judged by the default numbers of [`Cached`](crate::Cached): a longer
    /// [`refresh_window`](crate::CachePolicy::refresh_window) or a shorter [`max_age`](crate::CachePolicy::max_age) of the cache
    /// around it brings no refresh before that.
    pub fn new(source: S, store: SealedStore, name: impl AsRef<str>) -> Self {
        Shared::assemble(
            source,
            store,
            Key::named(name.as_ref()),
            BoundTo::default(),
            CachePolicy::new(),
            Clock::System,
            Observers::unnamed("shared"),
        )
    }

    /// Names the source in the events and metrics of its store, and sends these to `observer`, too. Without a name it is numbered.
    pub fn observed(self, name: impl Into<String>, observer: impl Observer + 'static) -> Self {
        Shared { observers: Observers::new(name.into(), vec![Arc::new(observer)]), ..self }
    }

    /// Goes by another clock than the system's (feature `test-util`).
    #[cfg(feature = "test-util")]
    pub fn clock(self, clock: &crate::clock::ManualClock) -> Self {
        Shared { clock: Clock::Manual(clock.clone()), ..self }
    }
}

#[deny(clippy::missing_trait_methods)]
impl<S: TokenSource> TokenSource for Shared<S> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.obtain())
    }

    /// The record is not deleted here, but when a token is asked for next: this does no I/O.
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
        self.memory.lock().hand_out(fingerprint(&token));
        Ok(token)
    }

    async fn shared_or_fetched(&self) -> Result<AccessToken, Error> {
        if self.memory.lock().is_unshareable() {
            return self.alone().await;
        }
        // Without its key or certificate the source will say better what is wrong.
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
                    // Not all at once.
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
            step = turn.next(event, visit.has_failed(), &mut self.memory.lock(), self.clock.now());
        }
    }

    /// Without the store, and without anybody waiting.
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

    /// The newest of the records that may be used here. A refused one is deleted.
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
            event!(debug, "a token that the API refused is deleted from the shared store");
            visit.delete(&sealed.name, &sealed.bytes).await;
        }
        (admission == Admission::Use).then_some(found)
    }
}

/// 128 random bits: whose lease it is.
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

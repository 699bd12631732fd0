//! Turns one token into a fleet's token, through a store.

mod bound_to;
mod breaker;
mod file;
pub(crate) mod key;
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

use aws_lc_rs::{digest, rand};
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
use record::Found;
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
/// use client_credentials::{AccessToken, Cached, Credential, FileStore, SealedStore, Shared, source_fn};
/// use std::time::Duration;
///
/// let source = source_fn(|| async { AccessToken::builder("abc").lifetime(Duration::from_secs(3600)).build() });
/// let store = SealedStore::new(FileStore::new("/var/cache/reports"), Credential::file("/run/secrets/seal-key"));
/// let tokens = Cached::new(Shared::new(source, store, "https://auth.example.com, client reports, scope read"));
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
    memory: Lock<Memory>,
}

/// What this host remembers of tokens without remembering them.
#[derive(Default)]
struct Memory {
    /// What was handed out last: whoever asks again has it already.
    handed: Option<Fingerprint>,
    refused: Option<Fingerprint>,
    /// A record that is older than a refused one is not used, on the wall clocks of those who put them there.
    watermark: Option<Duration>,
    /// The last token that was fetched is of no use to others (`expires_in: 0`): nobody waits for the next one.
    unshareable: bool,
    /// Another host's token is waited for. Still so when the next fetch begins: the last one was cut short, by a
    /// deadline that we do not know.
    waiting: bool,
}

/// SHA-256 of a token. Tokens cannot be guessed, so neither can they from this.
type Fingerprint = [u8; digest::SHA256_OUTPUT_LEN];

/// 5 s, or a quarter of the fetch deadline: a token request takes less, and one of our own fits in behind it.
const WAIT: Duration = Duration::from_secs(5);
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
        let refused = fingerprint(token);
        {
            let mut memory = self.memory.lock();
            memory.refused = Some(refused);
            // A token of another source says nothing about our records.
            if memory.handed == Some(refused) {
                let received = token.received().wall();
                memory.watermark = memory.watermark.max(Some(received));
            }
        }
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
        self.memory.lock().handed = Some(fingerprint(&token));
        Ok(token)
    }

    async fn shared_or_fetched(&self) -> Result<AccessToken, Error> {
        if self.memory.lock().unshareable {
            return self.alone().await;
        }
        // Without its key or certificate the source will say better what is wrong.
        let Ok(holder) = self.bound_to.holder().await else {
            return self.source.token().await;
        };
        let quarter = self.policy.fetch_timeout / 4;
        let cut_short = std::mem::take(&mut self.memory.lock().waiting);
        let Some(mut visit) = self.store.visit(&self.clock, quarter, &self.observers).await else {
            return self.source.token().await;
        };
        let key = self.key.bound_to(thumbprint(&holder).as_deref());
        let key = key.bytes();
        let Some(owner) = owner() else {
            return self.source.token().await;
        };
        let (mut holding, mut pause, mut spend) = (false, FIRST_LOOK, Spend::Time);
        let start = Instant::now();
        let wait = if cut_short { Duration::ZERO } else { WAIT.min(quarter) };
        let mut found = self.look(&mut visit, key, &holder, spend).await;
        loop {
            if found.as_ref().is_some_and(|found| found.fresh) || holding || visit.has_failed() {
                break;
            }
            let lease = visit.lease(key, &owner, self.policy.fetch_timeout, spend);
            match lease.await {
                // Whoever had it before may have put a token there since we looked.
                Some(true) => holding = true,
                Some(false) if found.is_some() || start.elapsed() >= wait => break,
                Some(false) => {
                    self.memory.lock().waiting = true;
                    // Not all at once.
                    tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_LOOK);
                    spend = Spend::Nothing;
                }
                None => break,
            }
            found = self.look(&mut visit, key, &holder, spend).await.or(found);
        }
        self.memory.lock().waiting = false;
        // It is used by those who do not have to refresh it.
        let refresh = holding || visit.has_failed();
        if let Some(found) = found.take_if(|found| found.fresh || !refresh) {
            if holding {
                visit.release(key, &owner).await;
            }
            return Ok(found.token);
        }
        let fetched = self.source.token().await;
        match fetched {
            Ok(token) => {
                self.share(&mut visit, key, &holder, &token).await;
                if holding {
                    visit.release(key, &owner).await;
                }
                Ok(token)
            }
            Err(error) => {
                // A server that asks for fewer requests is not asked by the others either, for as long as the lease lasts.
                if holding && error.kind() != ErrorKind::Throttled {
                    visit.release(key, &owner).await;
                }
                // Whoever has that one already wants to know the error: how long to wait, what to tell.
                let news = |found: &Found| Some(fingerprint(&found.token)) != self.memory.lock().handed;
                found.filter(news).map(|found| found.token).ok_or(error)
            }
        }
    }

    /// Without the store, and without anybody waiting.
    async fn alone(&self) -> Result<AccessToken, Error> {
        let token = self.source.token().await?;
        let worth = record::worth(&token, &self.policy, self.clock.now());
        self.memory.lock().unshareable = worth.is_none();
        Ok(token)
    }

    /// The newest of the records that may be used here. A refused one is deleted.
    async fn look(&self, visit: &mut Visit<'_>, key: &[u8], holder: &Holder, spend: Spend) -> Option<Found> {
        let mut newest: Option<Found> = None;
        for sealed in visit.look(key, spend).await {
            let Some(found) = self.admit(visit, holder, sealed).await else {
                continue;
            };
            if newest.as_ref().is_none_or(|newest| newest.received < found.received) {
                newest = Some(found);
            }
        }
        newest
    }

    async fn admit(&self, visit: &mut Visit<'_>, holder: &Holder, sealed: Sealed) -> Option<Found> {
        let found = sealed.content.arrive(&self.policy, holder, self.clock.now(), &self.clock)?;
        let (refused, old) = {
            let memory = self.memory.lock();
            (memory.refused == Some(fingerprint(&found.token)), memory.watermark > Some(found.received))
        };
        if refused {
            event!(debug, "a token that the API refused is deleted from the shared store");
            visit.delete(&sealed.name, &sealed.bytes).await;
        }
        (!refused && !old).then_some(found)
    }

    /// Puts a token there for the others, if it is of use to them.
    async fn share(&self, visit: &mut Visit<'_>, key: &[u8], holder: &Holder, token: &AccessToken) {
        let worth = record::worth(token, &self.policy, self.clock.now());
        // The server insists on it, or it is bound to what was rotated meanwhile, or to something of the source's own.
        if self.memory.lock().refused == Some(fingerprint(token))
            || thumbprint(&token.terms().holder) != thumbprint(holder)
        {
            return;
        }
        self.memory.lock().unshareable = worth.is_none();
        if let Some(expiry) = worth {
            visit.put(key, token, expiry).await;
        }
    }
}

fn fingerprint(token: &AccessToken) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, token.expose_secret().as_bytes());
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(hash.as_ref());
    fingerprint
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

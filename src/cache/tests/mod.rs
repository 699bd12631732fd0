//! The cache with fake sources and a manual clock: no sockets, no sleeps.

mod adjusted;
mod clocks;
mod concurrency;
mod corrected;
mod failures;
mod hard_cases;
mod model;
mod observed;
#[cfg(shuttle)]
mod races;
mod rejections;
mod request_bounds;
mod runtimes;
mod sequences;
#[cfg(feature = "tracing")]
mod spans;
mod steps;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use super::*;
use crate::backoff::Backoff;
use crate::clock::ManualClock;
use crate::clock::manual::clock;
use crate::token::Terms;

/// An authorization server as a struct: its responses, the number of requests, and when it may respond.
#[derive(Debug)]
struct Server {
    clock: Clock,
    hands: ManualClock,
    hits: AtomicU64,
    script: Mutex<VecDeque<Reply>>,
    afterwards: Reply,
    /// A permit for each response; a closed gate holds the fetch.
    gate: Semaphore,
}

#[derive(Clone, Debug)]
enum Reply {
    /// A new token, `t1`, `t2`, .., with this lifetime in seconds.
    New(u64),
    /// This value, with this lifetime in seconds.
    Value(&'static str, u64),
    /// A new token; fetching it takes this long on the clock.
    Slow(Duration, u64),
    Fail(Error),
    Panic,
    Never,
}

impl Server {
    /// Responds with `script`, and then with `afterwards` for ever.
    fn new(script: impl IntoIterator<Item = Reply>, afterwards: Reply) -> Arc<Self> {
        let (clock, hands) = clock();
        Arc::new(Server {
            clock,
            hands,
            hits: AtomicU64::new(0),
            script: Mutex::new(script.into_iter().collect()),
            afterwards,
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    fn advance(&self, by: Duration) {
        self.hands.advance(by);
    }

    /// Holds all responses from now on.
    fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Releases `answers` responses.
    fn open(&self, answers: usize) {
        self.gate.add_permits(answers);
    }

    async fn answer(&self) -> Result<AccessToken, Error> {
        let received = self.clock.now();
        let hit = self.hits.fetch_add(1, Ordering::SeqCst) + 1;
        let reply = self.script.lock().unwrap().pop_front().unwrap_or_else(|| self.afterwards.clone());
        self.gate.acquire().await.unwrap().forget();
        let issue = |value: &str, lifetime| {
            let terms = Terms { lifetime: Some(seconds(lifetime)), ..Terms::default() };
            AccessToken::issued(&value.into(), terms, received, &self.clock)
        };
        match reply {
            Reply::New(lifetime) => issue(&format!("t{hit}"), lifetime),
            Reply::Value(value, lifetime) => issue(value, lifetime),
            Reply::Slow(wait, lifetime) => {
                while !received.plus(wait).reached(self.clock.now()) {
                    tokio::task::yield_now().await;
                }
                issue(&format!("t{hit}"), lifetime)
            }
            Reply::Fail(error) => Err(error),
            Reply::Panic => panic!("the source panics"),
            Reply::Never => std::future::pending().await,
        }
    }
}

impl TokenSource for Arc<Server> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.answer())
    }
    fn reject(&self, _: &AccessToken) {}
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A cache around `server`, on its clock.
fn cached(server: &Arc<Server>) -> Cached<Arc<Server>> {
    seeded(server, 7)
}

/// A cache around `server`, on its clock, with this policy.
fn with_policy(server: &Arc<Server>, policy: CachePolicy) -> Cached<Arc<Server>> {
    let source = Arc::new(Arc::clone(server));
    Cached::assemble(source, policy, server.clock.clone(), fastrand::Rng::with_seed(7))
}

fn seeded(server: &Arc<Server>, seed: u64) -> Cached<Arc<Server>> {
    let source = Arc::new(Arc::clone(server));
    Cached::assemble(source, CachePolicy::new(), server.clock.clone(), fastrand::Rng::with_seed(seed))
}

fn down() -> Reply {
    Reply::Fail(Error::of(ErrorKind::Transport, "connection refused").transient())
}

fn denied() -> Reply {
    Reply::Fail(Error::of(ErrorKind::Denied, "invalid_client"))
}

/// The result that a source has without waiting.
fn at_once(source: &impl TokenSource) -> Option<Result<AccessToken, Error>> {
    source.token().now_or_never()
}

/// The value of the token that is ready at once.
fn value(source: &impl TokenSource) -> String {
    at_once(source).expect("ready").expect("a token").expose_secret().to_owned()
}

/// Runs the spawned fetches of this runtime as far as they can go.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

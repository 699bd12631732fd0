//! The pool with fake sources and a manual clock: no sockets, no sleeps.

mod loaded;

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, OnceLock, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::cache::CachePolicy;
use crate::cache::Cached;
use crate::clock::manual::{ManualClock, clock};
use crate::error::ErrorKind;
use crate::future::TokenFuture;
use crate::lock::Lock;
use crate::token::{AccessToken, Terms};

type Key = &'static str;

/// The authorization server of all tenants.
#[derive(Debug)]
struct Server {
    clock: Clock,
    hands: ManualClock,
    asked: Lock<Vec<Key>>,
    answered: AtomicU32,
    /// A permit for each response; a closed gate holds the fetches.
    gate: Semaphore,
}

/// The client of one tenant.
#[derive(Debug)]
struct Tenant {
    name: Key,
    server: Arc<Server>,
}

impl TokenSource for Tenant {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            let received = self.server.clock.now();
            self.server.asked.lock().push(self.name);
            if self.name != "open" {
                self.server.gate.acquire().await.unwrap().forget();
            }
            let number = self.server.answered.fetch_add(1, Ordering::SeqCst);
            let terms = Terms { lifetime: Some(HOUR), ..Terms::default() };
            AccessToken::issued(&format!("{}-{number}", self.name).into(), terms, received, &Clock::System)
        })
    }
    fn reject(&self, _: &AccessToken) {}
}

const HOUR: Duration = Duration::from_secs(3600);

impl Server {
    fn start() -> Arc<Self> {
        let (clock, hands) = clock();
        Arc::new(Server {
            clock,
            hands,
            asked: Lock::default(),
            answered: AtomicU32::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    fn client(self: &Arc<Self>, name: Key) -> Cached<Tenant> {
        let tenant = Tenant { name, server: Arc::clone(self) };
        let random = fastrand::Rng::with_seed(7);
        let settings = CachePolicy::new();
        Cached::assemble(Arc::new(tenant), settings, self.clock.clone(), random)
    }

    fn pool(self: &Arc<Self>, capacity: usize) -> TokenPool<Key, Cached<Tenant>> {
        self.pool_with(PoolPolicy::new().capacity(capacity).time_to_idle(HOUR))
    }

    fn pool_with(self: &Arc<Self>, policy: PoolPolicy) -> TokenPool<Key, Cached<Tenant>> {
        let server = Arc::clone(self);
        let make = move |name: &Key| Ok(server.client(name));
        TokenPool::assemble(Making::AtOnce(Arc::new(make)), policy, self.clock.clone())
    }

    /// The number of requests for this tenant's token.
    fn asked(&self, name: Key) -> usize {
        self.asked.lock().iter().filter(|one| **one == name).count()
    }

    fn answered(&self) -> u32 {
        self.answered.load(Ordering::SeqCst)
    }

    fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn open(&self) {
        self.gate.add_permits(100_000);
    }

    /// The number of existing clients.
    fn clients(self: &Arc<Self>) -> usize {
        // Without the references of the test and of the pool's closure.
        Arc::strong_count(self) - 2
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

fn poll(future: &mut TokenFuture<'_>) -> std::task::Poll<Result<AccessToken, Error>> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn value(source: &impl TokenSource) -> String {
    source.token().await.unwrap().expose_secret().to_owned()
}

/// Uses the pool while it is dropped.
struct Leaver(Arc<OnceLock<TokenPool<Key, Cached<Leaver>>>>);

impl fmt::Debug for Leaver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leaver")
    }
}

impl TokenSource for Leaver {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::ready(AccessToken::builder("t").build())
    }
    fn reject(&self, _: &AccessToken) {}
}

impl Drop for Leaver {
    fn drop(&mut self) {
        if let Some(pool) = self.0.get() {
            pool.source(&"idle").inspect(|_| ());
        }
    }
}

#[test]
fn an_idle_source_may_use_the_pool_while_it_is_dropped() {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let ((clock, hands), pool) = (clock(), Arc::default());
        let (own, of_sources) = (Arc::clone(&pool), clock.clone());
        let make = move |_: &Key| {
            let source = Arc::new(Leaver(Arc::clone(&own)));
            Ok(Cached::assemble(source, CachePolicy::new(), of_sources.clone(), fastrand::Rng::with_seed(7)))
        };
        let policy = PoolPolicy::new().time_to_idle(HOUR);
        let pool = pool.get_or_init(|| TokenPool::assemble(Making::AtOnce(Arc::new(make)), policy, clock));
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            pool.source(&"idle").token().await.unwrap();
            hands.advance(HOUR);
            pool.source(&"used").token().await.unwrap();
        });
        done.send(pool.source(&"idle").inspect(|_| ()).is_none()).unwrap();
    });
    assert_eq!(wait.recv_timeout(Duration::from_secs(60)), Ok(true), "it waits for a lock of its own");
}

#[tokio::test]
async fn a_source_is_made_once_however_often_it_fetches_a_token() {
    let (server, made) = (Server::start(), Arc::new(AtomicU32::new(0)));
    let (own, count) = (Arc::clone(&server), Arc::clone(&made));
    let make = move |name: &Key| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(own.client(name))
    };
    let make = Making::AtOnce(Arc::new(make));
    let source = TokenPool::assemble(make, PoolPolicy::new(), server.clock.clone()).source(&"a");
    for _ in 0..3 {
        source.reject(&source.token().await.unwrap());
    }
    assert_eq!((server.asked("a"), made.load(Ordering::SeqCst)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_evicted_during_its_fetch_and_is_used_again_joins_it() {
    // C20
    let server = Server::start();
    let pool = server.pool(1);
    server.close();
    let callers: Vec<_> = (0..20)
        .map(|n| {
            let source = pool.source(if n % 2 == 0 { &"a" } else { &"b" });
            tokio::spawn(async move { value(&source).await })
        })
        .collect();
    settle().await;
    assert_eq!((server.asked("a"), server.asked("b")), (1, 1));
    server.open();
    for (n, caller) in callers.into_iter().enumerate() {
        let token = caller.await.unwrap();
        assert!(token.starts_with(if n % 2 == 0 { "a-" } else { "b-" }), "{token}");
    }
    settle().await;
    assert_eq!((server.asked("a"), server.asked("b")), (1, 1));
    value(&pool.source(&"open")).await;
    assert_eq!(server.clients(), 1, "there is room for one");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_without_waiting_callers_completes_although_its_key_was_evicted() {
    // C20
    let server = Server::start();
    let pool = server.pool(1);
    server.close();
    let a = pool.source(&"a");
    assert!(poll(&mut a.token()).is_pending(), "and the caller gives up");
    assert!(value(&pool.source(&"open")).await.starts_with("open-"));
    let mut again = a.token();
    assert!(poll(&mut again).is_pending());
    settle().await;
    assert_eq!(server.asked("a"), 1, "it was found again");
    server.open();
    assert!(again.await.unwrap().expose_secret().starts_with("a-"));
    assert_eq!(server.answered(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_background_refresh_completes_although_its_key_was_evicted() {
    // C20
    let server = Server::start();
    let pool = server.pool(1);
    let a = pool.source(&"a");
    let first = value(&a).await;
    server.hands.advance(HOUR - Duration::from_secs(60));
    server.close();
    assert_eq!(value(&a).await, first, "due, and refreshed behind");
    value(&pool.source(&"open")).await;
    value(&pool.source(&"open")).await;
    settle().await;
    let before = server.answered();
    server.open();
    settle().await;
    assert_eq!(server.asked("a"), 2);
    assert_eq!(server.answered(), before + 1, "it was not aborted");
    value(&pool.source(&"b")).await;
    assert_eq!(server.clients(), 1, "and is forgotten when it is not needed any more");
}

#[tokio::test(start_paused = true)]
async fn no_key_waits_for_another() {
    // C21
    let server = Server::start();
    let pool = server.pool(100);
    let open = pool.source(&"open");
    value(&open).await;
    server.close();
    let hangs = pool.source(&"a");
    let mut hanging = hangs.token();
    assert!(poll(&mut hanging).is_pending());
    settle().await;
    assert!(poll(&mut open.token()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn equal_sets_of_scopes_are_one_key_and_different_ones_are_two() {
    // C24
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Access {
        scopes: BTreeSet<&'static str>,
        audience: Option<&'static str>,
    }
    let of = |scopes: &[&'static str], audience| Access { scopes: scopes.iter().copied().collect(), audience };
    let server = Server::start();
    let clients = Arc::clone(&server);
    let pool = TokenPool::new(move |_: &Access| Ok(clients.client("a")));
    let token = async |access: &Access| value(&pool.source(access)).await;
    let both = token(&of(&["a", "b"], None)).await;
    assert_eq!(token(&of(&["b", "a"], None)).await, both);
    assert_eq!(server.asked("a"), 1);
    let one = token(&of(&["a"], None)).await;
    assert_ne!(one, both);
    let elsewhere = token(&of(&["a"], Some("api"))).await;
    assert_ne!(elsewhere, one);
    assert_eq!(server.asked("a"), 3);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_closure_is_an_error_of_the_call_and_not_permanent() {
    let server = Server::start();
    let clients = Arc::clone(&server);
    let calls = AtomicU32::new(0);
    let pool = TokenPool::new(move |name: &Key| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Err(Error::of(ErrorKind::Credential, "no such tenant")),
        1 => panic!("the closure panics"),
        _ => Ok(clients.client(name)),
    });
    let source = pool.source(&"a");
    let error = source.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    let error = source.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(!format!("{error:#?}").contains("the closure panics"));
    assert!(value(&source).await.starts_with("a-"));
    assert_eq!(source.inspect(|_| ()), Some(()));
}

#[tokio::test]
async fn a_source_is_made_once_while_it_is_kept() {
    let server = Server::start();
    let (clients, made) = (Arc::clone(&server), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&made);
    let pool = TokenPool::new(move |name: &Key| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(clients.client(name))
    });
    for _ in 0..10 {
        assert_eq!(value(&pool.source(&"a")).await, "a-0");
    }
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_of_the_closure_names_the_key_and_stays_what_it_is() {
    for (error, is_transient) in [
        (Error::of(ErrorKind::Credential, "no such tenant"), false),
        (Error::of(ErrorKind::Credential, "no such tenant").transient(), true),
    ] {
        let pool = TokenPool::new(move |_: &Key| Err::<Cached<Tenant>, _>(error.clone()));
        let pool = pool.named(|key| format!("tenant {key}"));
        let error = pool.source(&"a").token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credential, is_transient));
        assert_eq!(format!("{error:#}"), "no token source for tenant a: no such tenant");
    }
}

#[tokio::test(start_paused = true)]
async fn idle_sources_are_dropped_and_others_stay() {
    let server = Server::start();
    let pool = server.pool(100);
    for name in ["a", "b", "c"] {
        value(&pool.source(&name)).await;
    }
    assert_eq!(server.clients(), 3);
    server.hands.advance(HOUR / 2);
    value(&pool.source(&"a")).await;
    server.hands.advance(HOUR / 2);
    // A new key, which removes idle sources.
    value(&pool.source(&"d")).await;
    assert_eq!(server.clients(), 2, "a and d");
    assert_eq!(pool.source(&"b").inspect(|_| ()), None);
    assert_eq!(server.asked("a"), 1);
    value(&pool.source(&"b")).await;
    assert_eq!(server.asked("b"), 2, "made again");
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_tenant_continue_when_the_pool_drops_its_source_and_the_key_gets_another_one() {
    let server = Server::start();
    let pool = server.pool(1);
    let a = pool.source(&"a");
    assert!(a.inspect(Cached::changes).is_none(), "nothing is made by looking");
    let first = a.token().await.unwrap();
    let mut changes = a.inspect(Cached::changes).unwrap();
    assert_eq!(changes.next().await.unwrap().expose_secret(), first.expose_secret());
    value(&pool.source(&"open")).await;
    value(&pool.source(&"open")).await;
    assert!(a.inspect(|_| ()).is_none(), "it made room");
    server.hands.advance(HOUR);
    let next = changes.next().await.unwrap();
    assert_ne!(next.expose_secret(), first.expose_secret());
    assert_eq!(server.asked("a"), 2);
    assert_ne!(value(&a).await, next.expose_secret());
    assert_eq!(server.asked("a"), 3);
    drop((changes, a));
    settle().await;
    value(&pool.source(&"open")).await;
    value(&pool.source(&"open")).await;
    assert_eq!(server.clients(), 1, "nothing is kept once it is dropped");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_sources_is_bounded() {
    let server = Server::start();
    let pool = server.pool(100);
    let names: Vec<Key> = (0..1000).map(leaked).collect();
    for name in &names {
        value(&pool.source(name)).await;
    }
    settle().await;
    let clients = server.clients();
    assert!((50..=104).contains(&clients), "{clients}");
    assert!(pool.0.alive.lock().sources.len() <= 3 * 104, "those that are gone are forgotten");
}

fn leaked(n: usize) -> Key {
    Box::leak(n.to_string().into_boxed_str())
}

#[test]
fn a_policy_that_keeps_nothing_is_refused() {
    let seconds = Duration::from_secs;
    for (policy, flaw) in [
        (PoolPolicy::new(), None),
        (PoolPolicy::new().capacity(1).time_to_idle(seconds(1)), None),
        (PoolPolicy::new().capacity(0), Some("capacity is zero")),
        (PoolPolicy::new().time_to_idle(Duration::from_millis(999)), Some("time_to_idle is below 1 s")),
        (PoolPolicy::new().time_to_idle(Duration::ZERO), Some("time_to_idle is below 1 s")),
    ] {
        match policy.check() {
            Ok(()) => assert_eq!(flaw, None),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Configuration);
                assert!(error.to_string().contains(flaw.unwrap()), "{error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn capacity_and_time_to_idle_are_what_they_were_set_to() {
    let server = Server::start();
    let pool = server.pool_with(PoolPolicy::new().capacity(20));
    for n in 0..200 {
        value(&pool.source(&leaked(n))).await;
    }
    let clients = server.clients();
    assert!((10..=24).contains(&clients), "{clients}");
    let pool = server.pool_with(PoolPolicy::new().capacity(100).time_to_idle(Duration::from_secs(60)));
    value(&pool.source(&"a")).await;
    server.hands.advance(Duration::from_secs(60));
    value(&pool.source(&"b")).await;
    assert_eq!(pool.source(&"a").inspect(|_| ()), None);
}

#[tokio::test(start_paused = true)]
async fn idle_sources_are_looked_for_four_times_in_their_time_and_no_more() {
    let server = Server::start();
    let pool = server.pool(100);
    value(&pool.source(&"a")).await;
    server.hands.advance(HOUR - Duration::from_secs(1));
    value(&pool.source(&"b")).await;
    server.hands.advance(Duration::from_secs(1));
    value(&pool.source(&"c")).await;
    assert_eq!(server.clients(), 3, "a second after they were looked for");
    server.hands.advance(HOUR / 4 - Duration::from_secs(1));
    value(&pool.source(&"d")).await;
    assert_eq!(server.clients(), 3, "all but a");
}

#[tokio::test(start_paused = true)]
async fn live_sources_are_scanned_when_their_number_has_doubled_and_none_is_forgotten() {
    let server = Server::start();
    let pool = server.pool(2000);
    for n in 0..500 {
        value(&pool.source(&leaked(n))).await;
    }
    assert_eq!(pool.0.alive.lock().crowded, 512, "at 64, 128 and 256");

    let small = server.pool(1);
    server.close();
    let a = small.source(&"a");
    assert!(poll(&mut a.token()).is_pending());
    let waiting: Vec<_> = (0..200).map(|n| small.source(&leaked(n))).collect();
    for source in &waiting {
        assert!(poll(&mut source.token()).is_pending());
    }
    settle().await;
    assert!(poll(&mut a.token()).is_pending());
    settle().await;
    assert_eq!(server.asked("a"), 1, "it made room, and was found again");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_affects_only_the_token_of_its_key() {
    let server = Server::start();
    let pool = server.pool(100);
    let (a, b) = (pool.source(&"a"), pool.source(&"b"));
    let (of_a, of_b) = (a.token().await.unwrap(), b.token().await.unwrap());
    b.reject(&of_a);
    pool.source(&"nobody").reject(&of_a);
    assert_eq!(value(&a).await, of_a.expose_secret());
    assert_eq!(value(&b).await, of_b.expose_secret());
    pool.source(&"a").reject(&of_a);
    assert_ne!(value(&a).await, of_a.expose_secret());
    assert_eq!(value(&b).await, of_b.expose_secret());
    assert_eq!((server.asked("a"), server.asked("b")), (2, 1));
}

#[test]
fn two_threads_that_ask_for_a_key_first_share_one_source() {
    let server = Server::start();
    let clients = Arc::clone(&server);
    // Both threads are in the closure at once.
    let both = Barrier::new(2);
    let pool = TokenPool::new(move |name: &Key| {
        both.wait();
        Ok(clients.client(name))
    });
    let ask = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(value(&pool.source(&"a")))
    };
    let (one, other) = std::thread::scope(|threads| {
        let (one, other) = (threads.spawn(ask), threads.spawn(ask));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one, other);
    assert_eq!(server.asked("a"), 1);
    assert_eq!(server.clients(), 1, "the other one was dropped unused");
}

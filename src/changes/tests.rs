//! Tokens that are pushed: a manual clock, a counted source, no callers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::future::TokenFuture;

/// An authorization server with tokens `t1`, `t2`, .., which can be down.
#[derive(Debug)]
struct Server {
    clock: ManualClock,
    lifetime: Duration,
    down: AtomicBool,
    asked: AtomicU32,
    /// When each token was issued, in seconds since the start.
    issued: Mutex<Vec<u64>>,
    start: Duration,
}

impl Server {
    fn with_tokens_of(lifetime: u64, clock: ManualClock) -> Arc<Self> {
        Arc::new(Server {
            start: clock.read().mono(),
            clock,
            lifetime: seconds(lifetime),
            down: AtomicBool::new(false),
            asked: AtomicU32::new(0),
            issued: Mutex::default(),
        })
    }

    fn tokens(self: &Arc<Self>) -> Cached<Arc<Self>> {
        Cached::new(Arc::clone(self)).clock(&self.clock)
    }

    fn passed(&self) -> u64 {
        (self.clock.read().mono() - self.start).as_secs()
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn issued(&self) -> usize {
        self.issued.lock().unwrap().len()
    }
}

impl TokenSource for Arc<Server> {
    fn token(&self) -> TokenFuture<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return TokenFuture::ready(Err(Error::new(ErrorKind::Transport, "connection refused").transient()));
        }
        let mut issued = self.issued.lock().unwrap();
        issued.push(self.passed());
        let token = AccessToken::builder(format!("t{}", issued.len())).lifetime(self.lifetime);
        TokenFuture::ready(token.clock(&self.clock).build())
    }
    fn reject(&self, _: &AccessToken) {}
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Advances the clock second by second, and runs the tasks after each.
async fn advance(server: &Server, by: u64) {
    for _ in 0..by {
        server.clock.advance(seconds(1));
        settle().await;
    }
}

/// The result of `next` without waiting.
async fn at_once(changes: &mut Changes) -> Option<AccessToken> {
    let mut next = pin!(changes.next());
    let polled = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
    match polled {
        Poll::Ready(token) => Some(token.unwrap()),
        Poll::Pending => None,
    }
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn an_hour_of_short_tokens_with_an_outage_yields_each_once_and_in_time() {
    let server = Server::with_tokens_of(60, ManualClock::new());
    let mut changes = server.tokens().changes();
    // (the second in which it came, the token)
    let mut seen: Vec<(u64, AccessToken)> = Vec::new();
    let (from, until) = (1200, 1800);
    for second in 0..3600 {
        server.down.store((from..until).contains(&second), Ordering::SeqCst);
        while let Some(token) = at_once(&mut changes).await {
            seen.push((second, token));
            settle().await;
        }
        settle().await;
        advance(&server, 1).await;
    }
    // One may have come in the last second.
    while let Some(token) = at_once(&mut changes).await {
        seen.push((3600, token));
        settle().await;
    }

    let values: Vec<_> = seen.iter().map(|(_, token)| token.expose_secret().to_owned()).collect();
    let expected: Vec<_> = (1..=server.issued()).map(|number| format!("t{number}")).collect();
    assert_eq!(values, expected, "each token once");

    let gaps: Vec<_> = seen.windows(2).map(|pair| (pair[0].0, pair[1].0 - pair[0].0)).collect();
    let (outage, usual): (Vec<_>, Vec<_>) = gaps.into_iter().partition(|(start, _)| (from - 60..until).contains(start));
    // Due after 30 to 45 s of 60, and noticed within a second.
    assert!(usual.len() > 60 && usual.iter().all(|(_, gap)| (29..=46).contains(gap)), "{usual:?}");
    let back = outage.iter().map(|(start, gap)| start + gap).find(|end| *end >= until).unwrap();
    // The longest wait without a usable token is 10 s.
    assert!(back <= until + 11, "recovered at {back}");
    assert!(server.asked() < 300, "{} requests: a backoff, not a loop", server.asked());
}

#[tokio::test]
async fn a_held_stream_keeps_the_token_fresh_without_callers() {
    let server = Server::with_tokens_of(60, ManualClock::new());
    let tokens = server.tokens();
    let held = tokens.changes();
    for _ in 0..600 {
        advance(&server, 1).await;
        assert!(tokens.token().now_or_never().is_some_and(|token| token.is_ok()), "without waiting");
    }
    assert!(server.asked() >= 600 / 46);
    drop(held);
    settle().await;
    assert_eq!(alive_tasks(), 0);
    let asked = server.asked();
    advance(&server, 600).await;
    assert_eq!(server.asked(), asked, "dropped: no requests");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_advances_with_tokios_is_not_advanced_by_hand() {
    let server = Server::with_tokens_of(60, ManualClock::along_tokio());
    let mut changes = server.tokens().changes();
    let mut last = None;
    for number in 1..=100 {
        let next = tokio::time::timeout(seconds(120), changes.next());
        assert_eq!(next.await.unwrap().unwrap().expose_secret(), format!("t{number}"));
        let at = server.passed();
        // Within a safety margin after it is due, since the clocks are read that often.
        assert!(last.is_none_or(|last| (29..=46).contains(&(at - last))), "{last:?} {at}");
        last = Some(at);
    }
}

#[tokio::test]
async fn a_rejected_token_is_followed_by_its_replacement() {
    let server = Server::with_tokens_of(3600, ManualClock::new());
    let tokens = server.tokens();
    let mut changes = tokens.changes();
    settle().await;
    let first = at_once(&mut changes).await.unwrap();
    assert!(at_once(&mut changes).await.is_none(), "nothing newer");
    tokens.reject(&first);
    settle().await;
    let second = at_once(&mut changes).await.unwrap();
    assert_eq!((first.expose_secret(), second.expose_secret()), ("t1", "t2"));
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_slow_consumer_sees_the_latest_and_nothing_that_is_no_longer_usable() {
    let server = Server::with_tokens_of(60, ManualClock::new());
    let tokens = server.tokens();
    let mut changes = tokens.changes();
    settle().await;
    advance(&server, 300).await;
    let latest = format!("t{}", server.issued());
    assert!(server.issued() > 5);
    assert_eq!(changes.next().await.unwrap().expose_secret(), latest);
    assert!(at_once(&mut changes).await.is_none(), "no queue");

    // It expires during an outage, before a second consumer has seen it.
    let mut second = tokens.changes();
    server.down.store(true, Ordering::SeqCst);
    advance(&server, 120).await;
    assert!(at_once(&mut second).await.is_none(), "expired");
    let status = second.status();
    assert!(status.last_error.is_some_and(|error| error.to_string().contains("connection refused")));
    server.down.store(false, Ordering::SeqCst);
    advance(&server, 11).await;
    assert!(at_once(&mut second).await.is_some());
}

#[tokio::test]
async fn a_token_that_the_server_issues_again_is_not_a_new_one() {
    let clock = ManualClock::new();
    let by = clock.clone();
    let tokens = Cached::new(crate::source::source_fn(move || {
        let token = AccessToken::builder("same").lifetime(seconds(60)).clock(&by).build();
        async { token }
    }));
    let mut changes = tokens.clock(&clock).changes();
    settle().await;
    assert!(at_once(&mut changes).await.is_some());
    for _ in 0..120 {
        clock.advance(seconds(1));
        settle().await;
        assert!(at_once(&mut changes).await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_tokens_are_expired_on_arrival_is_called_less_and_less_often() {
    let server = Server::with_tokens_of(0, ManualClock::along_tokio());
    let mut changes = server.tokens().changes();
    let hour = tokio::time::timeout(seconds(3600), changes.next()).await;
    assert!(hour.is_err(), "not returned");
    assert!((60..80).contains(&server.asked()), "{} requests in an hour", server.asked());
}

#[test]
fn a_stream_outlives_the_runtime_that_it_was_made_on() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Server::with_tokens_of(60, ManualClock::new());
    let mut changes = server.tokens().changes();
    let without = pin!(changes.next()).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    let Poll::Ready(Err(error)) = without else { panic!("{without:?}") };
    assert!(error.to_string().contains("tokio runtime"), "{error}");

    let first = runtime();
    assert_eq!(first.block_on(changes.next()).unwrap().expose_secret(), "t1");
    drop(first);
    server.clock.advance(seconds(3600));
    let second = runtime();
    assert_eq!(second.block_on(changes.next()).unwrap().expose_secret(), "t2");
}

#[tokio::test]
async fn a_corrected_file_is_noticed_within_a_second_without_callers() {
    // FB6
    type Flag = Arc<AtomicBool>;
    let (clock, corrected, looks) = (ManualClock::new(), Flag::default(), Arc::new(AtomicU32::new(0)));
    let asked = Arc::new(AtomicU32::new(0));
    let source = {
        let (corrected, looks, asked) = (Arc::clone(&corrected), Arc::clone(&looks), Arc::clone(&asked));
        let clock = clock.clone();
        crate::source::source_fn(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            let (corrected, looks, clock) = (Arc::clone(&corrected), Arc::clone(&looks), clock.clone());
            async move {
                if corrected.load(Ordering::SeqCst) {
                    return AccessToken::builder("t").lifetime(seconds(3600)).clock(&clock).build();
                }
                let look: crate::error::Look = Arc::new(move || {
                    looks.fetch_add(1, Ordering::SeqCst);
                    let corrected = corrected.load(Ordering::SeqCst);
                    Box::pin(async move { corrected })
                });
                Err(Error::new(ErrorKind::Denied, "invalid_client").until(Some(look)))
            }
        })
    };
    let tokens = Cached::new(source).clock(&clock);
    let mut changes = tokens.changes();
    // It was denied so often that the next fetch is many seconds away.
    let mut waited = 0;
    while asked.load(Ordering::SeqCst) < 6 {
        settle().await;
        clock.advance(seconds(1));
        waited += 1;
        assert!(waited < 100, "{} {}", asked.load(Ordering::SeqCst), looks.load(Ordering::SeqCst));
    }
    settle().await;
    let (requests, before) = (asked.load(Ordering::SeqCst), looks.load(Ordering::SeqCst));
    for _ in 0..3 {
        clock.advance(seconds(1));
        settle().await;
    }
    assert_eq!((asked.load(Ordering::SeqCst), looks.load(Ordering::SeqCst)), (requests, before + 3), "once a second");
    corrected.store(true, Ordering::SeqCst);
    clock.advance(seconds(1));
    settle().await;
    assert_eq!(asked.load(Ordering::SeqCst), requests + 1, "it was noticed");
    assert_eq!(changes.next().await.unwrap().expose_secret(), "t");
}

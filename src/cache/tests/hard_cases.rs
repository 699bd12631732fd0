//! Cases from an adversarial review: futures that are polled late, runtimes that shut down under a caller, sources that
//! misbehave.

use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::contained::panics_of;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn poll(wait: &mut TokenFuture<'_>) -> Poll<Result<AccessToken, Error>> {
    Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of `f` on a thread of its own, within `limit`; `None`: it still runs.
fn within<T: Send + 'static>(limit: Duration, f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || drop(done.send(f())));
    wait.recv_timeout(limit).ok()
}

#[tokio::test]
async fn a_waiter_polled_after_the_rejection_does_not_get_the_rejected_token() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let mut slow = tokens.token();
    assert!(poll(&mut slow).is_pending());
    let quick = tokens.token().await.unwrap();
    tokens.reject(&quick);
    // `slow` was not polled in between, like a future in `buffered()` whose consumer is busy.
    match poll(&mut slow) {
        Poll::Ready(result) => assert_ne!(result.unwrap().id(), quick.id(), "it was rejected"),
        Poll::Pending => {}
    }
}

#[tokio::test]
async fn a_waiter_polled_after_an_hour_does_not_get_an_expired_token() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let mut slow = tokens.token();
    assert!(poll(&mut slow).is_pending());
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t1");
    server.advance(seconds(3601));
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
    match poll(&mut slow) {
        Poll::Ready(result) => assert_eq!(result.unwrap().expose_secret(), "t2"),
        Poll::Pending => {}
    }
}

#[test]
fn a_fetch_that_was_taken_over_and_completes_expired_has_no_effect_while_a_token_is_usable() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let idle = runtime();
    let waiter = idle.spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    idle.block_on(settle());
    assert_eq!(server.hits(), 1);
    server.advance(seconds(4000));
    server.open(2);
    let good = runtime().block_on(tokens.token()).unwrap();
    assert_eq!(good.expose_secret(), "t2");
    let got = idle.block_on(waiter).unwrap().unwrap();
    assert_eq!(got.expose_secret(), "t2", "t1 expired 400 s ago");
}

#[test]
fn a_late_failure_does_not_fail_callers_of_a_newer_fetch() {
    let server = Server::new([down()], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let (idle, second) = (runtime(), runtime());
    let waiter = idle.spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    idle.block_on(settle());
    server.advance(seconds(10));
    // It was taken over, and its fetch is in progress.
    second.block_on(async {
        assert!(at_once(&tokens).is_none());
        settle().await;
    });
    assert_eq!(server.hits(), 2);
    server.open(1);
    idle.block_on(settle());
    server.open(1);
    second.block_on(settle());
    assert_eq!(value(&tokens), "t2");
    assert_eq!(idle.block_on(waiter).unwrap().unwrap().expose_secret(), "t2");
}

#[test]
fn a_source_that_is_always_busy_is_bounded_by_the_fetch_timeout() {
    // A future that is always ready (a fast endless body, a full channel) uses up tokio's budget in every poll.
    let result = within(seconds(5), || {
        let busy = crate::source::source_fn(|| async {
            loop {
                tokio::task::consume_budget().await;
            }
        });
        let tokens = Cached::with_policy(busy, CachePolicy::new().fetch_timeout(millis(100))).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let result = runtime.block_on(tokens.token());
        runtime.shutdown_background();
        result.map(drop)
    });
    assert!(matches!(result, Some(Err(_))), "{result:?}");
}

#[test]
fn a_runtime_that_was_shut_down_is_an_error_and_not_an_endless_loop() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let gone = runtime();
    let handle = gone.handle().clone();
    drop(gone);
    let result = within(seconds(3), move || handle.block_on(tokens.token()).map(drop));
    assert!(matches!(result, Some(Err(_))), "{result:?}");
}

#[test]
fn a_waiter_whose_first_runtime_is_gone_does_not_panic() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let (first, second) = (runtime(), runtime());
    second.block_on(async {
        assert!(at_once(&tokens).is_none());
        settle().await;
    });
    let mut wait = tokens.token();
    {
        let _inside = first.enter();
        assert!(poll(&mut wait).is_pending());
    }
    drop(first);
    server.open(1);
    let got = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second.block_on(wait)));
    assert!(got.is_ok(), "never a panic");
}

#[test]
fn fetches_on_a_runtime_that_is_not_driven_do_not_pile_up() {
    // Synchronous code after `enter()`, as `now_or_never` recommends, with a runtime that is driven only occasionally.
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let idle = runtime();
    {
        let _inside = idle.enter();
        for _ in 0..100 {
            assert!(at_once(&tokens).is_none());
            server.advance(seconds(10));
        }
    }
    let waiting = idle.metrics().num_alive_tasks();
    idle.block_on(settle());
    assert!(waiting <= 3 && server.hits() <= 3, "{waiting} tasks, {} requests at once", server.hits());
}

#[test]
fn dropping_the_last_handle_also_ends_a_fetch_that_was_taken_over() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let (idle, second) = (runtime(), runtime());
    idle.block_on(async {
        assert!(at_once(&tokens).is_none());
        settle().await;
    });
    server.advance(seconds(10));
    second.block_on(async {
        assert!(at_once(&tokens).is_none());
        settle().await;
    });
    drop(tokens);
    second.block_on(settle());
    idle.block_on(settle());
    assert_eq!(second.metrics().num_alive_tasks(), 0);
    assert_eq!(idle.metrics().num_alive_tasks(), 0);
}

#[test]
fn user_code_never_runs_under_the_lock() {
    // The last clone of an error is dropped by the completion that ends the outage.
    #[derive(Debug)]
    struct Asks(Cached<Arc<Server>>);
    impl fmt::Display for Asks {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("down")
        }
    }
    impl std::error::Error for Asks {}
    impl Drop for Asks {
        fn drop(&mut self) {
            drop(at_once(&self.0));
        }
    }
    let done = within(seconds(3), || {
        let server = Server::new([], Reply::New(3600));
        let tokens = cached(&server);
        server.script.lock().unwrap().push_back(Reply::Fail(Error::other(Asks(tokens.clone()))));
        runtime().block_on(async {
            assert!(tokens.token().await.is_err());
            server.advance(seconds(1));
            assert!(tokens.token().await.is_ok());
        });
    });
    assert!(done.is_some(), "it hangs");
}

#[tokio::test]
async fn a_refresh_in_of_zero_causes_no_burst_of_requests() {
    #[derive(Debug)]
    struct Hasty(Clock, AtomicU64);
    impl TokenSource for Hasty {
        fn token(&self) -> TokenFuture<'_> {
            let hit = self.1.fetch_add(1, Ordering::SeqCst);
            let terms = Terms { lifetime: Some(seconds(3600)), refresh_in: Some(Duration::ZERO), ..Terms::default() };
            let name = format!("t{hit}");
            TokenFuture::ready(AccessToken::issued(&name.as_str().into(), terms, self.0.now(), &Clock::System))
        }
        fn reject(&self, _: &AccessToken) {}
    }
    let (clock, hands) = clock();
    let source = Arc::new(Hasty(clock.clone(), AtomicU64::new(0)));
    let tokens = Cached::assemble(Arc::clone(&source), CachePolicy::new(), clock, fastrand::Rng::with_seed(1));
    for _ in 0..1000 {
        tokens.token().await.unwrap();
        settle().await;
        hands.advance(millis(10));
    }
    let hits = source.1.load(Ordering::SeqCst);
    assert!(hits <= 12, "{hits} requests in 10 s for tokens of an hour");
}

#[tokio::test]
async fn the_first_failure_after_tokens_of_zero_lifetime_waits_the_first_backoff() {
    let server = Server::new((0..20).map(|_| Reply::New(0)).chain([down()]), Reply::New(0));
    let tokens = cached(&server);
    for _ in 0..20 {
        tokens.token().await.unwrap();
        server.advance(seconds(60));
    }
    assert!(tokens.token().await.is_err());
    server.advance(millis(250));
    assert!(at_once(&tokens).is_none(), "250 ms after the first failure it is time for the next fetch");
}

#[tokio::test]
async fn a_rejection_reaches_the_wrapped_source() {
    // A decorator forwards both (the contract of `TokenSource`): otherwise a source that keeps tokens itself returns
    // the rejected one again, as if the server insisted on it.
    let server = Server::new([], Reply::New(3600));
    let inner = cached(&server);
    let outer = Cached::assemble(
        Arc::new(inner.clone()),
        CachePolicy::new(),
        server.clock.clone(),
        fastrand::Rng::with_seed(1),
    );
    let token = outer.token().await.unwrap();
    outer.reject(&token);
    assert_eq!(outer.token().await.unwrap().expose_secret(), "t2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_fetch_with_heartbeats_is_never_taken_over_however_short_the_timeout() {
    static HITS: AtomicU64 = AtomicU64::new(0);
    let slow = crate::source::source_fn(|| async {
        HITS.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(millis(500)).await;
        AccessToken::builder("t").lifetime(seconds(3600)).build()
    });
    let tokens = Cached::with_policy(slow, CachePolicy::new().takeover_after(millis(1))).unwrap();
    tokens.token().await.unwrap();
    assert_eq!(HITS.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_future_panics_when_it_is_dropped_is_an_error() {
    // At the deadline the future is dropped outside of `catch_unwind`: the fetch never completes.
    struct Rude;
    impl Drop for Rude {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let tokens = Cached::new(crate::source::source_fn(|| async {
        let _rude = Rude;
        std::future::pending::<()>().await;
        Err(Error::other("never"))
    }));
    let result = tokio::time::timeout(seconds(300), tokens.token()).await;
    assert!(matches!(result, Ok(Err(_))), "ten fetch deadlines later");
}

#[test]
fn a_runtime_without_timers_is_detected_once_while_a_token_is_usable() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    runtime().block_on(tokens.token()).unwrap();
    server.advance(seconds(3400));
    // tokio reports it by a panic.
    let panics = panics_of(|| {
        Builder::new_current_thread().build().unwrap().block_on(async {
            for _ in 0..100 {
                tokens.token().await.unwrap();
            }
        });
    });
    assert_eq!(panics, 1);
}

#[test]
fn a_runtime_can_be_dropped_while_a_blocking_thread_of_it_waits_for_a_token() {
    let server = Server::new([Reply::Never], Reply::New(3600));
    let tokens = cached(&server);
    let dropped = within(seconds(3), move || {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn_blocking(move || drop(Handle::current().block_on(tokens.token())));
        while server.hits() == 0 {
            std::thread::yield_now();
        }
        drop(runtime);
    });
    assert!(dropped.is_some(), "the drop does not return");
}

//! Runtimes that come and go (C10).

use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::runtime::{Builder, Runtime};

use super::*;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Starts a fetch on `runtime`, which is not driven afterwards.
fn take_off(runtime: &Runtime, tokens: &Cached<Arc<Server>>) {
    runtime.block_on(async {
        assert!(at_once(tokens).is_none());
        settle().await;
    });
}

#[test]
fn the_runtime_of_the_first_call_is_gone() {
    let server = Server::new([], Reply::New(100));
    let tokens = cached(&server);
    assert!(runtime().block_on(tokens.token()).is_ok());
    server.advance(seconds(100));
    assert_eq!(runtime().block_on(tokens.token()).unwrap().expose_secret(), "t2");
}

#[test]
fn the_runtime_is_gone_with_the_fetch_in_it() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let first = runtime();
    take_off(&first, &tokens);
    drop(first);
    server.open(1);
    // At once: a closed channel needs no timeout, and the manual clock does not advance.
    assert_eq!(runtime().block_on(tokens.token()).unwrap().expose_secret(), "t2");
}

#[test]
fn the_runtime_shuts_down_while_another_waits_for_its_fetch() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let first = runtime();
    take_off(&first, &tokens);
    let second = runtime();
    second.block_on(async {
        let mut wait = tokens.token();
        assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // A runtime cannot be dropped inside another.
        std::thread::scope(|scope| scope.spawn(|| drop(first)).join().unwrap());
        server.open(1);
        assert_eq!(wait.await.unwrap().expose_secret(), "t2");
    });
}

#[test]
fn a_fetch_whose_runtime_is_idle_is_taken_over_after_one_attempt_timeout() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let idle = runtime();
    take_off(&idle, &tokens);
    let second = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    second.block_on(async {
        let caller = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        settle().await;
        server.advance(millis(9_999));
        tokio::time::sleep(seconds(11)).await;
        assert_eq!(server.hits(), 1, "not before");
        server.advance(millis(1));
        tokio::time::sleep(seconds(11)).await;
        assert_eq!(server.hits(), 2);
        // The first permit goes to the fetch that is not driven, in the order of arrival.
        server.open(2);
        assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "t2");
    });
    // The fetch that was taken over completes late, and the newer token stays.
    idle.block_on(settle());
    assert_eq!(value(&tokens), "t2");
    assert_eq!(server.hits(), 2);
}

#[test]
fn a_late_completion_fills_an_empty_slot() {
    let server = Server::new([Reply::New(3600), down()], down());
    let tokens = cached(&server);
    server.close();
    let idle = runtime();
    take_off(&idle, &tokens);
    server.advance(seconds(10));
    server.open(2);
    // The second fetch fails, and so do all calls from then on.
    assert!(runtime().block_on(tokens.token()).is_err());
    assert!(at_once(&tokens).unwrap().is_err());
    idle.block_on(settle());
    assert_eq!(value(&tokens), "t1");
}

#[test]
fn a_late_failure_changes_nothing() {
    let server = Server::new([down()], Reply::New(3600));
    let tokens = cached(&server);
    server.close();
    let idle = runtime();
    take_off(&idle, &tokens);
    server.advance(seconds(10));
    server.open(2);
    assert!(runtime().block_on(tokens.token()).is_ok());
    idle.block_on(settle());
    assert_eq!(value(&tokens), "t2");
    server.advance(seconds(3000));
    assert_eq!(value(&tokens), "t2");
    assert_eq!(server.hits(), 2, "no backoff, no refresh");
}

#[tokio::test(start_paused = true)]
async fn a_slow_fetch_with_heartbeats_is_never_taken_over() {
    let server = Server::new([], Reply::New(3600));
    server.close();
    let tokens = cached(&server);
    let caller = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    // 29 s: more than two attempt timeouts, within the fetch timeout.
    for _ in 0..29 {
        tokio::time::sleep(seconds(1)).await;
        server.advance(seconds(1));
    }
    assert_eq!(server.hits(), 1);
    server.open(1);
    assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "t1");
}

#[test]
fn outside_a_runtime_a_usable_token_is_returned_and_otherwise_an_error_that_says_so() {
    // C12
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let error = at_once(&tokens).unwrap().unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    assert_eq!(server.hits(), 0);

    runtime().block_on(tokens.token()).unwrap();
    assert_eq!(value(&tokens), "t1");
    server.advance(seconds(3400));
    assert_eq!(value(&tokens), "t1", "due: usable, although it cannot be refreshed here");
    server.advance(seconds(200));
    assert!(at_once(&tokens).unwrap().is_err());
    assert!(runtime().block_on(tokens.token()).is_ok(), "and no backoff follows from that error");
}

#[test]
fn a_runtime_without_timers_gets_an_error_that_says_so() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let timeless = Builder::new_current_thread().build().unwrap();
    let error = timeless.block_on(tokens.token()).unwrap_err();
    assert!(error.to_string().contains("no timers"), "{error}");
    runtime().block_on(tokens.token()).unwrap();
    assert!(timeless.block_on(tokens.token()).is_ok());
}

#[test]
fn a_due_token_is_refreshed_by_the_next_runtime_that_can() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    runtime().block_on(tokens.token()).unwrap();
    server.advance(seconds(3400));
    assert_eq!(value(&tokens), "t1");
    // For a second this thread does not probe the runtime again.
    server.advance(seconds(1));
    runtime().block_on(async {
        assert_eq!(value(&tokens), "t1");
        settle().await;
        assert_eq!(value(&tokens), "t2");
    });
}

#[tokio::test]
async fn a_thread_that_was_blocked_does_not_take_over_a_live_fetch() {
    // The task of the fetch is alive, but could not set a heartbeat for longer than an attempt timeout.
    let server = Server::new([], Reply::New(3600));
    server.close();
    let tokens = with_policy(&server, CachePolicy::new().takeover_after(millis(10)));
    assert!(at_once(&tokens).is_none());
    settle().await;
    for _ in 0..3 {
        std::thread::sleep(millis(30));
        server.advance(millis(100));
        // The tick is due, and the task has not been polled yet.
        let mut caller = tokens.token();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut caller).poll(&mut cx).is_pending());
        settle().await;
        assert!(Pin::new(&mut caller).poll(&mut cx).is_pending());
        settle().await;
    }
    assert_eq!(server.hits(), 1);
}

#[test]
fn a_due_token_is_refreshed_though_each_runtime_runs_for_one_call_only() {
    // FE12: each call has a runtime of its own, which ends after it. Nothing drives a refresh after such a call.
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    for call in 0..360 {
        // A runtime that is still current when its fetch is spawned, and is driven for the call alone.
        assert!(runtime().block_on(tokens.token()).is_ok(), "call {call}");
        server.advance(seconds(60));
    }
    let fetches = tokens.fetches();
    assert_eq!(fetches.cold, 1, "{fetches:?}: none expired before another one was there");
    // Six hours; each token is refreshed in the last 20 % of its hour. Fetches that were not driven have sent no
    // request.
    assert!((6..=9).contains(&server.hits()), "{} requests", server.hits());
}

#[tokio::test]
async fn threads_without_a_runtime_do_not_prevent_a_refresh() {
    // FE15: they ask a hundred times between the calls of the one task that can refresh.
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    let ask_outside = || {
        let ask = || (0..100).all(|_| at_once(&tokens).is_some_and(|token| token.is_ok()));
        std::thread::scope(|scope| scope.spawn(ask).join().unwrap())
    };
    for minute in 0..180 {
        assert!(ask_outside(), "minute {minute}");
        tokens.token().await.unwrap();
        settle().await;
        server.advance(seconds(60));
    }
    let fetches = tokens.fetches();
    assert_eq!(fetches.cold, 1, "{fetches:?}");
    assert!(fetches.refresh >= 3, "{fetches:?}");
}

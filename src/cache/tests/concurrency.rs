//! FAULTS family C: many callers, cancelled callers, panics.

use std::sync::LazyLock;
use std::task::{Context, Waker};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn ten_thousand_callers_without_a_token_make_one_request() {
    // C01
    let server = Server::new([], Reply::New(3600));
    server.close();
    let tokens = cached(&server);
    let callers: Vec<_> = (0..10_000)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await.unwrap().expose_secret().to_owned() })
        })
        .collect();
    server.open(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "t1");
    }
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn in_the_refresh_window_no_caller_waits() {
    // C02
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t1");
    server.close();
    server.advance(seconds(3400));
    for _ in 0..10_000 {
        assert_eq!(value(&tokens), "t1");
    }
    settle().await;
    assert_eq!(server.hits(), 2);
    assert_eq!(value(&tokens), "t1", "the refresh is still under way");
    server.open(1);
    settle().await;
    assert_eq!(value(&tokens), "t2");
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_cancelled_caller_does_not_cancel_the_fetch() {
    // C03
    let server = Server::new([], Reply::New(3600));
    server.close();
    let tokens = cached(&server);
    let leader = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    settle().await;
    assert_eq!(server.hits(), 1);
    let follower = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    settle().await;
    leader.abort();
    server.open(1);
    assert_eq!(follower.await.unwrap().unwrap().expose_secret(), "t1");
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_fetch_without_waiting_callers_fills_the_cache() {
    // C04
    let server = Server::new([], Reply::New(3600));
    server.close();
    let tokens = cached(&server);
    for _ in 0..10 {
        assert!(at_once(&tokens).is_none(), "polled once and dropped");
    }
    settle().await;
    server.open(1);
    settle().await;
    assert_eq!(value(&tokens), "t1");
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn ten_impatient_callers_one_after_the_other_get_seven_tokens_from_one_request() {
    // Each caller gives up after 200 ms of the clock; the server takes 400 ms.
    let server = Server::new([], Reply::Slow(millis(400), 3600));
    let tokens = cached(&server);
    let mut served = 0;
    for _ in 0..10 {
        let mut wait = tokens.token();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..20 {
            if let std::task::Poll::Ready(result) = Pin::new(&mut wait).poll(&mut cx) {
                result.unwrap();
                served += 1;
                break;
            }
            settle().await;
            server.advance(millis(10));
        }
    }
    assert_eq!(server.hits(), 1);
    assert!(served >= 7, "{served}");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_share_one_failure() {
    // C06
    let server = Server::new([], down());
    let retrying = crate::retry::Retrying {
        source: Arc::clone(&server),
        policy: crate::retry::RetryPolicy::new(),
        fetch_timeout: seconds(30),
    };
    let tokens =
        Cached::assemble(Arc::new(retrying), CachePolicy::new(), server.clock.clone(), fastrand::Rng::with_seed(1));
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await.unwrap_err() })
        })
        .collect();
    let mut errors = Vec::new();
    for caller in callers {
        errors.push(caller.await.unwrap());
    }
    assert_eq!(server.hits(), 3);
    assert!(errors.windows(2).all(|pair| pair[0].is_same_as(&pair[1])), "one shared error");
    // From now on at once, until the next fetch is due.
    assert!(at_once(&tokens).unwrap().unwrap_err().is_same_as(&errors[0]));
    assert_eq!(server.hits(), 3);
}

#[test]
fn a_source_is_made_outside_a_runtime() {
    // C11
    static TOKENS: LazyLock<Cached<Arc<Server>>> = LazyLock::new(|| cached(&Server::new([], Reply::New(3600))));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(TOKENS.token()).unwrap().expose_secret(), "t1");
    assert_eq!(value(&*TOKENS), "t1", "a fresh token needs no runtime");
}

#[tokio::test]
async fn a_panic_in_the_source_is_an_error_with_a_backoff() {
    // C13, L11, FA4
    let server = Server::new([Reply::Panic], Reply::New(3600));
    let tokens = cached(&server);
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other);
    assert!(error.to_string().contains("panicked"), "{error}");
    for _ in 0..1000 {
        assert!(at_once(&tokens).expect("at once").is_err());
    }
    assert_eq!(server.hits(), 1, "no loop");
    server.advance(millis(250));
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
}

#[tokio::test]
async fn a_panic_of_a_refresh_costs_no_token() {
    // C13
    let server = Server::new([Reply::New(3600), Reply::Panic], Reply::New(3600));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(3400));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    assert_eq!(value(&tokens), "t1");
    server.advance(seconds(1));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    assert_eq!(value(&tokens), "t3");
}

#[tokio::test]
async fn a_source_that_panics_before_it_returns_a_future_is_an_error() {
    // C13
    #[derive(Debug)]
    struct Rude;
    impl TokenSource for Rude {
        fn token(&self) -> TokenFuture<'_> {
            panic!("no future from me");
        }
        fn reject(&self, _: &AccessToken) {}
    }
    assert_eq!(Cached::new(Rude).token().await.unwrap_err().kind(), ErrorKind::Other);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_is_bounded_by_the_fetch_timeout() {
    // C14, I3
    let server = Server::new([Reply::Never], Reply::New(3600));
    let tokens = cached(&server);
    let start = tokio::time::Instant::now();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(start.elapsed(), seconds(30), "on tokio's paused clock");
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.is_transient());
    // I5: one backoff interval later there is a token.
    server.advance(millis(250));
    assert!(tokens.token().await.is_ok());
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_fetch() {
    // C17, I7
    let server = Server::new([], Reply::New(3600));
    server.close();
    let tokens = cached(&server);
    let clone = tokens.clone();
    assert!(at_once(&tokens).is_none());
    settle().await;
    let alive = || Handle::current().metrics().num_alive_tasks();
    drop(tokens);
    settle().await;
    assert_eq!(alive(), 1, "the clone still holds it");
    drop(clone);
    settle().await;
    assert_eq!(alive(), 0);
    assert_eq!(Arc::strong_count(&server), 1, "the source is dropped with it");
}

#[tokio::test]
async fn an_idle_source_has_no_task_and_makes_no_request() {
    // I7
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    settle().await;
    server.advance(seconds(86_400));
    settle().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn sources_do_not_wait_for_each_other() {
    // C21
    let (hanging, healthy) = (Server::new([], Reply::Never), Server::new([], Reply::New(3600)));
    let (stuck, tokens) = (cached(&hanging), cached(&healthy));
    assert!(at_once(&stuck).is_none());
    tokens.token().await.unwrap();
    assert_eq!(value(&tokens), "t1");
}

#[tokio::test]
async fn no_future_is_pending_while_a_token_is_usable_whatever_the_jitter() {
    // Lifetime 2 s, 64 callers in a loop, the fetch takes 50 ms of the clock.
    for seed in 0..1000 {
        let server = Server::new([], Reply::Slow(millis(50), 2));
        let tokens = seeded(&server, seed);
        let mut first = tokens.token();
        let mut cx = Context::from_waker(Waker::noop());
        while Pin::new(&mut first).poll(&mut cx).is_pending() {
            tokio::task::yield_now().await;
            server.advance(millis(10));
        }
        for _ in 0..150 {
            server.advance(millis(20));
            for _ in 0..64 {
                let token = at_once(&tokens).unwrap_or_else(|| panic!("seed {seed}: pending")).unwrap();
                assert!(!token.received().plus(seconds(2)).reached(server.clock.now()), "seed {seed}: expired");
            }
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        assert!((3..=4).contains(&server.hits()), "seed {seed}: {} requests in 3 s", server.hits());
    }
}

use std::pin::Pin;

#[tokio::test]
async fn debug_shows_the_state_and_no_token() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let shown = || format!("{tokens:?}");
    assert!(shown().contains("empty"), "{}", shown());
    tokens.token().await.unwrap();
    assert!(shown().contains("fresh") && !shown().contains("t1"), "{}", shown());
    server.advance(seconds(3400));
    assert!(shown().contains("due"), "{}", shown());
    server.advance(seconds(3400));
    assert!(shown().contains("expired"), "{}", shown());
}

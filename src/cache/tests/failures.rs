//! Outages, refusals and unusual tokens, on the manual clock.

use super::*;

fn failing(kind: ErrorKind, retry_after: Option<u64>) -> Reply {
    let error = Error::of(kind, "no").transient().asked_to_wait(retry_after.map(seconds));
    Reply::Fail(error)
}

/// Calls every `step` for `time`, letting fetches complete in between; returns how many calls failed.
async fn sweep(server: &Arc<Server>, tokens: &Cached<Arc<Server>>, time: Duration, step: Duration) -> usize {
    let end = server.clock.now().plus(time);
    let mut failed = 0;
    while !end.reached(server.clock.now()) {
        server.advance(step);
        if tokens.token().await.is_err() {
            failed += 1;
        }
        settle().await;
    }
    failed
}

#[tokio::test]
async fn an_outage_of_twenty_minutes_is_invisible_while_the_token_lasts() {
    // T30: 60 min left. A fetch has three attempts, so 50 fetches are 150 requests.
    for seed in 0..20 {
        let server = Server::new([Reply::New(25 * 3600)], down());
        let tokens = seeded(&server, seed);
        tokens.token().await.unwrap();
        server.advance(seconds(24 * 3600)); // refreshed after a day at the latest
        let end = server.clock.now().plus(seconds(20 * 60));
        while !end.reached(server.clock.now()) {
            server.advance(millis(500));
            assert_eq!(value(&tokens), "t1", "ready at once");
            settle().await;
        }
        assert!((20..=50).contains(&(server.hits() - 1)), "seed {seed}: {} fetches", server.hits() - 1);
    }
}

#[tokio::test]
async fn after_an_outage_a_token_is_back_within_one_backoff_interval() {
    // I5
    let server = Server::new(vec![down(); 12], Reply::New(3600));
    let tokens = cached(&server);
    while server.hits() < 12 {
        server.advance(millis(100));
        let _ = tokens.token().await;
    }
    assert!(at_once(&tokens).unwrap().is_err());
    server.advance(seconds(10));
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t13");
}

#[tokio::test]
async fn callers_without_a_token_fail_fast_between_fetches() {
    let server = Server::new([], down());
    let tokens = cached(&server);
    let failed = sweep(&server, &tokens, seconds(60), millis(10)).await;
    assert_eq!(failed, 6000, "every one of them");
    // 250 ms doubling to 10 s, each up to 10 % shorter: 5 doublings take 7.75 s, then one every 9 to 10 s.
    assert!((10..=13).contains(&server.hits()), "{}", server.hits());
}

#[tokio::test]
async fn a_denied_client_is_not_locked_out() {
    // S10: 1000 calls in 10 s
    for seed in 0..20 {
        let server = Server::new([], denied());
        let tokens = seeded(&server, seed);
        assert_eq!(sweep(&server, &tokens, seconds(10), millis(10)).await, 1000);
        assert!(server.hits() <= 5, "seed {seed}: {}", server.hits());
    }
}

#[tokio::test]
async fn no_refusal_is_terminal() {
    // S10, S11, S17
    for kind in [ErrorKind::Denied, ErrorKind::Tls, ErrorKind::Response, ErrorKind::Other, ErrorKind::Credential] {
        let server = Server::new([Reply::Fail(Error::of(kind, "no"))], Reply::New(3600));
        let tokens = cached(&server);
        assert_eq!(tokens.token().await.unwrap_err().kind(), kind);
        server.advance(seconds(1));
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
    }
}

#[tokio::test]
async fn a_refusal_costs_no_token_that_is_still_valid() {
    // S11, X05
    let server = Server::new([Reply::New(3600)], denied());
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(3300));
    assert_eq!(sweep(&server, &tokens, seconds(280), seconds(1)).await, 0);
    assert!(server.hits() > 2);
    server.advance(seconds(20));
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn retry_after_is_obeyed_between_fetches() {
    // S02
    let server = Server::new([failing(ErrorKind::Response, Some(7))], Reply::New(3600));
    let tokens = cached(&server);
    assert_eq!(tokens.token().await.unwrap_err().retry_after(), Some(seconds(7)));
    server.advance(millis(6_999));
    assert!(at_once(&tokens).unwrap().is_err());
    server.advance(millis(1));
    assert!(tokens.token().await.is_ok());
}

#[tokio::test]
async fn a_throttled_source_sends_nothing_for_any_caller() {
    // S04: with and without Retry-After
    for (retry_after, quiet) in [(Some(30), 29_999), (None, 899)] {
        let server = Server::new([], failing(ErrorKind::Throttled, retry_after));
        let tokens = cached(&server);
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.token().await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::Throttled);
        }
        server.advance(millis(quiet));
        assert!(at_once(&tokens).unwrap().is_err());
        assert_eq!(server.hits(), 1);
    }
}

#[tokio::test]
async fn an_exaggerated_retry_after_is_capped() {
    // 1 h with a usable token, 5 min without one.
    let server = Server::new([Reply::New(86_000)], failing(ErrorKind::Throttled, Some(1_000_000)));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(85_300));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    assert_eq!(server.hits(), 2);
    server.advance(seconds(200));
    assert_eq!(value(&tokens), "t1");
    settle().await;
    assert_eq!(server.hits(), 2, "within the hour");
    server.advance(seconds(500));
    assert!(tokens.token().await.is_err(), "the token is gone, and more than 5 min: a fetch");
    assert_eq!(server.hits(), 3);
    server.advance(seconds(299));
    assert!(at_once(&tokens).unwrap().is_err());
    server.advance(seconds(1));
    assert!(tokens.token().await.is_err());
    assert_eq!(server.hits(), 4);
}

#[tokio::test]
async fn a_token_without_any_lifetime_is_for_waiting_callers_only() {
    // B09: hits = fetches
    let server = Server::new([], Reply::New(0));
    server.close();
    let tokens = cached(&server);
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await })
        })
        .collect();
    settle().await;
    server.open(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "t1");
    }
    server.open(1);
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_token_that_is_expired_on_arrival_does_not_replace_a_usable_one() {
    let server = Server::new([Reply::New(3600)], Reply::New(0));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(3300));
    assert_eq!(sweep(&server, &tokens, seconds(100), seconds(1)).await, 0);
    assert_eq!(value(&tokens), "t1");
    assert!(server.hits() <= 9, "1 s doubling to 30 s: {}", server.hits());
}

#[tokio::test]
async fn a_server_that_returns_its_own_cached_token_is_not_called_in_a_loop() {
    // WSO2, Marketo: 20 s left, the same value each time, and then a new one.
    #[derive(Debug)]
    struct Caching(Arc<Server>);
    impl TokenSource for Caching {
        fn token(&self) -> TokenFuture<'_> {
            self.0.hits.fetch_add(1, Ordering::SeqCst);
            let now = self.0.clock.now();
            let age = (now.mono().as_secs() - 86_400) % 20;
            let name = format!("w{}", (now.mono().as_secs() - 86_400) / 20);
            let terms = Terms { lifetime: Some(seconds(20 - age)), ..Terms::default() };
            TokenFuture::ready(AccessToken::issued(&name.as_str().into(), terms, now, &Clock::System))
        }
        fn reject(&self, _: &AccessToken) {}
    }
    let server = Server::new([], Reply::Never);
    let clock = server.clock.clone();
    let random = fastrand::Rng::with_seed(3);
    let tokens = Cached::assemble(Arc::new(Caching(Arc::clone(&server))), CachePolicy::new(), clock, random);
    for _ in 0..2_000 {
        tokens.token().await.expect("no failure");
        settle().await;
        server.advance(millis(50));
    }
    // 100 s are five of its tokens: one to fetch each, and a few that bring nothing new.
    assert!(server.hits() <= 40, "{} requests", server.hits());
}

#[tokio::test]
async fn without_a_stated_lifetime_an_hour_is_assumed() {
    // B10
    #[derive(Debug)]
    struct Silent(Clock, AtomicU64);
    impl TokenSource for Silent {
        fn token(&self) -> TokenFuture<'_> {
            self.1.fetch_add(1, Ordering::SeqCst);
            TokenFuture::ready(AccessToken::issued(&"t".into(), Terms::default(), self.0.now(), &Clock::System))
        }
        fn reject(&self, _: &AccessToken) {}
    }
    let (clock, hands) = clock();
    let source = Arc::new(Silent(clock.clone(), AtomicU64::new(0)));
    let tokens = Cached::assemble(Arc::clone(&source), CachePolicy::new(), clock, fastrand::Rng::with_seed(1));
    tokens.token().await.unwrap();
    hands.advance(seconds(2_879));
    tokens.token().await.unwrap();
    settle().await;
    assert_eq!(source.1.load(Ordering::SeqCst), 1);
    hands.advance(seconds(3_590 - 2_879));
    assert!(at_once(&tokens).is_none(), "never for ever");
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn an_outage_is_reported_once_and_its_end_once() {
    // C08
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
    #[derive(Clone, Default)]
    struct Levels(Arc<Mutex<Vec<tracing::Level>>>);
    impl<S: tracing::Subscriber> Layer<S> for Levels {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            if event.metadata().target() == "client_credentials" && *event.metadata().level() <= tracing::Level::INFO {
                self.0.lock().unwrap().push(*event.metadata().level());
            }
        }
    }
    let levels = Levels::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(levels.clone()));

    let mut script = vec![Reply::New(3600)];
    script.extend(vec![down(); 5]);
    let server = Server::new(script, Reply::New(3600));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(3300));
    assert_eq!(sweep(&server, &tokens, seconds(200), seconds(1)).await, 0);
    assert_eq!(server.hits(), 7);
    assert_eq!(*levels.0.lock().unwrap(), [tracing::Level::WARN, tracing::Level::INFO]);
}

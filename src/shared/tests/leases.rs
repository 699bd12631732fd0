//! One replica fetches and the others use its token: which one refreshes, waits, or keeps using its current token.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_second_host_sends_no_request() {
    let fleet = Fleet::new();
    assert_eq!(value(&fleet.host()).await, "t1");
    assert_eq!(value(&fleet.host()).await, "t1");
    assert_eq!(value(&fleet.cached()).await, "t1");
    assert_eq!(fleet.server.hits(), 1);
}

#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn the_age_of_a_record_follows_the_configured_clock() {
    let fleet = Fleet::new();
    let host = || {
        let client = fleet.host().source;
        let store = SealedStore::new(Arc::clone(&fleet.store), SEAL_KEY);
        Shared::new(client, store, "name").clock(&fleet.hands)
    };
    assert_eq!(value(&host()).await, "t1");
    assert_eq!(value(&host()).await, "t1");
    fleet.advance(3600);
    assert_eq!(value(&host()).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn two_hundred_that_start_and_expire_together_make_one_request_each_time() {
    // D16
    let fleet = Fleet::new();
    fleet.server.takes(200);
    let hosts: Vec<_> = (0..200).map(|_| fleet.cached()).collect();
    for expiry in 1..=5 {
        let asked: Vec<_> = hosts.iter().cloned().map(|host| tokio::spawn(async move { value(&host).await })).collect();
        for token in asked {
            assert_eq!(token.await.unwrap(), format!("t{expiry}"));
        }
        assert_eq!(fleet.server.hits(), expiry);
        fleet.advance(3600);
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_that_refresh_each_at_its_own_instant_make_one_request_an_hour() {
    let fleet = Fleet::new();
    let hosts: Vec<_> = (0..200).map(|_| fleet.cached()).collect();
    // A day, in steps of 20 s. No replica waits after the start.
    for host in &hosts {
        value(host).await;
    }
    for _ in 0..24 * 180 {
        fleet.advance(20);
        for host in &hosts {
            assert!(host.token().now_or_never().is_some());
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A token is refreshed after 48 to 54 min, by the first of 200 replicas that finds it due.
    let hits = fleet.server.hits();
    assert!((26..=32).contains(&hits), "{hits}");
}

#[tokio::test(start_paused = true)]
async fn a_due_token_is_refreshed_by_one_and_used_by_the_others() {
    let fleet = Fleet::new();
    value(&fleet.host()).await;
    fleet.advance(3000);
    fleet.server.takes(1000);
    let (one, others) = (fleet.host(), [fleet.host(), fleet.host()]);
    let refreshing = tokio::spawn(async move { value(&one).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    for host in &others {
        assert_eq!(value(host).await, "t1");
    }
    assert!(start.elapsed() < Duration::from_millis(1), "no host waits");
    assert_eq!(refreshing.await.unwrap(), "t2");
    for host in &others {
        assert_eq!(value(host).await, "t2");
    }
    assert_eq!(fleet.server.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_gets_the_lease_just_after_the_refresh_does_not_refresh_again() {
    // It looked before the new token was stored, and got the lease afterwards: at one of these moments.
    for moment in 0..60 {
        let fleet = Fleet::new();
        value(&fleet.host()).await;
        fleet.advance(3000);
        fleet.store.fail(Fault::Slow(10));
        let (one, other) = (fleet.host(), fleet.host());
        let one = tokio::spawn(async move { value(&one).await });
        tokio::time::sleep(Duration::from_millis(moment)).await;
        value(&other).await;
        one.await.unwrap();
        assert_eq!(fleet.server.hits(), 2, "{moment}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_without_a_token_waits_for_the_one_that_fetches() {
    let fleet = Fleet::new();
    fleet.server.takes(2000);
    let (one, other) = (fleet.host(), fleet.host());
    let one = tokio::spawn(async move { value(&one).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    assert_eq!(value(&other).await, "t1");
    assert!(start.elapsed() <= Duration::from_millis(2600), "{:?}", start.elapsed());
    assert_eq!(one.await.unwrap(), "t1");
    assert_eq!(fleet.server.hits(), 1);
    let looks = fleet.store.operations();
    assert!(looks < 40, "{looks} operations");
}

#[tokio::test(start_paused = true)]
async fn a_dead_lease_holder_is_waited_for_at_most_five_seconds() {
    let fleet = Fleet::new();
    fleet.server.takes(1000);
    let dying = fleet.host();
    let dying = tokio::spawn(async move { value(&dying).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    dying.abort();
    let start = Instant::now();
    assert_eq!(value(&fleet.host()).await, "t2");
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_millis(6600), "{waited:?}");
    // It looked less and less often, and not at the same times as the others.
    let mut most = FIRST_LOOK;
    for pause in fleet.store.asked.lock().unwrap().windows(2).skip(1) {
        // tokio's timers have a resolution of a millisecond.
        let pause = pause[1] - pause[0];
        assert!((most / 2..=most + Duration::from_millis(1)).contains(&pause), "{pause:?}");
        most = (most * 2).min(LONGEST_LOOK);
    }
    // A token that was fetched without the lease is shared, too.
    assert_eq!(value(&fleet.host()).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_dead_holder_ends_by_itself() {
    let fleet = Fleet::new();
    value(&fleet.host()).await;
    fleet.advance(3000);
    fleet.server.takes(1000);
    let dying = fleet.host();
    let dying = tokio::spawn(async move { value(&dying).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    dying.abort();
    fleet.server.takes(0);
    assert_eq!(value(&fleet.host()).await, "t1", "still of use");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(value(&fleet.host()).await, "t3");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_lets_the_next_one_try() {
    let fleet = Fleet::new();
    value(&fleet.host()).await;
    fleet.advance(3000);
    fleet.server.fail(Some(down()));
    // A replica without a token gets the stored one rather than the error.
    assert_eq!(value(&fleet.host()).await, "t1");
    fleet.server.fail(None);
    assert_eq!(value(&fleet.host()).await, "t3");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_has_the_token_gets_the_error() {
    // Its cache waits as long as the server asks, and reports it.
    let fleet = Fleet::new();
    let host = fleet.host();
    assert_eq!(value(&host).await, "t1");
    fleet.advance(3000);
    let busy = Error::of(ErrorKind::Throttled, "slow down").with_retry_after(Duration::from_secs(60));
    fleet.server.fail(Some(busy));
    let error = host.token().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    // And the others send no request to a server that throttles.
    let hits = fleet.server.hits();
    assert_eq!(value(&fleet.host()).await, "t1");
    assert_eq!(fleet.server.hits(), hits);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_the_error_is_that_of_the_server() {
    let fleet = Fleet::new();
    fleet.server.fail(Some(down()));
    let error = fleet.host().token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    // No replica waits for the lease of one that has failed.
    let start = Instant::now();
    assert!(fleet.host().token().await.is_err());
    assert!(start.elapsed() < Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn no_host_waits_for_tokens_that_are_expired_on_arrival() {
    let fleet = Fleet::new();
    *fleet.server.lifetime.lock().unwrap() = Some(0);
    fleet.server.takes(300);
    let hosts: Vec<_> = (0..10).map(|_| fleet.host()).collect();
    for host in &hosts {
        value(host).await;
    }
    assert_eq!(Memory::count(&fleet.store.puts), 0);
    let operations = fleet.store.operations();
    let start = Instant::now();
    futures_util::future::join_all(hosts.iter().map(value)).await;
    assert_eq!(start.elapsed(), Duration::from_millis(300), "all at once");
    assert_eq!(fleet.store.operations(), operations, "and without the store");
    // When the server issues ordinary tokens again, they are shared.
    *fleet.server.lifetime.lock().unwrap() = Some(3600);
    value(&hosts[0]).await;
    let last = value(&hosts[0]).await;
    assert_eq!(value(&fleet.host()).await, last);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_vanishes_costs_one_request() {
    // D21
    let fleet = Fleet::new();
    let host = fleet.host();
    value(&host).await;
    fleet.store.values.lock().unwrap().clear();
    assert_eq!(value(&host).await, "t2");
    assert_eq!(fleet.server.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_found_by_a_cache_that_asks_later() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.cached(), fleet.cached());
    value(&one).await;
    value(&other).await;
    fleet.advance(3300);
    for cache in [&one, &other] {
        value(cache).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(value(cache).await, "t2");
    }
    assert_eq!(fleet.server.hits(), 2);
}

#[tokio::test]
async fn a_replica_is_shown_with_its_store_and_its_source() {
    let shown = format!("{:?}", Fleet::new().host());
    assert!(shown.starts_with("Shared { store: SealedStore {") && shown.contains("source: Client {"), "{shown}");
}

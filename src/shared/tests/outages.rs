//! A store that is down, slow or faulty causes a bounded wait now and then, and no call fails.

use super::*;
use crate::observer::Event;

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_at_the_start_is_ignored() {
    // D01
    let fleet = Fleet::new();
    fleet.store.fail(Fault::Down);
    let host = fleet.host();
    for n in 1..=100 {
        assert_eq!(value(&host).await, format!("t{n}"));
    }
    assert_eq!(fleet.store.operations(), 1, "then it is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_down_and_comes_back_affects_no_caller() {
    // D02
    let fleet = Fleet::new();
    let host = fleet.host();
    assert_eq!(value(&host).await, "t1");
    fleet.store.fail(Fault::Down);
    assert_eq!(value(&host).await, "t2");
    fleet.store.fail(Fault::None);
    assert_eq!(value(&host).await, "t3", "left alone for a second");
    fleet.advance(1);
    assert_eq!(value(&host).await, "t1", "and visited again");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_a_tenth_of_a_second_once() {
    // D03
    let fleet = Fleet::new();
    fleet.store.fail(Fault::Hanging);
    let host = fleet.host();
    let start = Instant::now();
    value(&host).await;
    // One millisecond more for the timers of tokio and of the server.
    let waited = start.elapsed();
    assert!(waited <= Duration::from_millis(102), "{waited:?}");
    let start = Instant::now();
    for _ in 0..100 {
        value(&host).await;
    }
    assert!(start.elapsed() <= Duration::from_millis(101));
    assert_eq!(fleet.store.operations(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_costs_a_tenth_of_a_second_in_all_however_many_operations_there_are() {
    // D03: each operation is within the timeout, all of them are not
    for slow in [1, 15, 30, 60, 99] {
        let fleet = Fleet::new();
        fleet.store.fail(Fault::Slow(slow));
        let start = Instant::now();
        assert_eq!(value(&fleet.host()).await, "t1");
        let waited = start.elapsed();
        assert!(waited <= Duration::from_millis(103), "{slow}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_is_waited_for_as_long_as_is_set() {
    for (limit, puts) in [(None, 0), (Some(Duration::from_secs(2)), 1), (Some(Duration::from_millis(50)), 0)] {
        let fleet = Fleet::new();
        fleet.store.fail(Fault::Slow(150));
        let store = SealedStore::new(Arc::clone(&fleet.store), SEAL_KEY);
        let store = limit.into_iter().fold(store, SealedStore::timeout);
        let possession = BoundTo::default();
        let source =
            Client { server: Arc::clone(&fleet.server), clock: fleet.clock.clone(), possession: possession.clone() };
        let observers = Observers::unnamed("test");
        let key = Key::named("name");
        let host = Shared::assemble(source, store, key, possession, CachePolicy::new(), fleet.clock.clone(), observers);
        assert_eq!(value(&host).await, "t1");
        assert_eq!(Memory::count(&fleet.store.puts), puts, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_begins_to_hang_while_a_token_is_waited_for_costs_no_more() {
    let fleet = Fleet::new();
    fleet.server.takes(3000);
    let (one, other) = (fleet.host(), fleet.host());
    let _one = tokio::spawn(async move { value(&one).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let other = tokio::spawn(async move { value(&other).await });
    tokio::time::sleep(Duration::from_millis(1000)).await;
    fleet.store.fail(Fault::Hanging);
    fleet.server.takes(0);
    let start = Instant::now();
    assert_eq!(other.await.unwrap(), "t2");
    let waited = start.elapsed();
    assert!(waited <= LONGEST_LOOK + Duration::from_millis(103), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flapping_store_is_tried_less_and_less_often() {
    // D04: up and down every second, for an hour, with a request each second
    let fleet = Fleet::new();
    let host = fleet.host();
    for second in 0..3600 {
        let fault = if second % 2 == 0 { Fault::Down } else { Fault::None };
        fleet.store.fail(fault);
        assert!(host.token().await.is_ok());
        fleet.advance(1);
    }
    // A failed attempt is one operation; most attempts succeed.
    fleet.store.fail(Fault::Down);
    let before = fleet.store.operations();
    for _ in 0..600 {
        assert!(host.token().await.is_ok());
        fleet.advance(1);
    }
    let visits = fleet.store.operations() - before;
    assert!(visits <= 600 / 30 + 5, "{visits}");
}

#[tokio::test(start_paused = true)]
async fn one_call_at_a_time_checks_whether_the_store_is_back() {
    let fleet = Fleet::new();
    fleet.store.fail(Fault::Down);
    let source = |store: &SealedStore| {
        let client =
            Client { server: Arc::clone(&fleet.server), clock: fleet.clock.clone(), possession: BoundTo::default() };
        let clock = fleet.clock.clone();
        let (key, settings) = (Key::named("x"), CachePolicy::new());
        Shared::assemble(client, store.clone(), key, BoundTo::default(), settings, clock, Observers::unnamed("test"))
    };
    // A thousand tenants of one process share the state of the store.
    let store = SealedStore::new(Arc::clone(&fleet.store), SEAL_KEY);
    let tenants: Vec<_> = (0..1000).map(|_| source(&store)).collect();
    value(&tenants[0]).await;
    fleet.advance(1);
    fleet.store.fail(Fault::Hanging);
    futures_util::future::join_all(tenants.iter().map(value)).await;
    assert_eq!(fleet.store.operations(), 2);
}

#[tokio::test(start_paused = true)]
async fn operations_of_the_store_are_events_with_their_duration_and_outcome() {
    let fleet = Fleet::new();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let host = fleet.host().observed("billing", move |source: &str, event: &Event<'_>| {
        if let Event::StoreOperation { operation, duration, error } = event {
            let error = error.map(ToString::to_string).unwrap_or_default();
            heard.lock().unwrap().push(format!("{source} {operation} {} {error}", duration.as_millis()));
        }
    });
    let take = || std::mem::take(&mut *seen.lock().unwrap());
    fleet.store.fail(Fault::Slow(10));
    value(&host).await;
    let all = ["get", "lease", "get", "put", "release"].map(|operation| format!("billing {operation} 10 "));
    assert_eq!(take(), all);
    fleet.store.fail(Fault::Hanging);
    value(&host).await;
    assert_eq!(take(), ["billing get 100 no answer within 100ms"]);
    fleet.advance(1);
    fleet.store.fail(Fault::Panicking);
    value(&host).await;
    assert!(take()[0].starts_with("billing get 0 the store"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_counts_as_down() {
    let fleet = Fleet::new();
    fleet.store.fail(Fault::Panicking);
    assert_eq!(value(&fleet.host()).await, "t1");
    fleet.store.fail(Fault::None);
    assert_eq!(value(&fleet.host()).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_stored_is_served() {
    // D17
    let fleet = Fleet::new();
    let host = fleet.host();
    fleet.store.fail(Fault::ReadOnly);
    assert_eq!(value(&host).await, "t1");
    assert_eq!(Memory::count(&fleet.store.puts), 0);
}

#[tokio::test(start_paused = true)]
async fn a_due_token_is_refreshed_although_no_host_can_get_the_lease() {
    let fleet = Fleet::new();
    assert_eq!(value(&fleet.host()).await, "t1");
    fleet.advance(3300);
    fleet.store.fail(Fault::ReadOnly);
    assert_eq!(value(&fleet.host()).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_after_the_request_costs_nothing() {
    // D17: up before the fetch, down after it
    let fleet = Fleet::new();
    fleet.server.takes(1000);
    let host = fleet.host();
    let asked = tokio::spawn(async move { value(&host).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    fleet.store.fail(Fault::Hanging);
    let start = Instant::now();
    assert_eq!(asked.await.unwrap(), "t1");
    assert!(start.elapsed() <= Duration::from_millis(602));
    assert_eq!(Memory::count(&fleet.store.puts), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_seal_key_counts_as_a_store_that_is_down() {
    // D24
    let fleet = Fleet::new();
    let missing = crate::credential::Credential::file("/nonexistent/seal-key");
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let host = fleet.host_with(missing, "name", BoundTo::default(), fleet.clock.clone());
    let host = host.observed("billing", move |_: &str, event: &Event<'_>| {
        if let Event::StoreOperation { operation, error: Some(error), .. } = event {
            heard.lock().unwrap().push(format!("{operation}: {error}"));
        }
    });
    assert_eq!(value(&host).await, "t1");
    let events = std::mem::take(&mut *seen.lock().unwrap());
    assert!(matches!(&*events, [one] if one.starts_with("key: ") && one.contains("/nonexistent")), "{events:?}");
    assert!(host.store.visit(&fleet.clock, Duration::MAX, &Observers::unnamed("test")).await.is_none());
    assert_eq!(value(&host).await, "t2");
    assert_eq!(fleet.store.operations(), 0);
    let hanging = crate::credential::Credential::from_fn(std::future::pending::<Result<String, Error>>);
    let host = fleet.host_with(hanging, "name", BoundTo::default(), fleet.clock.clone());
    let start = Instant::now();
    assert_eq!(value(&host).await, "t3");
    assert!(start.elapsed() <= Duration::from_millis(102));
    // One key of the ring is enough.
    let half = crate::credential::Credential::file("/nonexistent/seal-key").or(SEAL_KEY);
    let host = fleet.host_with(half, "name", BoundTo::default(), fleet.clock.clone());
    assert_eq!(value(&host).await, "t4");
    assert_eq!(value(&fleet.host()).await, "t4");
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_lease_that_no_host_gets_is_bounded() {
    // A faulty store: it has no token, and reports that another replica has the lease.
    let fleet = Fleet::new();
    let host = fleet.host();
    let name = SealKey::parse(SEAL_KEY).unwrap().name(Key::named("name").bytes());
    let forever = Instant::now() + Duration::from_secs(86_400);
    fleet.store.leases.lock().unwrap().insert(name, ("nobody".into(), forever));
    let start = Instant::now();
    assert_eq!(value(&host).await, "t1");
    assert!(start.elapsed() < Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_shorter_than_the_wait_costs_one_fetch() {
    // The cache around a custom source has a deadline that is not known here, and the owner of the lease has died.
    let fleet = Fleet::new();
    fleet.server.takes(10_000);
    let dying = fleet.host();
    let dying = tokio::spawn(async move { value(&dying).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    dying.abort();
    fleet.server.takes(0);
    let cache = fleet.cached_with(CachePolicy::new().fetch_timeout(Duration::from_secs(1)));
    assert!(cache.token().await.is_err());
    fleet.advance(1);
    assert_eq!(value(&cache).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn a_store_timeout_beyond_the_deadline_of_the_fetch_costs_no_token() {
    let fleet = Fleet::new();
    fleet.store.fail(Fault::Hanging);
    let mut host = fleet.host();
    host.store = host.store.timeout(Duration::from_secs(3600));
    let start = Instant::now();
    assert_eq!(value(&host).await, "t1");
    assert!(start.elapsed() < CachePolicy::new().fetch_timeout / 3);
}

#[tokio::test(start_paused = true)]
async fn debug_shows_neither_key_nor_token() {
    let fleet = Fleet::new();
    let cached = fleet.cached();
    value(&cached).await;
    let shown = format!("{cached:?}");
    assert!(!shown.contains(SEAL_KEY) && !shown.contains("t1"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_while_the_refresh_fails_is_not_used() {
    let fleet = Fleet::new();
    value(&fleet.host()).await;
    fleet.advance(3550);
    fleet.server.takes(1000);
    fleet.server.fail(Some(down()));
    let host = fleet.host();
    let asked = tokio::spawn(async move { host.token().await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    fleet.advance(20);
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
}

#[cfg(feature = "tracing")]
#[tokio::test(start_paused = true)]
async fn a_store_that_works_again_is_reported_once() {
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    struct Reports(Arc<Mutex<Vec<tracing::Level>>>);

    impl<S: tracing::Subscriber> Layer<S> for Reports {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            let about = event.metadata();
            if *about.level() <= tracing::Level::INFO && about.target().starts_with("client_credentials") {
                self.0.lock().unwrap().push(*about.level());
            }
        }
    }

    let reports = Arc::new(Mutex::new(Vec::new()));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Reports(Arc::clone(&reports))));
    let fleet = Fleet::new();
    let host = fleet.host();
    for (fault, reported) in [
        (Fault::None, &[][..]),
        (Fault::Down, &[tracing::Level::WARN]),
        (Fault::None, &[tracing::Level::INFO]),
        (Fault::None, &[]),
    ] {
        *fleet.store.fault.lock().unwrap() = fault;
        value(&host).await;
        fleet.advance(3600);
        assert_eq!(std::mem::take(&mut *reports.lock().unwrap()), reported, "{fault:?}");
    }
}

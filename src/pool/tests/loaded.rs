//! Sources that are loaded from a database: counted loads, a gate, a manual clock.

use super::*;

/// A table of tenants, which responds while its gate is open.
#[derive(Debug)]
struct Table {
    loads: AtomicU32,
    gate: Semaphore,
    /// The error that it returns.
    fault: Lock<Option<Error>>,
}

impl Table {
    fn open() -> Arc<Self> {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Table { loads: AtomicU32::new(0), gate, fault: Lock::default() })
    }

    fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    fn breaks(&self, fault: Error) {
        *self.fault.lock() = Some(fault);
    }

    fn is_repaired(&self) {
        *self.fault.lock() = None;
    }

    /// A pool of the clients of `server`, on its clock.
    fn pool(self: &Arc<Self>, server: &Arc<Server>) -> TokenPool<Key, Cached<Tenant>> {
        let (table, server) = (Arc::clone(self), Arc::clone(server));
        let clock = server.clock.clone();
        let load = move |name: Key| {
            let (table, server) = (Arc::clone(&table), Arc::clone(&server));
            async move {
                table.loads.fetch_add(1, Ordering::SeqCst);
                table.gate.acquire().await.unwrap().forget();
                let fault = table.fault.lock().clone();
                fault.map_or_else(|| Ok(server.client(name)), Err)
            }
        };
        let policy = PoolPolicy::new().capacity(12_000);
        TokenPool::assemble(TokenPool::loaded(load, policy), policy, clock)
    }
}

fn loads(pool: &TokenPool<Key, Cached<Tenant>>) -> &Loads<Key, Cached<Tenant>> {
    match &pool.0.make {
        Making::Loaded(loads) => loads,
        Making::AtOnce(_) => panic!("its sources are made at once"),
    }
}

fn no_database() -> Error {
    Error::of(ErrorKind::Transport, "the database refuses connections").transient()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_tenants_with_64_callers_each_are_loaded_once_each() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    table.close();
    let names: Vec<Key> = (0..10_000).map(leaked).collect();
    let callers = tokio::task::JoinSet::from_iter((0..64).flat_map(|_| names.clone()).map(|name| {
        let source = pool.source(&name);
        async move { value(&source).await.starts_with(&format!("{name}-")) }
    }));
    settle().await;
    table.gate.add_permits(Semaphore::MAX_PERMITS);
    let served = callers.join_all().await;
    assert_eq!(served.len(), 640_000);
    assert!(served.iter().all(|own| *own), "each has the token of his tenant");
    assert_eq!(table.loads(), 10_000);
    assert_eq!(server.answered(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_all_callers_and_is_remembered_until_its_backoff_ends() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    table.breaks(no_database());
    let source = pool.source(&"a");
    let all = tokio::task::JoinSet::from_iter((0..64).map(|_| {
        let source = source.clone();
        async move { source.token().await.unwrap_err() }
    }));
    let errors = all.join_all().await;
    assert!(errors.iter().all(|error| error.is_same_as(&errors[0])));
    assert_eq!(table.loads(), 1);

    // 250 ms, 500 ms, .. 10 s, each up to a tenth early.
    for (millis, loads) in [(200, 1), (51, 2), (440, 2), (61, 3)] {
        server.hands.advance(Duration::from_millis(millis));
        source.token().await.unwrap_err();
        assert_eq!(table.loads(), loads, "after {millis} ms");
    }
    for _ in 0..600 {
        server.hands.advance(Duration::from_secs(1));
        source.token().await.unwrap_err();
    }
    assert!((60..90).contains(&table.loads()), "{} loads in ten minutes", table.loads());

    table.is_repaired();
    server.hands.advance(Duration::from_secs(10));
    assert!(value(&source).await.starts_with("a-"));
    let loads = table.loads();
    value(&source).await;
    assert_eq!(table.loads(), loads);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_database_asks_for_is_obeyed() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    table.breaks(no_database().with_retry_after(Duration::from_secs(100)));
    let source = pool.source(&"a");
    source.token().await.unwrap_err();
    server.hands.advance(Duration::from_secs(99));
    source.token().await.unwrap_err();
    assert_eq!(table.loads(), 1);
    server.hands.advance(Duration::from_secs(1));
    source.token().await.unwrap_err();
    assert_eq!(table.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_do_not_end_a_load() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    table.close();
    let source = pool.source(&"a");
    for _ in 0..10 {
        assert!(poll(&mut source.token()).is_pending());
        settle().await;
    }
    table.gate.add_permits(1);
    settle().await;
    assert_eq!(value(&source).await, "a-0");
    assert_eq!(table.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_tenant_waits_for_the_load_of_another_and_none_waits_for_ever() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    value(&pool.source(&"b")).await;
    table.close();
    let hangs = pool.source(&"a");
    let mut waiting = hangs.token();
    assert!(poll(&mut waiting).is_pending());
    settle().await;
    value(&pool.source(&"b")).await;
    let error = waiting.await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("30s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_key_is_in_the_error_if_it_has_a_name() {
    let (server, table) = (Server::start(), Table::open());
    table.breaks(no_database().with_retry_after(Duration::from_secs(1)));
    let pool = table.pool(&server);
    let error = pool.source(&"red").token().await.unwrap_err();
    assert!(!format!("{error:#?}").contains("red\""), "{error:#?}");
    let error = pool.named(|name| format!("tenant {name}")).source(&"red").token().await.unwrap_err();
    assert_eq!(error.to_string(), "no token source for tenant red: the database refuses connections");
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, true));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));

    let closure = |_: &Key| Err::<Cached<Tenant>, _>(no_database());
    let error = TokenPool::new(closure).named(|name| (*name).to_owned()).source(&"red").token().await.unwrap_err();
    assert_eq!(error.to_string(), "no token source for red: the database refuses connections");
    let error = TokenPool::new(closure).named(|_| panic!("no name")).source(&"red").token().await.unwrap_err();
    assert_eq!(error.to_string(), "the database refuses connections");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_panics_is_an_error_and_not_permanent() {
    let server = Server::start();
    let (clients, calls) = (Arc::clone(&server), Arc::new(AtomicU32::new(0)));
    let pool = TokenPool::new_async(move |name: Key| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        assert!(call > 0, "in the closure");
        let client = clients.client(name);
        async move {
            assert!(call > 1, "in the future");
            Ok(client)
        }
    });
    for name in ["a", "b"] {
        let error = pool.source(&name).token().await.unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }
    assert_eq!(value(&pool.source(&"c")).await, "c-0");
}

#[test]
fn a_load_ends_with_its_runtime_and_the_next_runtime_loads_again() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    let source = pool.source(&"a");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(Err(error)) = source.token().now_or_never() else { panic!("pending outside a runtime") };
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    table.close();
    let first = runtime();
    first.block_on(async {
        assert!(poll(&mut source.token()).is_pending());
        settle().await;
    });
    drop(first);
    table.gate.add_permits(1);
    assert_eq!(runtime().block_on(value(&source)), "a-0");
    assert_eq!(table.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_that_do_not_exist_do_not_fill_the_memory() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    table.breaks(Error::of(ErrorKind::Other, "no such tenant"));
    for n in 0..30_000 {
        pool.source(&leaked(n)).token().await.unwrap_err();
    }
    assert!(loads(&pool).failures() <= 12_000, "{}", loads(&pool).failures());
    assert_eq!(loads(&pool).loading(), 0);
    assert!(pool.0.alive.lock().sources.is_empty());
}

#[test]
fn a_load_that_was_given_up_does_not_end_the_next_one() {
    let (server, table) = (Server::start(), Table::open());
    let pool = table.pool(&server);
    table.close();
    let source = pool.source(&"a");
    let runtime = |paused| tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build();
    // Nobody drives it while the other one waits for its load.
    let (blocked, other) = (runtime(false).unwrap(), runtime(true).unwrap());
    blocked.block_on(async {
        assert!(poll(&mut source.token()).is_pending());
        settle().await;
    });
    other.block_on(async {
        tokio::time::timeout(Duration::from_secs(45), source.token()).await.unwrap_err();
        settle().await;
    });
    assert_eq!(table.loads(), 2);
    table.gate.add_permits(1);
    blocked.block_on(settle());
    assert_eq!(loads(&pool).loading(), 1, "the second one has not completed");
    table.gate.add_permits(1);
    other.block_on(settle());
    assert_eq!(loads(&pool).loading(), 0);
}

#[test]
fn a_pool_is_shown_without_its_keys() {
    let pool = Table::open().pool(&Server::start());
    let shown = format!("{pool:?} {:?} {:?}", pool.source(&"red"), PoolPolicy::default());
    assert!(shown.starts_with("TokenPool { capacity: 12000, time_to_idle: "), "{shown}");
    assert!(shown.contains("PooledSource { pool: TokenPool") && !shown.contains("red"), "{shown}");
}

//! FAULTS C23: `Cached` with real fetches, on threads that a model checker (shuttle) schedules at every lock.
//!
//! In each schedule: no call returns a token that was rejected before it began (I4), nor an older one than a previous
//! call; there is one fetch at a time (I2); no task remains (I7); no panic (I6).

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner, thread};

use super::*;

/// 10 000 in all, which takes a few seconds; `SCHEDULES` sets another number.
fn schedules() -> usize {
    let number = std::env::var("SCHEDULES").map(|number| number.parse().expect("a number"));
    number.unwrap_or(10_000) / 4
}

/// Issues `t1`, `t2`, .. for an hour each.
#[derive(Debug)]
struct Numbered {
    clock: Clock,
    issued: AtomicU64,
    fetches: AtomicU64,
}

impl Numbered {
    async fn issue(&self) -> Result<AccessToken, Error> {
        let under_way = self.fetches.fetch_add(1, Ordering::SeqCst);
        assert_eq!(under_way, 0, "one fetch at a time");
        tokio::task::yield_now().await;
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        self.fetches.fetch_sub(1, Ordering::SeqCst);
        let terms = Terms { lifetime: Some(seconds(3600)), ..Terms::default() };
        AccessToken::issued(&format!("t{number}").into(), terms, self.clock.now(), &Clock::System)
    }
}

impl TokenSource for Numbered {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.issue())
    }
    fn reject(&self, _: &AccessToken) {}
}

/// Drives the fetches of all schedules of one test; the thread that runs the schedules has entered it.
type Driver = Arc<tokio::runtime::Runtime>;

/// Runs the fetches for a little while.
fn drive(driver: &Driver) {
    driver.block_on(async {
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    });
}

/// Runs the fetches and their timers to their end.
fn finish(driver: &Driver) {
    driver.block_on(tokio::time::sleep(seconds(60)));
}

struct World {
    tokens: Cached<Numbered>,
    hands: ManualClock,
    /// The highest number that a call has returned.
    newest: AtomicU64,
    /// The highest number that was rejected.
    refused: AtomicU64,
}

/// How a token is requested.
type Ask = fn(&Cached<Numbered>) -> Option<Result<AccessToken, Error>>;

impl World {
    /// A world whose cache has `t1`.
    fn new(driver: &Driver) -> (Arc<World>, AccessToken) {
        let (clock, hands) = clock();
        let source = Numbered { clock: clock.clone(), issued: AtomicU64::new(0), fetches: AtomicU64::new(0) };
        let random = fastrand::Rng::with_seed(1);
        let tokens = Cached::assemble(Arc::new(source), CachePolicy::new(), clock, random);
        assert!(at_once(&tokens).is_none());
        finish(driver);
        let first = at_once(&tokens).expect("it completed").unwrap();
        let world = World { tokens, hands, newest: AtomicU64::new(1), refused: AtomicU64::new(0) };
        (Arc::new(world), first)
    }

    fn call(&self, ask: Ask) -> Option<AccessToken> {
        let newest = self.newest.load(Ordering::SeqCst);
        let refused = self.refused.load(Ordering::SeqCst);
        let token = ask(&self.tokens)?.expect("no fetch fails here");
        let number = number(&token);
        assert!(number > refused, "t{number}, though t{refused} was rejected");
        assert!(number >= newest, "t{number} after t{newest}");
        self.newest.fetch_max(number, Ordering::SeqCst);
        Some(token)
    }

    fn reject(&self, token: &AccessToken) {
        self.tokens.reject(token);
        self.refused.fetch_max(number(token), Ordering::SeqCst);
    }
}

fn number(token: &AccessToken) -> u64 {
    token.expose_secret()[1..].parse().unwrap()
}

/// Two callers, one of which rejects its token, a third one that rejects `t1`, and the runtime that drives the fetches.
/// `t1` is fresh or due.
fn rush(driver: &Driver, due: bool, ask: Ask) {
    let (world, first) = World::new(driver);
    if due {
        world.hands.advance(seconds(3400));
    }
    let threads = [
        spawn(&world, move |world| {
            (0..3).for_each(|_| drop(world.call(ask)));
        }),
        spawn(&world, move |world| {
            if let Some(token) = world.call(ask) {
                world.reject(&token);
            }
            world.call(ask);
        }),
        spawn(&world, move |world| {
            world.reject(&first);
            world.call(ask);
        }),
        spawn(&world, {
            let driver = Arc::clone(driver);
            move |_| (0..3).for_each(|_| drive(&driver))
        }),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    // I5: whatever happened, a call returns a token after one fetch.
    world.call(ask);
    drive(driver);
    drive(driver);
    assert!(world.call(ask).is_some());
    drop(world);
    drive(driver);
    assert_eq!(driver.metrics().num_alive_tasks(), 0);
}

fn spawn(world: &Arc<World>, act: impl FnOnce(&World) + Send + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || act(&world))
}

/// Returns how many schedules there were.
fn check(scheduler: impl Scheduler + 'static, scenario: impl Fn(&Driver) + Send + Sync + 'static) -> usize {
    let mut driver = tokio::runtime::Builder::new_current_thread();
    let driver = Arc::new(driver.enable_time().start_paused(true).build().unwrap());
    let _inside = driver.enter();
    let mut config = Config::new();
    // For the frames of tokio and this crate in a debug build.
    config.stack_size = 512 * 1024;
    config.failure_persistence = FailurePersistence::None;
    let driver = Arc::clone(&driver);
    Runner::new(scheduler, config).run(move || scenario(&driver))
}

#[test]
fn no_schedule_returns_a_rejected_or_an_older_token() {
    for due in [false, true] {
        let any = RandomScheduler::new(schedules());
        assert_eq!(check(any, move |driver| rush(driver, due, at_once)), schedules());
        // A few switches, at random places.
        let few = PctScheduler::new(3, schedules());
        assert_eq!(check(few, move |driver| rush(driver, due, at_once)), schedules());
    }
}

#[test]
#[ignore = "100 000 schedules, depth first: a minute"]
fn a_hundred_thousand_schedules_of_a_call_a_rejection_and_a_completion_are_correct() {
    let every = DfsScheduler::new(Some(100_000), false);
    let schedules = check(every, |driver| {
        let (world, first) = World::new(driver);
        world.hands.advance(seconds(3400));
        world.call(at_once);
        let threads =
            [spawn(&world, |world| drop(world.call(at_once))), spawn(&world, move |world| world.reject(&first))];
        finish(driver);
        for thread in threads {
            thread.join().unwrap();
        }
        world.call(at_once);
        // No task may outlive its schedule.
        drop(world);
        finish(driver);
    });
    assert!(schedules > 10_000, "{schedules}");
}

/// Like `Cached`, but without the lock: a token that was rejected in between gets a lease.
fn with_a_late_lease(tokens: &Cached<Numbered>) -> Option<Result<AccessToken, Error>> {
    if let Some(token) = tokens.0.slots.token(&tokens.0.clock) {
        return Some(Ok(token));
    }
    let now = tokens.0.clock.now();
    let answer = tokens.0.with_state(|state| state.ask(now, None));
    match answer {
        Answer::Use(token, until) => {
            tokens.0.slots.lease(&token, until);
            Some(Ok(token))
        }
        _ => at_once(tokens),
    }
}

#[test]
#[should_panic(expected = "was rejected")]
fn the_checker_finds_a_lease_that_is_given_after_the_lock_was_released() {
    check(RandomScheduler::new(10_000), |driver| {
        rush(driver, false, with_a_late_lease);
    });
}

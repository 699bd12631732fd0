//! A fleet over a day: how many token requests, failed calls, and requests per second at the authorization server.
//!
//! Every process is a real `Cached`, alone or with a real `Shared` inside, on a clock that the simulation advances. The
//! authorization server, the store, the calls (one per minute and process) and the faults are simulated. All processes
//! start within ten seconds, and a token lasts an hour. Each day the authorization server is down for ten minutes in the
//! hour after noon, and the store for ten minutes in the hour after six, starting at different minutes.
//!
//! ```console
//! $ cargo run --release --all-features --example fleet          # fleets of 1 and 200, in seconds
//! $ cargo run --release --all-features --example fleet -- all   # and of 10 000; draws the plot of src/docs/tenants.md
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "an example")]

mod authorization_server;
mod plot;
mod shared_store;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use authorization_server::AuthorizationServer;
use client_credentials::{Cached, ManualClock, SealedStore, Shared, TokenSource, source_fn};
use shared_store::SharedStore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/tenants.md");
const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
/// A deployment replaces all processes within this time.
const START: Duration = Duration::from_secs(10);
/// How often a process calls the API, on average.
const BETWEEN_CALLS: Duration = MINUTE;
/// 32 bytes; a real one is random and secret.
const SEAL_KEY: &str = "c2ltdWxhdGVkIGZsZWV0LCBzaW11bGF0ZWQga2V5ISE=";

/// The outages of the day.
#[derive(Clone)]
pub(crate) struct Faults {
    server: Range<Duration>,
    store: Range<Duration>,
}

impl Faults {
    fn of_day(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut after = |hour: u32| {
            let begin = hour * HOUR + HOUR.mul_f64(random.f64());
            begin..begin + 10 * MINUTE
        };
        Faults { server: after(12), store: after(18) }
    }
}

/// A day of one fleet.
pub(crate) struct Day {
    fleet: usize,
    shared: bool,
    /// Token requests in each second.
    per_second: Vec<u32>,
    calls: u64,
    failed: u64,
}

impl Day {
    fn requests(&self) -> u32 {
        self.per_second.iter().sum()
    }

    /// The busiest second of the first minute, and of all later ones.
    fn peaks(&self) -> (u32, u32) {
        let (start, later) = self.per_second.split_at(60);
        let most = |seconds: &[u32]| seconds.iter().copied().max().unwrap_or_default();
        (most(start), most(later))
    }
}

/// A process: it starts, gets its tokens, and calls the API at random instants all day.
async fn process(tokens: impl TokenSource, end: Instant, calls: Arc<[AtomicU64; 2]>) {
    sleep(START.mul_f64(fastrand::f64())).await;
    loop {
        let failed = tokens.token().await.is_err();
        let [all, bad] = &*calls;
        all.fetch_add(1, Ordering::Relaxed);
        bad.fetch_add(u64::from(failed), Ordering::Relaxed);
        // An exponential distribution: the calls are independent.
        let next = Instant::now() + BETWEEN_CALLS.mul_f64(-(1.0 - fastrand::f64()).ln());
        if next >= end {
            return;
        }
        sleep_until(next).await;
    }
}

fn simulate(fleet: usize, shared: bool, seed: u64) -> Day {
    // The jitter of the crate is drawn from it, too.
    fastrand::seed(seed);
    let faults = Faults::of_day(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = ManualClock::along_tokio();
        let server = Arc::new(AuthorizationServer::start(clock.clone(), faults.server.clone()));
        let store = SharedStore::start(faults.store.clone());
        let calls: Arc<[AtomicU64; 2]> = Arc::default();
        let mut processes = JoinSet::new();
        for _ in 0..fleet {
            let server = Arc::clone(&server);
            let source = source_fn(move || Arc::clone(&server).token());
            let source: Box<dyn TokenSource> = match shared {
                false => Box::new(source),
                // Each process has its own circuit breaker for the store.
                true => {
                    let store = SealedStore::new(store.clone(), SEAL_KEY);
                    Box::new(Shared::new(source, store, "the fleet").clock(&clock))
                }
            };
            let tokens = Cached::new(source).clock(&clock);
            let end = Instant::now() + DAY;
            processes.spawn(process(tokens, end, Arc::clone(&calls)));
        }
        processes.join_all().await;
        let [all, failed] = &*calls;
        Day {
            fleet,
            shared,
            per_second: server.per_second(),
            calls: all.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
        }
    })
}

fn row(days: &[Day]) {
    let mean = |number: fn(&Day) -> f64| days.iter().map(number).sum::<f64>() / days.len() as f64;
    let most = |number: fn(&Day) -> u64| days.iter().map(number).max().unwrap_or_default();
    println!(
        "| {} | {} | {} | {:.0} | {:.4} % | {:.4} % | {} | {} |",
        days.first().map_or(0, |day| day.fleet),
        match days.first() {
            Some(day) if day.shared => "`Shared`",
            _ => "alone",
        },
        days.len(),
        mean(|day| f64::from(day.requests())),
        100.0 * mean(|day| day.failed as f64 / day.calls as f64),
        100.0 * most(|day| 1_000_000 * day.failed / day.calls) as f64 / 1_000_000.0,
        most(|day| day.peaks().0.into()),
        most(|day| day.peaks().1.into()),
    );
}

fn main() {
    let all = std::env::args().any(|argument| argument == "all");
    println!(
        "| processes | each | days | token requests a day | failed calls | on the worst day | peak at the start, 1/s | later |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut drawn = Vec::new();
    for (fleet, days) in [(1, 20), (200, if all { 20 } else { 2 }), (10_000, 3)] {
        if fleet > 200 && !all {
            break;
        }
        for shared in [false, true] {
            let days = (0..days).map(|seed| simulate(fleet, shared, seed));
            let days: Vec<_> = days.collect();
            row(&days);
            // The first day, which is the same for all.
            drawn.extend(days.into_iter().take(1).filter(|day| day.fleet > 1));
        }
    }
    if all {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (before, plot) = page.split_once("<svg").unwrap();
        let (_, after) = plot.split_once("</svg>").unwrap();
        let plot = plot::svg(&drawn, &Faults::of_day(0));
        std::fs::write(PAGE, format!("{before}{}{after}", plot.trim_end())).unwrap();
    }
}

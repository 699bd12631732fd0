//! A fresh token to a header: on one thread and on several, through a concrete source and through a `dyn` one, against
//! a lower bound and a hand-written cache. Compare ratios within one run, not nanoseconds.
//!
//! `cargo bench -p benches --bench cached_token`

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use client_credentials::{AccessToken, CachePolicy, Cached, TokenSource, source_fn};
use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderValue;

/// The length of an ordinary JWT.
const TOKEN_LENGTH: usize = 900;

fn secret() -> String {
    "a".repeat(TOKEN_LENGTH)
}

fn header() -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes::Bytes::from(format!("Bearer {}", secret()))).unwrap()
}

/// Never inlined, like `AccessToken::authorization`, so that the value is written directly to its destination.
#[inline(never)]
fn clone_of(header: &HeaderValue) -> HeaderValue {
    header.clone()
}

/// Polls a future that is ready.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("a fresh token is ready"),
    }
}

fn fresh() -> Cached<impl TokenSource> {
    let tokens = Cached::new(source_fn(|| async {
        AccessToken::builder(secret()).lifetime(Duration::from_secs(86_400)).build()
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokens.token()).unwrap();
    tokens
}

/// A token that is due, during its refresh.
fn due(runtime: &tokio::runtime::Runtime) -> Cached<impl TokenSource + use<>> {
    let calls = AtomicU32::new(0);
    let calls: &'static AtomicU32 = Box::leak(Box::new(calls));
    let tokens = Cached::with_policy(
        source_fn(move || async move {
            if calls.fetch_add(1, Ordering::Relaxed) > 0 {
                std::future::pending::<()>().await;
            }
            AccessToken::builder(secret()).lifetime(Duration::from_secs(86_400)).build()
        }),
        CachePolicy::new().max_age(Duration::from_millis(1)).fetch_timeout(Duration::from_secs(86_400)),
    )
    .unwrap();
    runtime.block_on(async {
        while calls.load(Ordering::Relaxed) < 2 {
            drop(tokens.token().await);
            tokio::task::yield_now().await;
        }
    });
    tokens
}

/// The hand-written alternative: an async lock around the token and its expiry.
type HandRolled = tokio::sync::RwLock<Option<(String, Instant)>>;

async fn hand_rolled(cache: &HandRolled) -> HeaderValue {
    let cache = cache.read().await;
    match &*cache {
        Some((token, expiry)) if Instant::now() < *expiry => format!("Bearer {token}").parse().unwrap(),
        _ => unreachable!("it is fresh"),
    }
}

/// The time that `threads` threads need for `iterations` each.
fn on_threads(threads: usize, iterations: u64, operation: &(dyn Fn() -> HeaderValue + Sync)) -> Duration {
    let barrier = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    // The first call gives the thread its lease.
                    drop(operation());
                    barrier.wait();
                    let start = Instant::now();
                    (0..iterations).for_each(|_| {
                        black_box(&operation());
                    });
                    start.elapsed()
                })
            })
            .collect();
        barrier.wait();
        workers.into_iter().map(|worker| worker.join().unwrap()).max().unwrap_or_default()
    })
}

fn cached_token(c: &mut Criterion) {
    let shared = header();
    let held = Arc::new(header());
    let tokens = fresh();
    let dynamic: Arc<dyn TokenSource> = Arc::new(fresh());
    // Its fetch needs a runtime that is driven.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let due = due(&runtime);
    let hand: HandRolled = tokio::sync::RwLock::new(Some((secret(), Instant::now() + Duration::from_secs(86_400))));
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
    let mut thread_counts = vec![1, 2, cores];
    thread_counts.sort_unstable();
    thread_counts.dedup();

    for threads in thread_counts {
        let mut group = c.benchmark_group(format!("cached token/{threads} thread(s)"));
        // Rounds of less than 40 ms on two threads are not reliable.
        group.sample_size(10).measurement_time(Duration::from_secs(3)).sampling_mode(criterion::SamplingMode::Flat);
        let mut bench = |name: &str, operation: &(dyn Fn() -> HeaderValue + Sync)| {
            group.bench_function(name, |b| b.iter_custom(|iterations| on_threads(threads, iterations, operation)));
        };
        bench("limit: clone of a shared HeaderValue", &|| shared.clone());
        // The minimal cost of a token that is a separate value, from which the header is taken.
        bench("limit: clone of a shared Arc, and of the HeaderValue in it", &|| clone_of(&Arc::clone(&held)));
        bench("limit: copy into a new HeaderValue", &|| HeaderValue::from_bytes(shared.as_bytes()).unwrap());
        bench("by hand: format and parse", &|| {
            format!("Bearer {}", black_box("a").repeat(TOKEN_LENGTH)).parse().unwrap()
        });
        bench("by hand: tokio RwLock", &|| ready(hand_rolled(&hand)));
        bench("Cached", &|| ready(tokens.token()).unwrap().authorization());
        bench("Arc<dyn TokenSource>", &|| ready(dynamic.token()).unwrap().authorization());
        bench("Cached, due, refresh under way", &|| ready(due.token()).unwrap().authorization());
        group.finish();
    }
}

/// The status, for a health check.
fn status(c: &mut Criterion) {
    let tokens = fresh();
    c.bench_function("status of a cached token", |b| b.iter(|| tokens.status()));
}

criterion_group!(benches, cached_token, status);
criterion_main!(benches);

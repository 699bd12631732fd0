//! A small world in real time: authorization servers of the test kit with the quirks of well-known ones, which fail all
//! the time, tokens of two seconds, and everything that uses tokens: callers through the middleware, two replicas with
//! a store, threads without a runtime, and a holder that tokens are pushed to. Only counts are asserted; the report is
//! for reading.
//!
//! `cargo test --release --all-features --test soak -- --nocapture` for 8 s, longer by `SOAK_SECONDS` (`.ci/soak`: five minutes).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod callers;
mod process;
mod provider;
mod recorder;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use callers::{Outcomes, Pushed};
use client_credentials::testing::{AuthorizationServer, Quirk};
use client_credentials::{FileStore, SealedStore, blocking};
use process::Held;
use provider::Provider;
use source::Source;
use tokio::runtime::{Builder, Runtime};

/// Each has a client of its own. In all of them errors and responses look different.
const SINGLE: [Quirk; 6] = [Quirk::EntraV2, Quirk::Okta, Quirk::Auth0, Quirk::Keycloak, Quirk::PayPal, Quirk::Cognito];
const CALLERS: usize = 8;
const REPLICAS: usize = 2;
const THREADS: usize = 4;

/// 32 bytes in base64.
const SEAL_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// From here on the resources of the process are compared: before, it has not reached its full size.
const LONG: u64 = 120;

#[test]
fn no_request_is_lost_that_could_have_been_saved() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(8, |text| text.parse().unwrap());
    let metrics = recorder::Recorder::default();
    metrics::set_global_recorder(metrics.clone()).unwrap();
    // What a process keeps once tokio has run in it is not a leak.
    drop((AuthorizationServer::start(), runtime()));
    let at_first = Held::now(0);

    let runtime = runtime();
    let store = tempfile::tempdir().unwrap();
    let mut providers = Vec::new();
    let mut sources = Vec::new();
    let mut start_source = |name: &str, provider: &Arc<Provider>| {
        let source = Source::new(name, provider, |builder| builder);
        sources.push(Arc::clone(&source));
        source
    };
    let mut provider = |quirk, rotates| {
        providers.push(Provider::start(quirk, rotates));
        Arc::clone(&providers[providers.len() - 1])
    };

    let through_middleware = Arc::new(Outcomes::default());
    let mut callers = Vec::new();
    let mut call = |source: &Arc<Source>, count: usize, outcomes: &Arc<Outcomes>| {
        let client = callers::client(source);
        for _ in 0..count {
            let call = callers::call(Arc::clone(source), client.clone(), Arc::clone(outcomes));
            callers.push(runtime.spawn(call));
        }
    };
    for quirk in SINGLE {
        let source = start_source(&format!("{quirk:?}"), &provider(quirk, true));
        call(&source, CALLERS, &through_middleware);
    }

    let from_threads = Arc::new(Outcomes::default());
    let source = start_source("threads", &provider(Quirk::GitHub, true));
    call(&source, THREADS, &through_middleware);
    let tokens = blocking::Tokens::new(source.tokens.clone());
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (source, tokens, outcomes) = (Arc::clone(&source), tokens.clone(), Arc::clone(&from_threads));
            thread::spawn(move || callers::block(&source, &tokens, &outcomes))
        })
        .collect();
    drop((source, tokens));

    let source = start_source("holder", &provider(Quirk::EntraV1, true));
    let holder = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(callers::hold(&source))
    });

    let through_store = Arc::new(Outcomes::default());
    let shared = provider(Quirk::Apigee, false);
    for replica in 0..REPLICAS {
        let place = SealedStore::new(FileStore::new(store.path()), SEAL_KEY);
        let source = Source::new(&format!("replica {replica}"), &shared, |builder| builder.shared(place));
        call(&source, CALLERS / REPLICAS, &through_store);
        sources.push(source);
    }
    drop(shared);

    // The most that it holds in the second quarter of the time, and in the last one.
    let (mut early, mut late) = (Held::default(), Held::default());
    let mut revoked = 0;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        thread::sleep(Duration::from_millis(100));
        let held = Held::now(runtime.metrics().num_alive_tasks());
        match start.elapsed().as_secs_f64() / seconds as f64 {
            0.25..0.5 => early = early.at_most(held),
            0.75.. => late = late.at_most(held),
            _ => {}
        }
        if start.elapsed() > Duration::from_millis(500) * revoked {
            providers[revoked as usize % providers.len()].revoke_all();
            revoked += 1;
        }
    }
    callers::OVER.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    let pushed = holder.join().unwrap();
    for caller in callers {
        runtime.block_on(caller).unwrap();
    }

    let kinds = [("middleware", &through_middleware), ("threads", &from_threads), ("store", &through_store)];
    println!("soak: {seconds} s, tokens of 2 s from {} servers of the kit, {} sources", providers.len(), sources.len());
    for (kind, outcomes) in kinds {
        report(kind, outcomes, seconds);
    }
    let Pushed { once, twice, lost } = pushed;
    println!("  pushed {once}, twice {twice}, lost {lost}");
    let of_sources = |count: fn(&Source) -> &AtomicU64| -> u64 { sum(sources.iter().map(|source| count(source))) };
    let of_providers = |count: fn(&Provider) -> &AtomicU64| -> u64 { sum(providers.iter().map(|one| count(one))) };
    let token_requests = of_sources(|source| &source.observed.token_requests);
    let rotations = of_providers(|provider| &provider.rotations);
    let old_secrets = of_providers(|provider| &provider.old_secrets);
    println!(
        "  token requests {token_requests}, of which failed by the server {}; fetches that brought a token {}, {} of them \
         from the store",
        of_providers(|provider| &provider.failed),
        of_sources(|source| &source.observed.fetched),
        of_sources(|source| &source.observed.from_store),
    );
    println!(
        "  tokens revoked {} times, rejected {} times; secret rotated {rotations} times, {old_secrets} requests with an \
         old one",
        of_providers(|provider| &provider.revocations),
        of_sources(|source| &source.observed.rejections),
    );
    let longest = sources.iter().map(|source| source.observed.longest_failure.lock().unwrap().clone()).max().unwrap();
    println!("  longest time from a failed fetch to a successful one {:.1?}: {}", longest.0, longest.1.join(", "));
    let bad: Vec<_> = sources.iter().flat_map(|source| source.bad.lock().unwrap().clone()).collect();
    println!("  tokens handed out that had expired, had been rejected or were nobody's: {}", bad.len());
    println!("  series of metrics {}", metrics.len());
    println!("  held at most in the second quarter: {early}\n  held at most in the last quarter: {late}");

    let complaints: Vec<_> = kinds.iter().flat_map(|(_, one)| one.complaints.lock().unwrap().clone()).collect();
    assert!(complaints.is_empty(), "requests that the crate could have saved:\n{}", complaints.join("\n"));
    assert_eq!(bad, Vec::<String>::new());
    assert_eq!((twice, lost), (0, 0), "of {once} tokens that were pushed");
    // Each new secret is adopted: at most the three attempts of the fetch in which it is replaced have the old one.
    assert!(old_secrets <= 3 * rotations, "{old_secrets} requests with an old secret after {rotations} rotations");
    assert_eq!(metrics.recorded("oauth2.client.token_request.duration"), token_requests);
    let sources_count = sources.len();
    assert!(metrics.len() <= 100 * sources_count, "{} series of {sources_count} sources", metrics.len());
    if seconds >= LONG {
        assert!(of_sources(|source| &source.observed.from_store) > 0, "nothing came from the store");
        // The servers still fill their records where few requests come; a leak of ten bytes a request would be more.
        assert!(late.kib < early.kib + 16 * 1024, "memory grows: {early}, then {late}");
        assert!(late.threads <= early.threads + 8, "threads: {early}, then {late}");
        assert!(late.files <= early.files + 32, "file descriptors: {early}, then {late}");
        assert!(late.tasks <= early.tasks + 16, "tasks: {early}, then {late}");
    }
    // The callers have ended. With the sources, their connections and fetches end too.
    drop(sources);
    eventually_none("tasks that outlive their handles", || runtime.metrics().num_alive_tasks() as u64);
    drop((providers, runtime));
    eventually_none("threads that outlive their handles", || Held::now(0).threads.saturating_sub(at_first.threads));
    eventually_none("file descriptors left open", || Held::now(0).files.saturating_sub(at_first.files));
    println!("  left when all handles were dropped: {}", Held::now(0));
}

fn report(kind: &str, outcomes: &Outcomes, seconds: u64) {
    let Outcomes { good, unavailable, helpless, refused_twice, lost, .. } = outcomes;
    let [good, unavailable, helpless, refused_twice, lost] =
        [good, unavailable, helpless, refused_twice, lost].map(|count| count.load(Ordering::Relaxed));
    let all = good + unavailable + helpless + refused_twice + lost;
    println!(
        "  {kind}: requests {all} ({} a second), good {good}, 503 of the API's own {unavailable}, refused with two \
         tokens {refused_twice}; lost while the authorization server gave no token {helpless}, for no such reason {lost}",
        all / seconds
    );
}

fn sum<'a>(counts: impl Iterator<Item = &'a AtomicU64>) -> u64 {
    counts.map(|count| count.load(Ordering::Relaxed)).sum()
}

/// The limit only guards against hanging.
fn eventually_none(what: &str, left: impl Fn() -> u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while left() > 0 {
        assert!(Instant::now() < deadline, "{} {what}", left());
        thread::sleep(Duration::from_millis(20));
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

//! 10 000 cold callers at once, an authorization server that takes 50 ms: against a lock held over the request, which
//! is what people write by hand.
//!
//! `cargo bench -p benches --bench cold_start`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client_credentials::{AccessToken, Cached, source_fn};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::task::JoinSet;

const CALLERS: usize = 10_000;

async fn fetch(requests: &AtomicU64) -> AccessToken {
    requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    AccessToken::builder("token").lifetime(Duration::from_secs(3600)).build().unwrap()
}

async fn all<F: Future<Output = ()> + Send + 'static>(caller: impl Fn() -> F) {
    let mut callers = JoinSet::new();
    (0..CALLERS).for_each(|_| drop(callers.spawn(caller())));
    callers.join_all().await;
}

fn cold_start(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut group = c.benchmark_group("10 000 cold callers, 50 ms server");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    group.bench_function("limit: the request alone", |b| {
        b.to_async(&runtime).iter(|| async { fetch(&AtomicU64::new(0)).await });
    });
    group.bench_function("limit: 10 000 tasks that sleep 50 ms", |b| {
        b.to_async(&runtime).iter(|| all(|| tokio::time::sleep(Duration::from_millis(50))));
    });
    group.bench_function("limit: 10 000 tasks that one event wakes", |b| {
        b.to_async(&runtime).iter(|| async {
            let (complete, completion) = tokio::sync::watch::channel(());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                complete.send_replace(());
            });
            all(|| {
                let mut completion = completion.clone();
                async move { completion.changed().await.unwrap() }
            })
            .await;
        });
    });
    group.bench_function("Cached", |b| {
        b.to_async(&runtime).iter(|| async {
            let requests = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&requests);
            let tokens = Cached::new(source_fn(move || {
                let requests = Arc::clone(&counted);
                async move { Ok(fetch(&requests).await) }
            }));
            all(|| {
                let tokens = tokens.clone();
                async move { drop(tokens.token().await.unwrap()) }
            })
            .await;
            assert_eq!(requests.load(Ordering::Relaxed), 1);
        });
    });
    group.bench_function("by hand: a lock held over the request", |b| {
        b.to_async(&runtime).iter(|| async {
            let requests = Arc::new(AtomicU64::new(0));
            let cache = Arc::new(tokio::sync::Mutex::new(None));
            all(|| {
                let (cache, requests) = (Arc::clone(&cache), Arc::clone(&requests));
                async move {
                    let mut cache = cache.lock().await;
                    if cache.is_none() {
                        *cache = Some(fetch(&requests).await);
                    }
                }
            })
            .await;
        });
    });
    group.finish();
}

criterion_group!(benches, cold_start);
criterion_main!(benches);

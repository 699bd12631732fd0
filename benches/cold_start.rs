//! 10 000 callers at once without a token, an authorization server that takes 50 ms: against a lock held over the
//! request, which is what people write by hand, and against huskarl's cache.
//!
//! `cargo bench -p benches --bench cold_start`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use client_credentials::{AccessToken, Cached, source_fn};
use criterion::{Criterion, criterion_group, criterion_main};
use huskarl::cache::{InMemoryTokenCache, TokenError};
use huskarl::core::platform::MaybeSendBoxFuture;
use huskarl::grant::core::{RawTokenResponse, TokenResponse};
use tokio::task::JoinSet;

const CALLERS: usize = 10_000;

async fn fetch(requests: &AtomicU64) -> AccessToken {
    requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    AccessToken::builder("token").lifetime(Duration::from_secs(3600)).build().unwrap()
}

/// The same request, as huskarl's cache makes it.
struct Peer(Arc<AtomicU64>);

impl huskarl::cache::TokenSource for Peer {
    fn token(&self) -> MaybeSendBoxFuture<'_, Result<Arc<TokenResponse>, TokenError>> {
        Box::pin(async {
            fetch(&self.0).await;
            let response =
                RawTokenResponse::builder().access_token("token").token_type("Bearer").expires_in(3600).build();
            Ok(Arc::new(response.into_token_response(None, SystemTime::now()).unwrap()))
        })
    }
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
    group.bench_function("huskarl's InMemoryTokenCache", |b| {
        b.to_async(&runtime).iter(|| async {
            let source = Peer(Arc::default());
            let requests = Arc::clone(&source.0);
            let cache = Arc::new(InMemoryTokenCache::builder().source(source).build());
            all(|| {
                let cache = Arc::clone(&cache);
                async move { drop(huskarl::cache::TokenSource::token(&*cache).await.unwrap()) }
            })
            .await;
            assert_eq!(requests.load(Ordering::Relaxed), 1);
        });
    });
    group.finish();
}

criterion_group!(benches, cold_start);
criterion_main!(benches);

//! Counted allocations: the hot path makes none, and waiters are cheap.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use client_credentials::{AccessToken, CachePolicy, Cached, TokenSource, source_fn};

fn token() -> AccessToken {
    AccessToken::builder("a".repeat(900)).lifetime(Duration::from_secs(3600)).build().unwrap()
}

/// The least of several runs, without allocations that happen once, such as that of a thread-local.
fn least_allocations(mut once: impl FnMut()) -> u64 {
    (0..5).map(|_| allocation_counter::measure(&mut once).count_total).min().unwrap()
}

#[test]
fn a_fresh_token_through_a_dyn_source_to_a_header_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let source: Arc<dyn TokenSource> = Arc::new(Cached::new(source_fn(|| async { Ok(token()) })));
        source.token().await.unwrap();
        // The first one gives this thread its lease.
        source.token().await.unwrap();
        for _ in 0..1000 {
            let mut future = source.token();
            let mut polled = None;
            let allocations = allocation_counter::measure(|| {
                future = source.token();
                let mut cx = Context::from_waker(Waker::noop());
                polled = Some(Pin::new(&mut future).poll(&mut cx));
            });
            let header = match polled {
                Some(std::task::Poll::Ready(Ok(token))) => {
                    let mut header = None;
                    let more = allocation_counter::measure(|| header = Some(token.authorization()));
                    assert_eq!(more.count_total, 0);
                    header.unwrap()
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(allocations.count_total, 0);
            assert_eq!(header.len(), "Bearer ".len() + 900);
        }
    });
}

#[test]
fn a_due_token_allocates_nothing_while_its_refresh_is_under_way() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let calls = std::sync::atomic::AtomicU32::new(0);
        let calls: &'static _ = Box::leak(Box::new(calls));
        let tokens = Cached::with_policy(
            source_fn(move || async move {
                if calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
                    std::future::pending::<()>().await;
                }
                Ok(token())
            }),
            CachePolicy::new().max_age(Duration::from_nanos(1)),
        )
        .unwrap();
        tokens.token().await.unwrap();
        while calls.load(std::sync::atomic::Ordering::SeqCst) < 2 {
            tokens.token().await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut token = None;
        let allocations = least_allocations(|| token = tokens.token().now_or_never());
        assert!(token.unwrap().is_ok());
        assert_eq!(allocations, 0);
    });
}

#[test]
fn a_hundred_thousand_waiters_take_less_than_a_kilobyte_each() {
    // C22
    const WAITERS: usize = 100_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let gate: &'static _ = Box::leak(Box::new(tokio::sync::Semaphore::new(0)));
        let tokens = Cached::new(source_fn(move || async move {
            gate.acquire().await.map(tokio::sync::SemaphorePermit::forget).map_err(client_credentials::Error::other)?;
            Ok(token())
        }));
        let mut waiting = Vec::with_capacity(WAITERS);
        let memory = allocation_counter::measure(|| {
            for _ in 0..WAITERS {
                let mut future = tokens.token();
                assert!(Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_pending());
                waiting.push(future);
            }
        });
        let each = memory.bytes_current / i64::try_from(WAITERS).unwrap();
        assert!(each < 1024, "{each} bytes");
        gate.add_permits(1);
        for future in waiting {
            future.await.unwrap();
        }
        assert!(tokens.token().now_or_never().is_some());
    });
}

#[cfg(feature = "pool")]
#[test]
fn a_fresh_token_through_a_pool_allocates_nothing() {
    use client_credentials::TokenPool;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = TokenPool::new(|_: &Arc<str>| Ok(Cached::new(source_fn(|| async { Ok(token()) }))));
        let tenants: Vec<Arc<str>> = (0..100).map(|n| Arc::from(n.to_string())).collect();
        for tenant in &tenants {
            pool.source(tenant).token().await.unwrap();
            // This one gives this thread its lease.
            pool.source(tenant).token().await.unwrap();
        }
        let allocations = least_allocations(|| {
            for tenant in &tenants {
                assert!(matches!(pool.source(tenant).token().now_or_never(), Some(Ok(_))));
            }
        });
        assert_eq!(allocations, 0);
    });
}

//! A fresh token through a pool of 10 000 tenants, against a single source; and the memory that an idle tenant takes.
//!
//! `cargo bench -p benches --bench pool`

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, missing_docs, reason = "a bench")]

use std::sync::Arc;
use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer};
use client_credentials::{
    AccessToken, Cached, ClientAuth, ClientCredentials, Error, HttpClient, PoolPolicy, Pooled, TokenPool, TokenSource,
    source_fn,
};
use criterion::Criterion;

const TENANTS: usize = 10_000;

fn token() -> AccessToken {
    AccessToken::builder("a".repeat(900)).lifetime(Duration::from_secs(3600)).build().unwrap()
}

fn pool_of<S: Pooled + 'static>(
    make: impl Fn(&Arc<str>) -> Result<S, Error> + Send + Sync + 'static,
) -> TokenPool<Arc<str>, S> {
    TokenPool::with_policy(make, PoolPolicy::new().capacity(2 * TENANTS)).unwrap()
}

fn names() -> Vec<Arc<str>> {
    (0..TENANTS).map(|n| Arc::from(format!("tenant-{n}"))).collect()
}

fn cached(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let of_one = || Cached::new(source_fn(|| async { Ok(token()) }));
    let one = of_one();
    let pool = pool_of(move |_: &Arc<str>| Ok(of_one()));
    let names = names();
    let handles: Vec<_> = names.iter().map(|name| pool.source(name)).collect();
    runtime.block_on(async {
        for _ in 0..2 {
            one.token().await.unwrap();
            for handle in &handles {
                handle.token().await.unwrap();
            }
        }
    });
    let mut group = c.benchmark_group("pool");
    let token_of = |source: &dyn TokenSource| source.token().now_or_never().unwrap().unwrap();
    group.bench_function("a source of one's own", |b| b.iter(|| token_of(&one)));
    group.bench_function("one tenant, its handle kept", |b| b.iter(|| token_of(&handles[5])));
    group.bench_function("one tenant, by its key", |b| b.iter(|| token_of(&pool.source(&names[5]))));
    // Every tenant in turn, so that none is in the processor's caches.
    let mut next = 0;
    let sources: Vec<_> = (0..TENANTS).map(|_| Cached::new(source_fn(|| async { Ok(token()) }))).collect();
    runtime.block_on(async {
        for source in sources.iter().chain(&sources) {
            source.token().await.unwrap();
        }
    });
    group.bench_function("10 000 sources of one's own in turn", |b| {
        b.iter(|| {
            next = (next + 7919) % TENANTS;
            token_of(&sources[next])
        })
    });
    group.bench_function("10 000 tenants in turn", |b| {
        b.iter(|| {
            next = (next + 7919) % TENANTS;
            token_of(&handles[next])
        })
    });
    group.finish();
}

/// Resident memory of this process, in bytes (Linux).
fn resident() -> Option<usize> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = pages.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// The memory that each tenant adds, in a process of its own without the server.
fn memory(kind: &str, endpoint: String) {
    let http = HttpClient::from_reqwest_0_13(reqwest::Client::builder);
    let own = kind.contains("own HTTP client");
    let make = move |name: &Arc<str>| {
        let auth = ClientAuth::client_secret_basic(&**name, "a secret of 32 characters, or so");
        let builder = ClientCredentials::builder(&endpoint, auth).scope("invoices:read");
        match own {
            true => builder.http_client(HttpClient::from_reqwest_0_13(reqwest::Client::builder)).build(),
            false => builder.http_client(http.clone()).build(),
        }
    };
    let tenants = if own { TENANTS / 20 } else { TENANTS };
    let names = names();
    let first: Arc<str> = "first".into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pool = pool_of(make);
    runtime.block_on(async {
        // Allocates what all tenants share.
        pool.source(&first).token().await.unwrap();
        let Some(before) = resident() else { return };
        for name in &names[..tenants] {
            pool.source(name).token().await.unwrap();
        }
        let after = resident().unwrap_or_default();
        println!("{kind}: {} bytes each, of {tenants} tenants", after.saturating_sub(before) / tenants);
    });
}

const KINDS: [&str; 2] = ["an idle tenant with its token", "an idle tenant with its token and its own HTTP client"];

fn main() {
    let variable = |name| std::env::var(name).ok();
    if let (Some(kind), Some(endpoint)) = (variable("POOL_BENCH_MEMORY"), variable("POOL_BENCH_TOKEN_ENDPOINT")) {
        return memory(&kind, endpoint);
    }
    if !std::env::args().any(|argument| argument == "--test") {
        let server = AuthorizationServer::start();
        let token = "a".repeat(900);
        server.until_changed(Answer::Body(format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#
        )));
        for kind in KINDS {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.env("POOL_BENCH_TOKEN_ENDPOINT", server.token_url());
            assert!(child.env("POOL_BENCH_MEMORY", kind).status().unwrap().success());
        }
    }
    let mut criterion = Criterion::default().configure_from_args();
    cached(&mut criterion);
    criterion.final_summary();
}

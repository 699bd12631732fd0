//! The beginning: what `build()` costs, and the first token from cold, over real HTTP on loopback.
//!
//! `cargo bench -p benches --bench start`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use client_credentials::{ClientAuth, ClientCredentials};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// A token endpoint on a thread of its own.
fn token_endpoint() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let router = axum::Router::new()
                .fallback(|| async { r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"# });
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    url
}

fn source(url: &str) -> ClientCredentials {
    ClientCredentials::builder(url, ClientAuth::client_secret_basic("bench", "secret")).build().unwrap()
}

fn start(c: &mut Criterion) {
    let url = token_endpoint();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut group = c.benchmark_group("start");
    group.bench_function("limit: a bare reqwest::Client", |b| b.iter(|| reqwest::Client::builder().build().unwrap()));
    group.bench_function("build()", |b| b.iter(|| source(&url)));
    group.bench_function("limit: the first request of a bare reqwest::Client", |b| {
        b.to_async(&runtime).iter_batched(
            || reqwest::Client::builder().no_proxy().build().unwrap(),
            |bare| {
                let request = bare.post(&url).body("grant_type=client_credentials");
                async move { (request.send().await.unwrap().bytes().await.unwrap(), bare) }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("the first token from cold", |b| {
        b.to_async(&runtime).iter_batched(
            || source(&url),
            |tokens| async move { (tokens.token().await.unwrap(), tokens) },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, start);
criterion_main!(benches);

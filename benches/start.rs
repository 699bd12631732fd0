//! What `build()` costs, and the first token, over real HTTP on loopback.
//!
//! `cargo bench -p benches --bench start`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use client_credentials::testing::{Answer, AuthorizationServer};
use client_credentials::{ClientAuth, ClientCredentials};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn source(url: &str) -> ClientCredentials {
    ClientCredentials::builder(url, ClientAuth::client_secret_basic("bench", "secret")).build().unwrap()
}

fn start(c: &mut Criterion) {
    let server = AuthorizationServer::start();
    let body = r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#;
    server.until_changed(Answer::Body(body.to_owned()));
    let url = server.token_url();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut group = c.benchmark_group("start");
    group.bench_function("limit: a bare reqwest::Client", |b| b.iter(|| reqwest::Client::builder().build().unwrap()));
    group.bench_function("build()", |b| b.iter(|| source(url)));
    group.bench_function("limit: the first request of a bare reqwest::Client", |b| {
        b.to_async(&runtime).iter_batched(
            || reqwest::Client::builder().no_proxy().build().unwrap(),
            |bare| {
                let request = bare.post(url).body("grant_type=client_credentials");
                async move { (request.send().await.unwrap().bytes().await.unwrap(), bare) }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("the first token from cold", |b| {
        b.to_async(&runtime).iter_batched(
            || source(url),
            |tokens| async move { (tokens.token().await.unwrap(), tokens) },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, start);
criterion_main!(benches);

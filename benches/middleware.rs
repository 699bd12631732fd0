//! What the token costs a request on loopback, with each integration: against a header set by hand, and against a
//! middleware that does nothing.
//!
//! `cargo bench -p benches --bench middleware`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::time::Duration;

use client_credentials::{AccessToken, BearerAuth, Cached, source_fn};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::Extensions;
use http::header::AUTHORIZATION;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use tower::{Layer, Service, ServiceExt};

/// An API that responds to any request with a token, on a thread of its own.
fn api() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let router = axum::Router::new().fallback(|headers: http::HeaderMap| async move {
                assert!(headers.contains_key(AUTHORIZATION));
                "sunny"
            });
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    url
}

struct Nothing;

#[async_trait::async_trait]
impl Middleware for Nothing {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        next.run(request, extensions).await
    }
}

fn middleware(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = api();
    let tokens = Cached::new(source_fn(|| async {
        AccessToken::builder("a".repeat(900)).lifetime(Duration::from_secs(86_400)).build()
    }));
    let token = runtime.block_on(tokens.token()).unwrap();
    let static_header = token.authorization();
    let bearer = BearerAuth::for_origin(&url, tokens.clone()).unwrap();
    let plain = Client::builder().no_proxy().build().unwrap();
    let once = BearerAuth::builder(tokens.clone()).origin(&url).repeat(false).build().unwrap();
    let with = |middleware: BearerAuth| ClientBuilder::new(plain.clone()).with(middleware).build();

    let mut group = c.benchmark_group("a request on loopback");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(8));
    group.bench_function("reqwest, static header", |b| {
        b.to_async(&runtime).iter(|| async {
            plain.get(&url).header(AUTHORIZATION, static_header.clone()).send().await.unwrap().bytes().await.unwrap()
        });
    });
    group.bench_function("reqwest, bare header of a source", |b| {
        b.to_async(&runtime).iter(|| async {
            let authorization = tokens.token().await.unwrap().authorization();
            plain.get(&url).header(AUTHORIZATION, authorization).send().await.unwrap().bytes().await.unwrap()
        });
    });
    let nothing = ClientBuilder::new(plain.clone()).with(Nothing).build();
    group.bench_function("reqwest-middleware that does nothing, static header", |b| {
        b.to_async(&runtime).iter(|| async {
            nothing.get(&url).header(AUTHORIZATION, static_header.clone()).send().await.unwrap().bytes().await.unwrap()
        });
    });
    for (name, client) in [
        ("reqwest-middleware, BearerAuth", with(bearer.clone())),
        ("reqwest-middleware, BearerAuth without repeating", with(once)),
    ] {
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter(|| async { client.get(&url).send().await.unwrap().bytes().await.unwrap() });
        });
    }
    let layered = bearer.layer(plain.clone());
    group.bench_function("tower over reqwest::Request, BearerAuth", |b| {
        b.to_async(&runtime).iter(|| async {
            let request = Request::new(reqwest::Method::GET, url.parse().unwrap());
            let mut service = layered.clone();
            let ready = ServiceExt::<Request>::ready(&mut service).await.unwrap();
            ready.call(request).await.unwrap().bytes().await.unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, middleware);
criterion_main!(benches);

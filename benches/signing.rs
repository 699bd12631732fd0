//! What a signature adds to a token request on loopback: the same request with a shared secret, and with assertions. It
//! is paid once for each token, not for each request to an API. With the feature `dpop` also what a proof adds to each
//! request to an API (RFC 9449).
//!
//! `cargo bench -p benches --bench signing --all-features`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, RecordedRequest};
use client_credentials::{CachePolicy, ClientAuth, ClientCredentials};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// An authorization server and its API, which issue a new token for each request and check nothing.
fn server(token_type: &'static str) -> AuthorizationServer {
    let answer = move |_: &RecordedRequest| {
        static ISSUED: AtomicU64 = AtomicU64::new(0);
        let token = ISSUED.fetch_add(1, Ordering::Relaxed);
        Answer::Body(format!(r#"{{"access_token":"{token}","token_type":"{token_type}","expires_in":3600}}"#))
    };
    let server = AuthorizationServer::start();
    server.answer_by(Endpoint::Token, answer).answer_by(Endpoint::Api, answer);
    server
}

fn pem(pkcs8: &[u8]) -> String {
    let text = STANDARD.encode(pkcs8);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn rsa(size: KeySize) -> String {
    let pair = KeyPair::generate(size).unwrap();
    pem(AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref())
}

fn p256() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    pem(pair.to_pkcs8v1().unwrap().as_ref())
}

fn signing(c: &mut Criterion) {
    let server = server("Bearer");
    let runtime = runtime();
    let mut group = c.benchmark_group("token request on loopback");
    group.measurement_time(Duration::from_secs(4)).sample_size(50);
    for (name, auth) in [
        ("client_secret_post", ClientAuth::client_secret_post("me", "a secret")),
        (
            "client_secret_jwt, HS256",
            ClientAuth::client_secret_jwt("me", "a secret").audience("https://auth.example.com").into(),
        ),
        (
            "private_key_jwt, ES256",
            ClientAuth::private_key_jwt("me", p256()).audience("https://auth.example.com").into(),
        ),
        (
            "private_key_jwt, RS256, 2048 bits",
            ClientAuth::private_key_jwt("me", rsa(KeySize::Rsa2048)).audience("https://auth.example.com").into(),
        ),
        (
            "private_key_jwt, RS256, 4096 bits",
            ClientAuth::private_key_jwt("me", rsa(KeySize::Rsa4096)).audience("https://auth.example.com").into(),
        ),
    ] {
        let tokens = ClientCredentials::builder(server.token_url(), auth)
            .cache(CachePolicy::new().forced_refreshes(u32::MAX).forced_refresh_interval(Duration::from_nanos(1)))
            .build()
            .unwrap();
        group.bench_function(name, |b| {
            b.iter(|| {
                runtime.block_on(async {
                    let token = tokens.token().await.unwrap();
                    tokens.reject(&token);
                })
            });
        });
    }
    group.finish();
}

/// The same request to the same server, by a client without proofs and by one with proofs.
fn proofs(c: &mut Criterion) {
    use client_credentials::{BearerAuth, DpopKey};
    use reqwest_middleware::ClientBuilder;

    let (bearer_server, dpop_server) = (server("Bearer"), server("DPoP"));
    let runtime = runtime();
    let auth = || ClientAuth::client_secret_post("me", "a secret");
    let bearer = ClientCredentials::builder(bearer_server.token_url(), auth());
    let bound = ClientCredentials::builder(dpop_server.token_url(), auth()).dpop(DpopKey::generate());
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut group = c.benchmark_group("request to an API on loopback");
    group.measurement_time(Duration::from_secs(4)).sample_size(50);
    for (name, builder, server) in
        [("bearer token", bearer, &bearer_server), ("DPoP token, ES256", bound, &dpop_server)]
    {
        let origin = server.api_origin();
        let tokens = builder.build().unwrap();
        let client = ClientBuilder::new(plain.clone()).with(BearerAuth::for_origin(origin, tokens).unwrap()).build();
        group.bench_function(name, |b| {
            b.to_async(&runtime).iter(|| async {
                let response = client.get(origin).send().await.unwrap();
                response.bytes().await.unwrap()
            });
        });
    }
    let tokens = ClientCredentials::builder(dpop_server.token_url(), auth()).dpop(DpopKey::generate());
    let tokens = tokens.build().unwrap();
    let token = runtime.block_on(tokens.token()).unwrap();
    group.bench_function("the proof alone, ES256", |b| {
        b.to_async(&runtime).iter(|| async {
            let url = "https://api.example.com/invoices";
            token.request_headers(&http::Method::GET, url).await.unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, signing, proofs);
criterion_main!(benches);

//! What a signature adds to a token request on loopback: the same request with a shared secret, and with assertions. It
//! is paid once for each token, not for each request to an API.
//!
//! `cargo bench --bench signing --features jwt`

#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use client_credentials::{ClientAuth, ClientCredentials, TokenSource};
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// An authorization server that gives everybody a new token, on a thread of its own.
fn server() -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        runtime().block_on(async {
            let router = axum::Router::new().fallback(|| async {
                static ISSUED: AtomicU64 = AtomicU64::new(0);
                let token = ISSUED.fetch_add(1, Ordering::Relaxed);
                axum::Json(serde_json::json!({
                    "access_token": token.to_string(), "token_type": "Bearer", "expires_in": 3600,
                }))
            });
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    url
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
    let url = server();
    let runtime = runtime();
    let mut group = c.benchmark_group("token request on loopback");
    group
        .measurement_time(Duration::from_secs(4))
        .sample_size(50);
    for (name, auth) in [
        (
            "client_secret_post",
            ClientAuth::client_secret_post("me", "a secret"),
        ),
        (
            "client_secret_jwt, HS256",
            ClientAuth::client_secret_jwt("me", "a secret"),
        ),
        (
            "private_key_jwt, ES256",
            ClientAuth::private_key_jwt("me", p256()),
        ),
        (
            "private_key_jwt, RS256, 2048 bits",
            ClientAuth::private_key_jwt("me", rsa(KeySize::Rsa2048)),
        ),
        (
            "private_key_jwt, RS256, 4096 bits",
            ClientAuth::private_key_jwt("me", rsa(KeySize::Rsa4096)),
        ),
    ] {
        let tokens = ClientCredentials::builder(&url, auth)
            .issuer("https://auth.example.com")
            .forced_refreshes(u32::MAX, Duration::from_nanos(1))
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

criterion_group!(benches, signing);
criterion_main!(benches);

//! Tokens that a fleet shares: over a scripted Redis that lies, a real one that dies, and a directory.
//!
//! `.ci/stores` installs what the ignored tests need; `cargo test --all-features --test stores -- --include-ignored`
//! runs all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod files;
mod fleet;
mod real;
mod redis_server;
mod resp;
mod scripted;
mod sentinel;

use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer};
use client_credentials::{
    ClientAuth, ClientCredentials, ClientCredentialsBuilder, HttpClient, RedisStore, SealedStore,
};

use harness::canary::SECRET;

/// What `openssl rand -base64 32` prints.
pub(crate) const SEAL_KEY: &str = "q4m2cH8q0yq3l8cT1d9m1tq2ZxM6m2t0v8uJp3b7XyA=";

/// Its tokens last that many seconds; it takes its time over each.
pub(crate) fn server(lifetime: u64, takes: Duration) -> AuthorizationServer {
    let server = AuthorizationServer::start().client("canary-client", SECRET).lifetime(Duration::from_secs(lifetime));
    server.until_changed(Answer::Delay(takes));
    server
}

/// A replica of a service: what another process would have.
pub(crate) fn replica(token_endpoint: &str, store: SealedStore) -> ClientCredentialsBuilder {
    let auth = ClientAuth::client_secret_post("canary-client", SECRET);
    ClientCredentials::builder(token_endpoint, auth)
        .scope("read write")
        // No roots: loading them takes a while, and nobody here has a public certificate.
        .http_client(HttpClient::from_reqwest_0_13(|| reqwest::Client::builder().tls_certs_only([])))
        .shared(store)
}

pub(crate) fn redis(url: &str) -> SealedStore {
    SealedStore::new(RedisStore::new(url).unwrap(), SEAL_KEY)
}

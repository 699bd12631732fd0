//! Shared tokens, with a scripted Redis that sends invalid data, a real one that is killed, and a directory.
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

/// An output of `openssl rand -base64 32`.
pub(crate) const SEAL_KEY: &str = "q4m2cH8q0yq3l8cT1d9m1tq2ZxM6m2t0v8uJp3b7XyA=";

/// An authorization server with tokens of this lifetime in seconds; each takes this long.
pub(crate) fn server(lifetime: u64, takes: Duration) -> AuthorizationServer {
    let server = AuthorizationServer::start().client("canary-client", SECRET).lifetime(Duration::from_secs(lifetime));
    server.until_changed(Answer::Delay(takes));
    server
}

/// A replica of a service, like one in another process.
pub(crate) fn replica(token_endpoint: &str, store: SealedStore) -> ClientCredentialsBuilder {
    let auth = ClientAuth::client_secret_post("canary-client", SECRET);
    ClientCredentials::builder(token_endpoint, auth)
        .scope("read write")
        // No roots, since loading them takes a while and no server here has a public certificate.
        .http_client(HttpClient::from_reqwest_0_13(|| reqwest::Client::builder().tls_certs_only([])))
        .shared(store)
}

pub(crate) fn redis(url: &str) -> SealedStore {
    SealedStore::new(RedisStore::new(url).unwrap(), SEAL_KEY)
}

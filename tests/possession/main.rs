//! Tokens that are bound to a key (RFC 9449): FAULTS M14 to M18 and X13, over real HTTP on loopback. Proofs are
//! verified by aws-lc-rs and not by the crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod api;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/http.rs"]
mod http_server;
mod keys;
mod proof;
#[path = "../harness/refreshed.rs"]
mod refreshed;
mod requests;
mod server;
mod tokens;

use std::time::Duration;

use client_credentials::{Backoff, CachePolicy, ClientAuth, ClientCredentials, DpopKey, RetryPolicy};
use harness::canary::SECRET;
use server::Server;

/// A source that does not wait long between attempts, and may refresh as often as a test likes.
fn tokens(server: &Server, key: impl Into<DpopKey>) -> ClientCredentials {
    let soon = Duration::from_millis(1);
    let auth = ClientAuth::client_secret_jwt("me", format!("{SECRET} of more than 32 characters"))
        .audience("https://auth.example.com");
    ClientCredentials::builder(&server.url, auth)
        .dpop(key)
        .retry(RetryPolicy::new().backoff(Backoff::new(soon, soon)))
        .cache(
            CachePolicy::new()
                .expired_backoff(Backoff::new(soon, soon))
                .denied_backoff(Backoff::new(soon, soon))
                .forced_refreshes(1000)
                .forced_refresh_interval(soon),
        )
        .build()
        .unwrap()
}

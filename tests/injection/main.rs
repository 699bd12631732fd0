//! FAULTS family R: which requests get the token, and what a 401 means. Real HTTP on loopback, and tower services.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod api;
mod clients;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/http.rs"]
mod http_server;
mod layered;
mod redirects;
#[cfg(feature = "tracing")]
mod refusing;
#[cfg(feature = "pool")]
mod tenants;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client_credentials::{AccessToken, Cached, Error, TokenFuture, TokenSource};
use harness::canary::{TOKEN, Watched};

/// The part of a token of [`Issuer`] that distinguishes it.
fn ending(authorization: &http::HeaderValue) -> String {
    let token = authorization.to_str().unwrap().trim_start_matches("Bearer ");
    token.trim_start_matches(TOKEN).trim_start_matches('-').to_owned()
}

/// An authorization server as a struct, which issues canaries that end in `t1`, `t2`, .. and counts them.
#[derive(Clone, Debug, Default)]
struct Issuer {
    issued: Arc<AtomicU64>,
    /// It is down after this many tokens.
    down_after: Option<u64>,
    _watched: Arc<Watched>,
}

impl Issuer {
    fn issued(&self) -> u64 {
        self.issued.load(Ordering::SeqCst)
    }

    fn tokens(&self) -> Cached<Issuer> {
        Cached::new(self.clone())
    }
}

impl TokenSource for Issuer {
    fn token(&self) -> TokenFuture<'_> {
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        TokenFuture::ready(match self.down_after {
            Some(last) if number > last => Err(Error::other("the authorization server is down")),
            _ => AccessToken::builder(format!("{TOKEN}-t{number}")).lifetime(Duration::from_secs(3600)).build(),
        })
    }
    fn reject(&self, _: &AccessToken) {}
}

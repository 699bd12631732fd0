//! How the token gets into the clients of others: each entry is one short function, and a test that runs it against the real
//! thing or a scripted peer. The guide `client_credentials::docs::cookbook` has the table.

#![allow(missing_docs, reason = "a module is an entry, and says what it is")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::print_stderr,
        reason = "a test that fails panics"
    )
)]

pub mod grpc;
pub mod mqtt;
pub mod nats;
pub mod object_store;
pub mod otlp;
pub mod redis;
pub mod reqwest_alone;
pub mod reqwest_blocking;
pub mod retry;
pub mod schema_registry;
pub mod smtp;
pub mod sse;
pub mod token_file;
pub mod token_source;
pub mod ureq;
pub mod websocket;

#[cfg(test)]
mod support;

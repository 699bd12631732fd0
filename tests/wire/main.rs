//! Real sockets: how authorization servers and networks fail.
//!
//! Each test names the rows of the fault catalogue that it covers; `tests/FAULTS.md` has the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod story;

mod body;
mod catalogue;
#[cfg(feature = "rustls")]
mod certificates;
mod configuration;
mod credentials;
mod leakage;
#[cfg(target_os = "linux")]
mod memory;
mod metadata;
#[cfg(feature = "mtls")]
mod mutual_tls;
mod reach;
#[path = "../harness/refreshed.rs"]
mod refreshed;
mod refusals;
mod resource;
#[cfg(feature = "tracing")]
mod spans;
mod status;
mod tenants;
mod transport;
mod unusable_bodies;

//! Shared by tests: a scripted server, certificates, canaries.
//!
//! Included by `#[path]` into integration tests and into the crate's own unit tests, so it imports nothing from the
//! crate.
//!
//! ```text
//! let server = Server::start([
//!     vec![Step::ReadReq, Step::write("HTTP/1.1 200 OK\r\ncont"), Step::Fin],     // the first connection
//!     ok(TOKEN),                                                                  // the second and all others
//! ]);
//! ```
//!
//! The servers run on a runtime of their own, so that a test's paused clock, single thread or end does not affect them.
//! (A paused clock jumps while it waits for a socket. With one, a server can be used only if no timer runs.)

#![allow(dead_code, reason = "each user takes a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

pub(crate) mod canary;
pub(crate) mod child;
pub(crate) mod server;
pub(crate) mod tls;

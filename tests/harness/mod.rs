//! What the tests share: a scripted server, certificates, canaries.
//!
//! Included by `#[path]` into integration tests and into the crate's own unit tests, and therefore without a `use` of
//! anything of the crate.
//!
//! ```text
//! let server = Server::start([
//!     vec![Step::ReadReq, Step::write("HTTP/1.1 200 OK\r\ncont"), Step::Fin],     // the first connection
//!     ok(TOKEN),                                                                  // the second and all others
//! ]);
//! ```
//!
//! The servers run on a runtime of their own, so that a test's paused clock, single thread or end does not touch them.
//! (A paused clock jumps while it waits for a socket: with one, a server is of use only where no timer runs.)

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

//! The kit for tests of users (`client_credentials::testing`), used as they use it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in a test a panic is the report")]

mod answers;
mod clients;
mod fakes;
mod life;
mod quirks;
mod redaction;
mod user_test;

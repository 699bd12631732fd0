//! Properties that hold for any bytes from a server, an API or a file: one oracle for each parser.
//!
//! `cargo test` runs them with `tests/seeds` and the inputs of proptest, `cargo fuzz` (`.ci/fuzz`) with the inputs that
//! it finds. An oracle panics if its parser violates a property; the first one is that the parser itself does not
//! panic.

#![allow(
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "in a test a panic is the report; the fuzzer sees these functions from outside"
)]

mod apis;
mod authorization_servers;
mod keepers;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use zeroize::Zeroizing;

use crate::clock::Moment;
use crate::exchange::Response;
pub use apis::*;
pub use authorization_servers::*;
pub use keepers::*;
pub use settings::*;

/// A secret that the server may echo.
const SECRET: &str = "our-secret";

/// A status line, headers, an empty line and a body, as far as they can be parsed.
fn response(wire: &[u8]) -> Response {
    let mut rest = wire;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = match end {
            Some(end) => (rest.get(..end), rest.get(end + 1..)),
            None => (Some(rest), None),
        };
        rest = after.unwrap_or_default();
        line.unwrap_or_default().trim_ascii()
    };
    let status = line().split(u8::is_ascii_whitespace).find_map(|word| StatusCode::from_bytes(word).ok());
    let mut headers = HeaderMap::new();
    loop {
        let header = line();
        let Some(colon) = header.iter().position(|byte| *byte == b':') else {
            break;
        };
        let (name, value) = header.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    Response { status: status.unwrap_or(StatusCode::OK), headers, body: Zeroizing::new(rest.to_vec()) }
}

/// A time in 2027.
fn now() -> Moment {
    Moment::new(Duration::from_secs(1_000), Duration::from_secs(1_800_000_000))
}

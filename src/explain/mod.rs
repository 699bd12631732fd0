//! What a configuration will do, without doing it, and why it does not work: for the first hour, and for a bad night.

mod claims;
mod diagnosis;
mod examine;
mod explanation;
mod judge;
mod metadata;
mod network;
#[cfg(feature = "rustls")]
mod tls;

pub use diagnosis::{Cause, Diagnosis, Outcome, Step};
pub use examine::Diagnose;
pub use explanation::{Explanation, Item};

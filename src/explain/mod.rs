//! `explain()`, which describes a configuration without I/O, and `diagnose()`, which finds out why it does not work.

mod claims;
mod credential;
#[cfg(all(test, feature = "test-util"))]
mod detail_tests;
mod diagnosis;
mod examine;
mod explanation;
mod findings;
mod judge;
mod metadata;
mod network;
mod steps;
#[cfg(feature = "rustls")]
mod tls;

pub use diagnosis::{Cause, Diagnosis, Outcome, Step};
pub use examine::Diagnose;
pub use explanation::{Explanation, Item};

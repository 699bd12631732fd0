//! `explain()`, which describes a configuration without I/O, and `diagnose()`, which finds out why it does not work.

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

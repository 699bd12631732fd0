//! Private keys, in memory or in a KMS, and the tokens that they sign (RFC 7515, RFC 7517, RFC 7518).

#![cfg_attr(
    not(any(feature = "dpop", feature = "test-util")),
    allow(dead_code, reason = "public keys are for DPoP and for the test server")
)]

mod algorithm;
mod curve;
mod jwk;
pub(crate) mod jws;
mod public_jwk;
mod signer;
mod signing_key;

pub(crate) use algorithm::Choice;
pub use algorithm::SigningAlgorithm;
#[cfg(any(feature = "dpop", feature = "test-util"))]
pub(crate) use public_jwk::PublicJwk;
pub(crate) use signer::signature;
pub use signer::{Signer, SigningFuture};
pub(crate) use signing_key::SigningKey;
#[cfg(test)]
pub(crate) use signing_key::tests;

//! Test utilities for programs that use this crate: a scripted authorization server, fake sources, a manual clock (feature
//! `test-util`).
//!
//! | to test | use |
//! |---|---|
//! | a whole program: configuration, requests, outages, an API that rejects tokens | [`AuthorizationServer`] |
//! | code that takes any [`TokenSource`](crate::TokenSource) | [`FakeTokens`] |
//! | the passing of time | [`ManualClock`](crate::ManualClock), passed to source, server and fakes |
//! | a refused connection, a failing TLS handshake | your own port: the server always listens |
//!
//! The guide [`docs::testing_your_code`](crate::docs::testing_your_code) has eight example tests.
//!
//! ```toml
//! [dev-dependencies]
//! client-credentials = { version = "0.1", features = ["test-util"] }
//! ```
//!
//! It adds no crate to the default features.

mod answer;
mod api;
mod authentication;
mod authorization_server;
#[cfg(feature = "rustls")]
mod certificates;
mod documents;
#[cfg(feature = "dpop")]
mod dpop;
mod fake_tokens;
#[cfg(feature = "jwt")]
mod jwt;
mod message;
mod quirk;
mod recorded;
mod register;
mod serving;
mod story;
mod token_endpoint;
mod world;

pub use answer::{Answer, Endpoint, Gate};
pub use authorization_server::AuthorizationServer;
#[cfg(feature = "rustls")]
pub use certificates::{CA_PEM, CLIENT_CERTIFICATES, ClientCertificatePem};
pub use fake_tokens::{FakeStep, FakeTokens};
pub use quirk::Quirk;
pub use recorded::RecordedRequest;

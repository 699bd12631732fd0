//! For tests of programs that use this crate: a scripted authorization server, fake sources, one clock (feature `test-util`).
//!
//! | what is tested | with |
//! |---|---|
//! | a program as a whole: configuration, requests, outages, an API that refuses tokens | [`AuthorizationServer`] |
//! | code that takes any [`TokenSource`](crate::TokenSource) | [`FakeTokens`] |
//! | what happens when time passes | [`ManualClock`](crate::ManualClock), given to source, server and fakes |
//! | a refused connection, a TLS handshake that fails | a port of your own: the server always listens |
//!
//! The guide [`docs::testing_your_code`](crate::docs::testing_your_code) has eight tests to start from.
//!
//! ```toml
//! [dev-dependencies]
//! client-credentials = { version = "0.1", features = ["test-util"] }
//! ```
//!
//! It brings no crate that the default features do not bring.

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

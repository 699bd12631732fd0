//! OAuth 2.0 access tokens for backends: fetched once, cached, refreshed before they expire, shared by all tasks, and attached
//! to the right requests.
//!
//! Many APIs require an access token even when no user is involved, for example when a backend requests the weather in a city
//! on its own behalf. The client credentials grant ([RFC 6749 section 4.4]) exists for this case. This crate obtains such
//! tokens from any authorization server and keeps them valid across expiry, outages, rotated secrets, revoked tokens and ten
//! thousand concurrent requests.
//!
#![cfg_attr(feature = "reqwest-middleware", doc = "```no_run")]
#![cfg_attr(not(feature = "reqwest-middleware"), doc = "```ignore")]
//! use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, Credential};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let secret = Credential::env("CLIENT_SECRET");
//! let auth = ClientAuth::client_secret_basic("billing", secret);
//! let server = "https://auth.example.com/oauth2/token";
//! let tokens = ClientCredentials::builder(server, auth)
//!     .scope("invoices:read")
//!     .build()?;
//! let bearer = BearerAuth::for_origin("https://api.example.com", tokens)?;
//! let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
//!     .with(bearer)
//!     .build();
//! let invoices = client.get("https://api.example.com/invoices").send().await?;
//! # Ok(()) }
//! ```
//!
//! # Overview
//!
//! 1. [`ClientAuth`] is the client authentication method. Its [`Credential`] holds a secret or says where to read it.
//! 2. [`ClientCredentials`] is the source of tokens. Its builder starts from the token endpoint, the issuer ([`Issuer`]) or
//!    the API ([`ProtectedResource`]); `build()` reports all configuration errors together.
//! 3. [`BearerAuth`] attaches the token, as a reqwest-middleware middleware or as a tower layer.
//!    [`AccessToken::authorization`] is a header value for any other client. [`ClientCredentials::changes`] returns each new
//!    token, for a connection that outlives one.
//! 4. All failures are reported as [`Error`]. Its [`ErrorKind`] says whether the crate retries on its own and what you have to
//!    do.
//!
//! To use a token source of your own, implement [`TokenSource`] or wrap a closure with [`source_fn`], and wrap the result in
//! [`Cached`].
//!
//! # Guides
//!
//! | guide | topic |
//! |---|---|
//! | [getting started](docs::getting_started) | a first token in five minutes, and what to do when it fails |
//! | [migration](docs::migration) | migrating from the `oauth2` crate with a mutex |
//! | [authentication](docs::authentication) | choosing a client authentication method, and setting it up at common providers |
//! | [providers](docs::providers) | recipes for fourteen providers |
//! | [workload](docs::workload) | platform identities instead of secrets: Kubernetes, AWS, Azure, SPIFFE, GitLab, Buildkite, GitHub Actions, Google Cloud |
//! | [quirks](docs::quirks) | deviations of real authorization servers, and how this crate handles them |
//! | [sharing](docs::sharing) | sharing one token across a fleet, through Redis or files |
//! | [tenants](docs::tenants) | thousands of tenants in one process, quotas, fleets |
//! | [possession](docs::possession) | sender-constrained tokens, which cannot be used by a thief |
//! | [operating](docs::operating) | health checks, logs, events, metrics and alerts |
//! | [testing](docs::testing_your_code) | testing your own code: a scripted server, fake sources, a manual clock |
//! | [cookbook](docs::cookbook) | passing the token to other client libraries: pushed, blocking, by middleware |
//! | [performance](docs::performance) | what a token costs |
//!
//! # Features
//!
//! | feature | default | without it |
//! |---|---|---|
//! | `rustls` | yes | you enable a TLS feature of `reqwest` 0.13 yourself, and certificate failures are of kind [`ErrorKind::Transport`] |
//! | `reqwest-middleware` | yes | no `Middleware` for reqwest-middleware, three crates fewer |
//! | `tower` | no | no `Layer` for tower services (hyper, tonic, axum clients) |
//! | `dpop` | no | no tokens bound to a key (RFC 9449); enables `jwt`, adds no further crates |
//! | `jwt` | no | no `private_key_jwt` and `client_secret_jwt`; assertions signed elsewhere need no feature |
//! | `mtls` | no | no `tls_client_auth` and `self_signed_tls_client_auth`; enables `rustls`, adds no further crates |
//! | `shared` | no | every process fetches its own tokens: no `Shared`, no `FileStore` |
//! | `redis` | no | no `RedisStore` for `shared`; enables `rustls` |
//! | `blocking` | no | no [`blocking::Tokens`](https://docs.rs/client-credentials/latest/client_credentials/blocking/index.html) for synchronous code |
//! | `pool` | no | no [`TokenPool`](docs::tenants): you manage a source for each tenant yourself |
//! | `serde` | no | no `Config`: sources are configured in code only |
//! | `test-util` | no | no scripted authorization server, fake sources or `ManualClock` for [your tests](docs::testing_your_code) |
//! | `tracing` | yes | outages, recoveries and suspicious responses are not logged |
//! | `metrics` | no | no metrics are recorded |
//!
//! # Secrets
//!
//! Client secrets and tokens are wiped from this crate's memory when they are dropped (the HTTP and TLS libraries keep copies
//! of what they send). They never appear in `Debug` output, errors or events, and are sent only to the token endpoint and the
//! configured origins. `https` is required, and redirects from the token endpoint are not followed.
//!
//! [RFC 6749 section 4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4
#![cfg_attr(
    not(any(feature = "reqwest-middleware", feature = "tower")),
    doc = "[`BearerAuth`]: https://docs.rs/client-credentials/latest/client_credentials/struct.BearerAuth.html"
)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test that fails panics"
    )
)]

mod address;
mod backoff;
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
mod bearer;
#[cfg(feature = "blocking")]
pub mod blocking;
mod bounded;
mod cache;
mod challenge;
mod changes;
mod client_auth;
mod client_credentials;
mod clock;
#[cfg(feature = "serde")]
mod config;
mod contained;
mod credential;
#[cfg(any(doc, doctest))]
#[path = "docs/mod.rs"]
pub mod docs;
#[cfg(feature = "dpop")]
mod dpop;
mod error;
mod event;
mod exchange;
mod explain;
mod faults;
mod future;
mod grant;
#[cfg(test)]
mod hostile;
/// Entry points for the fuzzer: not part of the crate.
#[cfg(all(fuzzing, not(test)))]
#[doc(hidden)]
pub mod hostile;
mod json;
mod lock;
mod metadata;
mod observer;
mod once;
#[cfg(any(feature = "jwt", feature = "mtls", feature = "redis"))]
mod pem;
#[cfg(feature = "pool")]
mod pool;
mod possession;
mod retry;
mod runtime;
mod server_text;
#[cfg(feature = "shared")]
mod shared;
#[cfg(feature = "jwt")]
mod signing;
mod source;
mod step_up;
#[cfg(feature = "test-util")]
pub mod testing;
mod tls_identity;
mod token;
mod verdict;
mod x509;

pub use backoff::Backoff;
#[cfg(all(feature = "reqwest-middleware", feature = "mtls"))]
pub use bearer::SameCertificate;
#[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
pub use bearer::{BearerAuth, BearerAuthBuilder};
#[cfg(feature = "tower")]
pub use bearer::{BearerService, BufferedBody};
pub use cache::{CachePolicy, Cached, Fetches, Readiness, Status, TokenState};
pub use changes::Changes;
pub use client_auth::{ClientAssertion, ClientAuth};
#[cfg(feature = "jwt")]
pub use client_auth::{ClientSecretJwt, PrivateKeyJwt, SignerJwt};
pub use client_credentials::{
    AssertedGrant, ClientCredentials, ClientCredentialsBuilder, HttpClient, Issuer, JwtBearer, ProtectedResource,
    Server, TokenExchange,
};
#[cfg(any(test, feature = "test-util"))]
pub use clock::ManualClock;
#[cfg(feature = "serde")]
pub use config::{Config, ConfigMember, MemberKind};
pub use credential::Credential;
#[cfg(feature = "dpop")]
pub use dpop::{DpopKey, Retry};
pub use error::{Error, ErrorKind, OAuthError};
pub use exchange::Limits;
pub use explain::{Cause, Diagnose, Diagnosis, Explanation, Item, Outcome, Step};
pub use future::TokenFuture;
pub use grant::Quota;
pub use observer::{CredentialKind, Event, FetchCause, Observer};
#[cfg(feature = "pool")]
pub use pool::{PoolPolicy, Pooled, PooledSource, TokenPool};
pub use reqwest;
pub use retry::RetryPolicy;
#[cfg(feature = "redis")]
pub use shared::RedisStore;
#[cfg(feature = "shared")]
pub use shared::{FileStore, SealedStore, Shared, Store, StoreFuture};
#[cfg(feature = "jwt")]
pub use signing::{Signer, SigningAlgorithm, SigningFuture};
pub use source::{SourceFn, TokenSource, source_fn};
#[cfg(feature = "mtls")]
pub use tls_identity::ClientCertificate;
pub use token::{AccessToken, AccessTokenBuilder};
pub use verdict::InsufficientScope;

/// The code of the README compiles.
#[cfg(all(doctest, feature = "pool", feature = "redis", feature = "reqwest-middleware", feature = "test-util"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Public types are `Send` and `Sync`.
const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<(ClientCredentials, ClientCredentialsBuilder, ClientAuth, Credential, HttpClient)>();
    shared_between_threads::<(AccessToken, Cached<AccessToken>, Changes, Error)>();
    shared_between_threads::<(Box<dyn TokenSource>, TokenFuture<'static>)>();
    #[cfg(feature = "blocking")]
    shared_between_threads::<blocking::Tokens>();
    #[cfg(feature = "jwt")]
    shared_between_threads::<Box<dyn Signer>>();
    #[cfg(feature = "mtls")]
    shared_between_threads::<ClientCertificate>();
    #[cfg(feature = "dpop")]
    shared_between_threads::<DpopKey>();
    #[cfg(feature = "shared")]
    shared_between_threads::<(SealedStore, Box<dyn Store>, Shared<Box<dyn TokenSource>>)>();
    #[cfg(any(feature = "reqwest-middleware", feature = "tower"))]
    shared_between_threads::<BearerAuth>();
};

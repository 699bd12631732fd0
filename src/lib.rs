//! OAuth 2.0 access tokens for backends.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "middleware", feature = "tower"))]
mod bearer;
mod cache;
mod client_auth;
mod client_credentials;
mod error;
mod event;
mod exchange;
mod future;
mod grant;
mod retry;
mod source;
mod token;

#[cfg(any(feature = "middleware", feature = "tower"))]
pub use bearer::BearerAuth;
#[cfg(feature = "tower")]
pub use bearer::BearerService;
pub use cache::Cached;
pub use client_auth::{ClientAuth, Credential};
pub use client_credentials::{ClientCredentials, ClientCredentialsBuilder};
pub use error::{Error, ErrorKind, OAuthError};
pub use future::TokenFuture;
pub use source::{SourceFn, TokenSource, source_fn};
pub use token::AccessToken;

//! The paved path: a builder that validates everything and assembles the chain, and the handle it makes.

mod builder;
mod check;
mod keeping;
mod place;
mod resource;
#[cfg(feature = "shared")]
mod sharing;

use std::fmt;
use std::sync::Arc;

use crate::cache::Cached;
use crate::client_auth::ClientAuth;
use crate::grant::{Ledger, Quota, TokenRequests};
use crate::{AccessToken, TokenFuture, TokenSource};
pub use builder::ClientCredentialsBuilder;
use place::Place;
#[cfg(feature = "shared")]
use sharing::Chain;

/// What is behind the cache.
#[cfg(not(feature = "shared"))]
type Chain = crate::retry::Retrying<crate::grant::Grant>;

/// Access tokens by the client credentials grant (RFC 6749 section 4.4): fetched once, kept, renewed in time, shared.
///
/// A handle: a clone is a reference count and shares the token. Make one per authorization server, client and scope,
/// and clone it wherever it is needed. What `token()` does when is told at [`Cached`].
///
/// ```no_run
/// use client_credentials::{ClientAuth, ClientCredentials, Credential, TokenSource};
///
/// # async fn run(http: reqwest::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let auth = ClientAuth::client_secret_basic("billing", Credential::env("CLIENT_SECRET"));
/// let tokens = ClientCredentials::builder("https://auth.example.com/oauth2/token", auth).scope("invoices:read").build()?;
///
/// let request = http.get("https://api.example.com/invoices");
/// let response = request.header("authorization", tokens.token().await?.authorization()).send().await?;
/// # Ok(()) }
/// ```
///
/// # Cancel safety
///
/// Dropping the future of `token()` abandons the wait; the request goes on, and its token serves the next caller.
#[derive(Clone)]
pub struct ClientCredentials(Cached<Chain>, Arc<Ledger>);

impl ClientCredentials {
    /// Starts with what is required: where to ask, and how to prove who asks.
    ///
    /// `token_endpoint` is an `https` URL; plain `http` is accepted for loopback addresses and `localhost`, and for
    /// hosts named to [`dangerously_allow_http`](ClientCredentialsBuilder::dangerously_allow_http). A query is kept.
    #[must_use = "a builder does nothing before `build()`"]
    pub fn builder(token_endpoint: &str, auth: ClientAuth) -> ClientCredentialsBuilder {
        ClientCredentialsBuilder::new(Place::TokenEndpoint(token_endpoint.to_owned()), auth)
    }

    /// How often this source and its clones asked the token endpoint, and why.
    pub fn requests(&self) -> TokenRequests {
        self.1.requests()
    }

    /// What the token endpoint last said of its limits, be it with a token or an error; `None` if it never did.
    pub fn quota(&self) -> Option<Quota> {
        self.1.quota()
    }
}

#[deny(clippy::missing_trait_methods)]
impl TokenSource for ClientCredentials {
    #[inline]
    fn token(&self) -> TokenFuture<'_> {
        self.0.token()
    }

    fn reject(&self, token: &AccessToken) {
        self.0.reject(token);
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCredentials").field(&self.0).finish()
    }
}

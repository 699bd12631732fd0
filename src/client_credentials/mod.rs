//! The main type: a builder that checks everything and assembles the chain, and the handle that it makes.

mod asserted;
mod builder;
mod draft;
mod faults;
mod http_client;
mod locate;
mod request;
mod server;
#[cfg(feature = "shared")]
mod sharing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cache::{Cached, Fetches, Status};
use crate::client_auth::ClientAuth;
use crate::error::Error;
use crate::future::TokenFuture;
use crate::grant::{Ledger, Quota};
use crate::source::TokenSource;
use crate::token::AccessToken;
pub use asserted::{AssertedGrant, JwtBearer, TokenExchange};
pub use builder::ClientCredentialsBuilder;
pub(crate) use draft::{Draft, Start};
pub use http_client::HttpClient;
pub use server::{Issuer, ProtectedResource, Server};

/// Access tokens by the client credentials grant (RFC 6749 section 4.4): fetched once, cached, refreshed in time, shared.
///
/// A handle: a clone is a reference count and shares the token. Make one per authorization server, client and scope, and clone it
/// wherever it is needed. See [`Cached`] for what `token()` does when.
///
/// ```no_run
/// use client_credentials::{ClientAuth, ClientCredentials, Credential};
///
/// # async fn run(http: reqwest::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Credential::env("CLIENT_SECRET");
/// let auth = ClientAuth::client_secret_basic("billing", secret);
/// let tokens = ClientCredentials::builder("https://auth.example.com/oauth2/token", auth)
///     .scope("invoices:read")
///     .build()?;
///
/// let response = http
///     .get("https://api.example.com/invoices")
///     .header("authorization", tokens.token().await?.authorization())
///     .send()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ClientCredentials {
    tokens: Cached<Box<dyn TokenSource>>,
    ledger: Arc<Ledger>,
}

impl ClientCredentials {
    /// Starts with what is required: where to ask, and how the client authenticates.
    ///
    /// `server` is the URL of the token endpoint, an [`Issuer`] or a [`ProtectedResource`]. URLs are `https`; plain `http` is
    /// accepted for loopback addresses and `localhost`, and for hosts given to
    /// [`dangerously_allow_http`](ClientCredentialsBuilder::dangerously_allow_http). A query of the token endpoint is kept.
    pub fn builder(server: impl Into<Server>, auth: impl Into<ClientAuth>) -> ClientCredentialsBuilder {
        ClientCredentialsBuilder::new(server.into(), auth.into())
    }

    fn new(tokens: Cached<Box<dyn TokenSource>>, ledger: Arc<Ledger>) -> Self {
        ClientCredentials { tokens, ledger }
    }

    pub(crate) fn cached(&self) -> &Cached<Box<dyn TokenSource>> {
        &self.tokens
    }

    /// A token that may be used now.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind) for what each kind means and what to do. None is permanent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the wait. The token request goes on, and its token serves the next caller.
    #[inline]
    pub fn token(&self) -> TokenFuture<'_> {
        self.tokens.token()
    }

    /// The API refused `token`: the next call of [`token`](Self::token) waits for another one. A rejection of any other token than
    /// the current one does nothing. Cheap, and without I/O.
    pub fn reject(&self, token: &AccessToken) {
        self.tokens.reject(token);
    }

    /// The state of the token and of the fetches, without I/O and without waiting: for a health check or a dashboard.
    ///
    /// ```
    /// # fn health(tokens: &client_credentials::ClientCredentials) -> u16 {
    /// use client_credentials::Readiness;
    ///
    /// match tokens.status().readiness() {
    ///     Readiness::Ready | Readiness::Degraded => 200,
    ///     _ => 503,
    /// }
    /// # }
    /// ```
    pub fn status(&self) -> Status {
        let mut status = self.tokens.status();
        status.quota = self.quota();
        status
    }

    /// Waits for a token, at most this long: for start-up, before a service reports that it is ready.
    ///
    /// # Errors
    ///
    /// As [`token`](Self::token); of kind [`Transport`](crate::ErrorKind::Transport) when the time is over.
    ///
    /// # Cancel safety
    ///
    /// As [`token`](Self::token).
    pub async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        self.tokens.ready(timeout).await
    }

    /// How many fetches this source and its clones have started, and why.
    pub fn fetches(&self) -> Fetches {
        self.tokens.fetches()
    }

    /// How many token requests were sent or tried, retries included. Requests for metadata do not count.
    pub fn token_requests(&self) -> u64 {
        self.ledger.requests()
    }

    /// Waits until no fetch is under way, as [`Cached::settled`] does (feature `test-util`).
    #[cfg(feature = "test-util")]
    pub async fn settled(&self) {
        self.tokens.settled().await;
    }

    /// What the token endpoint last said of its limits, with a token or an error; `None` if it never did.
    pub fn quota(&self) -> Option<Quota> {
        self.ledger.quota()
    }
}

#[cfg(feature = "pool")]
impl crate::pool::Pooled for ClientCredentials {}

#[cfg(feature = "pool")]
impl crate::pool::sealed::Fetching for ClientCredentials {
    fn is_fetching(&self) -> bool {
        self.tokens.is_fetching()
    }
}

#[deny(clippy::missing_trait_methods)]
impl TokenSource for ClientCredentials {
    #[inline]
    fn token(&self) -> TokenFuture<'_> {
        self.token()
    }

    fn reject(&self, token: &AccessToken) {
        self.reject(token);
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCredentials").field(&self.tokens).finish()
    }
}

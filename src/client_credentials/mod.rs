//! The main type: the builder that checks the configuration and assembles the chain of sources, and the handle that it
//! returns.

mod asserted;
mod builder;
mod checks;
mod draft;
mod http_client;
mod locate;
mod request;
mod server;
#[cfg(feature = "shared")]
mod sharing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::cache::{Cached, Fetches, Status};
use crate::changes::Changes;
use crate::client_auth::ClientAuth;
use crate::error::Error;
use crate::future::TokenFuture;
use crate::grant::{Ledger, Quota};
use crate::source::{TokenSource, forward, with_more_scope};
use crate::token::AccessToken;
pub use asserted::{AssertedGrant, JwtBearer, TokenExchange};
pub use builder::ClientCredentialsBuilder;
pub(crate) use draft::Draft;
pub use http_client::HttpClient;
pub(crate) use server::Known;
pub use server::{Issuer, ProtectedResource, Server};

/// A source of access tokens from the client credentials grant (RFC 6749 section 4.4): fetched once, cached, refreshed before
/// they expire, shared.
///
/// This is a handle: cloning it increments a reference count, and clones share the token. Create one per authorization server,
/// client and scope, and clone it wherever it is needed. See [`Cached`] for the behaviour of `token()` in each state.
///
/// ```no_run
/// use client_credentials::{ClientAuth, ClientCredentials, Credential};
///
/// # async fn run(http: reqwest::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Credential::env("CLIENT_SECRET");
/// let auth = ClientAuth::client_secret_basic("billing", secret);
/// let server = "https://auth.example.com/oauth2/token";
/// let tokens = ClientCredentials::builder(server, auth)
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
    /// Returns a builder with the required settings: the authorization server and the client authentication method.
    ///
    /// `server` is the URL of the token endpoint, an [`Issuer`] or a [`ProtectedResource`]. URLs must use `https`; plain
    /// `http` is accepted for loopback addresses and `localhost`, and for hosts given to
    /// [`dangerously_allow_http`](ClientCredentialsBuilder::dangerously_allow_http). A query in the token endpoint's URL is
    /// sent unchanged.
    pub fn builder(server: impl Into<Server>, auth: impl Into<ClientAuth>) -> ClientCredentialsBuilder {
        ClientCredentialsBuilder::new(server.into(), auth.into())
    }

    /// Returns a usable token.
    ///
    /// # Errors
    ///
    /// See [`ErrorKind`](crate::ErrorKind) for the meaning of each kind and what to do. No error is permanent.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the wait. The fetch continues, and its token serves the next caller.
    #[inline]
    pub fn token(&self) -> TokenFuture<'_> {
        self.tokens.token()
    }

    /// Reports that the API rejected `token`: the next call of [`token`](Self::token) waits for a new one. Rejecting a token
    /// that is not the current one has no effect. Cheap; does no I/O.
    pub fn reject(&self, token: &AccessToken) {
        self.tokens.reject(token);
    }

    /// Returns a token with the scope that an API requires, for requests without an integration: repeat the request once with
    /// it.
    ///
    /// `headers` are those of the API's response to a request with `token`. Returns `None` if they do not require a scope that
    /// [`step_up`](ClientCredentialsBuilder::step_up) lists, or if there is no such token: use the API's response.
    /// [`BearerAuth`](crate::BearerAuth) does this by itself.
    ///
    /// # Cancel safety
    ///
    /// As [`token`](Self::token).
    pub async fn step_up(&self, token: &AccessToken, headers: &HeaderMap) -> Option<AccessToken> {
        let demanded = token.demanded(headers)?;
        with_more_scope(&self.tokens, token, &demanded).await
    }

    /// Returns the current token and then each newer one, and keeps the token fresh meanwhile; see [`Changes`].
    ///
    /// Works outside a runtime: the refresh task starts here if there is one, otherwise with the first
    /// [`next`](Changes::next).
    pub fn changes(&self) -> Changes {
        self.tokens.changes()
    }

    /// Returns the state of the token and of the fetches, for a health check or a dashboard. Does no I/O and does not wait.
    ///
    /// It starts no fetch either: while there is no other caller, as in a service that is taken out of traffic, a health check
    /// has to start one.
    ///
    /// ```
    /// # fn health(tokens: &client_credentials::ClientCredentials) -> u16 {
    /// use client_credentials::Readiness;
    ///
    /// match tokens.status().readiness() {
    ///     Readiness::Ready | Readiness::Degraded => 200,
    ///     _ => {
    ///         let _ = tokens.token().now_or_never();
    ///         503
    ///     }
    /// }
    /// # }
    /// ```
    pub fn status(&self) -> Status {
        let mut status = self.tokens.status();
        status.quota = self.quota();
        status
    }

    /// Waits at most `timeout` for a token, for use at startup before a service reports that it is ready.
    ///
    /// # Errors
    ///
    /// The same as [`token`](Self::token); [`Transport`](crate::ErrorKind::Transport) after `timeout`.
    ///
    /// # Cancel safety
    ///
    /// The same as [`token`](Self::token).
    pub async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        self.tokens.ready(timeout).await
    }

    /// Returns how many fetches this source and its clones have started, by cause.
    pub fn fetches(&self) -> Fetches {
        self.tokens.fetches()
    }

    /// Returns the number of token requests that were sent or tried, including retries but not requests for metadata.
    pub fn token_requests(&self) -> u64 {
        self.ledger.requests()
    }

    /// Waits until no fetch is in progress; see [`Cached::settled`] (feature `test-util`).
    #[cfg(feature = "test-util")]
    pub async fn settled(&self) {
        self.tokens.settled().await;
    }

    /// Returns the rate limits that the token endpoint last reported, with a token or an error; `None` if it never did.
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

forward!([] ClientCredentials: this => this);

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCredentials").field(&self.tokens).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::ClientAuth;
    use crate::retry::RetryPolicy;

    /// A source whose server cannot be reached.
    fn alone() -> ClientCredentials {
        let auth = ClientAuth::client_secret_basic("id", "secret");
        let builder = ClientCredentials::builder("http://127.0.0.1:1/token", auth);
        builder.retry(RetryPolicy::new().attempts(1)).build().unwrap()
    }

    #[tokio::test]
    async fn a_source_without_a_token_is_not_ready() {
        let error = alone().ready(Duration::from_secs(30)).await.unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Transport);
    }

    #[tokio::test]
    async fn an_error_names_the_client_and_its_credential_if_there_are_any() {
        for (auth, context) in [
            (ClientAuth::client_secret_post("id", "x"), "(client \"id\", client_secret_post, Credential(value))"),
            (ClientAuth::none("id"), "(client \"id\", none)"),
            (ClientAuth::anonymous(), "(anonymous)"),
            (ClientAuth::client_assertion("a.b.c").into(), "(client_assertion, Credential(value))"),
        ] {
            let builder = ClientCredentials::builder("http://127.0.0.1:1/token", auth);
            let tokens = builder.retry(RetryPolicy::new().attempts(1)).build().unwrap();
            let error = tokens.token().await.unwrap_err().to_string();
            assert!(error.contains(context), "{context}: {error}");
        }
    }

    #[cfg(feature = "tracing")]
    #[test]
    fn a_secret_that_leaves_the_machine_unencrypted_is_warned_of() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

        #[derive(Clone, Default)]
        struct Warnings(Arc<AtomicUsize>);

        impl<S: tracing::Subscriber> Layer<S> for Warnings {
            fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
                if *event.metadata().level() == tracing::Level::WARN {
                    self.0.fetch_add(1, Ordering::Relaxed);
                }
            }
        }

        let warnings = Warnings::default();
        let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
        let api = |issuer: &str| ProtectedResource::new("https://api.example", [issuer]).into();
        for (server, warned) in [
            (Server::from("https://auth.example/token"), 0),
            (Server::from("http://127.0.0.1/token"), 0),
            (Server::from("http://keycloak/token"), 1),
            (Issuer::new("https://auth.example").into(), 0),
            (Issuer::new("http://localhost").into(), 0),
            (Issuer::new("http://keycloak").into(), 1),
            (api("https://auth.example"), 0),
            (api("http://localhost"), 0),
            (api("http://keycloak"), 1),
        ] {
            let auth = ClientAuth::client_secret_basic("id", "secret");
            let builder = ClientCredentials::builder(server, auth).dangerously_allow_http("keycloak");
            let shown = format!("{builder:?}");
            builder.build().unwrap();
            assert_eq!(warnings.0.swap(0, Ordering::Relaxed), warned, "{shown}");
        }
    }

    #[cfg(feature = "pool")]
    #[tokio::test]
    async fn a_pool_can_tell_whether_a_source_is_fetching() {
        use crate::pool::sealed::Fetching;
        let tokens = alone();
        assert!(!tokens.is_fetching());
        assert!(tokens.token().now_or_never().is_none());
        assert!(tokens.is_fetching());
        tokens.token().await.unwrap_err();
        assert!(!tokens.is_fetching());
    }
}

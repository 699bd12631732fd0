//! The integrations that attach the token to requests, and the handling of a 401.

#[cfg(feature = "tower")]
mod body_copy;
#[cfg(feature = "tower")]
mod buffered;
mod builder;
#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod origin;
mod policy;
mod refusals;
#[cfg(feature = "tower")]
mod request;
mod reqwest;
#[cfg(all(feature = "reqwest-middleware", feature = "mtls"))]
mod same_certificate;
#[cfg(feature = "tower")]
mod service;
mod tokens;
mod trip;

use std::fmt;
#[cfg(feature = "pool")]
use std::hash::Hash;
use std::sync::Arc;

use http::Extensions;

use crate::error::Error;
#[cfg(feature = "pool")]
use crate::pool::{Pooled, TokenPool};
use crate::source::TokenSource;
#[cfg(feature = "tower")]
pub use buffered::BufferedBody;
pub use builder::BearerAuthBuilder;
use policy::{Place, Policy};
#[cfg(all(feature = "reqwest-middleware", feature = "mtls"))]
pub use same_certificate::SameCertificate;
#[cfg(feature = "tower")]
pub use service::BearerService;
use tokens::Tokens;
use trip::Outgoing;

/// Adds the token of a source to outgoing requests, for the configured origins only, and repeats a request once if its token
/// was rejected.
///
/// Implements reqwest-middleware's `Middleware` (feature `reqwest-middleware`) and tower's `Layer` (feature `tower`). This is
/// a handle: cloning it increments a reference count.
///
#[cfg_attr(feature = "reqwest-middleware", doc = "```no_run")]
#[cfg_attr(not(feature = "reqwest-middleware"), doc = "```ignore")]
/// use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, Credential};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = Credential::env("CLIENT_SECRET");
/// let auth = ClientAuth::client_secret_basic("billing", secret);
/// let server = "https://auth.example.com/oauth2/token";
/// let tokens = ClientCredentials::builder(server, auth)
///     .scope("invoices:read")
///     .build()?;
/// let bearer = BearerAuth::for_origin("https://api.example.com", tokens)?;
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(bearer)
///     .build();
/// let response = client.get("https://api.example.com/invoices").send().await?;
/// # Ok(()) }
/// ```
///
/// # Where the token goes
///
/// The token is sent to the configured origins (scheme, host and port) and to subdomains of the configured domains: over
/// `https`, to loopback addresses, or to hosts set with [`dangerously_allow_http`](BearerAuthBuilder::dangerously_allow_http).
/// A request to any other origin is not sent and fails with [`Configuration`](crate::ErrorKind::Configuration), unless
/// [`pass_through`](BearerAuthBuilder::pass_through) is set. A request that already has an `Authorization` header (or the one
/// set with [`header`](BearerAuthBuilder::header)) is not changed. If no token is available, the request fails; it is never
/// sent without one.
///
/// Your client decides about proxies. A request over `http` to a loopback address goes to the proxy of `HTTP_PROXY` or
/// `ALL_PROXY`, and the proxy reads the token, unless the client is built with `no_proxy()` or `NO_PROXY` names the host.
///
/// reqwest turns user information in a URL (`https://user:password@..`) into an `Authorization` header before this layer sees
/// the request, so such a request is not changed either.
///
/// # Redirects
///
/// reqwest follows redirects below this layer. When the host or port changes it removes `Authorization` and
/// `Proxy-Authorization`, but not a header of another name and not the proof of a DPoP token. A proof is valid only for the
/// URL that it contains, so another server cannot use it. To prevent it from being sent, configure the client with
/// `redirect(reqwest::redirect::Policy::none())`. Do the same if the token is sent in a header of another name. A redirect
/// that has taken one of the two along is logged once, as a warning.
///
/// A chain of redirects to another host and back ends in a request without a token. Its 401 cannot be distinguished from
/// others and uses up one of the forced refreshes. Put a layer that follows redirects around this one, not below it.
///
/// # What a 401 means
///
/// | the API responds with | the token | the request |
/// |---|---|---|
/// | 401 without a challenge for the token's scheme, or with a challenge that names no error or an error not listed below | is rejected | is repeated once, with a new token |
/// | 401 with `insufficient_scope`, `invalid_dpop_proof` or `use_dpop_nonce`, and no other error | is kept | the response is returned |
/// | 401 with `use_dpop_nonce` and a nonce, for a DPoP token (RFC 9449 section 9) | is kept | is repeated once, with the nonce |
/// | 200 with `grpc-status: 16` in the headers, for a POST (every gRPC call is one) | is rejected | is repeated once, with a new token |
/// | 403 or 401 with `insufficient_scope`, if the source has [`step_up`](crate::ClientCredentialsBuilder::step_up) for that scope | is kept until a new one arrives | is repeated once, with a token of the wider scope |
/// | 407, for a token in `Proxy-Authorization` | same as 401 | same as 401 |
/// | 401 from another origin, after a redirect | is kept | the response is returned |
/// | a response that matches [`rejected_when`](BearerAuthBuilder::rejected_when) or [`rejected_when_body`](BearerAuthBuilder::rejected_when_body) | is rejected | is repeated once, with a new token |
/// | anything else | is kept | the response is returned |
///
/// Case, quotes and separators in a challenge do not matter.
/// [`AccessToken::is_rejected_by`](crate::AccessToken::is_rejected_by) applies the same rule to requests sent without an
/// integration.
///
/// If no new token arrives within [`replacement_timeout`](BearerAuthBuilder::replacement_timeout), or the body cannot be
/// cloned, the response is returned unchanged. So is the response to the repeated request, except that nonce and token may
/// each be replaced once. With reqwest, a body can be cloned if [`reqwest::Request::try_clone`](::reqwest::Request::try_clone)
/// succeeds. With tower, bodies of the types `()`, `Bytes`, `String`, `Full<Bytes>` and `Empty<Bytes>` can be cloned, others
/// with `clone_body` or, for gRPC, `buffer_body`. The first request that is not repeated because its body cannot be cloned is
/// reported.
///
/// If an API refuses an upload before reading it and closes the connection, the request may fail with a connection error
/// before the 401 is received. The token is then kept and the error is returned. HTTP/2, or `Expect: 100-continue` if the
/// client supports it, avoids this.
///
/// # Insufficient scope
///
/// A new token of the same source has the same scope, so a response with `insufficient_scope` is returned, unless the source
/// lists the scope in [`step_up`](crate::ClientCredentialsBuilder::step_up) or accepts the API's choice with
/// [`scopes_from_api`](crate::ProtectedResource::scopes_from_api). The source then requests the union, for all of its callers,
/// from then on. If only some requests may carry the wider token, use a pool (feature `pool`) keyed by scopes:
/// [`AccessToken::insufficient_scope`](crate::AccessToken::insufficient_scope) returns the scope that the request needs, and the
/// pool's source for it caches its token for later requests of that kind.
///
#[cfg_attr(all(feature = "reqwest-middleware", feature = "pool"), doc = "```no_run")]
#[cfg_attr(not(all(feature = "reqwest-middleware", feature = "pool")), doc = "```ignore")]
/// use client_credentials::{ClientCredentials, TokenPool};
/// use reqwest_middleware::ClientWithMiddleware as Client;
/// use std::collections::BTreeSet;
///
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Scopes(BTreeSet<String>);
///
/// /// The scopes that this program may request, whatever an API requires.
/// const ALLOWED: [&str; 2] = ["files:read", "files:write"];
///
/// /// `client` has `BearerAuth::for_pool(origin, &pool)`, whose sources are
/// /// made by `ClientCredentials::builder(..).scopes(&scopes.0).build()`.
/// async fn get(
///     client: &Client,
///     pool: &TokenPool<Scopes, ClientCredentials>,
///     url: &str,
///     scopes: &mut Scopes,
/// ) -> Result<reqwest::Response, Box<dyn std::error::Error>> {
///     let request = client.get(url).with_extension(scopes.clone());
///     let response = request.send().await?;
///     let token = pool.source(scopes).token().await?;
///     let demand = token.insufficient_scope(response.headers());
///     let demand = demand.and_then(|demand| demand.scope).unwrap_or_default();
///     let known = scopes.0.len();
///     let allowed = demand.split(' ').filter(|scope| ALLOWED.contains(scope));
///     scopes.0.extend(allowed.map(str::to_owned));
///     if scopes.0.len() == known {
///         return Ok(response);
///     }
///     // Once, with what was granted before and what is demanded now.
///     let request = client.get(url).with_extension(scopes.clone());
///     Ok(request.send().await?)
/// }
/// ```
///
/// # Cancel safety
///
/// Dropping the future of a request drops the request. A token fetch that it waits for continues.
pub struct BearerAuth(Arc<Parts>);

struct Parts {
    policy: Policy,
    tokens: Box<dyn Tokens>,
}

impl BearerAuth {
    /// Sends the tokens of `tokens` to `origin`: `https://host` or `https://host:port`. The path of a base URL is ignored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `origin` is not an `https` URL, or an `http` URL of a
    /// loopback address. Malformed URLs are not corrected.
    pub fn for_origin(origin: impl Into<String>, tokens: impl TokenSource + 'static) -> Result<Self, Error> {
        BearerAuth::builder(tokens).origin(origin).build()
    }

    /// Returns a builder, for several origins or further settings.
    pub fn builder(tokens: impl TokenSource + 'static) -> BearerAuthBuilder {
        let tokens: Arc<dyn TokenSource> = Arc::new(tokens);
        BearerAuthBuilder::new(Box::new(tokens))
    }

    /// Uses the tokens of a pool. Each request selects its key with an extension of type `K`.
    ///
    /// A request without a key is not sent and fails with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration). A 401
    /// rejects only the token of its key.
    ///
    #[cfg_attr(feature = "reqwest-middleware", doc = "```no_run")]
    #[cfg_attr(not(feature = "reqwest-middleware"), doc = "```ignore")]
    /// use client_credentials::{
    ///     BearerAuth, ClientAuth, ClientCredentials, Credential, TokenPool,
    /// };
    /// use std::sync::Arc;
    ///
    /// #[derive(Clone, PartialEq, Eq, Hash)]
    /// struct Tenant(Arc<str>);
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = TokenPool::new(|Tenant(name): &Tenant| {
    ///     let secret = Credential::file(format!("/run/secrets/{name}"));
    ///     let auth = ClientAuth::client_secret_basic(&**name, secret);
    ///     let server = "https://auth.example.com/oauth2/token";
    ///     ClientCredentials::builder(server, auth).build()
    /// });
    /// let bearer = BearerAuth::for_pool("https://api.example.com", &pool)?;
    /// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
    ///     .with(bearer)
    ///     .build();
    /// let request = client
    ///     .get("https://api.example.com/invoices")
    ///     .with_extension(Tenant("red".into()));
    /// let invoices = request.send().await?.text().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// With tower, set the extension on the `http::Request`: `request.extensions_mut().insert(Tenant("red".into()))`. A
    /// `reqwest::Request` in a tower service has no extensions.
    ///
    /// # Errors
    ///
    /// The same as [`for_origin`](Self::for_origin).
    #[cfg(feature = "pool")]
    pub fn for_pool<K, S>(origin: impl Into<String>, pool: &TokenPool<K, S>) -> Result<Self, Error>
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
        S: Pooled + 'static,
    {
        BearerAuth::builder_for_pool(pool).origin(origin).build()
    }

    /// Returns a builder for the tokens of a pool, for several origins or further settings; see [`for_pool`](Self::for_pool).
    #[cfg(feature = "pool")]
    pub fn builder_for_pool<K, S>(pool: &TokenPool<K, S>) -> BearerAuthBuilder
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
        S: Pooled + 'static,
    {
        BearerAuthBuilder::new(Box::new(pool.clone()))
    }

    #[inline]
    fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Returns the place that `request` carries a token to, and the source of that token; `None` if the request is sent
    /// without one, an error if it must not be sent.
    #[inline]
    fn destination<Q: Outgoing>(&self, request: &Q, extensions: Option<&Extensions>) -> Destination {
        match self.0.policy.admits(request.headers(), request.target())? {
            Some(place) => Ok(Some((place, self.0.tokens.of(extensions)?))),
            None => Ok(None),
        }
    }
}

type Destination = Result<Option<(Place, Arc<dyn TokenSource>)>, Error>;

impl Clone for BearerAuth {
    fn clone(&self) -> Self {
        BearerAuth(Arc::clone(&self.0))
    }
}

impl fmt::Debug for BearerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("origins", &self.0.policy.origins)
            .field("pass_through", &self.0.policy.pass_through)
            .field("source", &self.0.tokens)
            .finish_non_exhaustive()
    }
}

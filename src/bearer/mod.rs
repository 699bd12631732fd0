//! The token on the right request, and what a 401 means.

#[cfg(feature = "tower")]
mod body_copy;
#[cfg(feature = "tower")]
mod buffered;
mod builder;
#[cfg(feature = "tower")]
mod future;
#[cfg(feature = "tower")]
mod layer;
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

/// Puts the token of a source on outgoing requests, for the configured origins only, and recovers once from a
/// refused token.
///
/// It is a `Middleware` of reqwest-middleware (feature `reqwest-middleware`) and a `Layer` of tower (feature `tower`). A
/// handle: a clone is a reference count.
///
#[cfg_attr(feature = "reqwest-middleware", doc = "```no_run")]
#[cfg_attr(not(feature = "reqwest-middleware"), doc = "```ignore")]
/// use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, Credential};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = ClientAuth::client_secret_basic("billing", Credential::env("CLIENT_SECRET"));
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
/// To the configured origins (scheme, host and port) and the subdomains of configured domains, over `https`, to loopback, or to
/// hosts named to [`dangerously_allow_http`](BearerAuthBuilder::dangerously_allow_http). A request elsewhere is an error of kind
/// [`Configuration`](crate::ErrorKind::Configuration) and is not sent, unless
/// [`pass_through`](BearerAuthBuilder::pass_through) says otherwise. A request that has an `Authorization` header already (or
/// that of [`header`](BearerAuthBuilder::header)) is left alone altogether. No token means an error, never a request without
/// one.
///
/// A URL with user information (`https://user:password@..`) becomes an `Authorization` header in reqwest, before this layer sees
/// the request: it is then the caller's own.
///
/// # Redirects
///
/// Redirects are followed by reqwest, beneath: it removes `Authorization` and `Proxy-Authorization` when the host or port
/// changes, but neither a header of another name nor the proof of a DPoP token. Such a proof is good for the one URL that it
/// names and useless to another server; to keep it from being sent, give the client
/// `redirect(reqwest::redirect::Policy::none())`. Do the same when the token goes in a header of another name.
///
/// A chain that leads away and back ends in a request without a token, whose 401 looks like any other and costs one of the few
/// forced refreshes. A layer that follows redirects belongs around this one, not beneath it.
///
/// # What a 401 means
///
/// | the API answers | the token | the request |
/// |---|---|---|
/// | 401 without a challenge for the token's scheme, or with one that names no error, or any error but those below | is rejected | is repeated once, with another token |
/// | 401 with `insufficient_scope`, `invalid_dpop_proof` or `use_dpop_nonce`, and no other error | stays | the response is returned |
/// | 401 with `use_dpop_nonce` and a nonce, to a DPoP token (RFC 9449 section 9) | stays | is repeated once, with the nonce |
/// | HTTP 200 with `grpc-status: 16` in the headers, to a POST, as every gRPC call is | is rejected | is repeated once, with another token |
/// | 407, to a token in `Proxy-Authorization` | as a 401 | as a 401 |
/// | 401 from another origin, after a redirect | stays | the response is returned |
/// | what [`rejected_when`](BearerAuthBuilder::rejected_when) or [`rejected_when_body`](BearerAuthBuilder::rejected_when_body) says | is rejected | is repeated once, with another token |
/// | anything else | stays | the response is returned |
///
/// Case, quotes and separators of a challenge do not matter. For requests without an integration the same rule is
/// [`AccessToken::is_rejected_by`](crate::AccessToken::is_rejected_by).
///
/// If no other token can be had within
/// [`replacement_timeout`](BearerAuthBuilder::replacement_timeout), or the body cannot be copied, the response is returned
/// untouched; so is the answer
/// to the repeated request, except that nonce and token may each be refreshed once. What can be copied: what
/// [`reqwest::Request::try_clone`](::reqwest::Request::try_clone) can; with tower, bodies of the types `()`, `Bytes`,
/// `String`, `Full<Bytes>` and `Empty<Bytes>`, and others by `clone_body` or, as those of gRPC, by `buffer_body`. A request that
/// is not repeated because its body cannot be copied is reported once.
///
/// An API that refuses an upload before it has read it, and closes the connection, may end the request in a connection error
/// instead of an answer. The 401 was then never received: the token stays, and the error is returned. HTTP/2, or
/// `Expect: 100-continue` where the client has it, lets the answer through.
///
/// # A scope that does not suffice
///
/// Another token of the same source has the same scope, so a response with `insufficient_scope` is returned.
/// [`AccessToken::insufficient_scope`](crate::AccessToken::insufficient_scope) says which scope the request needs; a pool (feature
/// `pool`) with the scopes as the key has a source for it. Its token is cached, so that the next such request can begin with it.
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
/// /// What this program may ask for, whatever an API demands.
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
/// Dropping the future of a request drops the request. A token that is being fetched for it is fetched all the same.
pub struct BearerAuth(Arc<Shared>);

struct Shared {
    policy: Policy,
    tokens: Tokens,
}

impl BearerAuth {
    /// The tokens of `tokens` are for `origin`: `https://host` or `https://host:port`. Of a base URL with a path, its origin
    /// counts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `origin` is no URL of `https`, or of `http` to loopback.
    /// It is judged as it is written; nothing is repaired.
    pub fn for_origin(origin: impl Into<String>, tokens: impl TokenSource + 'static) -> Result<Self, Error> {
        BearerAuth::builder(tokens).origin(origin).build()
    }

    /// Begins one with more than an origin.
    pub fn builder(tokens: impl TokenSource + 'static) -> BearerAuthBuilder {
        BearerAuthBuilder::new(Tokens::One(Arc::new(tokens)))
    }

    /// The tokens of a pool: each request names its key, by an extension of the type `K`.
    ///
    /// A request that names none is an error of kind [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), and is not
    /// sent. A 401 rejects the token of that very key.
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
    /// With tower the extension is one of the `http::Request`: `request.extensions_mut().insert(Tenant("red".into()))`. A
    /// `reqwest::Request` beneath a tower layer has no extensions.
    ///
    /// # Errors
    ///
    /// As [`for_origin`](Self::for_origin).
    #[cfg(feature = "pool")]
    pub fn for_pool<K, S>(origin: impl Into<String>, pool: &TokenPool<K, S>) -> Result<Self, Error>
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
        S: Pooled + 'static,
    {
        BearerAuth::builder_for_pool(pool).origin(origin).build()
    }

    /// Begins one as [`for_pool`](Self::for_pool) with more than an origin.
    #[cfg(feature = "pool")]
    pub fn builder_for_pool<K, S>(pool: &TokenPool<K, S>) -> BearerAuthBuilder
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
        S: Pooled + 'static,
    {
        BearerAuthBuilder::new(Tokens::ByKey(Arc::new(pool.clone())))
    }

    fn assemble(policy: Policy, tokens: Tokens) -> Self {
        BearerAuth(Arc::new(Shared { policy, tokens }))
    }

    #[inline]
    fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Where `request` goes with a token of ours, and of which source; `None`: it is sent without one. An error means that it
    /// must not be sent.
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

//! The token on the right request, and what a 401 means.

mod choice;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod origin;
mod reqwest;
#[cfg(all(feature = "reqwest-middleware", feature = "mtls"))]
mod same_certificate;
mod trip;
mod verdict;

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, StatusCode};

use crate::error::Error;
pub(crate) use choice::Choice;
#[cfg(feature = "tower")]
pub use layer::BearerService;
use origin::Origin;
#[cfg(all(feature = "reqwest-middleware", feature = "mtls"))]
pub use same_certificate::SameCertificate;
use trip::{Outgoing, Trip};

/// Puts the token of a source on outgoing requests, for the configured origins only, and recovers once from a
/// refused token.
///
/// It is a `Middleware` of reqwest-middleware (feature `middleware`) and a `Layer` of tower (feature `tower`). A
/// handle: a clone is a reference count.
///
#[cfg_attr(feature = "reqwest-middleware", doc = "```no_run")]
#[cfg_attr(not(feature = "reqwest-middleware"), doc = "```ignore")]
/// use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, Credential};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let auth = ClientAuth::client_secret_basic("billing", Credential::env("CLIENT_SECRET"));
/// let tokens = ClientCredentials::builder("https://auth.example.com/oauth2/token", auth).scope("invoices:read").build()?;
/// let bearer = BearerAuth::for_origin("https://api.example.com", tokens.clone())?;
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
/// let invoices = client.get("https://api.example.com/invoices").send().await?.text().await?;
/// # Ok(()) }
/// ```
///
/// # Where the token goes
///
/// To the configured origins (scheme, host and port), over `https`, to loopback, or to hosts named to
/// [`dangerously_allow_http`](Self::dangerously_allow_http). A request elsewhere is an error of kind
/// [`Configuration`](crate::ErrorKind::Configuration) and is not sent, unless [`pass_through`](Self::pass_through)
/// says otherwise. A request that has an `Authorization` header already is left alone altogether. No token means an
/// error, never a request without one.
///
/// Redirects are followed by reqwest, beneath: it removes `Authorization` when the origin changes. A chain that leads away
/// and back ends in a request without it, whose 401 looks like any other and costs one of the few forced refreshes. A
/// layer that follows redirects belongs around this one, not beneath it.
///
/// A URL with user information (`https://user:password@..`) becomes an `Authorization` header in reqwest, before we see
/// the request: it is then the caller's own.
///
/// # What a 401 means
///
/// | the API answers | the token | the request |
/// |---|---|---|
/// | 401 without a challenge, or without `error` in it, or `error="invalid_token"` | is rejected | is repeated once, with another token |
/// | 401 with `use_dpop_nonce` and a nonce, to a DPoP token (RFC 9449 section 9) | stays | is repeated once, with the nonce |
/// | 401 with another `error` (RFC 6750 section 3.1) | stays | its answer is handed back |
/// | HTTP 200 with `grpc-status: 16` in the headers, to a POST, as every gRPC call is | is rejected | is repeated once, with another token |
/// | 401 from another origin, after a redirect | stays | its answer is handed back |
/// | what [`rejected_when`](Self::rejected_when) says | is rejected | is repeated once, with another token |
/// | anything else | stays | its answer is handed back |
///
/// If no other token can be had, or the body cannot be copied, the answer is handed back untouched; so is the answer
/// to the repeated request, except that nonce and token may each be refreshed once. What can be copied: what
/// [`reqwest::Request::try_clone`](::reqwest::Request::try_clone) can; with tower, bodies of the types `()`, `Bytes`,
/// `String`, `Full<Bytes>` and `Empty<Bytes>`, and others by `clone_body`. The body of a gRPC call is a stream: collect
/// it before this layer, as the example `tonic` does.
///
/// # Cancel safety
///
/// Dropping the future of a request drops the request. A token that is being fetched for it is fetched all the same.
pub struct BearerAuth<S: 'static> {
    policy: Arc<Policy>,
    source: Arc<S>,
}

/// What the user decided.
#[derive(Clone)]
struct Policy {
    origins: Vec<Origin>,
    plain_hosts: Vec<String>,
    pass_through: bool,
    rejected_when: Option<Arc<Predicate>>,
    repeat: bool,
    /// `fn(&B) -> Option<B>` for different `B`.
    #[cfg(feature = "tower")]
    copies: Vec<Arc<dyn std::any::Any + Send + Sync>>,
}

impl Policy {
    fn new(origins: Vec<Origin>) -> Self {
        Policy {
            origins,
            plain_hosts: Vec::new(),
            pass_through: false,
            rejected_when: None,
            repeat: true,
            #[cfg(feature = "tower")]
            copies: Vec::new(),
        }
    }
}

type Predicate = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

impl<S: Choice + 'static> BearerAuth<S> {
    /// The tokens of `source` are for `origin`: `https://host` or `https://host:port`.
    ///
    /// `source` is a [`TokenSource`](crate::TokenSource), or, where requests are on behalf of different tenants, what
    /// `TokenPool::by_extension` of the feature `pool` returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `origin` is not one.
    pub fn for_origin(origin: &str, source: S) -> Result<Self, Error> {
        let policy = Policy::new(vec![Origin::parse(origin)?]);
        Ok(BearerAuth { policy: Arc::new(policy), source: Arc::new(source) })
    }

    /// They are for this origin too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if `origin` is not one.
    pub fn and_origin(mut self, origin: &str) -> Result<Self, Error> {
        let origin = Origin::parse(origin)?;
        Arc::make_mut(&mut self.policy).origins.push(origin);
        Ok(self)
    }

    /// Sends requests to other origins without a token, instead of refusing them: for a client that talks to more
    /// than this API, or that has a [`BearerAuth`] for each of several.
    pub fn pass_through(mut self) -> Self {
        Arc::make_mut(&mut self.policy).pass_through = true;
        self
    }

    /// What else says that the token was refused, beside a 401: some APIs answer 403 or 419 for an expired one.
    ///
    /// ```
    /// # use client_credentials::{AccessToken, BearerAuth};
    /// # let tokens = AccessToken::builder("abc").build()?;
    /// let bearer = BearerAuth::for_origin("https://api.example.com", tokens)?
    ///     .rejected_when(|status, _headers| status.as_u16() == 419);
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn rejected_when(mut self, predicate: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.policy).rejected_when = Some(Arc::new(predicate));
        self
    }

    /// How to copy a body of type `B` before it is sent (tower), so that its request can be repeated. May be called
    /// for several types.
    #[cfg(feature = "tower")]
    pub fn clone_body<B: 'static>(mut self, copy: fn(&B) -> Option<B>) -> Self {
        Arc::make_mut(&mut self.policy).copies.push(Arc::new(copy));
        self
    }

    /// Never repeats a request, and keeps no copy. A refused token is still replaced for the requests that follow.
    pub fn no_repeat(mut self) -> Self {
        Arc::make_mut(&mut self.policy).repeat = false;
        self
    }

    /// Accepts plain `http` for this host: a name in a compose file, a service mesh that encrypts underneath.
    ///
    /// The tokens are readable to everybody on the way.
    pub fn dangerously_allow_http(mut self, host: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.policy).plain_hosts.push(host.into());
        self
    }
}

impl<S: Choice> BearerAuth<S> {
    /// To which of the configured origins `request` goes, with the token of which key; otherwise as
    /// [`Trip::destination`].
    fn destination<Q: Outgoing>(
        &self,
        request: &Q,
        extensions: Option<&Extensions>,
    ) -> Result<Option<(usize, S::Key)>, Error> {
        match Trip::destination(&self.policy, request)? {
            Some(origin) => Ok(Some((origin, self.source.key(extensions)?))),
            None => Ok(None),
        }
    }
}

impl<S> Clone for BearerAuth<S> {
    fn clone(&self) -> Self {
        BearerAuth { policy: Arc::clone(&self.policy), source: Arc::clone(&self.source) }
    }
}

impl<S: fmt::Debug> fmt::Debug for BearerAuth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("origins", &self.policy.origins)
            .field("pass_through", &self.policy.pass_through)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

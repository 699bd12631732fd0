//! How the authorization server is identified: by its token endpoint, its issuer URL or the API.

use std::time::Duration;

use http::HeaderMap;

use crate::challenge::Challenge;

/// The authorization server, for [`ClientCredentials::builder`](crate::ClientCredentials::builder): the URL of the token
/// endpoint (`&str`, `String`), an [`Issuer`] or a [`ProtectedResource`].
#[derive(Clone, Debug)]
pub struct Server(pub(super) Known);

/// How the server is identified.
#[derive(Clone)]
pub(crate) enum Known {
    TokenEndpoint(String),
    Issuer(Issuer),
    Resource(ProtectedResource),
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // The URL is not shown: its query or user information may be secret.
            Known::TokenEndpoint(_) => f.write_str("TokenEndpoint"),
            Known::Issuer(issuer) => issuer.fmt(f),
            Known::Resource(resource) => resource.fmt(f),
        }
    }
}

impl Server {
    /// Whether the issuer is known, for the audience of assertions.
    pub(super) fn names_issuer(&self) -> bool {
        !matches!(self.0, Known::TokenEndpoint(_))
    }
}

impl From<&str> for Server {
    fn from(token_endpoint: &str) -> Self {
        Server(Known::TokenEndpoint(token_endpoint.to_owned()))
    }
}

impl From<String> for Server {
    fn from(token_endpoint: String) -> Self {
        Server(Known::TokenEndpoint(token_endpoint))
    }
}

impl From<&String> for Server {
    fn from(token_endpoint: &String) -> Self {
        token_endpoint.as_str().into()
    }
}

impl From<Issuer> for Server {
    fn from(issuer: Issuer) -> Self {
        Server(Known::Issuer(issuer))
    }
}

impl From<ProtectedResource> for Server {
    fn from(resource: ProtectedResource) -> Self {
        Server(Known::Resource(resource))
    }
}

/// An authorization server identified by its issuer URL. Its metadata names the token endpoint.
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, Credential, Issuer};
///
/// let secret = Credential::file("/run/secrets/client-secret");
/// let auth = ClientAuth::client_secret_basic("billing", secret);
/// let issuer = Issuer::new("https://auth.example.com/realms/demo");
/// let tokens = ClientCredentials::builder(issuer, auth).build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
///
/// # Contract
///
/// - The metadata is fetched by the first token fetch, not by `build()`: first from `/.well-known/oauth-authorization-server`
///   (RFC 8414 section 3.1) and, if that is unusable, from `/.well-known/openid-configuration` appended to the issuer's path
///   (OpenID Connect Discovery 1.0 section 4). It is kept for an [hour](Self::metadata_lifetime), or longer while it cannot be
///   fetched again. It is also fetched again when the token endpoint proves wrong. An attempt keeps the endpoint that it
///   started with.
/// - Sources share one copy of the metadata if they share an [`HttpClient`](crate::HttpClient) (sources without one share the
///   default) and have the same issuer, the same settings below, the same plain `http` hosts, and all or none use mutual TLS.
/// - The token endpoint must use `https`. It may be at another origin unless
///   [`pin_token_endpoint_origin`](Self::pin_token_endpoint_origin) is set. Plain `http` is accepted only at the issuer's own
///   origin, under the rules of [`ClientCredentials::builder`](crate::ClientCredentials::builder).
/// - The client authenticates with the configured method, whatever the metadata lists; it never falls back to a weaker one.
///   The issuer is the audience of assertions. `mtls_endpoint_aliases` (RFC 8705 section 5) are used only with mutual TLS.
///
/// # Errors
///
/// If the metadata cannot be fetched and no earlier copy exists, `token()` returns an error of kind
/// [`Transport`](crate::ErrorKind::Transport), [`Tls`](crate::ErrorKind::Tls), [`Throttled`](crate::ErrorKind::Throttled) or
/// [`Response`](crate::ErrorKind::Response); the latter states what is wrong with each of the two documents.
#[derive(Clone, Debug)]
#[must_use = "an issuer does nothing before it is given to a builder"]
pub struct Issuer {
    pub(crate) issuer: String,
    pub(crate) metadata: Metadata,
}

impl Issuer {
    /// Creates an issuer from its URL. The `issuer` in the metadata must be identical, character by character (RFC 8414
    /// section 3.3).
    pub fn new(issuer: impl Into<String>) -> Self {
        Issuer { issuer: issuer.into(), metadata: Metadata::default() }
    }

    /// Sets how long metadata is kept before it is fetched again. Default: 1 h.
    pub fn metadata_lifetime(mut self, lifetime: Duration) -> Self {
        self.metadata.lifetime = Some(lifetime);
        self
    }

    /// Sets the origin (`https://host` or `https://host:port`) that the token endpoint must have, so that an attacker who can
    /// change the metadata cannot receive the client's credentials.
    pub fn pin_token_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.metadata.pinned_origin = Some(origin.into());
        self
    }
}

/// How metadata is used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(super) lifetime: Option<Duration>,
    pub(crate) pinned_origin: Option<String>,
}

/// An API identified by its URL (RFC 9728), as in the Model Context Protocol. Its metadata lists authorization servers; tokens
/// are requested from the first one that is allowed.
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, Credential};
/// use client_credentials::ProtectedResource;
///
/// let secret = Credential::file("/run/secrets/client-secret");
/// let auth = ClientAuth::client_secret_basic("agent", secret);
/// let issuers = ["https://auth.example.com"];
/// let api = ProtectedResource::new("https://mcp.example.com/mcp", issuers);
/// let tokens = ClientCredentials::builder(api, auth).build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
///
/// # Contract
///
/// - The first token fetch also fetches both documents: `/.well-known/oauth-protected-resource`, inserted before the path of
///   the resource, and the metadata of the authorization server, for which [`Issuer`]'s contract holds. They are fetched again
///   when the API rejects a token. If the API then names another server, or the server another token endpoint, the change
///   takes effect with the next fetch, and only if both documents are usable. `signed_metadata` is ignored.
/// - The URL is sent as `resource` (RFC 8707), unless the builder's [`resource`](crate::ClientCredentialsBuilder::resource)
///   sets another value or [`omit_resource`](Self::omit_resource) is set.
///
/// # Addresses
///
/// Hosts that come only from a document (a token endpoint at a host other than its issuer's, metadata that a challenge points
/// to) must have public addresses, so that an API cannot direct the client to the client's own network. Loopback, private,
/// link-local and similar addresses are refused, both in the URL and, because names may resolve differently each time, on each
/// connection. Hosts that you configure are exempt: the host of the resource, those of the allowed issuers, and those given to
/// [`pin_token_endpoint_origin`](Self::pin_token_endpoint_origin) and
/// [`dangerously_allow_http`](crate::ClientCredentialsBuilder::dangerously_allow_http).
///
/// The other hosts are resolved by the system, not by a `dns_resolver` of the [`HttpClient`](crate::HttpClient): pin the token
/// endpoint's origin if it needs that resolver. Addresses set with `resolve` or `resolve_to_addrs` are not checked. A proxy
/// resolves names itself, and its own rules decide what it may reach.
///
/// # Errors
///
/// `token()` returns the same errors as for [`Issuer`]. If the API lists none of the allowed issuers, the error is of kind
/// [`Response`](crate::ErrorKind::Response) and its text contains both lists.
#[derive(Clone, Debug)]
#[must_use = "a resource does nothing before it is given to a builder"]
pub struct ProtectedResource {
    pub(crate) resource: String,
    pub(crate) allowed: Vec<String>,
    pub(super) enclosing: bool,
    pub(super) omitted: bool,
    /// Whether the scopes of the API are requested.
    pub(crate) scoped: bool,
    /// `scope` of a challenge.
    pub(super) scope: Option<String>,
    /// `resource_metadata` of a challenge.
    pub(super) location: Option<String>,
    pub(super) metadata: Metadata,
}

impl ProtectedResource {
    /// Creates a resource from the URL of the API. The `resource` in the metadata must be identical, character by character
    /// (RFC 9728 section 3.3), unless [`accept_enclosing`](Self::accept_enclosing) is set.
    ///
    /// `allowed_issuers` are the issuer URLs of the servers at which this client is registered; at least one. The client's
    /// credentials are sent to no other server, whatever the API lists.
    pub fn new<I>(resource: impl Into<String>, allowed_issuers: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        ProtectedResource {
            resource: resource.into(),
            allowed: allowed_issuers.into_iter().map(Into::into).collect(),
            enclosing: false,
            omitted: false,
            scoped: false,
            scope: None,
            location: None,
            metadata: Metadata::default(),
        }
    }

    /// Sets how long metadata is kept before it is fetched again. Default: 1 h.
    pub fn metadata_lifetime(mut self, lifetime: Duration) -> Self {
        self.metadata.lifetime = Some(lifetime);
        self
    }

    /// Sets the origin that the token endpoint must have; see
    /// [`Issuer::pin_token_endpoint_origin`](Issuer::pin_token_endpoint_origin).
    pub fn pin_token_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.metadata.pinned_origin = Some(origin.into());
        self
    }

    /// Takes the URL of the API's metadata from the headers of its 401: `resource_metadata` of the `Bearer` or `DPoP`
    /// challenge (RFC 9728 section 5.1). Without such a parameter the well-known URL is used. Its `scope` is used by
    /// [`scopes_from_api`](Self::scopes_from_api).
    ///
    /// This is never done automatically, because the sender of such a response chooses where the metadata comes from. The URL
    /// must be `https` or at the API's own origin, and the metadata must still be for this resource.
    ///
    /// ```
    /// # use client_credentials::ProtectedResource;
    /// # let mut response = http::Response::new(());
    /// # let at = r#"Bearer resource_metadata="https://mcp.example.com/metadata""#;
    /// # response.headers_mut().insert("www-authenticate", at.parse().unwrap());
    /// let issuers = ["https://auth.example.com"];
    /// let api = ProtectedResource::new("https://mcp.example.com/mcp", issuers)
    ///     .challenge(response.headers());
    /// ```
    pub fn challenge(mut self, headers: &HeaderMap) -> Self {
        let challenges = Challenge::all(headers);
        let param = |name| {
            let mut ours = challenges.iter().filter(|challenge| challenge.is("Bearer") || challenge.is("DPoP"));
            ours.find_map(|challenge| challenge.param(name)).map(Into::into)
        };
        (self.location, self.scope) = (param("resource_metadata"), param("scope"));
        self
    }

    /// Requests the scopes that the API names. Default: false; the builder's
    /// [`scope`](crate::ClientCredentialsBuilder::scope) is requested.
    ///
    /// If the builder sets no scope, that of the [`challenge`](Self::challenge) is requested, otherwise all
    /// `scopes_supported` of the API's metadata (RFC 9728 section 2). Scopes that the API requires later (403 with
    /// `insufficient_scope`) are requested in addition, as with [`step_up`](crate::ClientCredentialsBuilder::step_up),
    /// but without a list: the authorization server decides which are granted, and a token for this `resource` cannot
    /// be used elsewhere. It can therefore not be combined with [`omit_resource`](Self::omit_resource) or another
    /// [`resource`](crate::ClientCredentialsBuilder::resource).
    pub fn scopes_from_api(mut self, adopt: bool) -> Self {
        self.scoped = adopt;
        self
    }

    /// Also accepts metadata of an enclosing resource: one at the same origin whose path is a prefix of the API's path, in
    /// whole segments (draft-mcguinness-oauth-rfc9728bis). Its URL is then sent as `resource`. If the metadata of the API is
    /// unusable, the metadata of the origin is fetched, too. Default: false.
    ///
    /// If several parties share an origin, the owner of a path can then publish metadata for the paths below it.
    pub fn accept_enclosing(mut self, accept: bool) -> Self {
        self.enclosing = accept;
        self
    }

    /// Omits the `resource` parameter, for servers that refuse it (Entra ID: the scope is `{resource}/.default`). Default:
    /// false.
    pub fn omit_resource(mut self, omit: bool) -> Self {
        self.omitted = omit;
        self
    }

    /// The parts that decide which token is requested. The URL of the metadata is not one of them: the resource is the same.
    #[cfg(feature = "shared")]
    pub(super) fn parts(&self) -> Vec<String> {
        let mut allowed = self.allowed.clone();
        allowed.sort_unstable();
        let rules = format!("enclosing {}, omitted {}", self.enclosing, self.omitted);
        [vec![self.resource.clone(), rules], allowed].concat()
    }
}

//! Which authorization server is asked: by its token endpoint, by its name, or starting from the API.

use std::time::Duration;

use http::HeaderMap;

use crate::challenge::Challenge;

/// Where to ask for tokens, as [`ClientCredentials::builder`](crate::ClientCredentials::builder) takes it: the URL of the token
/// endpoint (`&str`, `String`), an [`Issuer`] or a [`ProtectedResource`].
#[derive(Clone, Debug)]
pub struct Server(pub(super) Known);

/// What is known of the server.
#[derive(Clone)]
pub(super) enum Known {
    TokenEndpoint(String),
    Issuer(Issuer),
    Resource(ProtectedResource),
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Not as given: it may have a secret in its query or before its host.
            Known::TokenEndpoint(_) => f.write_str("TokenEndpoint"),
            Known::Issuer(issuer) => issuer.fmt(f),
            Known::Resource(resource) => resource.fmt(f),
        }
    }
}

impl Server {
    /// Whether the issuer's name is known, for the audience of assertions.
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

/// An authorization server by its name: its metadata says where the token endpoint is.
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
/// - The metadata is fetched inside the first fetch, not by `build()`: `/.well-known/oauth-authorization-server` first (RFC 8414
///   section 3.1), and where that is unusable `/.well-known/openid-configuration` after the issuer's path (OpenID Connect
///   Discovery 1.0 section 4). It is kept for an [hour](Self::metadata_lifetime), and longer while it cannot be fetched again. It
///   is fetched again when the token endpoint turns out not to be one. An attempt keeps the endpoint that it began with.
/// - Sources that share an [`HttpClient`](crate::HttpClient), as all do that are given none, and agree on the issuer, on the
///   settings below, on the hosts of plain `http` and on whether they use mutual TLS, fetch it once for all.
/// - The token endpoint must be `https`, and may then be at another origin, unless
///   [`pin_token_endpoint_origin`](Self::pin_token_endpoint_origin) is set; plain `http` is accepted at the issuer's own origin
///   only, as [`ClientCredentials::builder`](crate::ClientCredentials::builder) describes.
/// - The client authenticates by the method that it was given, regardless of what the metadata lists: a weaker one is never used. The
///   issuer is the audience of assertions; `mtls_endpoint_aliases` (RFC 8705 section 5) are for mutual TLS only.
///
/// # Errors
///
/// Of `token()`, when the metadata cannot be fetched and never could: [`Transport`](crate::ErrorKind::Transport),
/// [`Tls`](crate::ErrorKind::Tls), [`Throttled`](crate::ErrorKind::Throttled), or [`Response`](crate::ErrorKind::Response) with
/// what is wrong with each of the two documents.
#[derive(Clone, Debug)]
#[must_use = "an issuer does nothing before it is given to a builder"]
pub struct Issuer {
    pub(super) issuer: String,
    pub(super) metadata: Metadata,
}

impl Issuer {
    /// `issuer` is what the server calls itself, character by character: its metadata must say the same (RFC 8414 section 3.3).
    pub fn new(issuer: impl Into<String>) -> Self {
        Issuer { issuer: issuer.into(), metadata: Metadata::default() }
    }

    /// How long metadata is kept before it is fetched again. Default: 1 h.
    pub fn metadata_lifetime(mut self, lifetime: Duration) -> Self {
        self.metadata.lifetime = Some(lifetime);
        self
    }

    /// The origin (`https://host` or `https://host:port`) at which the token endpoint must be, so that someone who can change the
    /// metadata cannot receive the client's credentials.
    pub fn pin_token_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.metadata.pinned_origin = Some(origin.into());
        self
    }
}

/// How metadata is used.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) lifetime: Option<Duration>,
    pub(super) pinned_origin: Option<String>,
}

/// An API by its URL (RFC 9728), as a client of the Model Context Protocol has it: its metadata names its authorization servers,
/// and the first of them that is allowed is asked for tokens.
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
/// - Both documents are fetched inside the first fetch: `/.well-known/oauth-protected-resource`, put before the path of the
///   resource, and the metadata of the server, for which all of [`Issuer`]'s contract holds. They are also fetched again when the
///   API refuses a token. When the API names another server, or a server another token endpoint, that counts from the next fetch
///   on, and only if all of it is usable. `signed_metadata` is ignored.
/// - The URL is sent along as `resource` (RFC 8707), unless the builder's
///   [`resource`](crate::ClientCredentialsBuilder::resource) names another one or [`omit_resource`](Self::omit_resource) is set.
///
/// # Addresses
///
/// Hosts that only a document names (a token endpoint that is not at its issuer's host, metadata that a challenge points to) must
/// be at public addresses, so that no API can make the client talk to its own network: loopback, private, link-local and similar
/// addresses are refused, in the URL and, since a name may resolve differently each time, for each connection. Hosts that you
/// name are exempt: that of the resource, those of the allowed issuers, and those given to
/// [`pin_token_endpoint_origin`](Self::pin_token_endpoint_origin) and
/// [`dangerously_allow_http`](crate::ClientCredentialsBuilder::dangerously_allow_http).
///
/// Names of the other hosts are resolved by the system, not by a `dns_resolver` of the [`HttpClient`](crate::HttpClient): pin the
/// token endpoint's origin if it needs that resolver. Addresses set by `resolve` or `resolve_to_addrs` are yours, and not judged.
/// Through a proxy, the proxy resolves: its own rules decide what it may reach.
///
/// # Errors
///
/// Of `token()`, as for [`Issuer`]. When the API names none of the allowed issuers the error is of kind
/// [`Response`](crate::ErrorKind::Response), with both lists in its text.
#[derive(Clone, Debug)]
#[must_use = "a resource does nothing before it is given to a builder"]
pub struct ProtectedResource {
    pub(super) resource: String,
    pub(super) allowed: Vec<String>,
    pub(super) enclosing: bool,
    pub(super) omitted: bool,
    /// Its scopes are asked for.
    pub(super) scoped: bool,
    /// `scope` of a challenge.
    pub(super) scope: Option<String>,
    /// `resource_metadata` of a challenge.
    pub(super) location: Option<String>,
    pub(super) metadata: Metadata,
}

impl ProtectedResource {
    /// `resource` is what the API calls itself, character by character: its metadata must say the same (RFC 9728 section 3.3),
    /// unless [`accept_enclosing`](Self::accept_enclosing) is set.
    ///
    /// `allowed_issuers` are the servers that know this client, each as it spells itself; at least one. Whatever the API says, the
    /// client's credentials go to no other.
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

    /// How long metadata is kept before it is fetched again. Default: 1 h.
    pub fn metadata_lifetime(mut self, lifetime: Duration) -> Self {
        self.metadata.lifetime = Some(lifetime);
        self
    }

    /// The origin at which the token endpoint must be; see
    /// [`Issuer::pin_token_endpoint_origin`](Issuer::pin_token_endpoint_origin).
    pub fn pin_token_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.metadata.pinned_origin = Some(origin.into());
        self
    }

    /// Takes the address of the API's metadata from the headers of its 401: `resource_metadata` of the `Bearer` or `DPoP`
    /// challenge (RFC 9728 section 5.1). Without one there, the well-known address stays. Its `scope` is for
    /// [`scopes_from_api`](Self::scopes_from_api).
    ///
    /// This is never done automatically: the sender of such a response chooses where the metadata comes from. It must be at an
    /// `https` URL, or at the API's own origin, and of this resource all the same.
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
            let ours = challenges.iter().filter(|challenge| challenge.is("Bearer") || challenge.is("DPoP"));
            ours.filter_map(|challenge| challenge.param(name)).map(Into::into).next()
        };
        (self.location, self.scope) = (param("resource_metadata"), param("scope"));
        self
    }

    /// Lets the API say which scopes its tokens have. Default: false, what the builder's
    /// [`scope`](crate::ClientCredentialsBuilder::scope) says.
    ///
    /// If the builder names none, they are those of the [`challenge`](Self::challenge), else all `scopes_supported` of its metadata
    /// (RFC 9728 section 2). What the API demands beyond that (403 with `insufficient_scope`) is asked for in addition, as
    /// [`step_up`](crate::ClientCredentialsBuilder::step_up) describes, without a list: the authorization server decides, and a
    /// token that is for this `resource` is of no use elsewhere. So it goes with neither [`omit_resource`](Self::omit_resource) nor
    /// another [`resource`](crate::ClientCredentialsBuilder::resource).
    pub fn scopes_from_api(mut self, adopt: bool) -> Self {
        self.scoped = adopt;
        self
    }

    /// Also accepts metadata of a resource that the API is a part of: of the same origin, with a path that the API's begins with,
    /// whole segments compared (draft-mcguinness-oauth-rfc9728bis). Its name is then the `resource` that is sent. The metadata of
    /// the whole origin is asked for as well, where that of the API is unusable.
    ///
    /// Where several parties have paths at one origin, one could speak for those below it.
    pub fn accept_enclosing(mut self, accept: bool) -> Self {
        self.enclosing = accept;
        self
    }

    /// Sends no `resource`, for servers that refuse it (Entra ID: the scope is `{resource}/.default`).
    pub fn omit_resource(mut self, omit: bool) -> Self {
        self.omitted = omit;
        self
    }

    /// What decides which token is asked for. Not where the metadata was found: it is of the same resource.
    #[cfg(feature = "shared")]
    pub(super) fn parts(&self) -> Vec<String> {
        let mut allowed = self.allowed.clone();
        allowed.sort_unstable();
        let rules = format!("enclosing {}, omitted {}", self.enclosing, self.omitted);
        [vec![self.resource.clone(), rules], allowed].concat()
    }
}

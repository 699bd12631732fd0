//! Requests that the server received, without their secrets.

use std::fmt;
use std::time::Duration;

use super::Endpoint;

/// A request that an [`AuthorizationServer`](super::AuthorizationServer) received.
///
/// `Display` prints a line of the story; neither it nor `Debug` shows a secret. A test compares secrets
/// ([`sent`](Self::sent), [`sent_header`](Self::sent_header)), or reads them with explicitly named functions
/// ([`expose_params`](Self::expose_params), [`expose_headers`](Self::expose_headers)).
///
/// ```
/// use client_credentials::testing::AuthorizationServer;
/// use client_credentials::{ClientAuth, ClientCredentials};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let server = AuthorizationServer::start().client("billing", "a secret");
/// let auth = ClientAuth::client_secret_post("billing", "a secret");
/// let tokens = ClientCredentials::builder(server.token_url(), auth)
///     .scope("invoices:read")
///     .build()?;
/// tokens.token().await?;
///
/// let requests = server.requests();
/// assert_eq!(requests[0].auth_method(), Some("client_secret_post"));
/// assert_eq!(requests[0].param("scope"), Some("invoices:read"));
/// assert_eq!(requests[0].param("client_secret"), Some("[8 characters]"));
/// assert!(requests[0].sent("client_secret", "a secret"));
/// # Ok::<(), client_credentials::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RecordedRequest {
    pub(super) endpoint: Endpoint,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) at: Duration,
    pub(super) client: Option<String>,
    pub(super) auth_method: Option<&'static str>,
    pub(super) params: Vec<Field>,
    pub(super) headers: Vec<Field>,
    pub(super) token: Option<u32>,
    pub(super) status: Option<u16>,
    pub(super) outcome: String,
}

/// A parameter or header: its value, and what is shown of it.
#[derive(Clone)]
pub(super) struct Field {
    name: String,
    value: String,
    shown: String,
}

impl Field {
    /// `shown`: the value as it may be shown, if it is never a secret, which it is not if its name is in `public`.
    pub(super) fn new(name: &str, value: &str, shown: &str, public: &[&str]) -> Self {
        let shown = if public.contains(&name) { cut(shown) } else { hidden(value) };
        Field { name: name.to_owned(), value: value.to_owned(), shown }
    }
}

/// All others may be secrets: authorization servers use any names for parameters.
pub(super) const PUBLIC_PARAMS: &[&str] = &[
    "grant_type",
    "client_id",
    "scope",
    "audience",
    "resource",
    "authorization_details",
    "account_id",
    "client_assertion_type",
    "subject_token_type",
    "actor_token_type",
    "requested_token_type",
];

/// All others may be secrets: gateways use any names for their keys.
pub(super) const PUBLIC_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
];

/// 200: enough for a list of scopes.
const LONGEST_SHOWN: usize = 200;

fn cut(value: &str) -> String {
    let shown: String = value.chars().take(LONGEST_SHOWN).collect();
    if shown.len() < value.len() { format!("{shown}..") } else { shown }
}

pub(super) fn hidden(value: &str) -> String {
    format!("[{} characters]", value.chars().count())
}

impl RecordedRequest {
    /// Returns the endpoint.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// Returns the HTTP method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns when it was received, as the time since the server's start by the server's clock.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Returns the client that sent it. An id that is not registered is shown as `[.. characters]`, since it may be a secret
    /// in the wrong place.
    pub fn client_id(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// Returns the client authentication method, by its name in the IANA registry: `client_secret_basic`, `private_key_jwt`,
    /// `tls_client_auth`, `none`, ...
    pub fn auth_method(&self) -> Option<&'static str> {
        self.auth_method
    }

    /// Returns the value of a parameter of a token request, or its length if it may be a secret.
    pub fn param(&self, name: &str) -> Option<&str> {
        shown(&self.params, name)
    }

    /// Returns whether this parameter was sent with this value.
    pub fn sent(&self, name: &str, value: &str) -> bool {
        self.params.iter().any(|field| field.name == name && field.value == value)
    }

    /// Returns the value of a header, or its length if it may be a secret. `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        shown(&self.headers, name)
    }

    /// Returns whether this header was sent with this value. `name` is in lower case.
    pub fn sent_header(&self, name: &str, value: &str) -> bool {
        self.headers.iter().any(|field| field.name == name && field.value == value)
    }

    /// Returns the values of a parameter of a token request, even if secret, for example to inspect an assertion.
    ///
    /// ```
    /// use client_credentials::testing::AuthorizationServer;
    /// use client_credentials::{ClientAuth, ClientCredentials};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let server = AuthorizationServer::start();
    /// let auth = ClientAuth::client_assertion("header.claims.signature");
    /// let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
    /// tokens.token().await?;
    ///
    /// let requests = server.requests();
    /// let assertions: Vec<_> =
    ///     requests[0].expose_params("client_assertion").collect();
    /// assert_eq!(assertions, ["header.claims.signature"]);
    /// assert!(!format!("{requests:?}").contains("claims.signature"));
    /// # Ok::<(), client_credentials::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expose_params<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        values(&self.params, name)
    }

    /// Returns the values of a header, even if secret, for example to inspect a proof (RFC 9449). `name` is in lower case.
    pub fn expose_headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        values(&self.headers, name)
    }

    /// Returns the number of the token that was issued (at the token endpoint) or presented (at the API), counted from 1 in
    /// the order of issue.
    pub fn token(&self) -> Option<u32> {
        self.token
    }

    /// Returns the status of the response; `None` if there is none, or none yet.
    pub fn status(&self) -> Option<u16> {
        self.status
    }
}

fn values<'f>(fields: &'f [Field], name: &str) -> impl Iterator<Item = &'f str> {
    fields.iter().filter(move |field| field.name == name).map(|field| field.value.as_str())
}

fn shown<'f>(fields: &'f [Field], name: &str) -> Option<&'f str> {
    fields.iter().find(|field| field.name == name).map(|field| field.shown.as_str())
}

impl fmt::Display for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3} s  {} {}", self.at.as_secs_f64(), self.method, self.path)?;
        let mut separator = "  ";
        if let Some(client) = &self.client {
            write!(f, "{separator}client {client:?}")?;
            separator = " ";
        }
        if let Some(method) = self.auth_method {
            write!(f, "{separator}by {method}")?;
        }
        for name in ["grant_type", "scope", "audience", "resource"] {
            if let Some(value) = self.param(name).filter(|value| *value != "client_credentials") {
                write!(f, ", {name} {value:?}")?;
            }
        }
        if self.endpoint == Endpoint::Api {
            match self.token {
                Some(number) => write!(f, "  with token {number}")?,
                None if self.header("authorization").is_some() => f.write_str("  with a token of another server")?,
                None => f.write_str("  without a token")?,
            }
        }
        f.write_str("  ->  ")?;
        if let Some(status) = self.status {
            write!(f, "{status}")?;
        }
        let separator = if self.status.is_some() && !self.outcome.is_empty() { ", " } else { "" };
        write!(f, "{separator}{}", self.outcome)
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("at", &self.at)
            .field("client_id", &self.client)
            .field("auth_method", &self.auth_method)
            .field("params", &Fields(&self.params))
            .field("headers", &Fields(&self.headers))
            .field("token", &self.token)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

struct Fields<'f>(&'f [Field]);

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|field| (&field.name, &field.shown))).finish()
    }
}

//! Grants for clients that hold a token from their platform instead of a secret: token exchange (RFC 8693) and JWT assertions
//! as authorization grants (RFC 7523 section 2.1).

use crate::credential::Credential;

/// A grant that presents a token obtained elsewhere: a [`TokenExchange`] or a [`JwtBearer`], for
/// [`ClientCredentialsBuilder::grant`](crate::ClientCredentialsBuilder::grant).
#[derive(Clone, Debug)]
pub struct AssertedGrant {
    pub(super) grant_type: &'static str,
    pub(super) params: Vec<(&'static str, String)>,
    pub(super) secrets: Vec<(&'static str, Credential)>,
}

/// Token exchange (RFC 8693): exchanges a subject token, such as a workload's identity token, for an access token.
///
/// The subject token is read again for each attempt. A JWT whose `exp` has passed is not sent. The client authenticates with
/// its [`ClientAuth`](crate::ClientAuth), often [`anonymous`](crate::ClientAuth::anonymous). The subject token may come from a
/// token source for another server: see [chains](crate::docs::workload#chains).
///
/// ```
/// use client_credentials::{
///     ClientAuth, ClientCredentials, Credential, TokenExchange,
/// };
///
/// let jwt = Credential::file("/var/run/secrets/tokens/exchange");
/// let exchange = TokenExchange::new(jwt)
///     .subject_token_type("urn:ietf:params:oauth:token-type:jwt");
/// let endpoint = "https://sts.example.com/v1/token";
/// let tokens = ClientCredentials::builder(endpoint, ClientAuth::anonymous())
///     .grant(exchange)
///     .audience("https://api.example.com")
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a grant does nothing before it is given to a builder"]
pub struct TokenExchange {
    subject: Credential,
    subject_type: String,
    requested_type: Option<String>,
    actor: Option<(Credential, String)>,
}

impl TokenExchange {
    /// Exchanges this token. Its type is `urn:ietf:params:oauth:token-type:jwt` (RFC 8693 section 3) unless
    /// [`subject_token_type`](Self::subject_token_type) sets another.
    pub fn new(subject_token: impl Into<Credential>) -> Self {
        TokenExchange { subject: subject_token.into(), subject_type: JWT.to_owned(), requested_type: None, actor: None }
    }

    /// Sets `subject_token_type` (RFC 8693 section 2.1).
    pub fn subject_token_type(mut self, uri: impl Into<String>) -> Self {
        self.subject_type = uri.into();
        self
    }

    /// Sets `requested_token_type` (RFC 8693 section 2.1). A response with a different `issued_token_type` is refused with
    /// [`ErrorKind::Response`](crate::ErrorKind::Response). Without this setting the server chooses the type, and types that
    /// RFC 8693 does not define as access tokens (`id_token`, `refresh_token`, `saml1`, `saml2`) are refused. An empty text
    /// counts as not set.
    pub fn requested_token_type(mut self, uri: impl Into<String>) -> Self {
        self.requested_type = Some(uri.into()).filter(|uri| !uri.is_empty());
        self
    }

    /// Sets `actor_token` and its type: the party that acts for the subject (RFC 8693 section 2.1).
    pub fn actor_token(mut self, token: impl Into<Credential>, token_type: impl Into<String>) -> Self {
        self.actor = Some((token.into(), token_type.into()));
        self
    }
}

impl From<TokenExchange> for AssertedGrant {
    fn from(exchange: TokenExchange) -> Self {
        let mut params = vec![("subject_token_type", exchange.subject_type)];
        let mut secrets = vec![("subject_token", exchange.subject)];
        params.extend(exchange.requested_type.map(|uri| ("requested_token_type", uri)));
        if let Some((token, token_type)) = exchange.actor {
            secrets.push(("actor_token", token));
            params.push(("actor_token_type", token_type));
        }
        AssertedGrant { grant_type: TOKEN_EXCHANGE, params, secrets }
    }
}

/// A JWT as an authorization grant (RFC 7523 section 2.1).
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, Credential, JwtBearer};
///
/// let jwt = Credential::file("/run/secrets/tokens/id.jwt");
/// let auth = ClientAuth::none("billing");
/// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth)
///     .grant(JwtBearer::new(jwt))
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a grant does nothing before it is given to a builder"]
pub struct JwtBearer(Credential);

impl JwtBearer {
    /// Creates a grant from `assertion`, which is read again for each attempt.
    pub fn new(assertion: impl Into<Credential>) -> Self {
        JwtBearer(assertion.into())
    }
}

impl From<JwtBearer> for AssertedGrant {
    fn from(JwtBearer(assertion): JwtBearer) -> Self {
        AssertedGrant {
            grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
            params: Vec::new(),
            secrets: vec![("assertion", assertion)],
        }
    }
}

/// RFC 8693 section 2.1.
pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// RFC 8693 section 3.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

//! The builder: setters, checks, assembly.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::ClientCredentials;
use super::asserted::{AssertedGrant, TOKEN_EXCHANGE};
use super::http_client::HttpClient;
use super::server::{Known, Server};
#[cfg(feature = "shared")]
use super::sharing::Sharing;
#[cfg(feature = "tracing")]
use crate::address::Shown;
use crate::address::{NamedHosts, is_loopback};
use crate::cache::{CachePolicy, Cached};
use crate::client_auth::ClientAuth;
use crate::clock::Clock;
use crate::credential::Credential;
#[cfg(feature = "dpop")]
use crate::dpop::DpopKey;
use crate::error::Error;
use crate::event::event;
use crate::exchange::{Exchange, Limits, Reach};
use crate::faults::Faults;
use crate::grant::response::{Requested, Rules};
use crate::grant::{Grant, Ledger, SecretParams};
use crate::observer::{Observer, Observers};
use crate::once::Once;
use crate::retry::{RetryPolicy, Retrying};
#[cfg(feature = "shared")]
use crate::shared::{SealedStore, Shared};
use crate::source::TokenSource;
use crate::step_up::Demands;

/// Builds [`ClientCredentials`]. Every setter is optional, and [`build`](Self::build) checks the whole configuration.
#[must_use = "a builder does nothing before `build()`"]
#[derive(Clone)]
pub struct ClientCredentialsBuilder {
    pub(super) server: Server,
    pub(crate) auth: ClientAuth,
    #[cfg(feature = "dpop")]
    pub(super) dpop: Option<DpopKey>,
    pub(super) grant_type: String,
    pub(super) scopes: Vec<String>,
    pub(super) step_up: Option<Vec<String>>,
    pub(super) audience: Option<String>,
    pub(super) resources: Vec<String>,
    pub(super) authorization_details: Option<serde_json::Value>,
    pub(super) params: Vec<(String, String)>,
    pub(crate) secrets: SecretParams,
    pub(crate) json_body: bool,
    pub(crate) fapi: bool,
    pub(super) client_id_in_body: bool,
    pub(super) headers: Vec<Result<(HeaderName, HeaderValue), String>>,
    pub(crate) plain_hosts: Vec<String>,
    pub(super) http_client: HttpClient,
    /// As far as they are settings.
    pub(crate) rules: Rules,
    pub(crate) retry: RetryPolicy,
    pub(crate) cache: CachePolicy,
    #[cfg(feature = "shared")]
    pub(super) shared: Option<SealedStore>,
    pub(crate) clock: Clock,
    name: Option<String>,
    pub(super) observers: Vec<Arc<dyn Observer>>,
}

impl ClientCredentialsBuilder {
    pub(super) fn new(server: Server, auth: ClientAuth) -> Self {
        ClientCredentialsBuilder {
            server,
            auth,
            #[cfg(feature = "dpop")]
            dpop: None,
            grant_type: "client_credentials".to_owned(),
            scopes: Vec::new(),
            step_up: None,
            audience: None,
            resources: Vec::new(),
            authorization_details: None,
            params: Vec::new(),
            secrets: SecretParams::default(),
            json_body: false,
            fapi: false,
            client_id_in_body: false,
            headers: Vec::new(),
            plain_hosts: Vec::new(),
            http_client: HttpClient::default(),
            rules: Rules::default(),
            retry: RetryPolicy::new(),
            cache: CachePolicy::new(),
            #[cfg(feature = "shared")]
            shared: None,
            clock: Clock::System,
            name: None,
            observers: Vec::new(),
        }
    }
}

/// # The token request
impl ClientCredentialsBuilder {
    /// Adds a scope (RFC 6749 section 3.3), or several separated by spaces. Duplicates are sent once.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Adds several scopes.
    pub fn scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Lists scopes that are requested in addition once the API requires them.
    ///
    /// When an API responds to a request of [`BearerAuth`](crate::BearerAuth) with 403 (or 401) and `insufficient_scope` (RFC 6750
    /// section 3.1), and every scope that it names is listed here, a token for the union is fetched and the request is repeated once
    /// with it. The union is requested from then on; the current token is used until there is a new one. At most
    /// [`forced_refreshes`](crate::CachePolicy::forced_refreshes) such fetches are started, counted apart from rejections. A scope
    /// that the authorization server refuses is left out, and requested again after the next refresh at the earliest. Cannot be
    /// combined with `shared`. Default: none; the response is returned.
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials};
    /// # let auth = ClientAuth::none("billing");
    /// ClientCredentials::builder("https://auth.example.com/token", auth)
    ///     .scope("files:read")
    ///     .step_up(["files:write"])
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn step_up<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.step_up.get_or_insert_default().extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Sets `audience`: the API that the token is for, at Auth0, Ory Hydra and others. An empty one is not sent
    /// (RFC 6749 section 3.2).
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into()).filter(|audience| !audience.is_empty());
        self
    }

    /// Adds a `resource`: the URI of an API that the token is for (RFC 8707). May be called several times.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// Sets `authorization_details`: the permissions requested for the token, as a JSON array (RFC 9396).
    pub fn authorization_details(mut self, details: serde_json::Value) -> Self {
        self.authorization_details = Some(details);
        self
    }

    /// Adds another parameter that this authorization server requires. Its value is sent as it is, even if it is empty.
    ///
    /// Also sets `scope`, `audience`, `resource` or `authorization_details` without checks, for servers that require a value
    /// which the setter refuses, such as a `resource` that is not a URI (Databricks and SharePoint at Entra ID v1).
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// Sets `grant_type`, for servers that use another name for the grant (Zoom: `account_credentials`). Default:
    /// `client_credentials`.
    pub fn grant_type(mut self, grant_type: impl Into<String>) -> Self {
        self.grant_type = grant_type.into();
        self
    }

    /// Adds another parameter whose value is secret. The value is read again for each attempt, wiped after use, masked in
    /// texts from the server, and never printed.
    pub fn secret_param(mut self, name: impl Into<String>, value: impl Into<Credential>) -> Self {
        self.secrets.0.push((name.into(), value.into()));
        self
    }

    /// Uses a grant that presents a token obtained elsewhere: token exchange ([`TokenExchange`](crate::TokenExchange), RFC
    /// 8693) or a JWT assertion ([`JwtBearer`](crate::JwtBearer), RFC 7523 section 2.1).
    ///
    /// If the server refuses an assertion (`invalid_grant`; for a token exchange also `invalid_request`, RFC 8693 section
    /// 2.2.2), the assertion is read again and sent once more if it has changed.
    /// If there are several ([`Credential::or`](crate::Credential::or)), each is tried once. A JWT whose `exp` has passed is
    /// not sent: the error of kind [`ErrorKind::Credential`](crate::ErrorKind::Credential) states when it expired, and the
    /// next attempt reads it again.
    pub fn grant(mut self, grant: impl Into<AssertedGrant>) -> Self {
        let AssertedGrant { grant_type, params, secrets } = grant.into();
        self.grant_type = grant_type.to_owned();
        self.params.extend(params.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self.secrets.0.extend(secrets.into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// Sends the parameters as a JSON object instead of a form, for token endpoints that expect JSON (Google STS, OpenAI,
    /// Anthropic). Default: false.
    pub fn json_body(mut self, json: bool) -> Self {
        self.json_body = json;
        self
    }

    /// Also sends `client_id` in the form, in addition to the `Authorization` header or a signed assertion. Some servers
    /// require it (Spring Authorization Server; Entra ID with assertions), others refuse it. Default: false.
    pub fn client_id_in_body(mut self, send: bool) -> Self {
        self.client_id_in_body = send;
        self
    }

    /// Requests tokens that are bound to `key` and unusable without it (RFC 9449). Bearer tokens are then refused.
    ///
    /// [`BearerAuth`](crate::BearerAuth) adds a proof to each request; with other clients, use
    /// [`AccessToken::request_headers`](crate::AccessToken::request_headers). The client that calls the API must not follow
    /// redirects, because a proof is valid for one URL only.
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials, DpopKey};
    /// # let auth = ClientAuth::none("billing");
    /// ClientCredentials::builder("https://auth.example.com/token", auth)
    ///     .dpop(DpopKey::generate())
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    #[cfg(feature = "dpop")]
    pub fn dpop(mut self, key: impl Into<DpopKey>) -> Self {
        self.dpop = Some(key.into().with_fapi(self.fapi));
        self
    }

    /// Adds a header to the token request. It replaces a header of the same name that this crate would send.
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials};
    /// # let auth = ClientAuth::none("billing");
    /// ClientCredentials::builder("https://auth.example.com/token", auth)
    ///     .header("user-agent", "billing/2.1")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let header = match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            (Ok(name), Err(_)) => Err(format!("{name} has a value with a character that headers cannot carry")),
            (Err(_), _) => Err("has a name that no header can have".to_owned()),
        };
        self.headers.push(header);
        self
    }
}

/// # Accepted responses
impl ClientCredentialsBuilder {
    /// Refuses responses that violate RFC 6749 in ways that are harmless and accepted otherwise, as FAPI requires: a status
    /// other than 200, a content type other than `application/json`, a missing `token_type`, an `expires_in` that is not an
    /// integer, a token that is not a b64token, a `scope` that is not a string. Default: false.
    pub fn strict(mut self, strict: bool) -> Self {
        self.rules.strict = strict;
        self
    }

    /// Enforces what the FAPI 2.0 Security Profile requires of a confidential client: [strict](Self::strict) responses,
    /// authentication by `private_key_jwt` or mutual TLS, sender-constrained tokens (DPoP or mutual TLS), the issuer as the
    /// audience of assertions, and PS256, ES256 or EdDSA for assertions and proofs. An RSA key signs with PS256 unless another
    /// algorithm is set; a key for an algorithm outside the profile is refused. `build()` reports what is missing; for a key in a
    /// file, the first fetch does. Default: false.
    pub fn fapi(mut self, fapi: bool) -> Self {
        self.fapi = fapi;
        #[cfg(feature = "jwt")]
        {
            self.auth = self.auth.with_fapi(fapi);
        }
        #[cfg(feature = "dpop")]
        {
            self.dpop = self.dpop.map(|key| key.with_fapi(fapi));
        }
        self
    }

    /// Refuses tokens whose scope is narrower than the requested one. Default: false;
    /// [`AccessToken::scope`](crate::AccessToken::scope) returns the granted scope.
    pub fn refuse_narrower_scope(mut self, refuse: bool) -> Self {
        self.rules.refuse_narrower_scope = refuse;
        self
    }

    /// Accepts another `token_type` as a name for bearer tokens (eBay: `Application Access Token`); such tokens are sent as
    /// `Bearer`. Case does not matter. May be called several times. `Bearer` and, unless [`strict`](Self::strict) is set,
    /// `BearerToken` are always accepted. `build()` refuses types that are not bearer tokens (`DPoP`, `mac`, `PoP`, `N_A`).
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials};
    /// # let auth = ClientAuth::none("billing");
    /// ClientCredentials::builder("https://auth.example.com/token", auth)
    ///     .token_type("Application Access Token")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn token_type(mut self, name: impl Into<String>) -> Self {
        self.rules.token_types.push(name.into());
        self
    }
}

/// # The connection to the authorization server
impl ClientCredentialsBuilder {
    /// Sets how long one token request may take and how much of a response is read.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.rules.limits = limits;
        self
    }

    /// Sets the HTTP client, for proxies, root certificates and DNS.
    ///
    /// Sources with clones of one [`HttpClient`] share its TLS configuration and the metadata of issuers. Sources without one
    /// share the default of the process.
    pub fn http_client(mut self, http_client: HttpClient) -> Self {
        self.http_client = http_client;
        self
    }

    /// Accepts plain `http` for this host, for example a service name in a compose file, or a host behind a service mesh that
    /// encrypts the traffic.
    ///
    /// Anyone on the network path can read the secret and the tokens.
    pub fn dangerously_allow_http(mut self, host: impl Into<String>) -> Self {
        self.plain_hosts.push(host.into());
        self
    }
}

/// # Operation
impl ClientCredentialsBuilder {
    /// Sets the name of the source in events, metrics, errors and its status, for example `billing`. Default: the host of the
    /// token endpoint and a number.
    ///
    /// The name is a metric label: use few distinct values and nothing secret.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Also sends the events of this source to `observer`, besides `tracing` and `metrics` if these features are enabled. May
    /// be called several times.
    pub fn observe(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }
}

/// # Caching and retries
impl ClientCredentialsBuilder {
    /// Sets when tokens are refreshed, how long a fetch may take, and how long to wait after a failed fetch.
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.cache = policy;
        self
    }

    /// Sets the number of attempts within one fetch and the waits between them.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Shares the token with all processes that have the same store, seal key and configuration (feature `shared`), so that a
    /// fleet requests as many tokens as a single process.
    ///
    /// Sources whose configuration differs in anything that affects the token (issuer, endpoint or API, client, method, scope,
    /// audience, resources, authorization details, parameters, headers except `User-Agent`, the certificate of mutual TLS, the
    /// key of DPoP), or in what is accepted ([`strict`](Self::strict),
    /// [`refuse_narrower_scope`](Self::refuse_narrower_scope)), do not share it. The secret or assertion may differ, and so may
    /// the values of [`secret_param`](Self::secret_param) and the token of a [`grant`](Self::grant): each replica has its own,
    /// for the same identity. For tokens of several users or subjects, use a store for each. If the store fails, a fetch takes
    /// up to 100 ms longer now and then, and still returns a token. See [`Shared`](crate::Shared) and the
    /// [guide](crate::docs::sharing).
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// use client_credentials::{FileStore, SealedStore};
    ///
    /// let seal_key = Credential::file("/run/secrets/seal-key");
    /// let store = SealedStore::new(FileStore::new("/var/cache/billing"), seal_key);
    /// let secret = Credential::file("/run/secrets/client-secret");
    /// let auth = ClientAuth::client_secret_basic("billing", secret);
    /// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth)
    ///     .shared(store)
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    #[cfg(feature = "shared")]
    pub fn shared(mut self, store: SealedStore) -> Self {
        self.shared = Some(store);
        self
    }

    /// Uses this clock instead of the system clock (feature `test-util`).
    #[cfg(feature = "test-util")]
    pub fn clock(mut self, clock: &crate::clock::ManualClock) -> Self {
        self.clock = Clock::Manual(clock.clone());
        self
    }
}

impl ClientCredentialsBuilder {
    /// Checks the configuration and assembles the source. Does no I/O except reading the system's root certificates, and works
    /// outside a runtime, for example in a `LazyLock`.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, ErrorKind};
    ///
    /// let auth = ClientAuth::client_secret_basic("", "secret");
    /// let builder = ClientCredentials::builder("http://auth.example.com/token", auth);
    /// let error = builder.build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Configuration);
    /// assert!(error.to_string().contains("client_id"));
    /// assert!(error.to_string().contains("token_endpoint"));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration). The text lists all faults.
    pub fn build(mut self) -> Result<ClientCredentials, Error> {
        let mut faults = Faults::default();
        let (located, params, headers) = self.checked(&mut faults);
        let located = faults.none_in("the configuration", located)?;
        if let Some(_plain) = located.plain.filter(|url| !is_loopback(url)) {
            event!(warn, url = %Shown(&_plain), "the client secret and the tokens cross the network unencrypted");
        }
        self.cache.takeover_after.get_or_insert(self.rules.limits.attempt_timeout);
        self.rules.strict |= self.fapi;
        self.rules.demands = self.demands();
        // Whether it was set by `grant` or by single parameters.
        self.rules.exchange = (params.get("grant_type") == Some(TOKEN_EXCHANGE))
            .then(|| Requested(params.get("requested_token_type").map(Into::into)));
        #[cfg(feature = "shared")]
        let sharing = self.sharing(&located.first, &params, &headers);
        let exchange = self.exchange_with(&located.first, &headers, located.named_hosts)?;
        let is_bound = self.is_bound() || self.auth.is_mutual_tls();
        let host = located.first.host_str().unwrap_or_default();
        let observers = match self.name {
            Some(name) => Observers::new(name, self.observers),
            None => Observers::unnamed(host).with(self.observers),
        };
        let ledger = Arc::new(Ledger::default());
        let demands = self.rules.demands.clone();
        let grant = Grant {
            exchange,
            endpoint: located.endpoint,
            auth: self.auth,
            params,
            secrets: self.secrets,
            json_body: self.json_body,
            rules: self.rules,
            #[cfg(feature = "dpop")]
            dpop: self.dpop,
            is_bound,
            clock: self.clock.clone(),
            ledger: Arc::clone(&ledger),
            observers: observers.clone(),
            narrower: Once::default(),
            unlisted: Once::default(),
        };
        let source = Retrying { source: grant, policy: self.retry, fetch_timeout: self.cache.fetch_timeout };
        let source: Box<dyn TokenSource> = Box::new(source);
        #[cfg(feature = "shared")]
        let source = match sharing {
            Some(Sharing { store, key, bound_to }) => {
                let (policy, clock) = (self.cache.clone(), self.clock.clone());
                Box::new(Shared::assemble(source, store, key, bound_to, policy, clock, observers.clone()))
            }
            None => source,
        };
        let tokens = Cached::watched(Arc::new(source), self.cache, self.clock, fastrand::Rng::new(), observers);
        if let Some(demands) = demands {
            demands.bind(tokens.renewer());
        }
        Ok(ClientCredentials { tokens, ledger })
    }

    /// An exchange whose first request goes to `first`.
    pub(super) fn exchange_with(
        &self,
        first: &Url,
        headers: &HeaderMap,
        named_hosts: Option<NamedHosts>,
    ) -> Result<Exchange, Error> {
        let reach = Reach { limits: self.rules.limits, named_hosts };
        Exchange::new(self.http_client.clients().clone(), first, headers, reach, self.clock.clone())
    }

    /// Collects the scopes that the API requires; `None` without step-up.
    pub(super) fn demands(&self) -> Option<Arc<Demands>> {
        let is_any = matches!(&self.server.0, Known::Resource(api) if api.scoped);
        let allowed = self.step_up.clone().filter(|_| !is_any);
        (is_any || allowed.is_some()).then(|| Arc::new(Demands::new(allowed)))
    }
}

impl fmt::Debug for ClientCredentialsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentialsBuilder")
            .field("server", &self.server)
            .field("auth", &self.auth)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

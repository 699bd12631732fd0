//! The setters, and what `build()` makes of them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::ClientCredentials;
use super::check::Faults;
use super::place::Place;
#[cfg(feature = "dpop")]
use crate::DpopKey;
use crate::Error;
use crate::cache::clock::Clock;
use crate::cache::{self, Backoff, Cached};
use crate::client_auth::ClientAuth;
use crate::event::event;
use crate::exchange::{self, Exchange, HttpClient, is_loopback};
use crate::grant::response::Rules;
use crate::grant::{Grant, Ledger};
use crate::retry::{self, Retrying};
#[expect(unused_imports, reason = "for the docs")]
use crate::{AccessToken, ErrorKind, TokenSource};

/// Builds [`ClientCredentials`]: every setter is optional; [`build`](Self::build) checks everything.
#[must_use = "a builder does nothing before `build()`"]
#[derive(Clone)]
pub struct ClientCredentialsBuilder {
    pub(super) place: Place,
    pub(super) auth: ClientAuth,
    pub(super) issuer: Option<String>,
    #[cfg(feature = "dpop")]
    pub(super) dpop: Option<DpopKey>,
    pub(super) grant_type: String,
    pub(super) scopes: Vec<String>,
    pub(super) audience: Option<String>,
    pub(super) resources: Vec<String>,
    pub(super) authorization_details: Option<serde_json::Value>,
    pub(super) params: Vec<(String, String)>,
    pub(super) client_id_in_body: bool,
    pub(super) headers: Vec<(String, String)>,
    pub(super) plain_hosts: Vec<String>,
    pub(super) metadata_lifetime: Option<Duration>,
    pub(super) pinned_origin: Option<String>,
    #[cfg(feature = "shared")]
    pub(super) shared: Option<crate::SealedStore>,
    pub(super) http_client: HttpClient,
    pub(super) rules: Rules,
    pub(super) exchange: exchange::Settings,
    pub(super) retry: retry::Settings,
    pub(super) cache: cache::Settings,
    /// Setters that do not belong to the place.
    pub(super) misplaced: Vec<&'static str>,
    pub(super) clock: Clock,
    /// Setters that were given a zero where it makes no sense.
    pub(super) zero_durations: BTreeSet<&'static str>,
}

impl ClientCredentialsBuilder {
    pub(super) fn new(place: Place, auth: ClientAuth) -> Self {
        ClientCredentialsBuilder {
            place,
            auth,
            issuer: None,
            #[cfg(feature = "dpop")]
            dpop: None,
            grant_type: "client_credentials".to_owned(),
            scopes: Vec::new(),
            audience: None,
            resources: Vec::new(),
            authorization_details: None,
            params: Vec::new(),
            client_id_in_body: false,
            headers: Vec::new(),
            plain_hosts: Vec::new(),
            metadata_lifetime: None,
            pinned_origin: None,
            #[cfg(feature = "shared")]
            shared: None,
            http_client: HttpClient::default(),
            rules: Rules::default(),
            exchange: exchange::Settings::default(),
            retry: retry::Settings::default(),
            cache: cache::Settings::default(),
            misplaced: Vec::new(),
            clock: Clock::System,
            zero_durations: BTreeSet::new(),
        }
    }
}

/// # What is asked for
impl ClientCredentialsBuilder {
    /// Adds a scope (RFC 6749 section 3.3), or several separated by spaces.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Adds scopes.
    pub fn scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// `audience`: which API the token is for, at Auth0, Ory Hydra and others.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// `resource`: the URI of the API that the token is for (RFC 8707). May be called several times.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// `authorization_details`: what the token is to allow, as a JSON array (RFC 9396).
    pub fn authorization_details(mut self, details: serde_json::Value) -> Self {
        self.authorization_details = Some(details);
        self
    }

    /// Another parameter that this authorization server needs.
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// Replaces `grant_type=client_credentials`, for servers that call the same thing otherwise (Zoom:
    /// `account_credentials`).
    pub fn grant_type(mut self, grant_type: impl Into<String>) -> Self {
        self.grant_type = grant_type.into();
        self
    }

    /// Sends `client_id` in the form too, beside the `Authorization` header or a signed assertion. Some servers demand it
    /// (Spring Authorization Server; Entra ID beside assertions), some refuse it.
    pub fn client_id_in_body(mut self) -> Self {
        self.client_id_in_body = true;
        self
    }

    /// Asks for tokens that are bound to `key` and of no use without it (RFC 9449); a bearer token is then refused.
    ///
    /// [`BearerAuth`](crate::BearerAuth) presents such a token by itself, with a proof for each request; other clients use
    /// [`AccessToken::request_headers`]. Redirects of the client that calls the API have to be off: a proof is for one URL.
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials, DpopKey};
    /// # let auth = ClientAuth::none("billing");
    /// ClientCredentials::builder("https://auth.example.com/token", auth).dpop(DpopKey::generate()).build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    #[cfg(feature = "dpop")]
    #[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
    pub fn dpop(mut self, key: impl Into<DpopKey>) -> Self {
        self.dpop = Some(key.into());
        self
    }

    /// A header of the token request, instead of ours if it has the same name.
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials};
    /// # let auth = ClientAuth::none("billing");
    /// ClientCredentials::builder("https://auth.example.com/token", auth).header("user-agent", "billing/2.1").build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.headers.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }
}

/// # What is accepted
impl ClientCredentialsBuilder {
    /// Refuses responses that break RFC 6749 where leniency would be safe, as FAPI demands: another status than 200,
    /// another content type than `application/json`, no `token_type`, `expires_in` that is not a whole number, a
    /// token that is no b64token, `scope` that is not a string.
    pub fn strict(mut self) -> Self {
        self.rules.strict = true;
        self
    }

    /// Makes a narrower scope than the one asked for an error. By default it is accepted, and
    /// [`AccessToken::scope`] tells what was granted.
    pub fn refuse_narrower_scope(mut self) -> Self {
        self.rules.refuse_narrower_scope = true;
        self
    }

    /// The largest response that is read. Default: 256 KiB.
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.exchange.largest_response = bytes;
        self
    }

    /// The longest access token. Default: 64 KiB.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.rules.longest_token = bytes;
        self
    }

    /// How much of a server's error text is kept. Default: 256 characters.
    pub fn max_error_text(mut self, characters: usize) -> Self {
        self.rules.longest_error_text = characters;
        self
    }
}

/// # How the authorization server is reached
impl ClientCredentialsBuilder {
    /// Who the authorization server is (RFC 8414 section 2), exactly as it spells itself: the audience of the
    /// assertions of `private_key_jwt` and `client_secret_jwt`.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials};
    /// let auth = ClientAuth::client_secret_jwt("billing", "a secret that is 32 characters long");
    /// ClientCredentials::builder("https://auth.example.com/token", auth).issuer("https://auth.example.com").build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    #[cfg(feature = "jwt")]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Yields the builder of the HTTP client: for proxies, root certificates, DNS.
    ///
    /// It is finished by us: no redirects, no decompression, no referer, no idle connections, no proxy for loopback
    /// or plain `http`, our timeouts, certificates verified. What cannot be undone, and is yours to leave out: a
    /// cookie store, default headers such as `Authorization` or `Host`, a TLS stack of your own
    /// (`tls_backend_preconfigured`; without the feature `rustls` also `tls_danger_..`). A `User-Agent` is set with
    /// [`header`](Self::header).
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials};
    /// # let auth = ClientAuth::none("billing");
    /// ClientCredentials::builder("https://auth.example.com/token", auth)
    ///     .http_client(|| reqwest::Client::builder().local_address(std::net::IpAddr::from([0, 0, 0, 0])))
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// Clones of this builder share the clients that are made of it, and so do sources that are given clones of one
    /// [`HttpClient`]: for thousands of sources in a process. Those that are given none share one too.
    pub fn http_client(mut self, builder: impl Into<HttpClient>) -> Self {
        self.http_client = builder.into();
        self
    }

    /// Accepts plain `http` for this host: a name in a compose file, a service mesh that encrypts underneath.
    ///
    /// The secret and the tokens are readable to everybody on the way.
    pub fn dangerously_allow_http(mut self, host: impl Into<String>) -> Self {
        self.plain_hosts.push(host.into());
        self
    }

    /// How long connecting may take, TLS included. Default: 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.exchange.connect_timeout = self.nonzero("connect_timeout", limit);
        self
    }

    /// How long one attempt may take as a whole. Default: 10 s.
    pub fn attempt_timeout(mut self, limit: Duration) -> Self {
        let limit = self.nonzero("attempt_timeout", limit);
        self.exchange.attempt_timeout = limit;
        self.cache.attempt_timeout = limit;
        self
    }

    /// How long a flight may take: all attempts, the waits between them, reading the credential. Default: 30 s.
    pub fn flight_deadline(mut self, limit: Duration) -> Self {
        let limit = self.nonzero("flight_deadline", limit);
        self.cache.flight_deadline = limit;
        self.retry.deadline = limit;
        self
    }

    /// How often a flight tries; at least once. Default: 3.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.retry.attempts = attempts.max(1);
        self
    }

    /// The wait between the attempts of a flight: a random part of `first`, doubling to `most`.
    /// Default: 200 ms, 5 s.
    pub fn attempt_backoff(mut self, first: Duration, most: Duration) -> Self {
        self.retry.backoff = Backoff::new(first, most);
        self
    }

    /// Up to which `Retry-After` a flight waits itself instead of failing. Default: 5 s.
    pub fn attempt_retry_after_limit(mut self, limit: Duration) -> Self {
        self.retry.longest_retry_after = limit;
        self
    }
}

impl ClientCredentialsBuilder {
    /// Checks everything and assembles the source. No I/O but for the system's root certificates; works outside a
    /// runtime, and in a `LazyLock`.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, ErrorKind};
    ///
    /// let auth = ClientAuth::client_secret_basic("", "secret");
    /// let error = ClientCredentials::builder("http://auth.example.com/token", auth).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Configuration);
    /// assert!(error.to_string().contains("client_id") && error.to_string().contains("token_endpoint"));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`], whose text names every fault at once.
    pub fn build(mut self) -> Result<ClientCredentials, Error> {
        let mut faults = Faults::default();
        let located = self.locate(&mut faults);
        #[cfg(feature = "jwt")]
        self.check_audience(&mut faults);
        for setter in &self.misplaced {
            faults.add(setter, "is for for_resource");
        }
        for (field, flaw) in self.auth.faults() {
            faults.add(field, flaw);
        }
        #[cfg(feature = "dpop")]
        if let Some(flaw) = self.dpop.as_ref().and_then(DpopKey::fault) {
            faults.add("dpop", flaw);
        }
        for setter in &self.zero_durations {
            faults.add(setter, "must be more than zero");
        }
        #[cfg(feature = "shared")]
        self.check_sharing(&mut faults);
        let params = self.wire_params(&mut faults);
        self.check_headers(&mut faults);
        let located = match located {
            Some(located) if faults.0.is_empty() => located,
            _ => return Err(faults.into_error()),
        };
        if let Some(_plain) = located.plain.filter(|url| !is_loopback(url)) {
            event!(warn, url = %exchange::Shown(&_plain), "the client secret and the tokens cross the network unencrypted");
        }
        #[cfg(feature = "shared")]
        let sharing = super::sharing::Sharing::of(&mut self, &located.first, &params);
        self.rules.asked_scope = params.scope().map(Into::into);
        let ledger = Arc::new(Ledger::default());
        let grant = Grant {
            exchange: Exchange::new(self.http_client, &located.first, self.exchange)?,
            endpoint: located.endpoint,
            auth: self.auth,
            params,
            rules: self.rules,
            #[cfg(feature = "dpop")]
            dpop: self.dpop,
            clock: self.clock.clone(),
            ledger: Arc::clone(&ledger),
            told_scope: AtomicBool::new(false),
        };
        let source = Retrying { source: grant, settings: self.retry };
        #[cfg(feature = "shared")]
        let source = super::sharing::Sharing::around(sharing, source, self.clock.clone());
        let cached = Cached::assemble(Arc::new(source), self.cache, self.clock, fastrand::Rng::new());
        Ok(ClientCredentials(cached, ledger))
    }
}

impl fmt::Debug for ClientCredentialsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the endpoint as given: it may have a secret in its query or before its host.
        f.debug_struct("ClientCredentialsBuilder")
            .field("auth", &self.auth)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

//! The server as a test sees it.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use http::HeaderMap;

use super::authentication::Known;
use super::message::Incoming;
use super::serving::{Acceptor, Serving};
use super::story::story;
use super::world::{Stage, World, count};
use super::{Answer, Endpoint, Quirk, RecordedRequest, api};
use crate::clock::Clock;
use crate::clock::ManualClock;
use crate::token::AccessToken;

/// A scripted authorization server on loopback, with an API that it protects.
///
/// It serves HTTP/1.1 on two ports of 127.0.0.1 from its own thread, so it works with every client and runtime, in synchronous
/// tests, and while a test's runtime is blocked or its clock is paused. Clones share the server; when the last one is dropped,
/// the thread ends and the ports are closed.
///
/// If a test panics, the server prints the requests it received ([`story`](Self::story)) when it is dropped.
///
/// ```
/// use client_credentials::testing::{Answer, AuthorizationServer};
/// use client_credentials::{ClientAuth, ClientCredentials, ErrorKind, ManualClock};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let clock = ManualClock::new();
/// let server = AuthorizationServer::start()
///     .client("billing", "a secret")
///     .clock(&clock);
/// let auth = ClientAuth::client_secret_basic("billing", "a secret");
/// let tokens = ClientCredentials::builder(server.token_url(), auth)
///     .clock(&clock)
///     .build()?;
/// tokens.token().await?;
///
/// server.until_changed(Answer::Refuse("invalid_client"));
/// clock.advance(Duration::from_secs(3600));
/// let error = tokens.token().await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Denied);
///
/// server.until_changed(Answer::Token);
/// clock.advance(Duration::from_secs(60));
/// tokens.token().await?;
/// # Ok::<(), client_credentials::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Checks
///
/// While no client is registered ([`client`](Self::client)), every request gets a token. Otherwise the client must
/// authenticate with `client_secret_basic`, `client_secret_post`, `client_secret_jwt` or `private_key_jwt` (feature `jwt`),
/// `tls_client_auth` (over HTTPS) or `none`. The grants are client credentials, token exchange (RFC 8693) and JWT bearer (RFC
/// 7523 section 2.1); the assertions of the latter two are not verified. A proof (RFC 9449, feature `dpop`) or a certificate
/// (RFC 8705) binds the token.
#[derive(Clone)]
pub struct AuthorizationServer {
    world: Arc<World>,
    serving: Arc<Serving>,
}

/// # Start
impl AuthorizationServer {
    /// Starts a server on ports that the system chooses.
    ///
    /// # Panics
    ///
    /// Panics if the system refuses a port of 127.0.0.1 or a thread.
    #[must_use]
    pub fn start() -> Self {
        AuthorizationServer::serve(Ok(None))
    }

    /// Starts a server over HTTPS, with a certificate for `localhost`, `127.0.0.1` and `::1` signed by
    /// [`CA_PEM`](super::CA_PEM).
    ///
    /// It requests a client certificate, such as one of [`CLIENT_CERTIFICATES`](super::CLIENT_CERTIFICATES), but does not
    /// require it. Tokens requested with a certificate are bound to it.
    ///
    /// ```
    /// use client_credentials::testing::{AuthorizationServer, CA_PEM};
    /// use client_credentials::{ClientAuth, ClientCredentials, HttpClient};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let server = AuthorizationServer::start_https();
    /// let ca = reqwest::Certificate::from_pem(CA_PEM.as_bytes())?;
    /// let auth = ClientAuth::client_secret_basic("billing", "a secret");
    /// let tokens = ClientCredentials::builder(server.token_url(), auth)
    ///     .http_client(HttpClient::from_reqwest_0_13(move || {
    ///         reqwest::Client::builder().tls_certs_only([ca.clone()])
    ///     }))
    ///     .build()?;
    /// tokens.token().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// The same as [`start`](Self::start).
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn start_https() -> Self {
        AuthorizationServer::serve(super::certificates::acceptor().map(Some).map_err(io::Error::other))
    }

    #[expect(clippy::panic, reason = "documented where it is called: a test has no use for an error")]
    fn serve(tls: io::Result<Option<Acceptor>>) -> Self {
        match tls.and_then(Serving::start) {
            Ok((serving, world)) => AuthorizationServer { world, serving: Arc::new(serving) },
            Err(error) => panic!("the authorization server of the test cannot start: {error}"),
        }
    }
}

/// # Addresses
impl AuthorizationServer {
    /// Returns the URL of the token endpoint.
    pub fn token_url(&self) -> &str {
        &self.world.token_url
    }

    /// Returns the issuer (scheme, host and port), which has metadata by RFC 8414 and OpenID Connect discovery.
    pub fn issuer(&self) -> &str {
        &self.world.issuer
    }

    /// Returns the origin of the protected API: scheme, host and port.
    ///
    /// Every path returns JSON about the request, or the body set with [`serve_at`](Self::serve_at); without a valid token it
    /// returns a challenge. The metadata (RFC 9728) names the issuer.
    pub fn api_origin(&self) -> &str {
        &self.world.api
    }
}

/// # Configuration
impl AuthorizationServer {
    /// Registers a client with a secret.
    #[must_use]
    pub fn client(self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.register(id, Known::Secret(secret.into()))
    }

    /// Registers a client without a credential (`none`), or with a certificate (`tls_client_auth`).
    #[must_use]
    pub fn public_client(self, id: impl Into<String>) -> Self {
        self.register(id, Known::Public)
    }

    /// Registers a client with a public key, in PEM (elliptic curves only) or as a JWK, for `private_key_jwt`.
    ///
    /// # Panics
    ///
    /// Panics if it is not a public key.
    #[cfg(feature = "jwt")]
    #[must_use]
    #[expect(clippy::panic, reason = "documented: the test is wrong")]
    pub fn client_with_key(self, id: impl Into<String>, public_key: &str) -> Self {
        match crate::signing::PublicJwk::parse(public_key) {
            Ok(key) => self.register(id, Known::Key(key)),
            Err(flaw) => panic!("the public key of the client {flaw}"),
        }
    }

    fn register(self, id: impl Into<String>, credential: Known) -> Self {
        self.world.state().clients.insert(id.into(), credential);
        self
    }

    /// Sets the allowed scopes, which clients also get if they request none. By default clients get the scopes that they
    /// request.
    #[must_use]
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.world.state().scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the lifetime of tokens, sent in whole seconds. Default: 1 h.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.world.state().lifetime = Some(lifetime);
        self
    }

    /// Issues tokens that do not expire, without `expires_in`.
    #[must_use]
    pub fn endless(self) -> Self {
        self.world.state().lifetime = None;
        self
    }

    /// Uses this clock for expiry, signed data, the times in the story, and `Date`. Pass it to the source as well.
    #[must_use]
    pub fn clock(self, clock: &ManualClock) -> Self {
        self.world.state().set_clock(Clock::Manual(clock.clone()));
        self
    }

    /// Imitates the deviations of this server.
    #[must_use]
    pub fn quirk(self, quirk: Quirk) -> Self {
        self.world.state().quirk = Some(quirk);
        self
    }

    /// Issues access tokens as JWTs (RFC 9068), signed with ES256 by a new key that `jwks_uri` publishes.
    ///
    /// # Panics
    ///
    /// Panics if the system has no random numbers.
    #[cfg(feature = "jwt")]
    #[must_use]
    #[expect(clippy::panic, reason = "documented: there is nothing that a test could do without")]
    pub fn jwt_tokens(self) -> Self {
        let Some(key) = crate::signing::SigningKey::generate() else { panic!("the system gives no random numbers") };
        self.world.state().token_key = Some(key);
        self
    }

    /// Requires a nonce in DPoP proofs (RFC 9449 sections 8 and 9), at both endpoints.
    #[cfg(feature = "dpop")]
    #[must_use]
    pub fn dpop_nonces(self) -> Self {
        self.change_dpop_nonce();
        self
    }

    /// Makes the API accept only tokens for this `audience` or `resource`.
    #[must_use]
    pub fn api_audience(self, audience: impl Into<String>) -> Self {
        self.world.state().audience = Some(audience.into());
        self
    }

    /// Makes the API accept only tokens with this scope; others get 403 and `insufficient_scope`.
    #[must_use]
    pub fn api_scope(self, scope: impl Into<String>) -> Self {
        self.world.state().api_scope = Some(scope.into());
        self
    }

    /// Sets the JSON that the API returns at this path to requests with a valid token.
    ///
    /// ```
    /// use client_credentials::testing::AuthorizationServer;
    /// let server =
    ///     AuthorizationServer::start().serve_at("/invoices", r#"[{"id": 1}]"#);
    /// ```
    #[must_use]
    pub fn serve_at(self, path: impl Into<String>, body: impl Into<String>) -> Self {
        self.world.state().resources.push((path.into(), body.into()));
        self
    }
}

/// # Events during a test
impl AuthorizationServer {
    /// Sets the response to the next token request. Several calls are used in order.
    pub fn next(&self, answer: Answer) -> &Self {
        self.next_at(Endpoint::Token, answer)
    }

    /// Sets the response to all token requests after those of [`next`](Self::next).
    ///
    /// `Answer::Status(503)` simulates an outage, and `Answer::Token` ends it.
    pub fn until_changed(&self, answer: Answer) -> &Self {
        self.until_changed_at(Endpoint::Token, answer)
    }

    /// The same as [`next`](Self::next), for any endpoint.
    pub fn next_at(&self, endpoint: Endpoint, answer: Answer) -> &Self {
        self.world.state().script(endpoint).next.push_back(answer);
        self
    }

    /// The same as [`until_changed`](Self::until_changed), for any endpoint.
    pub fn until_changed_at(&self, endpoint: Endpoint, answer: Answer) -> &Self {
        self.answer_by(endpoint, move |_| answer.clone())
    }

    /// The same as [`until_changed_at`](Self::until_changed_at), with a response that depends on the request.
    ///
    /// The server keeps `decide`, so a closure with a handle of the server keeps it running forever. If it panics, the panic
    /// is printed and the connection ends.
    ///
    /// ```
    /// use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
    ///
    /// let server = AuthorizationServer::start();
    /// server.answer_by(Endpoint::Token, |request| {
    ///     match request.sent("client_secret", "old") {
    ///         true => Answer::Refuse("invalid_client"),
    ///         false => Answer::Token,
    ///     }
    /// });
    /// ```
    pub fn answer_by<F>(&self, endpoint: Endpoint, decide: F) -> &Self
    where
        F: Fn(&RecordedRequest) -> Answer + Send + Sync + 'static,
    {
        self.world.state().script(endpoint).standing = Some(Arc::new(decide));
        self
    }

    /// Makes the API reject all tokens issued so far.
    pub fn revoke_all(&self) {
        self.world.state().register.revoke_all();
    }

    /// Replaces the secret of a client. Tokens already issued stay valid.
    ///
    /// # Panics
    ///
    /// Panics if there is no client with this id and a secret.
    #[expect(clippy::panic, reason = "documented: the test is wrong")]
    pub fn rotate_secret(&self, id: &str, secret: impl Into<String>) {
        let mut state = self.world.state();
        match state.clients.get_mut(id) {
            Some(Known::Secret(current)) => *current = secret.into(),
            _ => {
                drop(state);
                panic!("there is no client {id:?} with a secret")
            }
        }
    }

    /// Changes the nonce that DPoP proofs need.
    #[cfg(feature = "dpop")]
    pub fn change_dpop_nonce(&self) {
        self.world.state().nonce = Some(format!("{:032x}", fastrand::u128(..)));
    }
}

/// # Records
impl AuthorizationServer {
    /// Returns all requests to all endpoints, in order; at most the latest 10 000. [`token_requests`](Self::token_requests) and
    /// [`api_requests`](Self::api_requests) count earlier ones, too.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.world.state().recorded.values().cloned().collect()
    }

    /// Returns how many token requests it has received, answered or not.
    pub fn token_requests(&self) -> usize {
        count(&self.world.counts.borrow(), Endpoint::Token, Stage::Received)
    }

    /// Returns how many requests the API has received, including refused ones.
    pub fn api_requests(&self) -> usize {
        count(&self.world.counts.borrow(), Endpoint::Api, Stage::Received)
    }

    /// Returns how many tokens it has issued.
    pub fn tokens_issued(&self) -> usize {
        self.world.state().register.issued as usize
    }

    /// Returns the number of this token, counted from 1 in the order of issue; `None` if this server did not issue it, or if it
    /// has expired or was revoked and 10 000 tokens were issued since.
    ///
    /// ```
    /// use client_credentials::testing::AuthorizationServer;
    /// use client_credentials::{ClientAuth, ClientCredentials};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// # runtime.block_on(async {
    /// let server = AuthorizationServer::start();
    /// let auth = ClientAuth::client_secret_basic("billing", "a secret");
    /// let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
    /// let first = tokens.token().await?;
    /// assert_eq!(server.number_of(&first), Some(1));
    /// tokens.reject(&first);
    /// assert_eq!(server.number_of(&tokens.token().await?), Some(2));
    /// # Ok::<(), client_credentials::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn number_of(&self, token: &AccessToken) -> Option<u32> {
        let state = self.world.state();
        state.register.find(token.expose_secret()).map(|(number, _)| number)
    }

    /// Returns whether the API would accept a request with these headers, for use in the test's own API.
    ///
    /// For a bound token, the method and URL of the proof and the certificate of the connection are not checked, because the
    /// headers do not contain them.
    ///
    /// ```
    /// use client_credentials::testing::AuthorizationServer;
    /// let server = AuthorizationServer::start();
    /// let headers = http::HeaderMap::new();
    /// assert!(!server.accepts(&headers));
    /// ```
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.headers = headers.clone();
        let request = Incoming { head, body: bytes::Bytes::new(), certificate: None };
        api::check(&mut self.world.state(), &request, None).is_ok()
    }

    /// Waits until an endpoint has received this many requests since the start, even if it has not answered them yet.
    ///
    /// # Panics
    ///
    /// Panics after one minute.
    pub async fn received(&self, endpoint: Endpoint, requests: usize) {
        self.counted(endpoint, Stage::Received, requests, LONGEST_WAIT).await;
    }

    /// Waits until an endpoint has answered this many requests since the start, for example those of a refresh in the
    /// background. The client may not have read the last response yet.
    ///
    /// # Panics
    ///
    /// Panics after one minute.
    pub async fn answered(&self, endpoint: Endpoint, requests: usize) {
        self.counted(endpoint, Stage::Answered, requests, LONGEST_WAIT).await;
    }

    #[expect(clippy::panic, reason = "documented: otherwise the test would hang")]
    async fn counted(&self, endpoint: Endpoint, stage: Stage, wanted: usize, limit: Duration) {
        let mut counts = self.world.counts.subscribe();
        if count(&counts.borrow(), endpoint, stage) >= wanted {
            return;
        }
        // On the server's thread: the clock of the test's runtime may be paused.
        let waiting = self.serving.runtime.spawn(async move {
            let enough = counts.wait_for(|counts| count(counts, endpoint, stage) >= wanted);
            tokio::time::timeout(limit, enough).await.is_ok()
        });
        if !waiting.await.unwrap_or_default() {
            panic!("{wanted} requests were awaited, {} came", count(&self.world.counts.borrow(), endpoint, stage));
        }
    }

    /// Returns one line for each of the latest 100 requests, without secrets, as a failing test prints them.
    ///
    /// ```text
    /// The authorization server http://127.0.0.1:40133 and its API http://127.0.0.1:35947 have seen:
    ///      0.000 s  POST /token  client "billing" by client_secret_basic  ->  200, token 1 for 3600 s
    ///      0.000 s  GET /invoices  with token 1  ->  200
    ///   3600.000 s  POST /token  client "billing" by client_secret_basic  ->  503
    /// ```
    pub fn story(&self) -> String {
        story(&self.world)
    }
}

/// 60 s, only so that a test does not hang.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Drop for AuthorizationServer {
    #[expect(clippy::print_stderr, reason = "where a test that fails is expected to say why")]
    fn drop(&mut self) {
        if std::thread::panicking() && self.world.state().told.first() {
            eprint!("{}", self.story());
        }
    }
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer")
            .field("issuer", &self.world.issuer)
            .field("api_origin", &self.world.api)
            .field("token_requests", &self.token_requests())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "1 requests were awaited, 0 came")]
    async fn a_wait_for_a_request_that_does_not_come_has_an_end() {
        AuthorizationServer::start().counted(Endpoint::Token, Stage::Received, 1, Duration::ZERO).await;
    }
}

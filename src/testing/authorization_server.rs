//! The server as a test sees it.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::oneshot;

use super::authentication::{Client, Known};
use super::message::Incoming;
use super::serving::{Bound, Serving, Tls};
use super::story::story;
use super::world::{Counts, Standing, World};
use super::{Answer, Endpoint, Quirk, RecordedRequest, api};
use crate::clock::Clock;
use crate::clock::ManualClock;
use crate::token::AccessToken;

/// An authorization server on loopback, and an API that it protects, which answer as a test tells them.
///
/// It speaks HTTP/1.1 on two ports of 127.0.0.1, from a thread of its own: it works with every client, in every runtime, in
/// synchronous tests, and while a test's runtime is blocked or its clock is paused. A clone is the same server; when the last one
/// is dropped the thread ends and the ports are closed.
///
/// A test that panics prints what the server has seen ([`story`](Self::story)) when the server is dropped.
///
/// ```
/// use client_credentials::testing::{Answer, AuthorizationServer};
/// use client_credentials::{ClientAuth, ClientCredentials, ErrorKind, ManualClock};
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let clock = ManualClock::new();
/// let server = AuthorizationServer::start().client("billing", "a secret").clock(&clock);
/// let auth = ClientAuth::client_secret_basic("billing", "a secret");
/// let tokens = ClientCredentials::builder(server.token_url(), auth).clock(&clock).build()?;
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
/// # What it checks
///
/// As long as no client is registered ([`client`](Self::client)), everybody gets a token. Otherwise the client has to prove itself:
/// `client_secret_basic`, `client_secret_post`, `client_secret_jwt` and `private_key_jwt` (feature `jwt`), `tls_client_auth` (over
/// HTTPS), `none`. The grants are client credentials, token exchange (RFC 8693) and JWT bearer (RFC 7523 section 2.1), of which
/// it does not judge the assertions. A proof (RFC 9449, feature `dpop`) or a certificate (RFC 8705) binds the token.
#[derive(Clone)]
pub struct AuthorizationServer {
    world: Arc<World>,
    token_url: String,
    serving: Arc<Serving>,
}

/// # Start
impl AuthorizationServer {
    /// Starts it, on ports that the system chooses.
    ///
    /// # Panics
    ///
    /// If the system refuses a port of 127.0.0.1 or a thread: there is nothing that a test could do without.
    #[must_use]
    pub fn start() -> Self {
        AuthorizationServer::serve(Tls::default())
    }

    /// Starts it over HTTPS, with a certificate for `localhost`, `127.0.0.1` and `::1` that [`CA_PEM`](super::CA_PEM) has signed.
    ///
    /// It asks for the client's certificate ([`CLIENT_CERTIFICATES`](super::CLIENT_CERTIFICATES) are such) and does without. What
    /// was requested with one is bound to it.
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
    /// As [`start`](Self::start).
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn start_https() -> Self {
        match super::certificates::acceptor() {
            Ok(acceptor) => AuthorizationServer::serve(Tls(Some(acceptor))),
            Err(error) => cannot_start(error),
        }
    }

    fn serve(tls: Tls) -> Self {
        let started = Bound::new(tls).and_then(|bound| {
            let [issuer, api] = bound.origins();
            let world = World::new(issuer, api);
            Ok((bound.serve(&world)?, world))
        });
        match started {
            Ok((serving, world)) => {
                let token_url = format!("{}/token", world.issuer);
                AuthorizationServer { world, token_url, serving: Arc::new(serving) }
            }
            Err(error) => cannot_start(error),
        }
    }
}

#[expect(clippy::panic, reason = "documented where it is called: a test has no use for an error")]
fn cannot_start(error: impl fmt::Display) -> ! {
    panic!("the authorization server of the test cannot start: {error}")
}

/// # Where it is
impl AuthorizationServer {
    /// The token endpoint.
    pub fn token_url(&self) -> &str {
        &self.token_url
    }

    /// The issuer, with metadata by RFC 8414 and by OpenID Connect discovery: scheme, host and port.
    pub fn issuer(&self) -> &str {
        &self.world.issuer
    }

    /// Where the protected API is: scheme, host and port.
    ///
    /// Every path answers with JSON about the request, or with what [`serve_at`](Self::serve_at) gave it; without a good token with a
    /// challenge. Metadata by RFC 9728 name the issuer.
    pub fn api_origin(&self) -> &str {
        &self.world.api
    }
}

/// # What it expects and issues
impl AuthorizationServer {
    /// Registers a client with a secret.
    #[must_use]
    pub fn client(self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.register(id, Known::Secret(secret.into()))
    }

    /// Registers a client without a credential (`none`), or one that shows a certificate (`tls_client_auth`).
    #[must_use]
    pub fn public_client(self, id: impl Into<String>) -> Self {
        self.register(id, Known::Public)
    }

    /// Registers a client by its public key, in PEM (of an elliptic curve) or as a JWK: for `private_key_jwt`.
    ///
    /// # Panics
    ///
    /// If it is not a public key.
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
        let id = id.into();
        let mut state = self.world.state();
        state.clients.retain(|client| client.id != id);
        state.clients.push(Client { id, credential });
        drop(state);
        self
    }

    /// The scopes that clients may have, and get if they ask for none. Without it they get what they ask for.
    #[must_use]
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.world.state().scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// The lifetime of tokens, in whole seconds on the wire. Default: an hour.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.world.state().lifetime = Some(lifetime);
        self
    }

    /// Tokens do not expire, and their responses have no `expires_in`.
    #[must_use]
    pub fn endless(self) -> Self {
        self.world.state().lifetime = None;
        self
    }

    /// Goes by this clock: expiry, what is signed, the story's times and `Date`. Give it to the source as well.
    #[must_use]
    pub fn clock(self, clock: &ManualClock) -> Self {
        self.world.state().set_clock(Clock::Manual(clock.clone()));
        self
    }

    /// Behaves as this server does.
    #[must_use]
    pub fn quirk(self, quirk: Quirk) -> Self {
        self.world.state().quirk = Some(quirk);
        self
    }

    /// Access tokens are JWTs (RFC 9068), signed with ES256 by a new key that `jwks_uri` has.
    ///
    /// # Panics
    ///
    /// If the system gives no random numbers.
    #[cfg(feature = "jwt")]
    #[must_use]
    #[expect(clippy::panic, reason = "documented: there is nothing that a test could do without")]
    pub fn jwt_tokens(self) -> Self {
        let Some(key) = super::jwt::TokenKey::generate() else { panic!("the system gives no random numbers") };
        self.world.state().token_key = Some(key);
        self
    }

    /// Proofs of possession need a nonce (RFC 9449 sections 8 and 9), at both endpoints.
    #[cfg(feature = "dpop")]
    #[must_use]
    pub fn dpop_nonces(self) -> Self {
        self.change_dpop_nonce();
        self
    }

    /// The API takes tokens for this `audience` or `resource` only.
    #[must_use]
    pub fn api_audience(self, audience: impl Into<String>) -> Self {
        self.world.state().audience = Some(audience.into());
        self
    }

    /// The API takes tokens with this scope only; others are answered with 403 and `insufficient_scope`.
    #[must_use]
    pub fn api_scope(self, scope: impl Into<String>) -> Self {
        self.world.state().api_scope = Some(scope.into());
        self
    }

    /// What the API answers to requests with a good token at this path: JSON.
    ///
    /// ```
    /// use client_credentials::testing::AuthorizationServer;
    /// let server = AuthorizationServer::start().serve_at("/invoices", r#"[{"id": 1}]"#);
    /// ```
    #[must_use]
    pub fn serve_at(self, path: impl Into<String>, body: impl Into<String>) -> Self {
        self.world.state().resources.push((path.into(), body.into()));
        self
    }
}

/// # What happens to it during a test
impl AuthorizationServer {
    /// The next token request is answered this way. Several are answered one after the other.
    pub fn next(&self, answer: Answer) -> &Self {
        self.next_at(Endpoint::Token, answer)
    }

    /// All token requests, after those of [`next`](Self::next), are answered this way.
    ///
    /// `Answer::Status(503)` is an outage, which `Answer::Token` ends.
    pub fn until_changed(&self, answer: Answer) -> &Self {
        self.until_changed_at(Endpoint::Token, answer)
    }

    /// As [`next`](Self::next), at any endpoint.
    pub fn next_at(&self, endpoint: Endpoint, answer: Answer) -> &Self {
        self.world.state().next(endpoint, answer);
        self
    }

    /// As [`until_changed`](Self::until_changed), at any endpoint.
    pub fn until_changed_at(&self, endpoint: Endpoint, answer: Answer) -> &Self {
        self.world.state().until_changed(endpoint, Standing::Answer(answer));
        self
    }

    /// As [`until_changed_at`](Self::until_changed_at), with an answer that depends on the request.
    ///
    /// The server keeps `decide`: one that has a handle of the server keeps it running for ever. A panic in it is printed, and ends the
    /// connection.
    ///
    /// ```
    /// use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
    ///
    /// let server = AuthorizationServer::start();
    /// server.answer_by(Endpoint::Token, |request| match request.sent("client_secret", "old") {
    ///     true => Answer::Refuse("invalid_client"),
    ///     false => Answer::Token,
    /// });
    /// ```
    pub fn answer_by<F>(&self, endpoint: Endpoint, decide: F) -> &Self
    where
        F: Fn(&RecordedRequest) -> Answer + Send + Sync + 'static,
    {
        self.world.state().until_changed(endpoint, Standing::By(Arc::new(decide)));
        self
    }

    /// The API refuses all tokens issued so far, though none has expired.
    pub fn revoke_all(&self) {
        self.world.state().register.revoke_all();
    }

    /// From now on the client has this secret. The tokens that it has stay good.
    ///
    /// # Panics
    ///
    /// If there is no client with this id and a secret.
    #[expect(clippy::panic, reason = "documented: the test is wrong")]
    pub fn rotate_secret(&self, id: &str, secret: impl Into<String>) {
        let mut state = self.world.state();
        let client = state.clients.iter_mut().find(|client| client.id == id);
        match client.map(|client| &mut client.credential) {
            Some(Known::Secret(current)) => *current = secret.into(),
            _ => {
                drop(state);
                panic!("there is no client {id:?} with a secret")
            }
        }
    }

    /// Proofs of possession need another nonce from now on.
    #[cfg(feature = "dpop")]
    pub fn change_dpop_nonce(&self) {
        self.world.state().nonce = Some(format!("{:032x}", fastrand::u128(..)));
    }
}

/// # What it has seen
impl AuthorizationServer {
    /// All requests in order, of all endpoints; the latest 10 000 if there were more.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.world.state().recorded().cloned().collect()
    }

    /// How many token requests it has received, answered or not.
    pub fn token_requests(&self) -> usize {
        self.world.counts.borrow().received(Endpoint::Token)
    }

    /// How many requests the API has received, refused ones included.
    pub fn api_requests(&self) -> usize {
        self.world.counts.borrow().received(Endpoint::Api)
    }

    /// How many tokens it has issued.
    pub fn tokens_issued(&self) -> usize {
        self.world.state().register.len() as usize
    }

    /// Which of its tokens this is, counted from 1 in the order in which they were issued; `None`: it is not one of them.
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

    /// Whether the API would accept a request with these headers: for an API of the test's own.
    ///
    /// Of a bound token, method and URL of the proof and the certificate of the connection are not checked: headers do not tell them.
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

    /// Waits until so many requests were received at an endpoint since the start: they may be unanswered yet.
    ///
    /// # Panics
    ///
    /// After a minute.
    pub async fn received(&self, endpoint: Endpoint, requests: usize) {
        self.counted(requests, |counts| counts.received(endpoint)).await;
    }

    /// Waits until so many requests were answered at an endpoint since the start: for what happens in the background, such as a
    /// refresh. The client may not have read the last answer yet.
    ///
    /// # Panics
    ///
    /// After a minute.
    pub async fn answered(&self, endpoint: Endpoint, requests: usize) {
        self.counted(requests, |counts| counts.answered(endpoint)).await;
    }

    #[expect(clippy::panic, reason = "documented: otherwise the test would hang")]
    async fn counted(&self, wanted: usize, count: impl Fn(&Counts) -> usize) {
        let mut counts = self.world.counts.subscribe();
        // On the server's thread: the clock of the test's runtime may be paused.
        let (guard, timeout) = oneshot::channel::<()>();
        let guard = self.serving.runtime.spawn(async move {
            tokio::time::sleep(LONGEST_WAIT).await;
            drop(guard);
        });
        let mut reached = pin!(counts.wait_for(|counts| count(counts) >= wanted));
        let mut timeout = pin!(timeout);
        poll_fn(|cx| match reached.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending if timeout.as_mut().poll(cx).is_ready() => {
                panic!("{wanted} requests were awaited, {} came", count(&self.world.counts.borrow()))
            }
            Poll::Pending => Poll::Pending,
        })
        .await;
        guard.abort();
    }

    /// What it has seen, a line for each of the latest 100 requests, without a secret: what a test that fails prints.
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

/// Only against hanging.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Drop for AuthorizationServer {
    #[expect(clippy::print_stderr, reason = "where a test that fails is expected to say why")]
    fn drop(&mut self) {
        if std::thread::panicking() && !std::mem::replace(&mut self.world.state().told, true) {
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

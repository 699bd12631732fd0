//! An authorization server with one client and one outage: the token endpoint of RFC 6749.
//!
//! For tests of your own there is one in the crate, `client_credentials::testing`. This example has its own because it is the first
//! command of the README, and an example cannot turn on a feature (`test-util`) by itself.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, PRAGMA, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

use crate::issued_tokens::IssuedTokens;
use crate::news::News;

/// Who may ask, and for what.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) scopes: Vec<String>,
}

/// When the server is down. Counted, not timed: the story is the same on a slow machine.
///
/// It begins when so many tokens were issued after one was revoked. Before, the API could refuse a token that there is
/// no other for.
#[derive(Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) after_tokens: u32,
    pub(crate) refused_requests: u32,
}

#[derive(Clone)]
pub(crate) struct AuthorizationServer(Arc<Inner>);

struct Inner {
    client: Client,
    lifetime: Duration,
    outage: Option<Outage>,
    tokens: IssuedTokens,
    news: UnboundedSender<News>,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: u32,
    refused: u32,
}

impl AuthorizationServer {
    pub(crate) fn new(
        client: Client,
        lifetime: Duration,
        outage: Option<Outage>,
        tokens: IssuedTokens,
        news: UnboundedSender<News>,
    ) -> Self {
        let counts = Mutex::default();
        AuthorizationServer(Arc::new(Inner { client, lifetime, outage, tokens, news, counts }))
    }

    /// Serves on a free port of this machine until the process ends.
    pub(crate) async fn start(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/token", post(token_endpoint));
        let service = router.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, service).await });
        Ok(address)
    }

    /// How many token requests came in, refused ones included.
    pub(crate) fn requests(&self) -> u32 {
        self.counts().requests
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_down(&self) -> bool {
        let mut counts = self.counts();
        counts.requests += 1;
        let issued = self.0.tokens.issued_since_revocation();
        let down = self
            .0
            .outage
            .is_some_and(|outage| issued >= Some(outage.after_tokens) && counts.refused < outage.refused_requests);
        if down {
            counts.refused += 1;
            let refused_requests = counts.refused;
            if self.0.outage.map(|outage| outage.refused_requests) == Some(refused_requests) {
                self.tell(News::Back { refused_requests });
            }
        }
        down
    }

    fn issue(&self, scope: &str) -> String {
        let token = self.0.tokens.issue(scope, self.0.lifetime);
        let issued = self.0.tokens.issued_since_revocation();
        if issued.is_some() && issued == self.0.outage.map(|outage| outage.after_tokens) {
            self.tell(News::Down);
        }
        token
    }

    fn tell(&self, news: News) {
        // Nobody has to listen.
        let _ = self.0.news.send(news);
    }
}

async fn token_endpoint(State(server): State<AuthorizationServer>, headers: HeaderMap, body: String) -> Response {
    if server.is_down() {
        return (StatusCode::SERVICE_UNAVAILABLE, "down for maintenance\n").into_response();
    }
    match grant(&server, &headers, &body) {
        Ok(scope) => {
            let answer = json!({
                "access_token": server.issue(&scope),
                "token_type": "Bearer",
                "expires_in": server.0.lifetime.as_secs(),
                "scope": scope,
            });
            (NOT_STORED, Json(answer)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// RFC 6749 section 5.1: neither tokens nor errors may lie in a cache.
const NOT_STORED: [(HeaderName, &str); 2] = [(CACHE_CONTROL, "no-store"), (PRAGMA, "no-cache")];

/// The scope to grant (RFC 6749 section 4.4.2), or why there is none.
fn grant(server: &AuthorizationServer, headers: &HeaderMap, body: &str) -> Result<String, Refusal> {
    let client = &server.0.client;
    let (id, secret) = basic_credentials(headers).ok_or(Refusal("invalid_client", "use client_secret_basic"))?;
    if id != client.id || secret != client.secret {
        return Err(Refusal("invalid_client", "client_id or client_secret is wrong"));
    }
    let mut form = HashMap::new();
    for (name, value) in form_urlencoded::parse(body.as_bytes()) {
        // Section 3.2: a parameter without a value counts as omitted, and none may come twice.
        if !value.is_empty() && form.insert(name, value).is_some() {
            return Err(Refusal("invalid_request", "a parameter was sent twice"));
        }
    }
    match form.get("grant_type").map(AsRef::as_ref) {
        Some("client_credentials") => {}
        Some(_) => return Err(Refusal("unsupported_grant_type", "only client_credentials")),
        None => return Err(Refusal("invalid_request", "grant_type is missing")),
    }
    let scopes = &client.scopes;
    match form.get("scope") {
        Some(asked) if asked.split(' ').all(|one| scopes.iter().any(|s| s == one)) => Ok(asked.to_string()),
        Some(_) => Err(Refusal("invalid_scope", "not a scope of this client")),
        None => Ok(scopes.join(" ")),
    }
}

/// `client_secret_basic`: id and secret are form-encoded before they become user and password (RFC 6749 section 2.3.1).
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&text).decode_utf8();
    decoded.ok().map(Into::into)
}

/// RFC 6749 section 5.2: code and description.
struct Refusal(&'static str, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(code, description) = self;
        let answer = Json(json!({ "error": code, "error_description": description }));
        if code == "invalid_client" {
            let challenge = [(WWW_AUTHENTICATE, "Basic realm=\"authorization server\"")];
            return (StatusCode::UNAUTHORIZED, NOT_STORED, challenge, answer).into_response();
        }
        (StatusCode::BAD_REQUEST, NOT_STORED, answer).into_response()
    }
}

//! An authorization server and an API for the small examples, on a thread of their own: offline, and at work while a
//! synchronous program blocks.

#![allow(dead_code, reason = "no example needs everything")]

pub(crate) mod mcp;

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use serde_json::json;

pub(crate) const CLIENT_ID: &str = "example";
pub(crate) const CLIENT_SECRET: &str = "only-for-examples";
/// Both, in base64: what `client_secret_basic` sends (RFC 6749 section 2.3.1).
const BASIC: &str = "Basic ZXhhbXBsZTpvbmx5LWZvci1leGFtcGxlcw==";

pub(crate) struct Servers {
    /// The token endpoint, for `CLIENT_ID` with `CLIENT_SECRET`: examples/weather has one with all of RFC 6749.
    pub(crate) token_url: String,
    /// Where the API is: scheme, host and port.
    pub(crate) api_origin: String,
    /// It greets whoever brings a token of its authorization server, by the name in the body.
    pub(crate) api_url: String,
    pub(crate) tokens: Arc<Tokens>,
}

/// Those that were issued and are still good.
#[derive(Default)]
pub(crate) struct Tokens {
    valid: Mutex<HashSet<String>>,
    token_requests: AtomicUsize,
    refused: AtomicUsize,
}

impl Servers {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let tokens = Arc::new(Tokens::default());
        let router = router(&tokens);
        thread::spawn(move || -> io::Result<()> {
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await })
        });
        Ok(Servers {
            token_url: format!("http://{address}/token"),
            api_origin: format!("http://{address}"),
            api_url: format!("http://{address}/greeting"),
            tokens,
        })
    }

    /// The API refuses all tokens issued so far, though none has expired.
    pub(crate) fn revoke_tokens(&self) {
        self.tokens.valid().clear();
    }

    pub(crate) fn token_requests(&self) -> usize {
        self.tokens.token_requests.load(Ordering::Relaxed)
    }

    /// How many requests to the API came with a token that is not good, or without any.
    pub(crate) fn refused(&self) -> usize {
        self.tokens.refused.load(Ordering::Relaxed)
    }
}

impl Tokens {
    fn issue(&self) -> String {
        let token = format!("{:032x}", fastrand::u128(..));
        self.valid().insert(token.clone());
        token
    }

    /// Whether this `Authorization` may pass.
    pub(crate) fn accept(&self, authorization: Option<&[u8]>) -> bool {
        let token = authorization
            .and_then(|value| value.strip_prefix(b"Bearer "))
            .and_then(|token| std::str::from_utf8(token).ok());
        let accepted = token.is_some_and(|token| self.valid().contains(token));
        if !accepted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        accepted
    }

    fn valid(&self) -> MutexGuard<'_, HashSet<String>> {
        self.valid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(tokens: &Arc<Tokens>) -> Router {
    let issuer = Arc::clone(tokens);
    let token = move |headers: HeaderMap, form: String| async move {
        issuer.token_requests.fetch_add(1, Ordering::Relaxed);
        match authorization(&headers) {
            // Of an assertion (RFC 7521) it takes any: who checks signatures has the client's key.
            None if form.contains("client_assertion=") => issued(issuer.issue()),
            Some(sent) if sent == BASIC.as_bytes() => issued(issuer.issue()),
            _ => {
                let error = Json(json!({ "error": "invalid_client" }));
                (StatusCode::UNAUTHORIZED, error).into_response()
            }
        }
    };
    let api = Arc::clone(tokens);
    let greeting = move |headers: HeaderMap, name: String| async move {
        if !api.accept(authorization(&headers)) {
            return unauthorized();
        }
        let name = Some(name).filter(|name| !name.is_empty());
        let name = name.unwrap_or("token bearer".to_owned());
        format!("Hello, {name}!").into_response()
    };
    Router::new().route("/token", post(token)).route("/greeting", any(greeting))
}

fn issued(token: String) -> Response {
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 })).into_response()
}

fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get("authorization").map(|value| value.as_bytes())
}

fn unauthorized() -> Response {
    let challenge = [("www-authenticate", "Bearer error=\"invalid_token\"")];
    (StatusCode::UNAUTHORIZED, challenge, "Who are you?").into_response()
}

//! An authorization server and an API for the small examples, on a thread of their own: offline, and at work while a
//! synchronous program blocks.

#![allow(dead_code, reason = "no example needs everything")]

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::{error::Error, io};

use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

pub(crate) const CLIENT_ID: &str = "example";
pub(crate) const CLIENT_SECRET: &str = "for examples only";

const TOKEN: &str = "a-token-for-examples";

pub(crate) struct Servers {
    /// The token endpoint. It gives a token to whoever asks: examples/weather has one that checks.
    pub(crate) token_url: String,
    /// An API that greets whoever brings a token.
    pub(crate) api_url: String,
    token_requests: Arc<AtomicUsize>,
}

impl Servers {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let token_requests = Arc::new(AtomicUsize::new(0));
        let router = router(Arc::clone(&token_requests));
        thread::spawn(move || -> io::Result<()> {
            runtime.block_on(async {
                axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await
            })
        });
        Ok(Servers {
            token_url: format!("http://{address}/token"),
            api_url: format!("http://{address}/greeting"),
            token_requests,
        })
    }

    pub(crate) fn token_requests(&self) -> usize {
        self.token_requests.load(Ordering::Relaxed)
    }
}

fn router(token_requests: Arc<AtomicUsize>) -> Router {
    let token = move || async move {
        token_requests.fetch_add(1, Ordering::Relaxed);
        Json(json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600 }))
    };
    let greeting = |headers: HeaderMap| async move {
        let sent = headers.get("authorization").map(|value| value.as_bytes());
        match sent.and_then(|value| value.strip_prefix(b"Bearer ")) {
            Some(token) if token == TOKEN.as_bytes() => (StatusCode::OK, "Hello, token bearer!"),
            _ => (StatusCode::UNAUTHORIZED, "Who are you?"),
        }
    };
    Router::new()
        .route("/token", post(token))
        .route("/greeting", get(greeting))
}

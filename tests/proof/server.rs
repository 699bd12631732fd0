//! A token endpoint that records what it is asked and answers as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Form;
use axum::http::{HeaderMap, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::canary::{TOKEN, Watched};

/// One token request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
}

impl Seen {
    pub(crate) fn secret(&self) -> &str {
        &self.form["client_secret"]
    }

    pub(crate) fn assertion(&self) -> &str {
        &self.form["client_assertion"]
    }

    pub(crate) fn header(&self) -> Value {
        self.part(0)
    }

    pub(crate) fn claims(&self) -> Value {
        self.part(1)
    }

    /// What was signed, and the signature.
    pub(crate) fn signed(&self) -> (&str, Vec<u8>) {
        let (message, signature) = self.assertion().rsplit_once('.').unwrap();
        (message, URL_SAFE_NO_PAD.decode(signature).unwrap())
    }

    fn part(&self, number: usize) -> Value {
        let part = self.assertion().split('.').nth(number).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _watched: Watched,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let record = Arc::clone(&seen);
        let endpoint = move |headers: HeaderMap, Form(form): Form<BTreeMap<String, String>>| async move {
            let one = Seen { form, headers };
            record.lock().unwrap().push(one.clone());
            answer(&one)
        };
        let router = Router::new().route("/token", axum::routing::post(endpoint));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Server { url, seen, _watched: Watched::default() }
    }

    /// Issues a token to whoever `proves` the client, and says `invalid_client` to others.
    pub(crate) async fn which(proves: impl Fn(&Seen) -> bool + Clone + Send + Sync + 'static) -> Self {
        Server::start(move |seen| if proves(seen) { token() } else { invalid_client("") }).await
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The secrets it was shown, in order.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let seen = self.seen();
        seen.iter().map(|one| one.secret().to_owned()).collect()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }
}

pub(crate) fn token() -> Response<Body> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static ISSUED: AtomicU64 = AtomicU64::new(0);
    let number = ISSUED.fetch_add(1, Ordering::Relaxed);
    let body = json!({"access_token": format!("{TOKEN}-{number}"), "token_type": "Bearer", "expires_in": 3600});
    answer(200, &body)
}

pub(crate) fn invalid_client(description: &str) -> Response<Body> {
    let body = json!({"error": "invalid_client", "error_description": description});
    answer(401, &body)
}

pub(crate) fn answer(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

//! The authorization server of `testing`, whose tokens are canaries, and token requests with their assertions taken apart.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, RecordedRequest};
use serde_json::{Value, json};

use crate::harness::canary::{TOKEN, Watched};

/// One received token request.
pub(crate) struct Seen(RecordedRequest);

impl Seen {
    pub(crate) fn secret(&self) -> &str {
        self.param("client_secret").unwrap()
    }

    pub(crate) fn assertion(&self) -> &str {
        self.param("client_assertion").unwrap()
    }

    /// A parameter, which may be sent only once.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let mut values = self.0.expose_params(name);
        let value = values.next();
        assert!(values.next().is_none(), "{name} was sent twice");
        value
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.0.header(name).is_some()
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
    server: AuthorizationServer,
    _watched: Watched,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let server = AuthorizationServer::start();
        server.answer_by(Endpoint::Token, move |request| answer(&Seen(request.clone())));
        Server { url: server.token_url().to_owned(), server, _watched: Watched::default() }
    }

    /// Issues a token for requests that `proves` accepts, and responds with `invalid_client` to others.
    pub(crate) fn which(proves: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Self {
        Server::start(move |seen| if proves(seen) { token() } else { Answer::Refuse("invalid_client") })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.server.requests().into_iter().map(Seen).collect()
    }

    /// The received secrets, in order.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let seen = self.seen();
        seen.iter().map(|one| one.secret().to_owned()).collect()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().unwrap()
    }
}

pub(crate) fn token() -> Answer {
    use std::sync::atomic::{AtomicU64, Ordering};
    static ISSUED: AtomicU64 = AtomicU64::new(0);
    let number = ISSUED.fetch_add(1, Ordering::Relaxed);
    let body = json!({"access_token": format!("{TOKEN}-{number}"), "token_type": "Bearer", "expires_in": 3600});
    Answer::Body(body.to_string())
}

pub(crate) fn invalid_client(description: &str) -> Answer {
    let body = json!({"error": "invalid_client", "error_description": description});
    let response = http::Response::builder().status(401).header("content-type", "application/json");
    Answer::Response(response.body(body.to_string()).unwrap())
}

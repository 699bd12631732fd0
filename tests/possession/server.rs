//! The authorization server of `testing`, whose tokens are canaries, and token requests with their proofs taken apart.
//!
//! It responds as the test decides and checks nothing: the tests verify the proofs, without the code of the crate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, RecordedRequest};
use http::Response;
use serde_json::{Value, json};

use crate::harness::canary::{TOKEN, Watched};
use crate::proof::Proof;

/// One received token request.
pub(crate) struct Asked {
    /// How many requests came before it.
    pub(crate) before: usize,
    pub(crate) proof: Option<Proof>,
    request: RecordedRequest,
}

impl Asked {
    fn new(before: usize, request: RecordedRequest) -> Self {
        let proof = Proof::among(request.expose_headers("dpop"));
        Asked { before, proof, request }
    }

    pub(crate) fn proof(&self) -> &Proof {
        self.proof.as_ref().expect("a proof")
    }

    /// `jti` of the client's assertion.
    pub(crate) fn assertion(&self) -> String {
        let assertion = self.request.expose_params("client_assertion").next().unwrap();
        let claims = assertion.split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["jti"].to_string()
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    server: AuthorizationServer,
    _watched: Watched,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let server = AuthorizationServer::start();
        let url = format!("{}?tenant=1", server.token_url());
        let count = Arc::new(AtomicUsize::new(0));
        server.answer_by(Endpoint::Token, move |request| {
            answer(&Asked::new(count.fetch_add(1, Ordering::SeqCst), request.clone()))
        });
        Server { url, server, _watched: Watched::default() }
    }

    /// Issues one token after the other, bound to the key of the proof.
    pub(crate) fn that_binds() -> Self {
        Server::start(|asked| token(&nth(asked.before), "DPoP"))
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.server.requests().into_iter().enumerate().map(|(before, request)| Asked::new(before, request)).collect()
    }
}

/// The token that [`Server::that_binds`] issues after this many others.
pub(crate) fn nth(number: usize) -> String {
    format!("{TOKEN}-t{number}")
}

pub(crate) fn token_response(value: &str, token_type: &str) -> Response<String> {
    json_response(200, &json!({"access_token": value, "token_type": token_type, "expires_in": 3600}))
}

pub(crate) fn token(value: &str, token_type: &str) -> Answer {
    Answer::Response(token_response(value, token_type))
}

/// RFC 9449 section 8.
pub(crate) fn use_dpop_nonce(nonce: &str) -> Answer {
    with_nonce(json_response(400, &json!({"error": "use_dpop_nonce"})), nonce)
}

pub(crate) fn with_nonce(mut response: Response<String>, nonce: &str) -> Answer {
    let headers = response.headers_mut();
    headers.insert("dpop-nonce", nonce.parse().unwrap());
    Answer::Response(response)
}

fn json_response(status: u16, body: &Value) -> Response<String> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(body.to_string()).unwrap()
}

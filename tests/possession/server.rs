//! A token endpoint that binds tokens to keys, records what it is asked and answers as it is told.

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
use crate::proof::Proof;

/// One token request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many came before it.
    pub(crate) before: usize,
    pub(crate) proof: Option<Proof>,
    form: BTreeMap<String, String>,
}

impl Asked {
    pub(crate) fn proof(&self) -> &Proof {
        self.proof.as_ref().expect("a proof")
    }

    /// `jti` of the client's assertion.
    pub(crate) fn assertion(&self) -> String {
        let claims = self.form["client_assertion"].split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["jti"].to_string()
    }
}

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _watched: Watched,
}

impl Server {
    pub(crate) async fn start(answer: impl Fn(&Asked) -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/token?tenant=1", listener.local_addr().unwrap());
        let record = Arc::clone(&asked);
        let endpoint = move |headers: HeaderMap, Form(form): Form<BTreeMap<String, String>>| async move {
            let proof = Proof::of(&headers);
            let one = {
                let mut all = record.lock().unwrap();
                let before = all.len();
                all.push(Asked { before, proof, form });
                all[before].clone()
            };
            answer(&one)
        };
        let router = Router::new().route("/token", axum::routing::post(endpoint));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Server { url, asked, _watched: Watched::default() }
    }

    /// Issues one token after the other, bound to the key of the proof.
    pub(crate) async fn that_binds() -> Self {
        Server::start(|asked| token(&nth(asked.before), "DPoP")).await
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// The token that [`Server::that_binds`] issues when so many were issued before it.
pub(crate) fn nth(number: usize) -> String {
    format!("{TOKEN}-t{number}")
}

pub(crate) fn token(value: &str, token_type: &str) -> Response<Body> {
    let body = json!({"access_token": value, "token_type": token_type, "expires_in": 3600});
    answer(200, &body)
}

/// RFC 9449 section 8.
pub(crate) fn use_dpop_nonce(nonce: &str) -> Response<Body> {
    with_nonce(answer(400, &json!({"error": "use_dpop_nonce"})), nonce)
}

pub(crate) fn with_nonce(mut response: Response<Body>, nonce: &str) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert("dpop-nonce", nonce.parse().unwrap());
    response
}

pub(crate) fn answer(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

//! An API that accepts only bound tokens, with a proof for the request (RFC 9449 section 4.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Request, Response};

use crate::http_server::{Body, serve};
use crate::proof::{Proof, hash};

/// What the API requires, and what it has received.
#[derive(Default)]
pub(crate) struct State {
    /// Tokens that it rejects, as if they were revoked.
    pub(crate) revoked: BTreeSet<String>,
    /// The nonce that a proof must have.
    pub(crate) nonce: Option<String>,
    /// Whether the nonce is required each time, whatever a proof has.
    pub(crate) never_satisfied: bool,
    /// Whether each successful response has another nonce for the next request.
    pub(crate) nonce_by_request: bool,
    /// Tokens by the key that they were presented with first.
    keys: BTreeMap<String, String>,
    jtis: BTreeSet<String>,
    /// Status, token and nonce of each request.
    pub(crate) seen: Vec<(u16, String, String)>,
    pub(crate) bodies: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Api {
    pub(crate) async fn start(configure: impl FnOnce(&mut State)) -> Self {
        let mut state = State::default();
        configure(&mut state);
        let state = Arc::new(Mutex::new(state));
        let api = Arc::clone(&state);
        let url = serve(|origin| {
            let origin = origin.to_owned();
            move |request: Request<Bytes>| {
                let (parts, body) = request.into_parts();
                let body = String::from_utf8(body.to_vec()).unwrap();
                let uri = format!("{origin}{}", parts.uri.path());
                let proof = Proof::of(&parts.headers);
                let authorization = parts.headers.get("authorization");
                let authorization = authorization.map_or("", |value| value.to_str().unwrap());
                let mut state = api.lock().unwrap();
                state.bodies.push(body);
                state.answer(authorization, proof, parts.method.as_str(), &uri)
            }
        })
        .await;
        Api { url, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Statuses in order.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.state().seen.iter().map(|(status, ..)| *status).collect()
    }
}

impl State {
    fn answer(&mut self, authorization: &str, proof: Option<Proof>, method: &str, uri: &str) -> Response<Body> {
        let (Some(token), Some(proof)) = (authorization.strip_prefix("DPoP "), proof) else {
            self.seen.push((401, authorization.to_owned(), String::new()));
            return refused(r#"DPoP algs="ES256""#);
        };
        let nonce = proof.claim("nonce").to_owned();
        let first = self.keys.entry(token.to_owned());
        let flaw = if *first.or_insert_with(|| proof.jkt.clone()) != proof.jkt {
            Some("another key")
        } else if proof.claim("htm") != method || proof.claim("htu") != uri {
            Some("another request")
        } else if proof.claim("ath") != hash(token) {
            Some("another token")
        } else if !self.jtis.insert(proof.claim("jti").to_owned()) {
            Some("replayed")
        } else {
            None
        };
        let (status, challenge) = match flaw {
            Some(flaw) => (401, format!(r#"DPoP error="invalid_dpop_proof", error_description="{flaw}""#)),
            None if self.nonce.as_ref().is_some_and(|wanted| *wanted != nonce || self.never_satisfied) => {
                (401, r#"DPoP error="use_dpop_nonce""#.to_owned())
            }
            None if self.revoked.contains(token) => (401, r#"DPoP error="invalid_token""#.to_owned()),
            None => (200, String::new()),
        };
        self.seen.push((status, token.to_owned(), nonce));
        if self.nonce_by_request && status == 200 {
            self.nonce = Some(format!("n{}", self.seen.len()));
        }
        let mut response = match status {
            200 => Response::new(Body::from("served")),
            _ => refused(&challenge),
        };
        if let Some(nonce) = &self.nonce {
            let headers = response.headers_mut();
            headers.insert("dpop-nonce", nonce.parse().unwrap());
        }
        response
    }
}

fn refused(challenge: &str) -> Response<Body> {
    let response = Response::builder().status(401);
    let response = response.header("www-authenticate", challenge);
    response.body(Body::from("refused")).unwrap()
}

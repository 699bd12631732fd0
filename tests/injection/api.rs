//! An API on loopback that records requests and responds as the test decides.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

pub(crate) use super::http_server::Body;
use super::http_server::serve;

/// One received request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// The ending of the bearer token, `-` if there is none.
    pub(crate) fn token(&self) -> String {
        let mut values = self.headers.get_all("authorization").iter();
        let token = match values.next() {
            Some(value) => super::ending(value),
            None => "-".to_owned(),
        };
        assert!(values.next().is_none(), "exactly one header");
        token
    }
}

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Api {
    /// Responds to each request with `answer`.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let record = Arc::clone(&seen);
        let answer = move |request: Request<Bytes>| {
            let (parts, body) = request.into_parts();
            let one = Seen { path: parts.uri.path().to_owned(), headers: parts.headers, body };
            record.lock().unwrap().push(one.clone());
            answer(&one)
        };
        Api { url: serve(|_| answer).await, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The received tokens, in order.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.seen().iter().map(Seen::token).collect()
    }
}

pub(crate) fn status(code: u16) -> Response<Body> {
    Response::builder().status(code).body(Body::from(format!("status {code}"))).unwrap()
}

pub(crate) fn unauthorized(challenge: &str) -> Response<Body> {
    let response = Response::builder().status(StatusCode::UNAUTHORIZED).header("www-authenticate", challenge);
    response.body(Body::from("refused")).unwrap()
}

/// 401 to `t1`, 200 to any other token.
pub(crate) fn refuses_the_first(seen: &Seen) -> Response<Body> {
    match seen.token().as_str() {
        "t1" => unauthorized(r#"Bearer realm="api", error="invalid_token""#),
        _ => status(200),
    }
}

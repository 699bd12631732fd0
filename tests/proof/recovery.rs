//! What refusals, absurd answers and half-written files cost: bounded requests, and no end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use client_credentials::{
    Backoff, CachePolicy, ClientAuth, ClientCredentials, Credential, ErrorKind, Issuer, RetryPolicy,
};
use serde_json::{Value, json};

/// A request, and how many of its method came before it.
struct Asked<'a> {
    origin: &'a str,
    method: Method,
    path: String,
    body: String,
    earlier: usize,
}

struct Server {
    origin: String,
    methods: Arc<Mutex<Vec<Method>>>,
}

impl Server {
    async fn start<R: IntoResponse>(answer: impl Fn(Asked<'_>) -> R + Clone + Send + Sync + 'static) -> Server {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let methods: Arc<Mutex<Vec<Method>>> = Arc::default();
        let (log, own) = (Arc::clone(&methods), origin.clone());
        let router = Router::new().fallback(move |method: Method, uri: Uri, body: String| async move {
            let mut log = log.lock().unwrap();
            let earlier = log.iter().filter(|one| **one == method).count();
            log.push(method.clone());
            answer(Asked { origin: &own, method, path: uri.path().to_owned(), body, earlier }).into_response()
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Server { origin, methods }
    }

    fn asked(&self, method: &Method) -> usize {
        self.methods.lock().unwrap().iter().filter(|one| *one == method).count()
    }

    fn token_endpoint(&self) -> String {
        format!("{}/token", self.origin)
    }
}

fn json(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn token() -> Response {
    json(200, &json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 0 }))
}

fn metadata(origin: &str) -> Response {
    json(200, &json!({ "issuer": origin, "token_endpoint": format!("{origin}/token") }))
}

fn invalid_client(status: u16) -> Response {
    json(status, &json!({ "error": "invalid_client" }))
}

fn two_secrets(server: &Server) -> ClientCredentials {
    let auth = ClientAuth::client_secret_post("me", Credential::from("aaa").or("bbb"));
    ClientCredentials::builder(server.token_endpoint(), auth).build().unwrap()
}

#[tokio::test]
async fn a_refused_credential_is_not_asked_with_again_in_the_same_fetch() {
    let refused = Arc::new(Mutex::new(0));
    let count = Arc::clone(&refused);
    let server = Server::start(move |asked| match asked.body.contains("client_secret=aaa") {
        true => {
            *count.lock().unwrap() += 1;
            invalid_client(401)
        }
        false => json(503, &Value::Null),
    })
    .await;
    let error = two_secrets(&server).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "with the backoff of a denied client");
    assert_eq!(*refused.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_throttled_client_does_not_ask_with_the_next_credential() {
    let server = Server::start(|_| invalid_client(429)).await;
    let error = two_secrets(&server).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(server.asked(&Method::POST), 1);
}

#[tokio::test]
async fn one_absurd_date_does_not_end_all_assertions() {
    let server = Server::start(|asked| match asked.earlier {
        0 => (StatusCode::BAD_GATEWAY, [("date", "Thu, 01 Jan 1970 00:00:10 GMT")]).into_response(),
        _ => token(),
    })
    .await;
    let auth = ClientAuth::client_secret_jwt("me", "s").audience(&server.origin).server_time(true);
    let builder = ClientCredentials::builder(server.token_endpoint(), auth);
    let tokens = builder.build().unwrap();
    tokens.token().await.unwrap();
    assert_eq!(server.asked(&Method::POST), 2);
}

#[tokio::test]
async fn a_page_too_large_at_the_first_path_does_not_hide_the_second() {
    let server = Server::start(|asked| match (asked.method, &*asked.path) {
        (Method::POST, _) => token(),
        (_, "/.well-known/openid-configuration") => metadata(asked.origin),
        _ => (StatusCode::NOT_FOUND, "x".repeat(300 * 1024)).into_response(),
    })
    .await;
    let builder = ClientCredentials::builder(Issuer::new(&server.origin), ClientAuth::none("me"));
    builder.build().unwrap().token().await.unwrap();
    assert_eq!(server.asked(&Method::GET), 2, "the page, and the document after it");
}

#[tokio::test]
async fn an_endless_token_endpoint_is_cut_in_errors() {
    let server = Server::start(|asked| {
        let endless = format!("http://other.example/{}", "x".repeat(100_000));
        json(200, &json!({ "issuer": asked.origin, "token_endpoint": endless }))
    })
    .await;
    let tokens = ClientCredentials::builder(Issuer::new(&server.origin), ClientAuth::none("me")).build().unwrap();
    let text = tokens.token().await.unwrap_err().to_string();
    assert!(text.len() < 2_000, "{} bytes", text.len());
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_has_the_metadata_read_anew_once_a_minute() {
    let server = Server::start(|asked| match (&asked.method, asked.earlier) {
        (&Method::GET, 0) => metadata(asked.origin),
        (&Method::GET, _) => json(404, &Value::Null),
        _ => json(403, &Value::Null),
    })
    .await;
    let builder = ClientCredentials::builder(Issuer::new(&server.origin), ClientAuth::none("me"));
    let shortest = Duration::from_millis(1);
    let tokens = builder.cache(CachePolicy::new().expired_backoff(Backoff::new(shortest, shortest))).build().unwrap();
    while server.asked(&Method::POST) < 5 {
        tokens.token().await.unwrap_err();
    }
    assert!(server.asked(&Method::GET) <= 3, "the first time, and out of turn once, at two places");
}

#[test]
fn client_id_in_body_without_an_id_is_a_fault() {
    let auth = ClientAuth::client_assertion("a.b.c");
    let builder = ClientCredentials::builder("https://a.example/token", auth).client_id_in_body(true);
    assert!(builder.build().unwrap_err().to_string().contains("client_id_in_body"));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_makes_the_metadata_be_read_anew() {
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start(move |asked| match (&asked.method, asked.earlier) {
        (&Method::GET, 0) => {
            json(200, &json!({ "issuer": asked.origin, "token_endpoint": format!("https://{gone}/token") }))
        }
        (&Method::GET, _) => metadata(asked.origin),
        _ => token(),
    })
    .await;
    let builder = ClientCredentials::builder(Issuer::new(&server.origin), ClientAuth::none("me"));
    let shortest = Duration::from_millis(1);
    let tokens = builder.retry(RetryPolicy::new().backoff(Backoff::new(shortest, shortest))).build().unwrap();
    tokens.token().await.unwrap();
}

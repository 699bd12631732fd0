//! What is counted in instructions, which repeat on a noisy machine as time does not: a token to a header, and a request
//! on loopback through each integration.
//!
//! `.ci/instructions` runs this under callgrind, twice for each operation, and divides the difference: what happens once
//! is not counted. `cargo bench -p benches --bench instructions` alone only sees that everything runs.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, missing_docs, reason = "a bench")]

use std::convert::Infallible;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client_credentials::testing::AuthorizationServer;
use client_credentials::{
    AccessToken, BearerAuth, CachePolicy, Cached, ClientAuth, ClientCredentials, Event, TokenPool, TokenSource,
    TokenState, source_fn,
};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use reqwest::Request;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tower::{Layer, Service, ServiceExt};

const OPERATIONS: [&str; 18] = [
    "clone: shared HeaderValue",
    "cached: Cached",
    "cached: Arc<dyn TokenSource>",
    "cached: due, refresh under way",
    "cached: TokenPool",
    "cached: with an observer and a metrics recorder",
    "hyper: static header",
    "hyper: bare header",
    "hyper: tower layer",
    "reqwest: static header",
    "reqwest: bare header",
    "reqwest: tower layer",
    "reqwest: tower layer, repeat(false)",
    "middleware: static header",
    "middleware: does nothing, static header",
    "middleware: copies the request, sets a header",
    "middleware: BearerAuth",
    "middleware: BearerAuth, repeat(false)",
];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => OPERATIONS.iter().for_each(|operation| println!("{operation}")),
        ["serve"] => serve(),
        ["run", operation, times] => run(operation, times.parse().unwrap()),
        _ => OPERATIONS.iter().for_each(|operation| run(operation, 10)),
    }
}

fn secret() -> String {
    "a".repeat(900)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn source() -> Cached<impl TokenSource> {
    Cached::new(source_fn(|| async { AccessToken::builder(secret()).lifetime(Duration::from_secs(86_400)).build() }))
}

fn run(operation: &str, times: u64) {
    let runtime = runtime();
    let tokens = source();
    runtime.block_on(tokens.token()).unwrap();
    let (kind, rest) = operation.split_once(": ").unwrap();
    if matches!(kind, "clone" | "cached") {
        runtime.block_on(cached(rest, tokens, times));
    } else {
        runtime.block_on(requests(operation, tokens, times));
    }
}

async fn cached(what: &str, tokens: Cached<impl TokenSource + 'static>, times: u64) {
    let header = HeaderValue::from_maybe_shared(Bytes::from(format!("Bearer {}", secret()))).unwrap();
    match what {
        "shared HeaderValue" => (0..times).for_each(|_| drop(black_box(header.clone()))),
        "Cached" => {
            for _ in 0..times {
                drop(black_box(tokens.token().await.unwrap().authorization()));
            }
        }
        "Arc<dyn TokenSource>" => {
            let tokens: Arc<dyn TokenSource> = Arc::new(tokens);
            for _ in 0..times {
                drop(black_box(tokens.token().await.unwrap().authorization()));
            }
        }
        "due, refresh under way" => {
            let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
            let tokens = Cached::with_policy(
                source_fn(move || {
                    let call = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    async move {
                        if call > 0 {
                            std::future::pending::<()>().await;
                        }
                        AccessToken::builder(secret()).lifetime(Duration::from_secs(86_400)).build()
                    }
                }),
                CachePolicy::new().max_age(Duration::from_millis(1)),
            )
            .unwrap();
            tokens.token().await.unwrap();
            // Due, or being refreshed already if this thread was slow.
            while tokens.status().state == TokenState::Fresh {
                std::thread::sleep(Duration::from_millis(1));
            }
            tokens.token().await.unwrap();
            tokio::task::yield_now().await;
            for _ in 0..times {
                drop(black_box(tokens.token().await.unwrap().authorization()));
            }
        }
        "TokenPool" => {
            let pool = TokenPool::new(|_: &u32| Ok(source()));
            let tenant = pool.source(&7);
            tenant.token().await.unwrap();
            for _ in 0..times {
                drop(black_box(tenant.token().await.unwrap().authorization()));
            }
        }
        "with an observer and a metrics recorder" => {
            metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();
            let server = AuthorizationServer::start();
            let auth = ClientAuth::client_secret_basic("billing", "secret");
            let builder = ClientCredentials::builder(server.token_url(), auth);
            let tokens =
                builder.observe(|_: &str, event: &Event<'_>| drop(black_box(format!("{event:?}")))).build().unwrap();
            tokens.token().await.unwrap();
            for _ in 0..times {
                drop(black_box(tokens.token().await.unwrap().authorization()));
            }
        }
        other => panic!("no operation {other}"),
    }
}

/// The API, in a process of its own, so that only the client is counted.
struct Api(Child, String);

impl Api {
    fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program).arg("serve").stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        Api(child, url.trim().to_owned())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve() {
    runtime().block_on(async {
        let router = axum::Router::new().fallback(|headers: http::HeaderMap| async move {
            assert!(headers.contains_key(AUTHORIZATION));
            "sunny"
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        axum::serve(listener, router).await.unwrap();
    });
}

struct Nothing;

#[async_trait::async_trait]
impl Middleware for Nothing {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        next.run(request, extensions).await
    }
}

/// The least that is needed to repeat a request with another token.
struct Copies(HeaderValue);

#[async_trait::async_trait]
impl Middleware for Copies {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let copy = black_box(request.try_clone());
        request.headers_mut().insert(AUTHORIZATION, self.0.clone());
        let response = next.run(request, extensions).await;
        drop(copy);
        response
    }
}

async fn requests(operation: &str, tokens: Cached<impl TokenSource + 'static>, times: u64) {
    let api = Api::start();
    let url = api.1.as_str();
    let bearer = BearerAuth::for_origin(url, tokens.clone()).unwrap();
    let once = BearerAuth::builder(tokens.clone()).origin(url).repeat(false).build().unwrap();
    let fixed = tokens.token().await.unwrap().authorization();
    let hyper: Hyper<_, Empty<Bytes>> = Hyper::builder(TokioExecutor::new()).build_http();
    let reqwest = reqwest::Client::builder().no_proxy().build().unwrap();
    let through = |bearer| ClientBuilder::new(reqwest.clone()).with(bearer).build();
    // Without and with a token.
    let get = |authorization: Option<HeaderValue>| {
        let mut request = http::Request::get(url).body(Empty::new()).unwrap();
        authorization.map(|value| request.headers_mut().insert(AUTHORIZATION, value));
        request
    };
    let get_by_reqwest = |authorization: Option<HeaderValue>| {
        let mut request = Request::new(reqwest::Method::GET, url.parse().unwrap());
        authorization.map(|value| request.headers_mut().insert(AUTHORIZATION, value));
        request
    };
    match operation {
        "hyper: static header" => {
            let mut service = hyper;
            for _ in 0..times {
                collect(service.ready().await.unwrap().call(get(Some(fixed.clone()))).await.unwrap()).await;
            }
        }
        "hyper: bare header" => {
            let mut service = hyper;
            for _ in 0..times {
                let authorization = tokens.token().await.unwrap().authorization();
                collect(service.ready().await.unwrap().call(get(Some(authorization))).await.unwrap()).await;
            }
        }
        "hyper: tower layer" => {
            let mut service = bearer.layer(hyper);
            for _ in 0..times {
                let request = get(None);
                let ready = ServiceExt::<http::Request<Empty<Bytes>>>::ready(&mut service).await.unwrap();
                collect(ready.call(request).await.unwrap()).await;
            }
        }
        "reqwest: static header" => {
            for _ in 0..times {
                let request = get_by_reqwest(Some(fixed.clone()));
                reqwest.execute(request).await.unwrap().bytes().await.unwrap();
            }
        }
        "reqwest: bare header" => {
            for _ in 0..times {
                let request = get_by_reqwest(Some(tokens.token().await.unwrap().authorization()));
                reqwest.execute(request).await.unwrap().bytes().await.unwrap();
            }
        }
        "reqwest: tower layer" | "reqwest: tower layer, repeat(false)" => {
            let bearer = if operation.ends_with("repeat(false)") { once } else { bearer };
            let mut service = bearer.layer(reqwest);
            for _ in 0..times {
                let ready = ServiceExt::<Request>::ready(&mut service).await.unwrap();
                ready.call(get_by_reqwest(None)).await.unwrap().bytes().await.unwrap();
            }
        }
        _ => {
            let client: ClientWithMiddleware = match operation {
                "middleware: static header" => ClientBuilder::new(reqwest).build(),
                "middleware: does nothing, static header" => ClientBuilder::new(reqwest).with(Nothing).build(),
                "middleware: copies the request, sets a header" => {
                    ClientBuilder::new(reqwest).with(Copies(fixed.clone())).build()
                }
                "middleware: BearerAuth" => through(bearer),
                "middleware: BearerAuth, repeat(false)" => through(once),
                other => panic!("no operation {other}"),
            };
            let authorization = operation.contains("static").then_some(fixed);
            for _ in 0..times {
                let request = get_by_reqwest(authorization.clone());
                client.execute(request).await.unwrap().bytes().await.unwrap();
            }
        }
    }
}

async fn collect(response: http::Response<hyper::body::Incoming>) {
    let _: Result<_, Infallible> = Ok(response.into_body().collect().await.unwrap());
}

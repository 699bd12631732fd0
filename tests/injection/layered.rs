//! tower services of `http::Request<B>`: bodies, readiness, the status of gRPC, the header itself.

use std::convert::Infallible;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use client_credentials::{BearerAuth, BearerAuthBuilder, ErrorKind};
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tower::{Service, ServiceExt, service_fn};

use super::*;

const API: &str = "https://api.test";

fn bearer(issuer: &Issuer) -> BearerAuth {
    builder(issuer).build().unwrap()
}

fn builder(issuer: &Issuer) -> BearerAuthBuilder {
    BearerAuth::builder(issuer.tokens()).origin(API)
}

/// The tokens that a service receives for one request with `body`; it rejects `t1`.
async fn shown<B: Send + 'static>(bearer: BearerAuth, body: B) -> Vec<String> {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&seen);
    let service = service_fn(move |request: Request<B>| {
        let token = ending(&request.headers()["authorization"]);
        record.lock().unwrap().push(token.clone());
        let code = if token == "t1" { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        async move { Ok::<_, Infallible>(Response::builder().status(code).body(()).unwrap()) }
    });
    let request = Request::get(format!("{API}/x")).body(body).unwrap();
    tower::Layer::layer(&bearer, service).oneshot(request).await.unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

type Boxed = UnsyncBoxBody<Bytes, Infallible>;

/// A body that cannot be copied.
struct Opaque(&'static str);

#[tokio::test]
async fn known_bodies_are_repeated_without_a_bound_on_the_others() {
    // R06, R07
    let issuer = Issuer::default;
    let both = ["t1", "t2"];
    assert_eq!(shown(bearer(&issuer()), ()).await, both);
    assert_eq!(shown(bearer(&issuer()), Bytes::from("x")).await, both);
    assert_eq!(shown(bearer(&issuer()), String::from("x")).await, both);
    assert_eq!(shown(bearer(&issuer()), Full::new(Bytes::from("x"))).await, both);
    assert_eq!(shown(bearer(&issuer()), Empty::<Bytes>::new()).await, both);
    let once = issuer();
    assert_eq!(shown(bearer(&once), Opaque("x")).await, ["t1"]);
    assert_eq!(once.issued(), 1, "no token for a request that is not repeated");
    let taught = builder(&issuer()).clone_body(|body: &Opaque| Some(Opaque(body.0))).build().unwrap();
    assert_eq!(shown(taught, Opaque("x")).await, both);
    let refusing = builder(&issuer()).clone_body(|_: &Opaque| None).build().unwrap();
    assert_eq!(shown(refusing, Opaque("x")).await, ["t1"]);
    let boxed = |text: &'static str| Full::new(Bytes::from(text)).boxed_unsync();
    assert_eq!(shown(bearer(&issuer()), boxed("x")).await, ["t1"]);
    let buffering = |limit| builder(&issuer()).buffer_body::<Boxed>(limit, BodyExt::boxed_unsync).build().unwrap();
    assert_eq!(shown(buffering(4), boxed("x")).await, both);
    assert_eq!(shown(buffering(4), boxed("too long")).await, ["t1"]);
    assert_eq!(shown(builder(&issuer()).repeat(false).build().unwrap(), ()).await, ["t1"]);
}

#[tokio::test]
async fn a_header_that_the_caller_set_is_never_touched() {
    // R16
    let issuer = Issuer::default();
    let service = service_fn(|request: Request<()>| async move {
        assert_eq!(request.headers()["authorization"], "Bearer own");
        Ok::<_, Infallible>(Response::builder().status(401).body(()).unwrap())
    });
    let request = Request::get(API).header("authorization", "Bearer own");
    let response = tower::Layer::layer(&bearer(&issuer), service).oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(issuer.issued(), 0);
}

#[tokio::test]
async fn with_a_cached_token_the_request_is_sent_at_once_and_a_refusal_is_recovered() {
    let issuer = Issuer::default();
    let tokens = issuer.tokens();
    tokens.token().await.unwrap();
    let bearer = BearerAuth::for_origin(API, tokens).unwrap();
    let strict = Strict::default();
    let calls = Arc::clone(&strict.calls);
    let mut service = tower::Layer::layer(&bearer, strict);
    let request = Request::get(API).body(()).unwrap();
    let ready = ServiceExt::<Request<()>>::ready(&mut service).await;
    let response = ready.unwrap().call(request);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "before it is polled");
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
    assert_eq!((calls.load(Ordering::SeqCst), issuer.issued()), (2, 2));
}

#[tokio::test]
async fn the_repeated_request_is_the_same_one() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&seen);
    let service = service_fn(move |request: Request<Bytes>| {
        let extension = request.extensions().get::<u32>().copied();
        record.lock().unwrap().push(format!(
            "{} {} {:?} {:?} {:?} {:?}",
            request.method(),
            request.uri(),
            request.version(),
            request.headers(),
            extension,
            request.body()
        ));
        async { Ok::<_, Infallible>(Response::builder().status(401).body(()).unwrap()) }
    });
    let issuer = Issuer::default();
    let request = Request::put(format!("{API}/x?y=z"))
        .version(http::Version::HTTP_2)
        .header("x-trace", "7")
        .header("x-trace", "8")
        .extension(42_u32)
        .body(Bytes::from("body"))
        .unwrap();
    tower::Layer::layer(&bearer(&issuer), service).oneshot(request).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].contains(r#""x-trace": "7", "x-trace": "8""#));
}

#[tokio::test]
async fn grpc_unauthenticated_rejects_the_token_of_a_post_request() {
    for (method, status, calls_and_tokens) in [(Method::POST, "0", (2, 2)), (Method::GET, "16", (1, 1))] {
        let issuer = Issuer::default();
        let calls = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&calls);
        let service = service_fn(move |_: Request<()>| {
            let code = if count.fetch_add(1, Ordering::SeqCst) == 0 { "16" } else { "0" };
            let response = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", code)
                .body(())
                .unwrap();
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let request = Request::builder().method(method).uri(format!("{API}/weather.Weather/Get")).body(()).unwrap();
        let response = tower::Layer::layer(&bearer(&issuer), service).oneshot(request).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], status);
        assert_eq!((calls.load(Ordering::SeqCst), issuer.issued()), calls_and_tokens);
    }
}

#[tokio::test]
async fn a_uri_without_an_authority_is_an_error() {
    let issuer = Issuer::default();
    let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    for bearer in [bearer(&issuer), builder(&issuer).pass_through(true).build().unwrap()] {
        let request = Request::get("/path/only").body(()).unwrap();
        let error = tower::Layer::layer(&bearer, service).oneshot(request).await.unwrap_err();
        let ours = Error::find(&*error).unwrap();
        assert_eq!(ours.kind(), ErrorKind::Configuration);
        assert!(ours.to_string().contains("with_origin"), "{ours}");
    }
    assert_eq!(issuer.issued(), 0);
}

#[tokio::test]
async fn the_header_is_sensitive() {
    // R21: never indexed by HPACK, redacted in Debug.
    let service = service_fn(|request: Request<()>| async move {
        let header = request.headers()["authorization"].clone();
        assert!(header.is_sensitive());
        assert_eq!(format!("{header:?}"), "Sensitive");
        Ok::<_, Infallible>(Response::new(()))
    });
    let issuer = Issuer::default();
    let request = Request::get(API).body(()).unwrap();
    tower::Layer::layer(&bearer(&issuer), service).oneshot(request).await.unwrap();
}

/// A service that panics when it is called without having been ready, like `tower::limit` and `tower::buffer`.
#[derive(Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicU64>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        // A clone is not ready.
        Strict { ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Strict {
    fn answer(&mut self, headers: &http::HeaderMap) -> Response<()> {
        assert!(std::mem::take(&mut self.ready), "called without having been ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let code = match ending(&headers["authorization"]).as_str() {
            "t1" => 401,
            _ => 200,
        };
        Response::builder().status(code).body(()).unwrap()
    }
}

impl Service<Request<()>> for Strict {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: Request<()>) -> Self::Future {
        std::future::ready(Ok(self.answer(request.headers())))
    }
}

impl Service<reqwest::Request> for Strict {
    type Response = reqwest::Response;
    type Error = Infallible;
    type Future = std::future::Ready<Result<reqwest::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let response = self.answer(request.headers());
        std::future::ready(Ok(response.map(|()| "").into()))
    }
}

#[tokio::test]
async fn the_service_that_was_made_ready_is_the_one_that_is_called() {
    let issuer = Issuer::default();
    let strict = Strict::default();
    let calls = Arc::clone(&strict.calls);
    let mut service = tower::Layer::layer(&bearer(&issuer), strict);
    for _ in 0..3 {
        let request = Request::get(API).body(()).unwrap();
        let ready = ServiceExt::<Request<()>>::ready(&mut service).await;
        let response = ready.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let request = reqwest::Request::new(Method::GET, API.parse().unwrap());
        let ready = ServiceExt::<reqwest::Request>::ready(&mut service).await;
        let response = ready.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 7, "six requests, one of them repeated");
}

#[tokio::test]
async fn a_request_that_is_not_sent_gives_its_place_to_another() {
    let down = Issuer { down_after: Some(0), ..Issuer::default() };
    let elsewhere = (bearer(&Issuer::default()), "https://elsewhere.test");
    // The second of its requests fails at once, by the error of the first.
    for (bearer, url) in [elsewhere, (bearer(&down), API)] {
        let service = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
        let limited = tower::limit::ConcurrencyLimit::new(service, 1);
        let mut one = tower::Layer::layer(&bearer, limited);
        let mut other = one.clone();
        for _ in 0..2 {
            let request = Request::get(url).body(()).unwrap();
            let sent = one.ready().await.unwrap().call(request).await;
            assert!(sent.is_err(), "{url}");
            let ready = other.ready().now_or_never();
            assert!(ready.is_some(), "{url}: the one place is taken by nobody");
            other = one.clone();
        }
    }
}

#[tokio::test]
async fn the_debug_of_a_bearer_shows_where_and_nothing_secret() {
    let bearer = BearerAuth::for_origin(API, AccessToken::builder("canary-token").build().unwrap()).unwrap();
    let shown = format!("{bearer:?} {:?}", tower::Layer::layer(&bearer, ()));
    assert!(shown.contains(API) && !shown.contains("canary-token"), "{shown}");
}

#[tokio::test]
async fn a_service_and_its_future_are_shown_without_the_request() {
    let inner = service_fn(|_: Request<Bytes>| async { Ok::<_, Infallible>(Response::new(())) });
    let mut service = tower::Layer::layer(&bearer(&Issuer::default()), inner);
    let shown = format!("{service:?}");
    assert!(shown.starts_with("BearerService { bearer: ") && shown.contains(API), "{shown}");
    let request = Request::get(format!("{API}/hush")).body(Bytes::new()).unwrap();
    let future = service.ready().await.unwrap().call(request);
    assert_eq!(format!("{future:?}"), "BearerFuture");
    assert_eq!(future.await.unwrap().status(), StatusCode::OK);
}

//! Both reqwest clients: that of reqwest-middleware, and the tower layer over `reqwest::Client`.

use std::future::poll_fn;

use client_credentials::{BearerAuth, BearerAuthBuilder, ErrorKind};
use futures_util::stream;
use http::StatusCode;
use reqwest::Body;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use tower::{Layer, Service, ServiceBuilder};

use super::api::{Api, refuses_the_first, status, unauthorized};
use super::*;

type Boxed = Box<dyn std::error::Error + Send + Sync>;

fn client(bearer: BearerAuth) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new()).with(bearer).build()
}

fn bearer(api: &Api, issuer: &Issuer) -> BearerAuth {
    builder(api, issuer).build().unwrap()
}

fn builder(api: &Api, issuer: &Issuer) -> BearerAuthBuilder {
    BearerAuth::builder(issuer.tokens()).origin(&api.url)
}

/// Sends one request with each of the two clients, each with its own source; both must behave in the same way.
async fn by_both(
    api: &Api,
    issuer: fn() -> Issuer,
    configure: impl Fn(BearerAuthBuilder) -> BearerAuthBuilder,
    request: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
) -> (Result<StatusCode, ErrorKind>, Vec<String>, u64) {
    let mut outcomes = Vec::new();
    for layered in [false, true] {
        let issuer = issuer();
        let before = api.seen().len();
        let bearer = configure(builder(api, &issuer)).build().unwrap();
        let request = request(reqwest::Client::new().post(&api.url)).build().unwrap();
        let result: Result<reqwest::Response, Boxed> = if layered {
            let mut service = bearer.layer(reqwest::Client::new());
            let ready = poll_fn(|cx| Service::<reqwest::Request>::poll_ready(&mut service, cx)).await;
            match ready {
                Ok(()) => service.call(request).await,
                Err(e) => Err(e),
            }
        } else {
            client(bearer).execute(request).await.map_err(Into::into)
        };
        let result = result.map(|response| response.status()).map_err(|e| Error::find(&*e).expect("ours").kind());
        outcomes.push((result, api.tokens().split_off(before), issuer.issued()));
    }
    let second = outcomes.pop().unwrap();
    assert_eq!(Some(&second), outcomes.last(), "middleware and layer differ");
    second
}

fn as_it_is<T>(same: T) -> T {
    same
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_request_repeated_once() {
    // R01, R07
    let api = Api::start(refuses_the_first).await;
    let outcome = by_both(&api, Issuer::default, as_it_is, |r| r.body("order 1")).await;
    assert_eq!(outcome, (Ok(StatusCode::OK), vec!["t1".into(), "t2".into()], 2));
    assert!(api.seen().iter().all(|seen| seen.body == "order 1"), "the same body both times");
}

#[tokio::test]
async fn a_second_401_is_returned() {
    // R02
    let api = Api::start(|_| unauthorized(r#"Bearer error="invalid_token""#)).await;
    let outcome = by_both(&api, Issuer::default, as_it_is, as_it_is).await;
    assert_eq!(outcome, (Ok(StatusCode::UNAUTHORIZED), vec!["t1".into(), "t2".into()], 2));
}

#[tokio::test]
async fn a_401_without_a_challenge_counts_as_a_rejection() {
    let api = Api::start(|seen| if seen.token() == "t1" { status(401) } else { status(200) }).await;
    let outcome = by_both(&api, Issuer::default, as_it_is, as_it_is).await;
    assert_eq!(outcome.0, Ok(StatusCode::OK));
}

#[tokio::test]
async fn a_response_that_is_not_about_the_token_is_returned() {
    // R08, R09, R18, R19, R20: one request, one token, whatever the answer
    let handed_back = [
        (401, r#"Bearer error="insufficient_scope""#),
        (403, r#"Bearer error="insufficient_scope""#),
        (400, r#"Bearer error="invalid_token""#),
        (403, r#"Bearer error="invalid_token""#),
        (500, r#"Bearer error="invalid_token""#),
        (200, r#"Bearer error="invalid_token""#),
        (200, r#"Bearer resource_metadata="http://127.0.0.1:9/evil""#),
        (429, ""),
        (503, ""),
    ];
    for (code, challenge) in handed_back {
        let answer = move |_: &api::Seen| {
            let mut response = unauthorized(challenge);
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
            response
        };
        let api = Api::start(answer).await;
        let outcome = by_both(&api, Issuer::default, as_it_is, as_it_is).await;
        assert_eq!(outcome, (Ok(StatusCode::from_u16(code).unwrap()), vec!["t1".into()], 1), "{code} {challenge}");
    }
}

#[tokio::test]
async fn a_predicate_of_the_user_is_a_rejection() {
    let api = Api::start(|seen| if seen.token() == "t1" { status(419) } else { status(200) }).await;
    let configure = |b: BearerAuthBuilder| b.rejected_when(|status, _| status.as_u16() == 419);
    let outcome = by_both(&api, Issuer::default, configure, as_it_is).await;
    assert_eq!(outcome, (Ok(StatusCode::OK), vec!["t1".into(), "t2".into()], 2));
}

#[tokio::test]
async fn a_body_that_streams_is_not_repeated_but_its_token_is_replaced() {
    // R06
    let api = Api::start(refuses_the_first).await;
    let issuer = Issuer::default();
    let client = client(bearer(&api, &issuer));
    let streaming = || Body::wrap_stream(stream::iter([Ok::<_, std::io::Error>("chunk")]));
    let response = client.post(&api.url).body(streaming()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(response.headers().contains_key("www-authenticate"), "untouched");
    assert_eq!(response.text().await.unwrap(), "refused");
    let next = client.post(&api.url).body(streaming()).send().await.unwrap();
    assert_eq!(next.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["t1", "t2"]);
}

#[tokio::test]
async fn repeating_can_be_switched_off() {
    // R07
    let api = Api::start(refuses_the_first).await;
    let issuer = Issuer::default();
    let client = client(builder(&api, &issuer).repeat(false).build().unwrap());
    assert_eq!(client.get(&api.url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.get(&api.url).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["t1", "t2"]);
}

#[tokio::test]
async fn without_another_token_the_response_is_returned_unchanged() {
    let api = Api::start(refuses_the_first).await;
    let issuer = Issuer { down_after: Some(1), ..Issuer::default() };
    let response = client(bearer(&api, &issuer)).get(&api.url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.text().await.unwrap(), "refused");
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn a_constant_token_is_not_tried_twice() {
    let api = Api::start(|_| status(401)).await;
    let constant = AccessToken::builder("always").build().unwrap();
    let client = client(BearerAuth::for_origin(&api.url, constant).unwrap());
    assert_eq!(client.get(&api.url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(api.tokens(), ["always"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_refusals_of_one_token_cost_two_token_requests_in_all() {
    // R03
    let api = Api::start(refuses_the_first).await;
    let issuer = Issuer::default();
    let tokens = issuer.tokens();
    let old = tokens.token().await.unwrap();
    let client = client(BearerAuth::for_origin(&api.url, tokens.clone()).unwrap());
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (client, url) = (client.clone(), api.url.clone());
            tokio::spawn(async move { client.get(url).send().await.unwrap().status() })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    // A late rejection of the old token has no effect.
    (0..50).for_each(|_| tokens.reject(&old));
    assert_eq!(issuer.issued(), 2);
}

#[tokio::test]
async fn an_api_that_refuses_everything_costs_four_token_requests() {
    let api = Api::start(|_| status(401)).await;
    let issuer = Issuer::default();
    let client = client(bearer(&api, &issuer));
    for _ in 0..1000 {
        assert_eq!(client.get(&api.url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert!(issuer.issued() <= 4, "{}", issuer.issued());
    assert!(api.seen().len() <= 1003, "{} requests for 1000", api.seen().len());
}

#[tokio::test]
async fn a_request_to_another_origin_is_an_error_that_names_the_remedy() {
    // R14
    let (api, evil) = (Api::start(|_| status(200)).await, Api::start(|_| status(200)).await);
    let issuer = Issuer::default();
    let error = client(bearer(&api, &issuer)).get(&evil.url).send().await.unwrap_err();
    let ours = Error::find(&error).unwrap();
    assert_eq!(ours.kind(), ErrorKind::Configuration);
    assert!(ours.to_string().contains(".pass_through(true)"), "{ours}");
    assert!(evil.seen().is_empty());

    let open = client(builder(&api, &issuer).pass_through(true).build().unwrap());
    assert_eq!(open.get(&evil.url).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(evil.tokens(), ["-"]);
    assert_eq!(issuer.issued(), 0, "nobody asked for a token");

    let both = client(builder(&api, &issuer).origin(&evil.url).build().unwrap());
    both.get(&evil.url).send().await.unwrap();
    assert_eq!(evil.tokens(), ["-", "t1"]);
}

#[tokio::test]
async fn a_401_from_an_origin_that_is_passed_through_is_ignored() {
    let (api, other) = (Api::start(|_| status(200)).await, Api::start(|_| status(401)).await);
    let issuer = Issuer::default();
    let client = client(builder(&api, &issuer).pass_through(true).build().unwrap());
    assert_eq!(client.get(&other.url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!((other.seen().len(), issuer.issued()), (1, 0));
}

#[tokio::test]
async fn a_plain_http_api_is_refused_unless_it_is_named() {
    // R15
    let issuer = Issuer::default();
    let plain = "http://inventory.test:8080";
    // FD5: reported before any request.
    let error = BearerAuth::for_origin(plain, issuer.tokens()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("dangerously_allow_http(\"inventory.test\")"), "{text}");
    assert_eq!(issuer.issued(), 0);

    let api = Api::start(|_| status(200)).await;
    let port = api.url.rsplit(':').next().unwrap().to_owned();
    let url = format!("http://inventory.test:{port}");
    let resolved = reqwest::Client::builder().resolve("inventory.test", api.url[7..].parse().unwrap()).build().unwrap();
    let named =
        BearerAuth::builder(issuer.tokens()).origin(&url).dangerously_allow_http("inventory.test").build().unwrap();
    ClientBuilder::new(resolved).with(named).build().get(&url).send().await.unwrap();
    assert_eq!(api.tokens(), ["t1"]);
}

#[tokio::test]
async fn a_header_that_the_caller_set_is_never_touched() {
    // R16
    let api = Api::start(|_| status(401)).await;
    let outcome = by_both(&api, Issuer::default, as_it_is, |r| r.header("authorization", "Bearer own")).await;
    assert_eq!(outcome, (Ok(StatusCode::UNAUTHORIZED), vec!["own".into()], 0));
}

#[tokio::test]
async fn no_token_means_an_error_and_no_request() {
    // R23
    let api = Api::start(|_| status(200)).await;
    let down = || Issuer { down_after: Some(0), ..Issuer::default() };
    let outcome = by_both(&api, down, as_it_is, as_it_is).await;
    assert_eq!(outcome, (Err(ErrorKind::Other), vec![], 1));
}

/// Tries three times while the answer is a 503.
struct Retry;

#[async_trait::async_trait]
impl Middleware for Retry {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        for _ in 0..2 {
            let response = next.clone().run(request.try_clone().unwrap(), extensions).await?;
            if response.status() != StatusCode::SERVICE_UNAVAILABLE {
                return Ok(response);
            }
        }
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn retries_around_or_beneath_do_not_multiply_token_requests() {
    // R22: a retry outside of our middleware gets the current token in each attempt; inside, all attempts have the same
    // one.
    for around in [true, false] {
        let count = Arc::new(AtomicU64::new(0));
        let api = Api::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 | 2 => status(503),
            1 => status(401),
            _ => status(200),
        })
        .await;
        let issuer = Issuer::default();
        let builder = ClientBuilder::new(reqwest::Client::new());
        let client = match around {
            true => builder.with(Retry).with(bearer(&api, &issuer)).build(),
            false => builder.with(bearer(&api, &issuer)).with(Retry).build(),
        };
        assert_eq!(client.get(&api.url).send().await.unwrap().status(), StatusCode::OK, "around: {around}");
        assert_eq!(api.tokens(), ["t1", "t1", "t2", "t2"], "around: {around}");
        assert_eq!(issuer.issued(), 2, "around: {around}");
    }
}

#[tokio::test]
async fn several_apis_share_one_client() {
    let (one, two) = (Api::start(|_| status(200)).await, Api::start(|_| status(200)).await);
    let (first, second) = (Issuer::default(), Issuer::default());
    drop(second.token());
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(builder(&one, &first).pass_through(true).build().unwrap())
        .with(bearer(&two, &second))
        .build();
    // The second is strict: a request to neither origin is refused, and one that has a token from the first is not
    // changed.
    client.get(&one.url).send().await.unwrap();
    client.get(&two.url).send().await.unwrap();
    assert!(client.get("http://127.0.0.1:9/").send().await.is_err());
    assert_eq!((one.tokens(), two.tokens()), (vec!["t1".to_owned()], vec!["t2".to_owned()]));
}

#[tokio::test]
async fn a_layer_works_in_a_service_builder() {
    let api = Api::start(refuses_the_first).await;
    let issuer = Issuer::default();
    let mut service = ServiceBuilder::new().layer(bearer(&api, &issuer)).service(reqwest::Client::new());
    let request = reqwest::Request::new(reqwest::Method::GET, api.url.parse().unwrap());
    poll_fn(|cx| Service::<reqwest::Request>::poll_ready(&mut service, cx)).await.unwrap();
    assert_eq!(service.call(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn plain_http_where_https_was_intended_is_reported() {
    let bearer = BearerAuth::for_origin("https://api.test", Issuer::default().tokens()).unwrap();
    let error = client(bearer).get("http://api.test/x").send().await.unwrap_err();
    let text = Error::find(&error).unwrap().to_string();
    assert!(text.contains("use https") && !text.contains("pass_through"), "{text}");
}

#[tokio::test]
async fn any_error_that_is_not_clearly_about_something_else_refreshes_the_token() {
    // FD1
    for error in ["expired_token", "invalid_request", "token_expired"] {
        let api = Api::start(move |seen| match seen.token().as_str() {
            "t1" => unauthorized(&format!("Bearer error=\"{error}\"")),
            _ => status(200),
        });
        let outcome = by_both(&api.await, Issuer::default, as_it_is, as_it_is).await;
        assert_eq!(outcome, (Ok(StatusCode::OK), vec!["t1".into(), "t2".into()], 2), "{error}");
    }
}

#[tokio::test]
async fn a_token_in_another_header_is_refreshed_alike() {
    // FD2
    for (header, scheme) in
        [("x-amz-access-token", ""), ("proxy-authorization", "Bearer"), ("authorization", "Zoho-oauthtoken")]
    {
        let api = Api::start(move |seen| {
            let value = seen.headers[header].to_str().unwrap();
            let token = value.strip_prefix(scheme).unwrap().trim_start();
            assert!(header == "authorization" || !seen.headers.contains_key("authorization"));
            status(if token.ends_with("-t1") { 401 } else { 200 })
        })
        .await;
        let issuer = Issuer::default();
        let bearer = builder(&api, &issuer).header(header, scheme).build().unwrap();
        assert_eq!(client(bearer).get(&api.url).send().await.unwrap().status(), StatusCode::OK, "{header}");
        assert_eq!(issuer.issued(), 2, "{header}");
    }
}

#[tokio::test]
async fn a_refusal_in_the_body_is_recognized_if_configured() {
    // FD4
    let api = Api::start(|seen| {
        let body = if seen.token() == "t1" { r#"{"error":{"code":498}}"# } else { r#"{"invoices":[]}"# };
        http::Response::new(api::Body::from(body))
    })
    .await;
    let says = |_: StatusCode, _: &http::HeaderMap, body: &[u8]| body.windows(3).any(|part| part == b"498");
    let asks = |b: BearerAuthBuilder| b.rejected_when_body(1000, says);
    let outcome = by_both(&api, Issuer::default, asks, as_it_is).await;
    assert_eq!(outcome, (Ok(StatusCode::OK), vec!["t1".into(), "t2".into()], 2));
    let short = |b: BearerAuthBuilder| b.rejected_when_body(5, says);
    for configure in [&short as &dyn Fn(BearerAuthBuilder) -> BearerAuthBuilder, &as_it_is] {
        let outcome = by_both(&api, Issuer::default, configure, as_it_is).await;
        assert_eq!(outcome, (Ok(StatusCode::OK), vec!["t1".into()], 1));
    }
    // The body that was inspected is complete.
    let bearer = asks(builder(&api, &Issuer::default())).build().unwrap();
    let response = client(bearer).get(&api.url).send().await.unwrap();
    assert_eq!(response.url().as_str(), format!("{}/", api.url));
    assert_eq!(response.text().await.unwrap(), r#"{"invoices":[]}"#);
}

/// A source with one token, and no second one.
#[derive(Debug, Default)]
struct Hangs(AtomicU64);

impl TokenSource for Hangs {
    fn token(&self) -> TokenFuture<'_> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => TokenFuture::ready(AccessToken::builder(format!("{}-t1", TOKEN)).build()),
            _ => TokenFuture::new(std::future::pending()),
        }
    }
    fn reject(&self, _: &AccessToken) {}
}

#[tokio::test]
async fn a_refused_request_does_not_wait_for_another_token_longer_than_configured() {
    // FA5
    let api = Api::start(refuses_the_first).await;
    let builder = BearerAuth::builder(Hangs::default()).origin(&api.url).replacement_timeout(Duration::from_millis(1));
    let response = client(builder.build().unwrap()).get(&api.url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.text().await.unwrap(), "refused");
    assert_eq!(api.tokens(), ["t1"]);
}

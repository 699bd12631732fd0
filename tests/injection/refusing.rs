//! An API that rejects new tokens, too: the events for the operator.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Mutex;

use client_credentials::BearerAuth;
use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::api::Api;
use super::*;

/// The warnings of the crate.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }
        if *event.metadata().level() <= Level::WARN && event.metadata().target() == "client_credentials" {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

/// Sends a request to an API that responds with 401 to the first `refused` tokens, with a challenge that echoes them.
async fn call(bearer: &BearerAuth, origin: &str, refused: u64) -> u16 {
    let service = service_fn(move |request: Request<()>| {
        let token = request.headers()["authorization"].clone();
        let number: u64 = ending(&token).trim_start_matches('t').parse().unwrap();
        let response = Response::builder().status(if number <= refused { 401 } else { 200 });
        let response = response.header("www-authenticate", challenge("invalid_token", token.to_str().unwrap()));
        async move { Ok::<_, Infallible>(response.body(()).unwrap()) }
    });
    let request = Request::get(format!("{origin}/x")).body(()).unwrap();
    tower::Layer::layer(bearer, service).oneshot(request).await.unwrap().status().as_u16()
}

fn challenge(error: &str, token: &str) -> String {
    format!("Bearer error=\"{error}\", error_description=\"\tthe audience of {token} is wrong\", scope=\"told:all\"")
}

/// The tokens of a source with a name; events about rejections are added to `seen`.
fn named(name: &str, seen: &Arc<Mutex<Vec<String>>>) -> Cached<Issuer> {
    let seen = Arc::clone(seen);
    Issuer::default().tokens().observed(name, move |source: &str, event: &client_credentials::Event<'_>| {
        if let client_credentials::Event::ApiRefuses { api, status, error, description, scope, .. } = event {
            seen.lock().unwrap().push(format!("{source} {api} {status} {error:?} {description:?} {scope:?}"));
        }
    })
}

#[tokio::test]
async fn an_api_that_refuses_new_tokens_is_reported_once_with_source_text_and_advice() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    let origin = "https://billing.test";
    let seen = Arc::default();
    let bearer = || BearerAuth::for_origin(origin, named("billing", &seen)).unwrap();

    assert_eq!(call(&bearer(), origin, 1).await, 200);
    assert_eq!(warnings.take(), [""; 0], "one refusal is ordinary: the token was revoked, say");

    let refused = bearer();
    for _ in 0..20 {
        assert_eq!(call(&refused, origin, u64::MAX).await, 401);
    }
    let said = warnings.take();
    assert_eq!(said.len(), 1, "{said:?}");
    for part in [
        origin,
        "source=\"billing\"",
        "invalid_token",
        "the audience of Bearer *** is wrong",
        "told:all",
        "audience, scope",
    ] {
        assert!(said[0].contains(part), "{part}: {said:?}");
    }
    assert!(!said[0].contains("\\t"));
    harness::canary::assert_no_canary(&said);
    let description = "Some(\"the audience of Bearer *** is wrong\")";
    let event = format!("billing {origin} 401 Some(\"invalid_token\") {description} Some(\"told:all\")");
    assert_eq!(*seen.lock().unwrap(), [event]);

    assert_eq!(call(&bearer(), origin, u64::MAX).await, 401);
    assert_eq!(warnings.take().len(), 1, "another integration has a minute of its own");
}

#[tokio::test]
async fn each_origin_is_reported() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    let origins = ["https://red.test", "https://blue.test"];
    let bearer = BearerAuth::builder(Issuer::default().tokens()).origin(origins[0]).origin(origins[1]).build().unwrap();
    for _ in 0..5 {
        for origin in origins {
            assert_eq!(call(&bearer, origin, u64::MAX).await, 401);
        }
    }
    let said = warnings.take();
    assert_eq!(said.len(), 2, "{said:?}");
    for origin in origins {
        assert!(said.iter().any(|said| said.contains(origin)), "{said:?}");
    }
}

#[tokio::test]
async fn refused_requests_that_are_not_repeated_are_reported_alike() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    let origin = "https://billing.test";
    let bearer = BearerAuth::builder(Issuer::default().tokens()).origin(origin).repeat(false).build().unwrap();
    assert_eq!(call(&bearer, origin, 1).await, 401);
    assert_eq!(call(&bearer, origin, 1).await, 200);
    assert_eq!(warnings.take(), [""; 0]);
    let bearer = BearerAuth::builder(Issuer::default().tokens()).origin(origin).repeat(false).build().unwrap();
    for _ in 0..20 {
        assert_eq!(call(&bearer, origin, u64::MAX).await, 401);
    }
    assert_eq!(warnings.take().len(), 1);
}

#[tokio::test]
async fn a_refused_constant_token_is_reported_without_a_source() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    let origin = "https://billing.test";
    let token = AccessToken::builder(format!("{TOKEN}-t1")).build().unwrap();
    let bearer = BearerAuth::for_origin(origin, token).unwrap();
    for _ in 0..20 {
        assert_eq!(call(&bearer, origin, u64::MAX).await, 401);
    }
    let said = warnings.take();
    assert!(said.len() == 1 && said[0].contains(origin) && !said[0].contains("source="), "{said:?}");
    harness::canary::assert_no_canary(&said);
}

#[tokio::test]
async fn a_refusal_in_the_body_is_reported() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    let api = Api::start(|_| Response::new(api::Body::from(r#"{"error":{"code":498}}"#))).await;
    for layered in [false, true] {
        let bearer = BearerAuth::builder(named("billing", &Arc::default()))
            .origin(&api.url)
            .rejected_when_body(1000, |_, _, body| body.windows(3).any(|part| part == b"498"))
            .build()
            .unwrap();
        for _ in 0..20 {
            let request = reqwest::Client::new().get(&api.url).build().unwrap();
            let response = match layered {
                true => tower::Layer::layer(&bearer, reqwest::Client::new()).oneshot(request).await.unwrap(),
                false => {
                    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new());
                    client.with(bearer.clone()).build().execute(request).await.unwrap()
                }
            };
            assert_eq!(response.text().await.unwrap(), r#"{"error":{"code":498}}"#);
        }
        let said = warnings.take();
        assert!(said.len() == 1 && said[0].contains("source=\"billing\""), "layered {layered}: {said:?}");
    }
}

#[tokio::test]
async fn an_insufficient_scope_is_reported_once_and_refreshes_nothing() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    for status in [401, 403] {
        let seen = Arc::default();
        let tokens = named("billing", &seen);
        let bearer = BearerAuth::for_origin("https://billing.test", tokens.clone()).unwrap();
        for _ in 0..20 {
            let service = service_fn(move |request: Request<()>| {
                let token = request.headers()["authorization"].to_str().unwrap().to_owned();
                let response = Response::builder().status(status);
                let response = response.header("www-authenticate", challenge("Insufficient_Scope", &token));
                async move { Ok::<_, Infallible>(response.body(()).unwrap()) }
            });
            let request = Request::get("https://billing.test/x").body(()).unwrap();
            let response = tower::Layer::layer(&bearer, service).oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
        }
        let said = warnings.take();
        assert_eq!(said.len(), 1, "{status}: {said:?}");
        for part in ["source=\"billing\"", "requires a scope", "told:all", "that it is requested"] {
            assert!(said[0].contains(part), "{part}: {said:?}");
        }
        harness::canary::assert_no_canary(&said);
        assert!(seen.lock().unwrap()[0].contains("insufficient_scope"));
        assert_eq!(tokens.fetches().cold, 1);
    }
}

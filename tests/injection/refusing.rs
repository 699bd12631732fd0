//! An API that refuses new tokens as well: what an operator reads.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Mutex;

use client_credentials::BearerAuth;
use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

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

/// Sends a request to an API that answers 401 to the first `refused` tokens.
async fn call(bearer: &BearerAuth, origin: &str, refused: u64) -> u16 {
    let service = service_fn(move |request: Request<()>| {
        let number: u64 = ending(&request.headers()["authorization"]).trim_start_matches('t').parse().unwrap();
        let code = if number <= refused { 401 } else { 200 };
        async move { Ok::<_, Infallible>(Response::builder().status(code).body(()).unwrap()) }
    });
    let request = Request::get(format!("{origin}/x")).body(()).unwrap();
    tower::Layer::layer(bearer, service).oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn an_api_that_refuses_new_tokens_is_warned_of_once_with_its_origin_and_no_token() {
    let warnings = Warnings::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(warnings.clone()));
    let origin = "https://billing.test";
    let bearer = || BearerAuth::for_origin(origin, Issuer::default().tokens()).unwrap();

    assert_eq!(call(&bearer(), origin, 1).await, 200);
    assert_eq!(warnings.take(), [""; 0], "one refusal is ordinary: the token was revoked, say");

    let refused = bearer();
    for _ in 0..20 {
        assert_eq!(call(&refused, origin, u64::MAX).await, 401);
    }
    let said = warnings.take();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(origin) && said[0].contains("audience"), "{said:?}");
    harness::canary::assert_no_canary(&said);

    assert_eq!(call(&bearer(), origin, u64::MAX).await, 401);
    assert_eq!(warnings.take().len(), 1, "another integration has a minute of its own");
}

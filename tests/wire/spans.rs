//! Spans: what a trace shows about a fetch.

use std::sync::{Arc, Mutex};

use client_credentials::RetryPolicy;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Record};
use tracing::{Id, Instrument, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::harness::server::{Server, answer, ok};
use crate::story::builder;

/// The spans of the crate, in the order of their end: parent, name, fields.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(fields) = context.span(id).unwrap().extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        if span.metadata().target() == "client_credentials" {
            let parent = span.parent().map_or("-", |parent| parent.name());
            let fields = span.extensions().get::<Fields>().map(|fields| fields.0.clone()).unwrap_or_default();
            self.0.lock().unwrap().push(format!("{parent} > {}{fields}", span.name()));
        }
    }
}

#[tokio::test]
async fn the_attempts_of_a_fetch_are_its_children_with_the_outcome_of_each() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let server = Server::start([answer(503, &[], "busy"), ok("t1"), answer(500, &[], "")]);
    let tokens = builder(&server).name("billing").retry(RetryPolicy::new().attempts(2)).build().unwrap();
    let token = tokens.token().instrument(tracing::info_span!("caller")).await.unwrap();
    let attempt = "fetch > attempt source=\"billing\" server.address=\"127.0.0.1\" otel.kind=\"client\"";
    let fetch = "- > fetch source=\"billing\" cause=";
    let take = || std::mem::take(&mut *spans.0.lock().unwrap());
    assert_eq!(
        take(),
        [
            format!("{attempt} http.response.status_code=503 otel.status_code=\"ERROR\" error.type=\"response\""),
            format!("{attempt} http.response.status_code=200"),
            format!("{fetch}\"cold\" otel.kind=\"client\""),
        ]
    );
    tokens.reject(&token);
    tokens.token().await.unwrap_err();
    let seen = take();
    assert_eq!(seen.len(), 3, "{seen:?}");
    let failed = format!("{fetch}\"rejection\" otel.kind=\"client\" otel.status_code=\"ERROR\" error.type=");
    assert!(seen[2].starts_with(&failed), "{seen:?}");
}

//! The span of a fetch, for those who trace requests.

use tracing::span::Attributes;
use tracing::{Id, Instrument, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;
use crate::source::source_fn;

/// The name of each new span with that of its parent.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let parent = span.parent().map_or("-", |parent| parent.name());
        self.0.lock().unwrap().push(format!("{parent} > {}", span.name()));
    }
}

#[tokio::test]
async fn a_fetch_is_a_root_span_whose_children_are_the_requests() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let tokens = Cached::new(source_fn(|| {
        async { AccessToken::builder("abc").lifetime(seconds(60)).build() }.instrument(tracing::info_span!("request"))
    }));
    tokens.token().instrument(tracing::info_span!("caller")).await.unwrap();
    tokens.token().await.unwrap();
    assert_eq!(*spans.0.lock().unwrap(), ["- > caller", "- > fetch", "fetch > request"]);
}

//! The span of a fetch, linked to those of the callers.

use tracing::span::{Attributes, Record};
use tracing::{Id, Instrument, Subscriber, info_span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;
use crate::source::source_fn;

/// A line for each event of a span: `parent > child`, `span ~ span that it follows from`, `/span` for its end.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl Spans {
    fn say(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The lines that begin with `start`.
    fn of(&self, start: &str) -> Vec<String> {
        self.take().into_iter().filter(|line| line.starts_with(start)).collect()
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let parent = span.parent().map_or("-", |parent| parent.name());
        self.say(format!("{parent} > {}", span.name()));
        if span.name() == "fetch" {
            assert_eq!(attributes.metadata().target(), "client_credentials");
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.say(format!("{} has {values:?}", context.span(id).unwrap().name()));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let name = |id| context.span(id).unwrap().name();
        self.say(format!("{} ~ {}", name(id), name(follows)));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.say(format!("/{}", context.span(&id).unwrap().name()));
    }
}

#[tokio::test]
async fn a_fetch_is_a_root_span_linked_to_waiting_callers_whose_children_are_the_requests() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let tokens = Cached::new(source_fn(|| {
        async { AccessToken::builder("abc").lifetime(seconds(60)).build() }.instrument(info_span!("request"))
    }));
    tokens.token().instrument(info_span!("caller")).await.unwrap();
    let all = ["- > caller", "- > fetch", "fetch ~ caller", "fetch > request", "/request", "/fetch", "/caller"];
    assert_eq!(spans.take(), all);
    tokens.token().instrument(info_span!("cached")).await.unwrap();
    assert_eq!(spans.take(), ["- > cached", "/cached"]);
}

#[tokio::test]
async fn each_caller_that_waits_is_linked_once_whether_the_fetch_runs_already_or_not() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let server = Server::new([], Reply::New(60));
    let tokens = cached(&server);
    server.close();
    let early = async { tokio::join!(tokens.token(), tokens.token()) }.instrument(info_span!("early"));
    let late = async {
        settle().await;
        assert_eq!(server.hits(), 1, "it runs");
        tokio::join!(tokens.token(), tokens.token())
    };
    let opens = async {
        settle().await;
        settle().await;
        server.open(1);
    };
    let unlinked = async {
        settle().await;
        tokens.token().await
    };
    let (early, late, unlinked, ()) = tokio::join!(early, late.instrument(info_span!("late")), unlinked, opens);
    assert!([early.0, early.1, late.0, late.1, unlinked].iter().all(Result::is_ok));
    settle().await;
    let seen = spans.take();
    let links: Vec<_> = seen.iter().filter(|line| line.contains('~')).collect();
    assert_eq!(links, ["fetch ~ early", "fetch ~ late"], "{seen:?}");
    assert!(seen.contains(&"/fetch".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn a_caller_that_does_not_wait_for_a_refresh_is_not_linked_to_it() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(3400));
    tokens.token().instrument(info_span!("caller")).await.unwrap();
    settle().await;
    assert_eq!(server.hits(), 2);
    assert_eq!(spans.of("fetch ~"), [""; 0]);
}

#[tokio::test]
async fn thousands_of_waiting_callers_are_a_bounded_number_of_links() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let server = Server::new([], Reply::New(60));
    let tokens = cached(&server);
    server.close();
    let caller = |_| tokens.token().instrument(info_span!("caller"));
    let both = async {
        let early = futures_util::future::join_all((0..1000).map(caller));
        let late = async {
            settle().await;
            futures_util::future::join_all((0..1000).map(caller)).await
        };
        tokio::join!(early, late)
    };
    let opens = async {
        settle().await;
        settle().await;
        server.open(1);
    };
    tokio::join!(both, opens);
    assert_eq!(spans.of("fetch ~ caller").len(), 32);
}

#[tokio::test]
async fn spans_of_failed_and_aborted_fetches_are_closed() {
    let spans = Spans::default();
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let server = Server::new([down()], Reply::Never);
    let tokens = cached(&server);
    tokens.token().await.unwrap_err();
    let seen = spans.take();
    assert!(seen.iter().any(|line| line.contains("fetch has") && line.contains("ERROR")), "{seen:?}");
    assert!(seen.iter().any(|line| line.contains("fetch has") && line.contains("transport")), "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("/fetch"));

    server.advance(seconds(60));
    let waits = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }.instrument(info_span!("caller"))
    });
    settle().await;
    assert_eq!(spans.take(), ["- > caller", "- > fetch", "fetch ~ caller"]);
    waits.abort();
    drop(tokens);
    settle().await;
    let mut seen = spans.take();
    seen.sort();
    assert_eq!(seen, ["/caller", "/fetch"]);
}

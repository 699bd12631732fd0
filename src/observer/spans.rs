//! `tracing` spans of a fetch and of its attempts, and links to the callers that wait. Names and fields are part of the
//! public interface, documented in `docs::operating`.

use std::fmt;
use std::sync::Arc;

use tracing::field::Empty;
use tracing::{Id, Instrument, Span};

use super::{FetchCause, error_type};
use crate::contained::contained;
use crate::error::Error;
use crate::lock::Lock;

const TARGET: &str = "client_credentials";

/// 32: thousands of callers may wait for one fetch, and tools that show spans have no use for more.
const MOST_LINKS: usize = 32;

/// The span of a fetch, for the callers that wait. A handle.
#[derive(Clone, Default)]
pub(crate) struct FetchSpan(Arc<Lock<Links>>);

enum Links {
    /// The fetch has not run yet: the spans of the callers that wait already.
    Early(Vec<Span>),
    /// The fetch runs, and follows from these spans.
    Open(Arc<Span>, Vec<Id>),
    /// The fetch has ended, or no subscriber records it.
    Closed,
}

impl Default for Links {
    fn default() -> Self {
        Links::Early(Vec::new())
    }
}

impl FetchSpan {
    /// Links the span of the caller, which waits for the fetch, to that of the fetch. Not to be called under a lock: a
    /// subscriber is user code.
    pub(crate) fn awaited(&self) {
        let caller = Span::current();
        let Some(id) = caller.id() else { return };
        let mut links = self.0.lock();
        let span = match &mut *links {
            Links::Early(callers) if callers.len() < MOST_LINKS && !callers.contains(&caller) => {
                callers.push(caller);
                return;
            }
            Links::Open(span, linked) if linked.len() < MOST_LINKS && !linked.contains(&id) => {
                linked.push(id);
                Arc::clone(span)
            }
            _ => return,
        };
        drop(links);
        link(&span, &caller);
    }

    /// Runs `fetch` in a span. It is a root span, since many callers may wait for the fetch, which outlives them. Spans
    /// that the HTTP client opens are its children.
    pub(super) fn around<F: Future>(
        &self,
        source: &str,
        cause: FetchCause,
        fetch: F,
        failure: fn(&F::Output) -> Option<&Error>,
    ) -> impl Future<Output = F::Output> + use<F> {
        let span = tracing::info_span!(
            target: TARGET, parent: None, "fetch",
            source, cause = cause.as_str(), otel.kind = "client", otel.status_code = Empty, "error.type" = Empty,
        );
        let open = self.open(&span);
        async move {
            let _open = open;
            let outcome = fetch.instrument(span.clone()).await;
            fails(&span, failure(&outcome));
            outcome
        }
    }

    fn open(&self, span: &Span) -> Open {
        // Subscribers are not called under the lock, not even to clone a span.
        let own = (!span.is_disabled()).then(|| Arc::new(span.clone()));
        let callers = {
            let mut links = self.0.lock();
            let before = std::mem::replace(&mut *links, Links::Closed);
            let callers = if let Links::Early(callers) = before { callers } else { Vec::new() };
            if let Some(own) = own {
                *links = Links::Open(own, callers.iter().filter_map(Span::id).collect());
            }
            callers
        };
        callers.iter().for_each(|caller| link(span, caller));
        Open(self.clone())
    }
}

/// Exists while the fetch runs. Its span ends with it, however many handles there are.
struct Open(FetchSpan);

impl Drop for Open {
    fn drop(&mut self) {
        let links = std::mem::replace(&mut *self.0.0.lock(), Links::Closed);
        drop(links);
    }
}

/// Links two spans, if one subscriber has both: that of one thread may not know the spans of another, and may panic.
fn link(span: &Span, caller: &Span) {
    let _ = contained(|| {
        span.follows_from(caller);
    });
}

/// The span of a token request.
pub(crate) struct AttemptSpan(Span);

impl AttemptSpan {
    pub(super) fn new(source: &str, server: &str) -> Self {
        AttemptSpan(tracing::info_span!(
            target: TARGET, "attempt",
            source, server.address = server, otel.kind = "client", otel.status_code = Empty,
            "http.response.status_code" = Empty, "error.type" = Empty,
        ))
    }

    pub(crate) fn around<F: Future>(&self, request: F) -> impl Future<Output = F::Output> + use<F> {
        request.instrument(self.0.clone())
    }

    pub(crate) fn end(self, status: Option<u16>, error: Option<&Error>) {
        if let Some(status) = status {
            self.0.record("http.response.status_code", status);
        }
        fails(&self.0, error);
    }
}

/// The field of OpenTelemetry.
fn fails(span: &Span, error: Option<&Error>) {
    if let Some(error) = error {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", error_type(error.kind()));
    }
}

impl fmt::Debug for FetchSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FetchSpan")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::Subscriber;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
    use tracing_subscriber::registry::LookupSpan;

    use super::*;

    /// Counts the spans that have ended.
    struct Ended(Arc<AtomicUsize>);

    impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ended {
        fn on_close(&self, _: Id, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn the_span_of_a_fetch_ends_with_it_however_many_handles_there_are() {
        let ended = Arc::new(AtomicUsize::new(0));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Ended(Arc::clone(&ended))));
        let handle = FetchSpan::default();
        assert_eq!(format!("{handle:?}"), "FetchSpan");
        handle.around("billing", FetchCause::Cold, async { handle.awaited() }, |()| None).await;
        assert_eq!(ended.load(Ordering::Relaxed), 1);
    }
}

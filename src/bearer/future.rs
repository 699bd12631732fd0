//! The response future of the tower service.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::service::{BoxError, Layered};
use super::trip::{Outgoing, Stack, Trip, Verdict};
use crate::error::Error;

pin_project! {
    /// The response future of [`BearerService`](crate::BearerService).
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct BearerFuture<I: Service<Q>, Q: Outgoing> {
        #[pin]
        state: Stage<I, Q>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum Stage<I: Service<Q>, Q: Outgoing> {
        /// Refused before it was sent.
        Failed { error: Option<Error> },
        /// Sent: the common case, in which nothing is boxed.
        Sent { #[pin] sent: I::Future, ours: Option<Ours<I, Q>> },
        /// Waits for a token, before the request or before its repetition.
        Waits { waits: Pin<Box<dyn Future<Output = Result<I::Response, BoxError>> + Send>> },
    }
}

/// A request that carries our token.
pub(super) struct Ours<I: Service<Q>, Q: Outgoing> {
    pub(super) shared: Arc<Layered<I>>,
    pub(super) trip: Trip<Q>,
    pub(super) stack: Stack<I::Response, BoxError>,
}

pub(super) fn failed<I: Service<Q>, Q: Outgoing>(error: Error) -> BearerFuture<I, Q> {
    BearerFuture { state: Stage::Failed { error: Some(error) } }
}

/// Built in place, so that large values are moved less often.
#[inline(always)]
pub(super) fn sent<I: Service<Q>, Q: Outgoing>(
    ours: Option<Ours<I, Q>>,
    sent: impl FnOnce() -> I::Future,
) -> BearerFuture<I, Q> {
    BearerFuture { state: Stage::Sent { ours, sent: sent() } }
}

pub(super) fn waits<I: Service<Q>, Q: Outgoing>(
    waits: impl Future<Output = Result<I::Response, BoxError>> + Send + 'static,
) -> BearerFuture<I, Q> {
    BearerFuture { state: Stage::Waits { waits: Box::pin(waits) } }
}

impl<I, Q> Ours<I, Q>
where
    Q: Outgoing,
    I: Service<Q> + Clone,
    I::Error: Into<BoxError>,
{
    /// What status and headers of the response require.
    fn judge(&self, response: &I::Response) -> Verdict {
        self.trip.judge(self.shared.bearer.policy(), &(self.stack.answer)(response))
    }

    /// Repeats the request as its responses require.
    pub(super) async fn follow(mut self, mut response: I::Response) -> Result<I::Response, BoxError> {
        let shared = Arc::clone(&self.shared);
        loop {
            let verdict = self.judge(&response);
            let (answered, again) = self.trip.next(shared.bearer.policy(), &self.stack, response, verdict).await?;
            let Some(again) = again else {
                return Ok(answered);
            };
            drop(answered);
            // A panic in the user's `clone` cannot leave the service in an inconsistent state.
            let mut inner = shared.spare.lock().clone();
            poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
            response = inner.call(again).await.map_err(Into::into)?;
        }
    }
}

impl<I, Q> Future for BearerFuture<I, Q>
where
    Q: Outgoing + Send + 'static,
    I: Service<Q> + Clone + Send + 'static,
    I::Response: Send + 'static,
    I::Error: Into<BoxError>,
    I::Future: Send,
{
    type Output = Result<I::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let waits = match state.as_mut().project() {
                StateProjection::Failed { error } => {
                    let error =
                        error.take().unwrap_or_else(|| Error::other("a response future was polled after completion"));
                    return Poll::Ready(Err(error.into()));
                }
                StateProjection::Waits { waits } => return waits.as_mut().poll(cx),
                StateProjection::Sent { sent, ours } => {
                    let response = ready!(sent.poll(cx)).map_err(Into::into)?;
                    match ours.take_if(|ours| ours.judge(&response) != Verdict::HandBack) {
                        Some(ours) => Box::pin(ours.follow(response)),
                        None => return Poll::Ready(Ok(response)),
                    }
                }
            };
            state.set(Stage::Waits { waits });
        }
    }
}

impl<I: Service<Q>, Q: Outgoing> fmt::Debug for BearerFuture<I, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerFuture")
    }
}

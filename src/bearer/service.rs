//! The tower service, for `http::Request<B>` and `reqwest::Request`.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Extensions;
use tower_layer::Layer;
use tower_service::Service;

use super::future::{self, BearerFuture, Ours};
use super::policy::Answer;
use super::trip::{Outgoing, Stack, Trip};
use super::{BearerAuth, Destination};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::source::TokenSource;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The tower service that [`BearerAuth`] wraps around another one.
///
/// Its error type is a boxed error; [`Error::find`] finds an [`Error`] of this crate in it.
pub struct BearerService<I> {
    inner: I,
    shared: Arc<Layered<I>>,
}

/// State shared by all requests of a service.
pub(super) struct Layered<I> {
    pub(super) bearer: BearerAuth,
    /// Never called itself, only cloned for a repetition, so that most requests clone no service.
    pub(super) spare: Lock<I>,
}

impl<I: Clone> Layer<I> for BearerAuth {
    type Service = BearerService<I>;

    fn layer(&self, inner: I) -> Self::Service {
        let shared = Layered { bearer: self.clone(), spare: Lock::new(inner.clone()) };
        BearerService { inner, shared: Arc::new(shared) }
    }
}

impl<I, B, R> Service<http::Request<B>> for BearerService<I>
where
    I: Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
    I::Error: Into<BoxError>,
    I::Future: Send,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = http::Response<R>;
    type Error = BoxError;
    type Future = BearerFuture<I, http::Request<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let bearer = &self.shared.bearer;
        let destination = match bearer.policy().rejected_when_body {
            // Refused before anything is sent, instead of having no effect.
            Some(_) => Err(Error::of(
                ErrorKind::Configuration,
                "rejected_when_body looks at the responses of reqwest; those of this service have bodies of a type that only \
                 their user can read: use rejected_when",
            )),
            None => bearer.destination(&request, Some(request.extensions())),
        };
        let stack = Stack {
            answer: |response: &http::Response<R>| Answer {
                status: response.status(),
                headers: response.headers(),
                from: None,
            },
            look: |response, _| Box::pin(std::future::ready(Ok((response, None)))),
        };
        self.send(request, destination, stack)
    }
}

impl<I> Service<reqwest::Request> for BearerService<I>
where
    I: Service<reqwest::Request, Response = reqwest::Response> + Clone + Send + 'static,
    I::Error: Into<BoxError>,
    I::Future: Send,
{
    type Response = reqwest::Response;
    type Error = BoxError;
    type Future = BearerFuture<I, reqwest::Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let destination = self.shared.bearer.destination(&request, None::<&Extensions>);
        self.send(request, destination, super::reqwest::stack())
    }
}

impl<I> BearerService<I> {
    fn send<Q>(
        &mut self,
        mut request: Q,
        destination: Destination,
        stack: Stack<I::Response, BoxError>,
    ) -> BearerFuture<I, Q>
    where
        Q: Outgoing + Send + 'static,
        I: Service<Q> + Clone + Send + 'static,
        I::Response: Send + 'static,
        I::Error: Into<BoxError>,
        I::Future: Send,
    {
        let policy = self.shared.bearer.policy();
        match destination {
            Err(error) => self.not_sent(error),
            Ok(None) => future::sent(None, || self.inner.call(request)),
            Ok(Some((place, source))) => match source.token().if_ready() {
                Some(Err(error)) => self.not_sent(error),
                Some(Ok(token)) if token.possession().is_none() => {
                    let trip = Trip::begin(policy, place, source, token, &mut request);
                    let shared = Arc::clone(&self.shared);
                    future::sent(Some(Ours { trip, shared, stack }), || self.inner.call(request))
                }
                // `token` is called again, since its future borrows from the source. A future that was not polled has done
                // nothing. A proof may take a while, too.
                None | Some(Ok(_)) => {
                    // The service that is ready must be called; its clone is polled for readiness by the next request.
                    let clone = self.inner.clone();
                    let mut inner = std::mem::replace(&mut self.inner, clone);
                    let shared = Arc::clone(&self.shared);
                    future::waits(async move {
                        let token = source.token().await?;
                        let mut trip = Trip::begin(shared.bearer.policy(), place, source, token, &mut request);
                        trip.prove(&mut request).await?;
                        let response = inner.call(request).await.map_err(Into::into)?;
                        Ours { shared, trip, stack }.follow(response).await
                    })
                }
            },
        }
    }

    /// Releases what `poll_ready` has reserved, such as a permit: the service may not be called for a long time.
    fn not_sent<Q: Outgoing>(&mut self, error: Error) -> BearerFuture<I, Q>
    where
        I: Service<Q> + Clone,
    {
        let clone = self.inner.clone();
        self.inner = clone;
        future::failed(error)
    }
}

impl<I: Clone> Clone for BearerService<I> {
    fn clone(&self) -> Self {
        BearerService { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<I> fmt::Debug for BearerService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerService").field("bearer", &self.shared.bearer).finish_non_exhaustive()
    }
}

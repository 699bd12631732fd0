//! [`BearerAuth`] as a layer of tower, over `http::Request<B>` and over `reqwest::Request`.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{Empty, Full};
use tower_layer::Layer;
use tower_service::Service;

use super::origin::Target;
use super::trip::{Answer, Outgoing, Trip};
use super::{BearerAuth, Policy};
use crate::TokenSource;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The service that [`BearerAuth`] makes of another one.
///
/// Its error is a boxed one: [`Error::find`](crate::Error::find) tells whether it is ours.
#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
pub struct BearerService<S: 'static, I> {
    bearer: BearerAuth<S>,
    inner: I,
}

#[cfg_attr(docsrs, doc(cfg(feature = "tower")))]
impl<S, I> Layer<I> for BearerAuth<S> {
    type Service = BearerService<S, I>;

    fn layer(&self, inner: I) -> Self::Service {
        BearerService {
            bearer: self.clone(),
            inner,
        }
    }
}

impl<S, I, B, R> Service<http::Request<B>> for BearerService<S, I>
where
    S: TokenSource + 'static,
    I: Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
    I::Error: Into<BoxError>,
    I::Future: Send,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = http::Response<R>;
    type Error = BoxError;
    type Future = BoxFuture<http::Response<R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        self.send(request, |response| Answer {
            status: response.status(),
            headers: response.headers(),
            from: None,
        })
    }
}

impl<S, I> Service<reqwest::Request> for BearerService<S, I>
where
    S: TokenSource + 'static,
    I: Service<reqwest::Request, Response = reqwest::Response> + Clone + Send + 'static,
    I::Error: Into<BoxError>,
    I::Future: Send,
{
    type Response = reqwest::Response;
    type Error = BoxError;
    type Future = BoxFuture<reqwest::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        self.send(request, super::reqwest::answer)
    }
}

impl<S: TokenSource + 'static, I> BearerService<S, I> {
    fn send<Q, R>(&mut self, mut request: Q, answer: fn(&R) -> Answer<'_>) -> BoxFuture<R>
    where
        Q: Outgoing + Send + 'static,
        R: Send + 'static,
        I: Service<Q, Response = R> + Clone + Send + 'static,
        I::Error: Into<BoxError>,
        I::Future: Send,
    {
        // The service that was made ready is the one to call; the clone is made ready for the next request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let bearer = self.bearer.clone();
        Box::pin(async move {
            let trip = Trip::begin(&bearer, &mut request).await?;
            let response = inner.call(request).await.map_err(Into::into)?;
            let Some(again) = trip.judge(&bearer, answer(&response)).await else {
                return Ok(response);
            };
            drop(response);
            poll_fn(|cx| inner.poll_ready(cx))
                .await
                .map_err(Into::into)?;
            inner.call(again).await.map_err(Into::into)
        })
    }
}

impl<B: 'static> Outgoing for http::Request<B> {
    fn target(&self) -> Option<Target<'_>> {
        Target::of_uri(self.uri())
    }
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
    fn copy(&self, policy: &Policy) -> Option<Self> {
        let body = copy_of(self.body(), policy)?;
        let mut copy = http::Request::new(body);
        copy.method_mut().clone_from(self.method());
        copy.uri_mut().clone_from(self.uri());
        *copy.version_mut() = self.version();
        copy.headers_mut().clone_from(self.headers());
        copy.extensions_mut().clone_from(self.extensions());
        Some(copy)
    }
}

/// By the user's functions, then as one of the bodies that can be copied for nothing.
fn copy_of<B: 'static>(body: &B, policy: &Policy) -> Option<B> {
    for copy in &policy.copies {
        if let Some(copy) = copy.downcast_ref::<fn(&B) -> Option<B>>() {
            return copy(body);
        }
    }
    /// `body` cloned, if `B` is `T`.
    fn cloned<B: 'static, T: Clone + 'static>(body: &B) -> Option<B> {
        let mut copy: Option<B> = None;
        let known = (body as &dyn Any).downcast_ref::<T>()?;
        *(&mut copy as &mut dyn Any).downcast_mut::<Option<T>>()? = Some(known.clone());
        copy
    }
    cloned::<B, ()>(body)
        .or_else(|| cloned::<B, Bytes>(body))
        .or_else(|| cloned::<B, Full<Bytes>>(body))
        .or_else(|| cloned::<B, Empty<Bytes>>(body))
        .or_else(|| cloned::<B, String>(body))
}

impl<S, I: Clone> Clone for BearerService<S, I> {
    fn clone(&self) -> Self {
        BearerService {
            bearer: self.bearer.clone(),
            inner: self.inner.clone(),
        }
    }
}

impl<S: fmt::Debug, I> fmt::Debug for BearerService<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerService")
            .field("bearer", &self.bearer)
            .finish_non_exhaustive()
    }
}

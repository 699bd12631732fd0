//! [`BearerAuth`] as a layer of tower, over `http::Request<B>` and over `reqwest::Request`.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Uri, Version};
use http_body_util::{Empty, Full};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::origin::Target;
use super::trip::{Answer, Outgoing, Trip, Verdict};
use super::{BearerAuth, Choice, Policy};
use crate::error::Error;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The service that [`BearerAuth`] makes of another one.
///
/// Its error is a boxed one: [`Error::find`] tells whether it is ours.
pub struct BearerService<S: 'static, I> {
    inner: I,
    shared: Arc<Shared<S, I>>,
}

/// What every request of a service holds on to.
struct Shared<S: 'static, I> {
    bearer: BearerAuth<S>,
    /// Never called itself: a repetition clones it. So the requests that need none, almost all, clone no service.
    spare: Mutex<I>,
}

impl<S, I: Clone> Layer<I> for BearerAuth<S> {
    type Service = BearerService<S, I>;

    fn layer(&self, inner: I) -> Self::Service {
        let shared = Shared { bearer: self.clone(), spare: Mutex::new(inner.clone()) };
        BearerService { inner, shared: Arc::new(shared) }
    }
}

impl<S, I, B, R> Service<http::Request<B>> for BearerService<S, I>
where
    S: Choice<Key: 'static> + 'static,
    I: Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
    I::Error: Into<BoxError>,
    I::Future: Send,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = http::Response<R>;
    type Error = BoxError;
    type Future = BearerFuture<S, I, http::Request<B>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let bearer = &self.shared.bearer;
        let destination = bearer.destination(&request, Some(request.extensions()));
        self.send(request, destination, |response| Answer {
            status: response.status(),
            headers: response.headers(),
            from: None,
        })
    }
}

impl<S, I> Service<reqwest::Request> for BearerService<S, I>
where
    S: Choice<Key: 'static> + 'static,
    I: Service<reqwest::Request, Response = reqwest::Response> + Clone + Send + 'static,
    I::Error: Into<BoxError>,
    I::Future: Send,
{
    type Response = reqwest::Response;
    type Error = BoxError;
    type Future = BearerFuture<S, I, reqwest::Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let destination = self.shared.bearer.destination(&request, None);
        self.send(request, destination, super::reqwest::answer)
    }
}

pin_project! {
    /// The answer to a request of a [`BearerService`].
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct BearerFuture<S, I: Service<Q>, Q: Outgoing> where S: Choice, S: 'static {
        #[pin]
        state: State<S, I, Q>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, I: Service<Q>, Q: Outgoing> where S: Choice, S: 'static {
        /// Refused before it was sent.
        Failed { error: Option<Error> },
        /// On its way: the common case, in which the request is not boxed.
        Sent { #[pin] sent: I::Future, ours: Option<Ours<S, I, Q>> },
        /// Waits for a token, before the request or before its repetition.
        Waits { waits: Pin<Box<dyn Future<Output = Result<I::Response, BoxError>> + Send>> },
    }
}

/// A request that carries our token.
struct Ours<S: Choice + 'static, I: Service<Q>, Q: Outgoing> {
    shared: Arc<Shared<S, I>>,
    key: S::Key,
    trip: Trip<Q>,
    answer: fn(&I::Response) -> Answer<'_>,
}

impl<S: Choice<Key: 'static> + 'static, I> BearerService<S, I> {
    fn send<Q>(
        &mut self,
        mut request: Q,
        destination: Result<Option<(usize, S::Key)>, Error>,
        answer: fn(&I::Response) -> Answer<'_>,
    ) -> BearerFuture<S, I, Q>
    where
        Q: Outgoing + Send + 'static,
        I: Service<Q> + Clone + Send + 'static,
        I::Response: Send,
        I::Error: Into<BoxError>,
        I::Future: Send,
    {
        let bearer = &self.shared.bearer;
        // Each arm builds the whole, field by field in this order, so that what is large is moved less often.
        match destination {
            Err(error) => self.not_sent(error),
            Ok(None) => BearerFuture { state: State::Sent { ours: None, sent: self.inner.call(request) } },
            Ok(Some((origin, key))) => match bearer.source.token_for(&key).if_ready() {
                Some(Err(error)) => self.not_sent(error),
                Some(Ok(token)) if token.possession().is_none() => BearerFuture {
                    state: State::Sent {
                        ours: Some(Ours {
                            trip: Trip::begin(&bearer.policy, origin, token, &mut request),
                            shared: Arc::clone(&self.shared),
                            key,
                            answer,
                        }),
                        sent: self.inner.call(request),
                    },
                },
                // It is asked anew in there, since its future borrows from us; a future that was not polled has done
                // nothing. A proof may take a while, too.
                None | Some(Ok(_)) => BearerFuture {
                    state: State::Waits { waits: Box::pin(self.wait_and_send(origin, key, request, answer)) },
                },
            },
        }
    }

    /// What the service has reserved when it was made ready, such as one of a few places, is let go: nobody may call
    /// it for a long time.
    fn not_sent<Q: Outgoing>(&mut self, error: Error) -> BearerFuture<S, I, Q>
    where
        I: Service<Q> + Clone,
    {
        let clone = self.inner.clone();
        self.inner = clone;
        BearerFuture { state: State::Failed { error: Some(error) } }
    }

    fn wait_and_send<Q>(
        &mut self,
        origin: usize,
        key: S::Key,
        mut request: Q,
        answer: fn(&I::Response) -> Answer<'_>,
    ) -> impl Future<Output = Result<I::Response, BoxError>> + Send + use<S, I, Q>
    where
        Q: Outgoing + Send + 'static,
        I: Service<Q> + Clone + Send + 'static,
        I::Response: Send,
        I::Error: Into<BoxError>,
        I::Future: Send,
    {
        // The service that was made ready is the one to call; its clone is made ready for the next request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        async move {
            let bearer = &shared.bearer;
            let token = bearer.source.token_for(&key).await?;
            let mut trip = Trip::begin(&bearer.policy, origin, token, &mut request);
            trip.prove(&mut request).await?;
            let response = inner.call(request).await.map_err(Into::into)?;
            let ours = Ours { shared, key, trip, answer };
            let verdict = ours.judge(&response);
            ours.follow(verdict, response).await
        }
    }
}

impl<S, I, Q> Ours<S, I, Q>
where
    S: Choice<Key: 'static> + 'static,
    Q: Outgoing,
    I: Service<Q> + Clone,
    I::Error: Into<BoxError>,
{
    fn judge(&self, response: &I::Response) -> Verdict {
        self.trip.judge(&self.shared.bearer.policy, &(self.answer)(response))
    }

    /// Repeats the request as its answers want it.
    async fn follow(mut self, mut verdict: Verdict, mut response: I::Response) -> Result<I::Response, BoxError> {
        loop {
            let bearer = &self.shared.bearer;
            let Some(again) = self.trip.again(bearer, &self.key, verdict).await else {
                return Ok(response);
            };
            drop(response);
            // A panic in the user's `clone` has left nothing half done in there.
            let spare = self.shared.spare.lock().map(|spare| spare.clone());
            let mut inner = spare.unwrap_or_else(|poisoned| poisoned.into_inner().clone());
            poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
            response = inner.call(again).await.map_err(Into::into)?;
            verdict = self.judge(&response);
        }
    }
}

impl<S, I, Q> Future for BearerFuture<S, I, Q>
where
    S: Choice<Key: 'static> + 'static,
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
                        error.take().unwrap_or_else(|| Error::other("a response future was polled after it was done"));
                    return Poll::Ready(Err(error.into()));
                }
                StateProjection::Waits { waits } => return waits.as_mut().poll(cx),
                StateProjection::Sent { sent, ours } => {
                    let response = ready!(sent.poll(cx)).map_err(Into::into)?;
                    let verdict = ours.as_ref().map_or(Verdict::HandBack, |ours| ours.judge(&response));
                    match ours.take_if(|_| verdict != Verdict::HandBack) {
                        Some(ours) => Box::pin(ours.follow(verdict, response)),
                        None => return Poll::Ready(Ok(response)),
                    }
                }
            };
            state.set(State::Waits { waits });
        }
    }
}

impl<B: Send + 'static> Outgoing for http::Request<B> {
    fn target(&self) -> Option<Target<'_>> {
        Target::of_uri(self.uri())
    }
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
    type Kept = Kept<B>;
    #[inline]
    fn keep(&self, policy: &Policy) -> Option<Kept<B>> {
        let headers = self.headers();
        Some(Kept {
            body: copy_of(self.body(), policy)?,
            method: self.method().clone(),
            uri: self.uri().clone(),
            version: self.version(),
            headers: (!headers.is_empty()).then(|| Box::new(headers.clone())),
            extensions: self.extensions().clone(),
        })
    }
    fn from_kept(kept: Kept<B>) -> Self {
        let mut request = http::Request::new(kept.body);
        *request.method_mut() = kept.method;
        *request.uri_mut() = kept.uri;
        *request.version_mut() = kept.version;
        if let Some(headers) = kept.headers {
            *request.headers_mut() = *headers;
        }
        *request.extensions_mut() = kept.extensions;
        request
    }
    fn method(&self) -> &Method {
        self.method()
    }
    fn url(&self) -> Option<std::borrow::Cow<'_, url::Url>> {
        let url = self.uri().to_string().parse();
        url.ok().map(std::borrow::Cow::Owned)
    }
}

/// The parts of a request, which is put together only if it has to be repeated. As small as can be: the future is moved about.
pub(super) struct Kept<B> {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Option<Box<HeaderMap>>,
    extensions: Extensions,
    body: B,
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
        BearerService { inner: self.inner.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<S: fmt::Debug, I> fmt::Debug for BearerService<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerService").field("bearer", &self.shared.bearer).finish_non_exhaustive()
    }
}

impl<S: Choice, I: Service<Q>, Q: Outgoing> fmt::Debug for BearerFuture<S, I, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerFuture")
    }
}

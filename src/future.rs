//! A future that is ready at once or boxed: the common case, a fresh token, allocates nothing.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::token::AccessToken;

/// The future returned by [`TokenSource::token`](crate::TokenSource::token).
///
/// ```
/// use client_credentials::{Error, TokenFuture};
/// let future = TokenFuture::ready(Err(Error::other("not today")));
/// assert!(future.now_or_never().is_some_and(|result| result.is_err()));
/// ```
///
/// # Cancel safety
///
/// Dropping it only abandons the wait: the sources of this crate complete a fetch in progress.
#[must_use = "a future does nothing unless it is awaited"]
pub struct TokenFuture<'a>(Inner<'a>);

enum Inner<'a> {
    Token(AccessToken),
    Failed(Error),
    /// Boxed twice: with a thin pointer the future has two words, which are passed in registers. Three would be passed
    /// in memory, written and read in pieces of different sizes, which stalls the processor: 17 of 42 ns for a cached
    /// token.
    Boxed(Box<Pending<'a>>),
    Taken,
}

/// In a mutex that is never locked, which makes it `Sync`: callbacks of some clients require that (async-nats).
type Pending<'a> = Mutex<Pin<Box<dyn Future<Output = Result<AccessToken, Error>> + Send + 'a>>>;

impl<'a> TokenFuture<'a> {
    /// Creates a future that is ready with `result`. Does not allocate.
    #[inline]
    pub fn ready(result: Result<AccessToken, Error>) -> Self {
        TokenFuture(match result {
            Ok(token) => Inner::Token(token),
            Err(error) => Inner::Failed(error),
        })
    }

    /// Creates a future from another future, which is boxed.
    pub fn new(future: impl Future<Output = Result<AccessToken, Error>> + Send + 'a) -> Self {
        TokenFuture(Inner::Boxed(Box::new(Mutex::new(Box::pin(future)))))
    }

    /// The result, if it is available without polling.
    #[cfg(any(feature = "tower", feature = "pool", feature = "blocking"))]
    #[inline]
    pub(crate) fn if_ready(self) -> Option<Result<AccessToken, Error>> {
        match self.0 {
            Inner::Token(token) => Some(Ok(token)),
            Inner::Failed(error) => Some(Err(error)),
            Inner::Boxed(_) | Inner::Taken => None,
        }
    }

    /// Polls once, for synchronous code such as a tonic interceptor.
    ///
    /// `None` means that no token is available yet. Inside a tokio runtime (or after its
    /// [`enter()`](tokio::runtime::Runtime::enter)), a source of this crate has then started a fetch, so that a later call
    /// finds the token. Outside a runtime a due token is returned and not refreshed.
    pub fn now_or_never(mut self) -> Option<Result<AccessToken, Error>> {
        match Pin::new(&mut self).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

impl Future for TokenFuture<'_> {
    type Output = Result<AccessToken, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Inner::Boxed(future) = &mut self.0 {
            let polled = future.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll(cx);
            if polled.is_ready() {
                self.0 = Inner::Taken;
            }
            return polled;
        }
        match std::mem::replace(&mut self.0, Inner::Taken) {
            Inner::Token(token) => Poll::Ready(Ok(token)),
            Inner::Failed(error) => Poll::Ready(Err(error)),
            // Polled after it was ready: an error rather than a panic.
            Inner::Boxed(_) | Inner::Taken => {
                Poll::Ready(Err(Error::other("a token future was polled after completion")))
            }
        }
    }
}

impl fmt::Debug for TokenFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Token(_) => "TokenFuture(ready)",
            Inner::Failed(_) => "TokenFuture(failed)",
            Inner::Boxed(_) => "TokenFuture(pending)",
            Inner::Taken => "TokenFuture(done)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_future_is_small() {
        assert!(size_of::<TokenFuture<'static>>() <= 16);
    }

    #[test]
    fn a_future_that_is_not_sync_becomes_one_that_is() {
        // FE10
        fn shared<T: Send + Sync>(value: T) -> T {
            value
        }
        let pending = async {
            let cell = std::cell::Cell::new(1);
            std::future::ready(()).await;
            Err(Error::other(format!("{}", cell.get())))
        };
        assert!(shared(TokenFuture::new(pending)).now_or_never().is_some_and(|result| result.is_err()));
    }

    #[test]
    fn a_future_polled_after_its_end_is_an_error_and_not_a_panic() {
        for mut future in
            [TokenFuture::ready(Err(Error::other("x"))), TokenFuture::new(async { Err(Error::other("x")) })]
        {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut future).poll(&mut cx).is_ready());
            assert!(matches!(Pin::new(&mut future).poll(&mut cx), Poll::Ready(Err(_))));
        }
    }

    #[test]
    fn now_or_never_gives_up_on_a_pending_future() {
        assert!(TokenFuture::new(std::future::pending()).now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_future_is_shown_by_its_state() {
        let shown = |future: &TokenFuture<'_>| format!("{future:?}");
        let token = AccessToken::builder("hush").build().unwrap();
        let mut future = TokenFuture::ready(Ok(token));
        assert_eq!(shown(&future), "TokenFuture(ready)");
        (&mut future).await.unwrap();
        assert_eq!(shown(&future), "TokenFuture(done)");
        assert_eq!(shown(&TokenFuture::ready(Err(Error::other("down")))), "TokenFuture(failed)");
        assert_eq!(shown(&TokenFuture::new(std::future::pending())), "TokenFuture(pending)");
    }
}

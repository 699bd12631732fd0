//! The current tokio runtime: whether there is one, whether it has timers, and waits that outlive it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::contained::contained;

/// The current runtime, which has timers; otherwise the reason why it cannot drive a fetch.
pub(crate) fn current() -> Result<Handle, &'static str> {
    const NONE: &str = "not called inside a tokio runtime: a new token has to be fetched, which needs one";
    let handle = Handle::try_current().map_err(|_| NONE)?;
    // tokio has no function to ask for timers. Without them the constructor panics.
    match contained(|| drop(tokio::time::sleep(Duration::ZERO))) {
        Ok(()) => Ok(handle),
        Err(_) => Err("the tokio runtime has no timers: build it with `enable_all()`"),
    }
}

/// The output of `future`; `None`: it takes longer. Without timers, only the caller can set a deadline.
#[cfg(any(feature = "dpop", feature = "reqwest-middleware", feature = "tower"))]
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    // What is ready at once needs no timers.
    if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        return Some(output);
    }
    match current() {
        Ok(_) => tokio::time::timeout(limit, future).await.ok(),
        Err(_) => Some(future.await),
    }
}

/// Waits at most `limit` for the value of a channel. `None`: no value came, the channel closed without one, or the timer
/// panicked because the runtime that polled us first is gone.
pub(crate) async fn value_of<T: Clone>(mut channel: watch::Receiver<Option<T>>, limit: Duration) -> Option<T> {
    let mut wait = pin!(tokio::time::timeout(limit, channel.wait_for(Option::is_some)));
    poll_fn(|cx| match contained(|| wait.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(Ok(value)))) => Poll::Ready(value.clone()),
        Ok(Poll::Ready(_)) | Err(_) => Poll::Ready(None),
    })
    .await
}

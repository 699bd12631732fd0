//! A fence around user code: a panic in a closure, signer, store or source becomes the error of one call. It does not
//! end a task and does not poison state.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::error::{Error, ErrorKind};

/// The code panicked. The payload is dropped and not shown, since its text may contain a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl Panicked {
    /// The text of the error; `what` begins with an article.
    pub(crate) fn text(what: &str) -> String {
        format!("{what} panicked (its message went to the panic hook)")
    }

    pub(crate) fn error(what: &str) -> Error {
        Error::of(ErrorKind::Other, Panicked::text(what))
    }
}

/// Runs `code`.
pub(crate) fn contained<R>(code: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        // The `Drop` of the payload is user code, too. The payload of a second panic is leaked.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Panicked
    })
}

/// Drives `future`, which is not polled again after a panic.
pub(crate) async fn contained_future<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(|cx| match contained(|| future.as_mut().poll(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// The number of panics in `code`, contained ones included: the hook sees all of this thread.
#[cfg(test)]
pub(crate) fn panics_of(code: impl FnOnce()) -> u32 {
    thread_local! {
        static SEEN: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            SEEN.set(SEEN.get() + 1);
            before(info);
        }));
    });
    let earlier = SEEN.get();
    code();
    SEEN.get() - earlier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error() {
        assert_eq!(contained(|| 1), Ok(1));
        assert_eq!(contained(|| panic!("x")), Err::<(), _>(Panicked));
        assert_eq!(contained_future(async { 1 }).await, Ok(1));
        assert_eq!(contained_future(async { panic!("x") }).await, Err::<(), _>(Panicked));
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_contained_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(contained(|| std::panic::panic_any(Bomb)), Err::<(), _>(Panicked));
    }
}

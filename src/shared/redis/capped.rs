//! A stream with a limit on the bytes that are read: no response of a store is longer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// How many bytes may still be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns whether the budget was enough. Atomic, since a command that begins meanwhile increases it.
    fn spend(&self, bytes: usize) -> bool {
        let rest = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).is_ok()
    }
}

pub(super) struct Capped<S> {
    pub(super) stream: S,
    pub(super) budget: Budget,
}

impl<S: AsyncRead + Unpin> AsyncRead for Capped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.budget.left();
        // One byte more, to tell the end of the stream from the end of the budget.
        let mut piece = [0; 4096];
        let most = buf.remaining().min(left.saturating_add(1));
        let most = most.min(piece.len());
        let mut part = ReadBuf::new(piece.get_mut(..most).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled();
        if !self.budget.spend(read.len()) {
            let text = "the store sent more than was requested";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        buf.put_slice(read);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn one_byte_more_than_allowed_is_an_error() {
        for allowed in [0, 10, 4096, 10_000] {
            let bytes = vec![7; 1_000_000];
            let budget = Budget::default();
            budget.set(allowed);
            let mut capped = Capped { stream: bytes.as_slice(), budget };
            let mut out = Vec::new();
            assert!(capped.read_to_end(&mut out).await.is_err());
            assert!(out.len() <= allowed);
            assert!(capped.stream.len() >= 1_000_000 - allowed - 1);
        }
    }

    /// A command begins while the answer to another one is being read.
    struct Begins(Budget);

    impl AsyncRead for Begins {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.0.set(20);
            buf.put_slice(b"abc");
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_budget_set_during_a_read_is_not_lost() {
        let budget = Budget::default();
        budget.set(10);
        let mut capped = Capped { stream: Begins(budget.clone()), budget: budget.clone() };
        assert_eq!(capped.read(&mut [0; 3]).await.unwrap(), 3);
        assert_eq!(budget.left(), 17);
    }

    #[tokio::test]
    async fn a_stream_that_ends_within_the_budget_is_read_to_its_end() {
        let budget = Budget::default();
        budget.set(3);
        let mut capped = Capped { stream: b"abc".as_slice(), budget };
        let mut out = Vec::new();
        assert_eq!(capped.read_to_end(&mut out).await.unwrap(), 3);
    }

    proptest! {
        #[test]
        fn no_more_than_the_budget_is_read_whatever_is_sent(
            sent in prop::collection::vec(any::<u8>(), 0..9000),
            allowed in 0..9000_usize,
            pieces in prop::collection::vec(1..5000_usize, 1..8),
        ) {
            let budget = Budget::default();
            budget.set(allowed);
            let mut capped = Capped { stream: sent.as_slice(), budget };
            let mut read = Vec::new();
            let mut pieces = pieces.iter().cycle();
            let outcome = loop {
                let mut piece = vec![0; *pieces.next().unwrap()];
                match capped.read(&mut piece).now_or_never().unwrap() {
                    Ok(0) => break Ok(()),
                    Ok(count) => read.extend_from_slice(&piece[..count]),
                    Err(error) => break Err(error),
                }
            };
            prop_assert_eq!(outcome.is_ok(), sent.len() <= allowed);
            prop_assert!(sent.starts_with(&read) && read.len() <= allowed);
            prop_assert!(outcome.is_err() || read == sent);
        }
    }
}

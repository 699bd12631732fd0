//! Request bodies that are buffered before they are sent, as far as data is available without waiting, so that the request can
//! be repeated.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::body_copy::Copying;

/// A request body whose beginning, or all of it, was buffered before sending; see
/// [`BearerAuthBuilder::buffer_body`](crate::BearerAuthBuilder::buffer_body).
pub struct BufferedBody<B: Body> {
    start: VecDeque<Piece>,
    /// `None`: it has ended.
    rest: Option<B>,
    /// The error in which it ended.
    error: Option<B::Error>,
}

/// A frame that can be copied.
#[derive(Clone)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl<B> BufferedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Copies a body, which is read for that; there is no copy if it does not end within the limit, or not without waiting.
    pub(super) fn copying(limit: usize, wrap: fn(Self) -> B) -> Copying<B>
    where
        B: 'static,
    {
        Box::new(move |body| {
            let taken = std::mem::replace(body, wrap(BufferedBody::empty()));
            let read = BufferedBody::read(taken, limit);
            let copy = read.copy().map(wrap);
            *body = wrap(read);
            copy
        })
    }

    fn empty() -> Self {
        BufferedBody { start: VecDeque::new(), rest: None, error: None }
    }

    /// Reads what is available. The body of a unary call is available as a whole. A streaming body may wait for its next
    /// message, perhaps for a response before that, and is not waited for.
    fn read(mut body: B, limit: usize) -> Self {
        let mut read = BufferedBody::empty();
        let mut size = 0;
        // The sender polls it again before a wake-up is needed.
        let mut context = Context::from_waker(Waker::noop());
        while size <= limit {
            match Pin::new(&mut body).poll_frame(&mut context) {
                Poll::Ready(None) => return read,
                Poll::Ready(Some(Err(error))) => {
                    read.error = Some(error);
                    return read;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    let piece = Piece::of(frame);
                    // An empty frame counts, too, since a body might consist of nothing else and never end.
                    size += piece.as_ref().map_or(0, Piece::size).max(1);
                    read.start.extend(piece);
                }
                Poll::Pending => break,
            }
        }
        read.rest = Some(body);
        read
    }

    /// `None` if it was not read to its end.
    fn copy(&self) -> Option<Self> {
        let is_whole = self.rest.is_none() && self.error.is_none();
        is_whole.then(|| BufferedBody { start: self.start.clone(), ..BufferedBody::empty() })
    }
}

impl Piece {
    fn of(frame: Frame<Bytes>) -> Option<Piece> {
        match frame.into_data() {
            Ok(data) => Some(Piece::Data(data)),
            Err(frame) => frame.into_trailers().ok().map(Piece::Trailers),
        }
    }

    fn size(&self) -> usize {
        match self {
            Piece::Data(data) => data.len(),
            Piece::Trailers(_) => 0,
        }
    }
}

impl<B> Body for BufferedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        match (this.start.pop_front(), &mut this.rest) {
            (Some(Piece::Data(data)), _) => Poll::Ready(Some(Ok(Frame::data(data)))),
            (Some(Piece::Trailers(trailers)), _) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            (None, Some(rest)) => Pin::new(rest).poll_frame(cx),
            (None, None) => Poll::Ready(this.error.take().map(Err)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_empty() && self.error.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let start = self.start.iter().map(|piece| piece.size() as u64).sum::<u64>();
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(start));
        }
        hint.set_lower(rest.lower().saturating_add(start));
        hint
    }
}

impl<B: Body> fmt::Debug for BufferedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedBody").finish_non_exhaustive()
    }
}

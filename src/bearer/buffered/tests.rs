//! Which bodies are buffered, and that no data is lost in either case.

use std::collections::VecDeque;

use http_body_util::BodyExt;

use super::*;

/// A body like that of a gRPC client, whose type can be made of any other body.
struct Call(Kind);

enum Kind {
    /// Frames, and waits between them (`None`).
    Scripted(VecDeque<Option<Result<Frame<Bytes>, &'static str>>>),
    Buffered(Box<BufferedBody<Call>>),
}

impl Body for Call {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match &mut self.0 {
            Kind::Buffered(body) => Pin::new(&mut **body).poll_frame(cx),
            Kind::Scripted(script) => match script.pop_front() {
                Some(None) => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(frame) => Poll::Ready(frame),
                None => Poll::Ready(None),
            },
        }
    }
}

fn wrap(body: BufferedBody<Call>) -> Call {
    Call(Kind::Buffered(Box::new(body)))
}

fn data(text: &'static str) -> Option<Result<Frame<Bytes>, &'static str>> {
    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

fn call<const N: usize>(script: [Option<Result<Frame<Bytes>, &'static str>>; N]) -> Call {
    Call(Kind::Scripted(script.into()))
}

async fn text(body: Call) -> Result<String, &'static str> {
    let collected = body.collect().await?;
    let trailers = collected.trailers().map(|trailers| format!("{trailers:?}")).unwrap_or_default();
    Ok(String::from_utf8(collected.to_bytes().to_vec()).unwrap() + &trailers)
}

#[tokio::test]
async fn a_body_in_memory_is_copied_and_still_sent() {
    let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("x"))]);
    let mut body = call([data("he"), data("llo"), Some(Ok(Frame::trailers(trailers)))]);
    let copy = BufferedBody::copying(64, wrap)(&mut body).unwrap();
    assert_eq!(text(body).await.unwrap(), "hello{\"etag\": \"x\"}");
    assert_eq!(text(copy).await.unwrap(), "hello{\"etag\": \"x\"}");
}

#[tokio::test]
async fn a_copy_can_be_copied_again() {
    let mut body = call([data("hello")]);
    let copying = BufferedBody::copying(64, wrap);
    let mut copy = copying(&mut body).unwrap();
    let again = copying(&mut copy).unwrap();
    assert_eq!((text(copy).await.unwrap(), text(again).await.unwrap()), ("hello".into(), "hello".into()));
}

#[tokio::test]
async fn a_stream_that_waits_and_a_body_above_the_limit_pass_through_whole() {
    let script = || [data("first"), None, data("second")];
    let mut stream = call(script());
    assert!(BufferedBody::copying(64, wrap)(&mut stream).is_none());
    assert_eq!(text(stream).await.unwrap(), "firstsecond");

    let script = || [data("12345"), data("67890")];
    for (limit, is_copied) in [(10, true), (9, false), (0, false)] {
        let mut body = call(script());
        assert_eq!(BufferedBody::copying(limit, wrap)(&mut body).is_some(), is_copied, "{limit}");
        assert_eq!(text(body).await.unwrap(), "1234567890", "{limit}");
    }
}

#[tokio::test]
async fn a_body_that_fails_still_fails_at_the_same_frame() {
    let mut body = call([data("he"), Some(Err("broken"))]);
    assert!(BufferedBody::copying(64, wrap)(&mut body).is_none());
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "he");
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken");
    assert!(body.frame().await.is_none());
}

#[test]
fn endless_empty_frames_are_not_read_for_ever() {
    struct Endless;
    impl Body for Endless {
        type Data = Bytes;
        type Error = &'static str;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
        }
    }
    assert!(BufferedBody::copying(1024, |_| Endless)(&mut Endless).is_none());
}

#[test]
fn a_body_that_was_read_has_a_size() {
    let read = BufferedBody::read(call([data("hello")]), 64);
    assert_eq!(read.size_hint().exact(), Some(5));
    assert!(!read.is_end_stream());
    assert!(BufferedBody::<Call>::empty().is_end_stream());
    assert_eq!(format!("{read:?}"), "BufferedBody { .. }");
}

//! Requests and responses of reqwest.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use url::Url;

use super::origin::Target;
use super::policy::{Answer, Policy};
use super::trip::{Outgoing, Stack};

impl Outgoing for Request {
    fn target(&self) -> Option<Target<'_>> {
        Target::of_url(self.url())
    }
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }
    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }
    type Kept = Self;
    fn keep(&mut self, _: &Policy) -> Option<Self> {
        self.try_clone()
    }
    fn from_kept(kept: Self) -> Self {
        kept
    }
    fn method(&self) -> &http::Method {
        self.method()
    }
    fn url_in_proof(&self) -> Option<(Url, Option<String>)> {
        Some((self.url().clone(), None))
    }
}

pub(super) fn stack<E: From<reqwest::Error>>() -> Stack<Response, E> {
    Stack {
        answer: |response| Answer {
            status: response.status(),
            headers: response.headers(),
            from: Target::of_url(response.url()),
        },
        look: |response, limit| Box::pin(async move { Ok(look(response, limit).await?) }),
    }
}

/// The body, if it ends within `limit` bytes, and the response with its body unread.
async fn look(mut response: Response, limit: usize) -> reqwest::Result<(Response, Option<Bytes>)> {
    let mut start = BytesMut::new();
    let mut ended = false;
    while !ended && start.len() <= limit {
        match response.chunk().await? {
            Some(chunk) => start.extend_from_slice(&chunk),
            None => ended = true,
        }
    }
    let start = start.freeze();
    let url = response.url().clone();
    let (mut parts, rest) = http::Response::<Body>::from(response).into_parts();
    if let Ok(named) = http::Response::builder().url(url).body(()) {
        parts.extensions.extend(named.into_parts().0.extensions);
    }
    let body = match ended {
        true => Body::from(start.clone()),
        false => Body::wrap(Rejoined { start: Some(start.clone()), rest }),
    };
    let seen = ended.then_some(start);
    Ok((Response::from(http::Response::from_parts(parts, body)), seen))
}

/// A body whose beginning was read.
struct Rejoined {
    start: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Rejoined {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<reqwest::Result<Frame<Bytes>>>> {
        match self.start.take() {
            Some(start) => Poll::Ready(Some(Ok(Frame::data(start)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.start.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_with_an_unread_beginning_has_not_ended() {
        use http_body::Body as _;
        for (start, rest, ended) in
            [(Some("a"), "", false), (None, "b", false), (Some("a"), "b", false), (None, "", true)]
        {
            let body = Rejoined { start: start.map(Bytes::from), rest: Body::from(rest) };
            assert_eq!(body.is_end_stream(), ended, "{start:?} {rest}");
        }
    }

    #[tokio::test]
    async fn inspecting_a_response_leaves_it_unchanged() {
        // FD4
        for (limit, seen) in [(0, None), (3, None), (4, Some(&b"body"[..])), (1000, Some(b"body"))] {
            let url: Url = "https://api.example.com/a".parse().unwrap();
            let response = http::Response::builder().status(299).header("x-a", "b").url(url.clone());
            let response = Response::from(response.body(Body::from("body")).unwrap());
            let (response, body) = look(response, limit).await.unwrap();
            assert_eq!(body.as_deref(), seen, "{limit}");
            assert_eq!((response.status().as_u16(), response.url()), (299, &url));
            assert_eq!(response.headers()["x-a"], "b");
            assert_eq!(response.text().await.unwrap(), "body", "{limit}");
        }
        let pieces = futures_util::stream::iter(["bo", "d", "y"].map(Ok::<_, std::io::Error>));
        let response = Response::from(http::Response::new(Body::wrap_stream(pieces)));
        let (response, seen) = look(response, 1).await.unwrap();
        assert_eq!((response.text().await.unwrap().as_str(), seen), ("body", None));
    }
}

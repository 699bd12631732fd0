//! Requests and responses of reqwest.

use http::HeaderMap;
use reqwest::{Request, Response};

use super::Policy;
use super::origin::Target;
use super::trip::{Answer, Outgoing};

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
    fn keep(&self, _: &Policy) -> Option<Self> {
        self.try_clone()
    }
    fn from_kept(kept: Self) -> Self {
        kept
    }
    fn method(&self) -> &http::Method {
        self.method()
    }
    fn url(&self) -> Option<std::borrow::Cow<'_, url::Url>> {
        Some(std::borrow::Cow::Borrowed(self.url()))
    }
}

pub(super) fn answer(response: &Response) -> Answer<'_> {
    Answer { status: response.status(), headers: response.headers(), from: Target::of_url(response.url()) }
}

//! Requests of the `http` crate.

use http::{Extensions, HeaderMap, Method, Uri, Version};
use url::Url;

use super::body_copy::copy_of;
use super::origin::Target;
use super::policy::Policy;
use super::trip::Outgoing;

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
    fn keep(&mut self, policy: &Policy) -> Option<Kept<B>> {
        let body = copy_of(self.body_mut(), &policy.copies)?;
        let headers = self.headers();
        Some(Kept {
            body,
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
    fn url_in_proof(&self) -> Option<(Url, Option<String>)> {
        let url: Url = self.uri().to_string().parse().ok()?;
        // `Url` has normalised the path, for example `/a/../b`. The path is sent as it is here.
        let sent_as = format!("{}{}", url.origin().ascii_serialization(), self.uri().path());
        Some((url, Some(sent_as)))
    }
}

/// The parts of a request, which is assembled only to be repeated. Small, since the future that has it is moved.
pub(super) struct Kept<B> {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Option<Box<HeaderMap>>,
    extensions: Extensions,
    body: B,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_in_a_proof_is_the_one_on_the_wire() {
        // FD7
        for (uri, expected) in [
            ("https://api.example.com/a/../b?c", "https://api.example.com/a/../b"),
            ("https://api.example.com/a{b}", "https://api.example.com/a{b}"),
            ("https://user@API.example.com:443/%7ea", "https://api.example.com/%7ea"),
            ("https://api.example.com:8443", "https://api.example.com:8443/"),
            ("http://[::1]:80/a//b/.", "http://[::1]/a//b/."),
        ] {
            let request = http::Request::get(uri).body(()).unwrap();
            let (_, sent_as) = request.url_in_proof().unwrap();
            assert_eq!(sent_as.as_deref(), Some(expected), "{uri}");
        }
    }
}

//! The bare door for a token that is bound to a key: the headers of one request, and what its answer says.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Method};
use url::Url;

use super::Role;
use crate::cache::clock::Clock;
use crate::challenge::Challenge;
use crate::{AccessToken, Error, ErrorKind};

pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// # DPoP (feature `dpop`)
///
/// For clients without a door of their own; [`BearerAuth`](crate::BearerAuth) does all of this by itself.
///
/// ```no_run
/// # use client_credentials::{ClientCredentials, TokenSource};
/// # async fn run(tokens: ClientCredentials, http: reqwest::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://api.example.com/invoices";
/// let token = tokens.token().await?;
/// let headers = token.request_headers(&http::Method::GET, url).await?;
/// let mut response = http.get(url).headers(headers).send().await?;
/// if token.wants_nonce(url, response.headers()) {
///     let headers = token.request_headers(&http::Method::GET, url).await?;
///     response = http.get(url).headers(headers).send().await?;
///     token.wants_nonce(url, response.headers());
/// }
/// # Ok(()) }
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "dpop")))]
impl AccessToken {
    /// `Authorization`, and for a DPoP token a `DPoP` proof that is good for this one request (RFC 9449 section 7.1). Both
    /// are marked sensitive.
    ///
    /// Redirects have to be off: a proof is for one URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if `url` is not an absolute URL. [`ErrorKind::Credential`] if the proof cannot be
    /// signed, or not within 10 s.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn request_headers(&self, method: &Method, url: &str) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(AUTHORIZATION, self.authorization());
        if let Some(binding) = self.binding() {
            let url = parsed(url)?;
            let now = Clock::System.now();
            let proof = binding.proof(Role::Resource, method.as_str(), &url, Some(self), now, None).await?;
            headers.insert(DPOP, proof);
        }
        Ok(headers)
    }

    /// Remembers the nonce of a response from `url`, of whatever status (RFC 9449 section 8.2), for the proofs to come. True if
    /// the request was refused for want of that nonce, and is worth sending once more with new
    /// [`request_headers`](Self::request_headers). The token itself was not refused then.
    pub fn wants_nonce(&self, url: &str, headers: &HeaderMap) -> bool {
        let (Some(binding), Ok(url)) = (self.binding(), parsed(url)) else {
            return false;
        };
        binding.hear(Role::Resource, &url, headers).is_some() && demands_nonce(headers)
    }
}

fn parsed(url: &str) -> Result<Url, Error> {
    match Url::parse(url) {
        Ok(url) if url.has_host() => Ok(url),
        _ => Err(Error::new(ErrorKind::Configuration, "a DPoP proof is for an absolute URL: give https://host/path")),
    }
}

/// RFC 9449 section 9.
pub(crate) fn demands_nonce(headers: &HeaderMap) -> bool {
    Challenge::all(headers)
        .iter()
        .any(|challenge| challenge.is("DPoP") && challenge.param("error") == Some("use_dpop_nonce"))
}

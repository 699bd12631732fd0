//! Tokens that are bound to a key, without an integration: the headers of a request, and its response.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Method};
use url::Url;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::possession::{Proving, Role, demands_nonce};
use crate::token::AccessToken;

pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Whether to repeat a request, as returned by [`AccessToken::observe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Do not repeat the request.
    No,
    /// Send the request again with new headers: the API refused it because its proof lacked the nonce that this response
    /// contains. The token itself was not rejected.
    WithNonce,
}

/// # DPoP (feature `dpop`)
///
/// For clients without an integration. [`BearerAuth`](crate::BearerAuth) does all of this itself.
///
/// ```no_run
/// # use client_credentials::{ClientCredentials, Retry};
/// # async fn run(tokens: ClientCredentials, http: reqwest::Client)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://api.example.com/invoices";
/// let token = tokens.token().await?;
/// let headers = token.request_headers(&http::Method::GET, url).await?;
/// let mut response = http.get(url).headers(headers).send().await?;
/// if token.observe(url, response.headers()) == Retry::WithNonce {
///     let headers = token.request_headers(&http::Method::GET, url).await?;
///     response = http.get(url).headers(headers).send().await?;
///     token.observe(url, response.headers());
/// }
/// # Ok(()) }
/// ```
impl AccessToken {
    /// Returns the `Authorization` header and, for a DPoP token, a `DPoP` proof for this request only (RFC 9449 section 7.1).
    /// Both are marked sensitive.
    ///
    /// The client must not follow redirects: a proof is valid for one URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if `url` is not an absolute URL; [`ErrorKind::Credential`] if the proof cannot be signed
    /// within 10 s.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time without losing state.
    pub async fn request_headers(&self, method: &Method, url: &str) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(AUTHORIZATION, self.authorization());
        if let Some(key) = self.possession() {
            let (url, now) = (parsed(url)?, Clock::System.now());
            let token = Some(self.expose_secret());
            let request = Proving {
                role: Role::Resource,
                method: method.as_str(),
                url: &url,
                sent_as: None,
                token,
                now,
                nonce: None,
            };
            headers.extend([key.prove(request).await?]);
        }
        Ok(headers)
    }

    /// Stores the nonce of a response from `url` for later proofs, whatever its status (RFC 9449 section 8.2), and returns
    /// whether to repeat the request. Has no effect for a bearer token.
    pub fn observe(&self, url: &str, headers: &HeaderMap) -> Retry {
        let (Some(key), Ok(url)) = (self.possession(), parsed(url)) else {
            return Retry::No;
        };
        match key.hear(Role::Resource, &url, headers).is_some() && demands_nonce(headers) {
            true => Retry::WithNonce,
            false => Retry::No,
        }
    }
}

fn parsed(url: &str) -> Result<Url, Error> {
    match Url::parse(url) {
        Ok(url) if url.has_host() => Ok(url),
        _ => Err(Error::of(ErrorKind::Configuration, "a DPoP proof is for an absolute URL: give https://host/path")),
    }
}

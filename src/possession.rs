//! What a token may be bound to: a key whose possession is proved with each request. Implemented by `dpop` (RFC 9449).

#![cfg_attr(not(feature = "dpop"), allow(dead_code, reason = "nothing implements it without DPoP"))]

use std::fmt;
use std::pin::Pin;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::clock::Moment;
use crate::error::Error;

pub(crate) trait Possession: fmt::Debug + Send + Sync {
    /// The scheme before the token in `Authorization`.
    fn scheme(&self) -> &'static str;

    /// The SHA-256 of the public key, as a server names it.
    fn thumbprint(&self) -> &str;

    /// The header that proves possession in one request, good for that one.
    fn prove<'a>(&'a self, request: Proving<'a>) -> Proof<'a>;

    /// Remembers the nonce of a response, and returns it.
    fn hear<'h>(&self, role: Role, url: &Url, headers: &'h HeaderMap) -> Option<&'h str>;

    /// Whether a 401 of an API demands a proof with the nonce that it brings.
    #[cfg_attr(
        not(any(feature = "reqwest-middleware", feature = "tower")),
        expect(dead_code, reason = "an application judges the answer of its API by `AccessToken::observe`")
    )]
    fn demands_nonce(&self, headers: &HeaderMap) -> bool;
}

pub(crate) type Proof<'a> = Pin<Box<dyn Future<Output = Result<(HeaderName, HeaderValue), Error>> + Send + 'a>>;

/// A server in one of its parts: its nonces as an authorization server need not be those of its APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Authorization,
    Resource,
}

/// The request that is proved.
#[derive(Clone, Copy)]
pub(crate) struct Proving<'a> {
    pub(crate) role: Role,
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    /// The same as it is sent, without query and fragment, where that differs from `url`.
    pub(crate) sent_as: Option<&'a str>,
    /// The value of the token that goes along with it.
    pub(crate) token: Option<&'a str>,
    pub(crate) now: Moment,
    /// The nonce that the answer to this request demanded: other answers may have brought another one meanwhile.
    pub(crate) nonce: Option<&'a str>,
}

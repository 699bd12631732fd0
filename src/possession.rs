//! What a token may be bound to: a key, of which each request proves the possession. Implemented by `dpop` (RFC 9449).

#![cfg_attr(not(feature = "dpop"), allow(dead_code, reason = "nothing implements it without DPoP"))]

use std::fmt;
use std::pin::Pin;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::challenge::Challenge;
use crate::clock::Moment;
use crate::error::Error;

pub(crate) trait Possession: fmt::Debug + Send + Sync {
    /// The SHA-256 of the public key, in the form of RFC 7638.
    fn thumbprint(&self) -> &str;

    /// The header that proves possession in one request, and only in that one.
    fn prove<'a>(&'a self, request: Proving<'a>) -> Proof<'a>;

    /// Remembers the nonce of a response, and returns it.
    fn hear<'h>(&self, role: Role, url: &Url, headers: &'h HeaderMap) -> Option<&'h str>;
}

/// Whether a 401 of an API requires a proof with the nonce in it (RFC 9449 section 9).
pub(crate) fn demands_nonce(headers: &HeaderMap) -> bool {
    Challenge::all(headers)
        .iter()
        .any(|challenge| challenge.is("DPoP") && challenge.param("error") == Some("use_dpop_nonce"))
}

pub(crate) type Proof<'a> = Pin<Box<dyn Future<Output = Result<(HeaderName, HeaderValue), Error>> + Send + 'a>>;

/// The role of a server: its nonces as an authorization server may differ from those of its APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Authorization,
    Resource,
}

/// The request that a proof is for.
#[derive(Clone, Copy)]
pub(crate) struct Proving<'a> {
    pub(crate) role: Role,
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    /// The URL as it is sent, without query and fragment, if that differs from `url`.
    pub(crate) sent_as: Option<&'a str>,
    /// The token of the request.
    pub(crate) token: Option<&'a str>,
    pub(crate) now: Moment,
    /// The nonce that the response to this request required. Other responses may have set another one meanwhile.
    pub(crate) nonce: Option<&'a str>,
}

//! JSON Web Tokens in the compact form (RFC 7515 section 7.1, RFC 7519).

use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::Error;

/// 1 January 2000: a clock with an earlier time was never set.
pub(crate) const CLOCK_WAS_SET: Duration = Duration::from_secs(946_684_800);
/// 128 random bits, which do not repeat.
const JTI_BYTES: usize = 16;
/// That of RSA with 8192 bits.
const LONGEST_SIGNATURE: usize = 1024;

/// The SHA-256 of a key, certificate or token, as JOSE writes it (RFC 7638, RFC 7515 section 4.1.8, RFC 9449 section 4.2).
pub(crate) fn hash(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes))
}

/// An encoded header, which can be used for many tokens.
pub(crate) fn header(members: serde_json::Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Object(members).to_string())
}

/// JWS Signing Input (RFC 7515 section 5.1) of an encoded header and of claims.
pub(crate) fn signing_input(header: &str, claims: &Value) -> Zeroizing<String> {
    let claims = claims.to_string();
    // With the signature: growing would leave copies in memory.
    let room = header.len() + (claims.len() + LONGEST_SIGNATURE) * 2;
    let mut message = Zeroizing::new(String::with_capacity(room));
    message.push_str(header);
    message.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut message);
    message
}

/// JWS Compact Serialization (RFC 7515 section 7.1).
pub(crate) fn compact(mut message: Zeroizing<String>, signature: &[u8]) -> Zeroizing<String> {
    message.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut message);
    message
}

/// `iat` (RFC 7519 section 4.1.6) by a wall clock.
pub(crate) fn issued_at(now: Duration) -> Result<u64, Error> {
    if now < CLOCK_WAS_SET {
        let text = "the system's clock shows a time before the year 2000, and what is signed needs the right one";
        return Err(Error::of_credential(text));
    }
    Ok(now.as_secs())
}

/// A unique `jti` (RFC 7519 section 4.1.7).
pub(crate) fn jti() -> Result<String, Error> {
    let mut random = [0; JTI_BYTES];
    rand::fill(&mut random).map_err(|_| Error::of_credential("no random numbers are available"))?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

//! When a platform's JWT expires (RFC 7519 section 4.1.4). The signature is not verified: the authorization server does that.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::json::Members;

/// How long ago a JWT expired; `None` if it has not expired, is not a JWT or has no `exp`.
pub(super) fn expired_for(text: &str, now: Duration) -> Option<Duration> {
    now.checked_sub(expiry(text)?)
}

/// `exp` of a signed JWT (RFC 7515 section 7.1), since the epoch; `None`: it is not a JWT, or has no `exp`.
pub(crate) fn expiry(text: &str) -> Option<Duration> {
    let mut parts = text.trim().split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    let claims = Members::parse(&claims).ok()?;
    // RFC 7519 section 2: a number, which may have a fraction.
    let seconds = claims.get("exp")?.as_f64()?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(expiry) => Some(expiry),
        // Before the epoch, or too late to be intended.
        Err(_) if seconds < 0.0 => Some(Duration::ZERO),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!("{}.{}.{}", encode(r#"{"alg":"RS256"}"#), encode(claims), encode("signature"))
    }

    #[test]
    fn the_expiry_is_read_where_there_is_one() {
        let seconds = Duration::from_secs;
        for (claims, expiry_of) in [
            (r#"{"exp":1000}"#, Some(seconds(1000))),
            (r#"{"sub":"x","exp":1000.0}"#, Some(seconds(1000))),
            (r#"{"exp":1e3}"#, Some(seconds(1000))),
            (r#"{"exp":-1}"#, Some(Duration::ZERO)),
            (r#"{"exp":1e300}"#, None),
            (r#"{"exp":"1000"}"#, None),
            (r#"{"sub":"x"}"#, None),
            ("[]", None),
            ("{", None),
        ] {
            assert_eq!(expiry(&jwt(claims)), expiry_of, "{claims}");
        }
        let padded = jwt(r#"{"exp":1000}"#).replace("MDB9.", "MDB9==.");
        assert!(expiry(&padded).is_some());
        for text in ["", "a.b", "a.b.c", "hunter2", "....", "e30.eyJleHAiOjF9.x.y.z", "e30.€.x"] {
            assert_eq!(expiry(text), None, "{text}");
        }
    }

    #[test]
    fn a_jwt_is_expired_at_exactly_its_exp() {
        let text = jwt(r#"{"exp":1000}"#);
        assert_eq!(expired_for(&text, Duration::from_millis(999_999)), None);
        assert_eq!(expired_for(&text, Duration::from_secs(1000)), Some(Duration::ZERO));
        assert_eq!(expired_for(&text, Duration::from_secs(1035)), Some(Duration::from_secs(35)));
    }
}

//! Whether a JWT that was made elsewhere has expired (RFC 7519 section 4.1.4; pure).

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::clock::Moment;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind};
use crate::json::Members;

/// An error if `token`, which was read from `credential`, is a JWT that has expired: no server accepts it (RFC 7523 section 3,
/// RFC 8693 section 2.1), and whoever makes it may have renewed it at the next attempt.
pub(crate) fn refuse_expired(
    name: &str,
    token: &SecretString,
    credential: &Credential,
    now: Moment,
) -> Result<(), Error> {
    let now = now.wall();
    let Some(end) = expiry(token.expose_secret()).filter(|end| *end <= now) else {
        return Ok(());
    };
    let date = SystemTime::UNIX_EPOCH.checked_add(end).map(|date| httpdate::fmt_http_date(date)).unwrap_or_default();
    let age = now.saturating_sub(end).as_secs();
    let text = format!(
        "the {name} is a JWT that expired at {date}, {age} s ago by the clock of this machine, and was not sent; it is from \
         {credential:?}, which is read again at the next attempt"
    );
    Err(Error::of(ErrorKind::Credential, text).transient())
}

/// `exp` since the Unix epoch; `None` for what is no signed JWT, or has no `exp` that can be read: the server judges those.
fn expiry(token: &str) -> Option<Duration> {
    let mut parts = token.split('.');
    let (header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    // Five parts are encrypted (RFC 7516 section 3.1).
    if parts.next().is_some() {
        return None;
    }
    let object = |part: &str| {
        let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(part).ok()?);
        let members = Members::parse(&json).ok()?;
        Some((members.count("exp"), members.get("exp").and_then(|end| end.as_f64())))
    };
    object(header)?;
    match object(claims)? {
        // A NumericDate may have a fraction (RFC 7519 section 2). One beyond all durations is no end.
        (1, Some(end)) => Duration::try_from_secs_f64(end.max(0.0)).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"RS256"}"#), part(claims))
    }

    fn at(seconds: u64) -> Moment {
        Moment::new(Duration::ZERO, Duration::from_secs(seconds))
    }

    fn refused(token: &str, now: u64) -> Option<String> {
        let token = SecretString::from(token);
        let file = Credential::file("/run/id.jwt");
        refuse_expired("assertion", &token, &file, at(now)).err().map(|error| {
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credential, true));
            error.to_string()
        })
    }

    #[test]
    fn a_jwt_expires_in_the_second_of_its_exp() {
        let token = jwt(r#"{"sub":"me","exp":1800000000}"#);
        assert_eq!(refused(&token, 1_799_999_999), None);
        assert!(refused(&token, 1_800_000_000).is_some());
    }

    #[test]
    fn the_error_names_the_time_and_the_origin_and_shows_no_token() {
        let token = jwt(r#"{"exp":1800000000}"#);
        let text = refused(&token, 1_800_000_035).unwrap();
        assert_eq!(
            text,
            "the assertion is a JWT that expired at Fri, 15 Jan 2027 08:00:00 GMT, 35 s ago by the clock of this machine, \
             and was not sent; it is from Credential(file /run/id.jwt), which is read again at the next attempt"
        );
    }

    #[test]
    fn a_fraction_is_read_and_a_time_before_the_epoch_is_long_ago() {
        assert!(refused(&jwt(r#"{"exp":99.5}"#), 99).is_none());
        for long_ago in ["99.5", "1e1", "0", "-3", "-1e300"] {
            assert!(refused(&jwt(&format!(r#"{{"exp":{long_ago}}}"#)), 100).is_some(), "{long_ago}");
        }
    }

    #[test]
    fn what_cannot_be_judged_is_left_to_the_server() {
        let claims =
            [r#"{}"#, r#"{"exp":"1"}"#, r#"{"exp":null}"#, r#"{"exp":1,"exp":2}"#, r#"{"exp":1e300}"#, "[1]", "exp"];
        for claims in claims {
            assert_eq!(refused(&jwt(claims), 100), None, "{claims}");
        }
        let good = jwt(r#"{"exp":1}"#);
        for token in [
            "opaque".to_owned(),
            "a.b".to_owned(),
            "..".to_owned(),
            format!("{good}.x.y"),
            format!("not-json{good}"),
            good.replacen('.', "=.", 1),
        ] {
            assert_eq!(refused(&token, 100), None, "{token}");
        }
    }
}

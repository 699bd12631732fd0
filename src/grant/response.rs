//! What the token endpoint answered (RFC 6749 sections 5.1 and 5.2; pure).

use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use secrecy::SecretString;
use serde_json::Value;

use super::refusal::refusal;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind, OAuthError};
use crate::exchange::{Response, foreign_encoding, retry_after};
use crate::json::{Flaw, Members, Twice, wipe};
use crate::server_text::Masks;
use crate::token::{AccessToken, Holder, Terms};

/// What is accepted.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// A response that breaks RFC 6749 is an error, where by default leniency is safe.
    pub(crate) strict: bool,
    pub(crate) asked_scope: Option<String>,
    pub(crate) refuse_narrower_scope: bool,
    /// 64 KiB: four times the longest seen; what is longer fits into no server's header limit.
    pub(crate) longest_token: usize,
    /// 256 characters of what a server says: enough to act on, too short to flood a log.
    pub(crate) longest_error_text: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            strict: false,
            asked_scope: None,
            refuse_narrower_scope: false,
            longest_token: 64 * 1024,
            longest_error_text: 256,
        }
    }
}

/// Codes are words; real ones have at most 30 characters.
const LONGEST_CODE: usize = 128;

pub(crate) fn decode(
    response: Response,
    rules: &Rules,
    masks: &Masks,
    holder: Holder,
    sent: Moment,
    now: Moment,
    clock: &Clock,
) -> Result<AccessToken, Error> {
    let status = response.status;
    let wait = retry_after(status, &response.headers, now);
    let oauth_error = |members: &mut Members| oauth_error(members, rules, masks);

    if !status.is_success() {
        // An error of OAuth or not: the status is kept in any case.
        let oauth = Members::parse(&response.body).ok().and_then(|mut members| oauth_error(&mut members));
        return Err(refusal(status, oauth).with_status(status).asked_to_wait(wait));
    }
    if let Some(encoding) = foreign_encoding(&response.headers) {
        let text =
            format!("the token endpoint encoded its response ({}), which was not asked for", masks.clean(encoding, 32));
        return Err(Error::of(ErrorKind::Response, text).transient().with_status(status));
    }
    let mut members = match Members::parse(&response.body) {
        Ok(members) => members,
        Err(flaw) => return Err(not_an_object(&response, flaw, masks).with_status(status)),
    };
    // GitHub and Slack send errors with 200.
    if let Some(oauth) = oauth_error(&mut members) {
        return Err(refusal(status, Some(oauth)).with_status(status).asked_to_wait(wait));
    }
    granted(members, &response, rules, masks, holder, sent, clock).map_err(|e| e.with_status(status))
}

/// RFC 6749 section 5.1.
fn granted(
    mut members: Members,
    response: &Response,
    rules: &Rules,
    masks: &Masks,
    holder: Holder,
    sent: Moment,
    clock: &Clock,
) -> Result<AccessToken, Error> {
    let strict = rules.strict;
    if strict && response.status != StatusCode::OK {
        return Err(unusable(format!("status {} instead of 200 (strict)", response.status.as_u16())));
    }
    if strict && !response.headers.get(CONTENT_TYPE).is_some_and(|label| is_json(label.as_bytes())) {
        return Err(unusable("its content type is not application/json (strict)"));
    }
    // The one that `oauth_error` looked at is gone.
    if members.get("error").is_some() {
        return Err(Twice("error").into());
    }
    let secret = match members.take("access_token")? {
        Some(Value::String(secret)) => SecretString::from(secret),
        Some(mut other) => {
            wipe(&mut other);
            return Err(unusable("access_token is not a string"));
        }
        None => return Err(unusable("it has no access_token")),
    };
    check_length(&secret, rules)?;
    let token_type = members.take("token_type")?;
    let clean = |name: &str| masks.and(&secret).clean(name, 32);
    match holder.key {
        None => check_type(token_type, strict, clean)?,
        Some(_) => check_dpop(token_type, clean)?,
    }
    let lifetime = lifetime(&mut members, strict, sent)?;
    let refresh_in = members.take("refresh_in")?.as_ref().and_then(seconds);
    let scope = scope(members.take("scope")?, rules)?;
    // Section 4.4.3: there should be no refresh token; the client itself can always ask anew.
    for unwanted in ["refresh_token", "id_token"] {
        members.take(unwanted)?.iter_mut().for_each(wipe);
    }
    let terms =
        Terms { lifetime, refresh_in, scope: scope.map(Into::into), extra: members.rest(), holder, from_store: false };
    AccessToken::issued(&secret, terms, sent, clock)
}

fn unusable(what: impl std::fmt::Display) -> Error {
    Error::of(ErrorKind::Response, format!("the token response is unusable: {what}"))
}

impl From<Twice> for Error {
    fn from(Twice(name): Twice) -> Self {
        unusable(format_args!("it has {name} twice"))
    }
}

fn check_length(secret: &SecretString, rules: &Rules) -> Result<(), Error> {
    use secrecy::ExposeSecret;
    let secret = secret.expose_secret();
    if secret.len() > rules.longest_token {
        return Err(unusable(format_args!("access_token is longer than {} bytes", rules.longest_token)));
    }
    // b64token, RFC 6750 section 2.1. Salesforce's tokens have a `!`.
    let b64token = |c: u8| c.is_ascii_alphanumeric() || b"-._~+/".contains(&c);
    if rules.strict && !secret.trim_end_matches('=').bytes().all(b64token) {
        return Err(unusable("access_token is not a b64token (strict)"));
    }
    Ok(())
}

/// RFC 6749 section 7.1. Absent at LinkedIn and Slack, `BearerToken` at Apigee.
fn check_type(token_type: Option<Value>, strict: bool, clean: impl Fn(&str) -> String) -> Result<(), Error> {
    match token_type {
        None | Some(Value::Null) if strict => Err(unusable("it has no token_type (strict)")),
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(name)) if name.eq_ignore_ascii_case("bearer") => Ok(()),
        Some(Value::String(name)) if !strict && name.eq_ignore_ascii_case("BearerToken") => Ok(()),
        Some(Value::String(name)) => Err(unusable(format_args!("its token_type is {}, not Bearer", clean(&name)))),
        Some(_) => Err(unusable("token_type is not a string")),
    }
}

/// RFC 9449 section 5: whoever asked for a bound token gets no other, lest a thief could use it.
fn check_dpop(token_type: Option<Value>, clean: impl Fn(&str) -> String) -> Result<(), Error> {
    match token_type {
        Some(Value::String(name)) if name.eq_ignore_ascii_case("dpop") => Ok(()),
        Some(Value::String(name)) => Err(unusable(format_args!(
            "its token_type is {}, and not DPoP as was asked for; is DPoP on at the server, and for this client?",
            clean(&name)
        ))),
        _ => Err(unusable("it has no token_type, where DPoP was asked for")),
    }
}

/// `expires_in`, or else one of the absolute times; `None`: not stated.
fn lifetime(members: &mut Members, strict: bool, sent: Moment) -> Result<Option<Duration>, Error> {
    match members.take("expires_in")? {
        None | Some(Value::Null) => {}
        Some(value) => {
            if strict && !value.is_u64() {
                return Err(unusable("expires_in is not a whole number (strict)"));
            }
            // Nonsense says as little as nothing.
            return Ok(seconds(&value));
        }
    }
    // Entra v1 `expires_on`, others `expires_at`: seconds since the epoch. They stay readable as extra members.
    for name in ["expires_on", "expires_at"] {
        if let Some(end) = members.get(name).and_then(seconds) {
            return Ok(Some(end.saturating_sub(sent.wall())));
        }
    }
    Ok(None)
}

/// Whole seconds from a number or a number in a string (Entra v1, PayPal, Apigee); floats (Blue Button, Reddit) are
/// rounded down; what is negative is zero.
fn seconds(value: &Value) -> Option<Duration> {
    let number = match value {
        Value::Number(number) => number.clone(),
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if let Some(whole) = number.as_u64() {
        return Some(Duration::from_secs(whole));
    }
    let float = number.as_f64().filter(|float| !float.is_nan())?.max(0.0).floor();
    Some(Duration::try_from_secs_f64(float).unwrap_or(Duration::MAX))
}

/// As granted, else as asked for (RFC 6749 section 5.1).
fn scope(value: Option<Value>, rules: &Rules) -> Result<Option<String>, Error> {
    let granted = match value {
        Some(Value::String(scope)) => Some(scope),
        // Some servers send an array.
        Some(Value::Array(scopes)) if !rules.strict => {
            scopes.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|scopes| scopes.join(" "))
        }
        None | Some(Value::Null) => None,
        Some(_) if rules.strict => return Err(unusable("scope is not a string (strict)")),
        Some(_) => None,
    };
    let granted = granted.filter(|scope| !scope.trim().is_empty());
    let asked = rules.asked_scope.as_deref();
    if let (Some(granted), Some(asked)) = (&granted, asked) {
        let missing = not_granted(asked, granted);
        if rules.refuse_narrower_scope && !missing.is_empty() {
            return Err(unusable(format_args!("the scope {} was not granted", missing.join(" "))));
        }
    }
    Ok(granted.or_else(|| asked.map(Into::into)))
}

/// Which of the scopes that were asked for are missing.
pub(crate) fn not_granted<'a>(asked: &'a str, granted: &str) -> Vec<&'a str> {
    asked.split_whitespace().filter(|one| !granted.split_whitespace().any(|granted| granted == *one)).collect()
}

/// RFC 6749 section 5.2. An `error` that is no string is none of OAuth's.
fn oauth_error(members: &mut Members, rules: &Rules, masks: &Masks) -> Option<OAuthError> {
    let mut text = |name, most| match members.take(name) {
        Ok(Some(Value::String(text))) => Some(masks.clean(&text, most)),
        _ => None,
    };
    let code = text("error", LONGEST_CODE).filter(|code| !code.is_empty())?;
    let description = text("error_description", rules.longest_error_text);
    Some(OAuthError::new(code, description, text("error_uri", rules.longest_error_text)))
}

fn not_an_object(response: &Response, flaw: Flaw, masks: &Masks) -> Error {
    let body = &response.body;
    let (what, transient) = match flaw {
        Flaw::NotJson { .. } if body.is_empty() => ("it has no body".to_owned(), true),
        Flaw::NotJson { .. }
            if body.starts_with(b"\xef\xbb\xbf") || body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") =>
        {
            (
                "its body begins with a byte order mark; JSON is UTF-8 without one (RFC 8259 section 8.1)".to_owned(),
                false,
            )
        }
        Flaw::NotJson { .. } if body.starts_with(b"access_token=") || body.starts_with(b"token_type=") => (
            "its body is a form; it must be JSON (some servers send JSON if the header Accept says so)".to_owned(),
            false,
        ),
        // A page of a proxy or captive portal, or a cut body.
        Flaw::NotJson { line, column } => (format!("its body is not JSON, from line {line} column {column} on"), true),
        Flaw::NotAnObject => ("its body is JSON, but not an object".to_owned(), false),
    };
    let label = response.headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or("none");
    let error = unusable(format_args!("{what} ({} bytes, content type {})", body.len(), masks.clean(label, 64)));
    if transient { error.transient() } else { error }
}

fn is_json(label: &[u8]) -> bool {
    let essence = label.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;

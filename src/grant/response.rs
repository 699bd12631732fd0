//! Decodes the response of the token endpoint (RFC 6749 sections 5.1 and 5.2; pure).

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use secrecy::SecretString;
use serde_json::Value;

use super::code::LONGEST_CODE;
use super::lifetime::{lifetime, seconds};
use super::refusal::refusal;
use super::said::Said;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Limits, Response, foreign_encoding, is_labelled, is_page, retry_after, server_time};
use crate::json::{Flaw, Members, Text, Twice, wipe};
use crate::server_text::Masks;
use crate::step_up::Demands;
use crate::token::{AccessToken, Holder, OnDemand, Terms};

/// The rules for accepted responses.
#[derive(Clone, Default)]
pub(crate) struct Rules {
    /// Refuses violations of RFC 6749 that are safe to accept otherwise.
    pub(crate) strict: bool,
    pub(crate) refuse_narrower_scope: bool,
    pub(crate) limits: Limits,
    /// Names of token types that are sent as `Bearer`, besides `Bearer` itself.
    pub(crate) token_types: Vec<String>,
    /// The requested type of a token exchange.
    pub(crate) exchange: Option<Requested>,
    /// Collects the scopes that the API requires of a token.
    pub(crate) demands: Option<Arc<Demands>>,
}

/// `requested_token_type` of a token exchange (RFC 8693 section 2.1); `None`: the server decides.
#[derive(Clone)]
pub(crate) struct Requested(pub(crate) Option<String>);

/// How a response is read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) masks: &'a Masks,
    /// The requested scope.
    pub(crate) asked_scope: Option<&'a str>,
}

pub(crate) fn decode(
    response: Response,
    reading: Reading<'_>,
    holder: Holder,
    sent: Moment,
    now: Moment,
    clock: &Clock,
) -> Result<AccessToken, Error> {
    let Reading { rules, masks, .. } = reading;
    let status = response.status;
    let wait = retry_after(status, &response.headers, now);
    let quoting = reading.quoting(&response);
    let refuse = |said: Said| {
        let line = said.oauth.as_ref().map(|oauth| quoting.line(oauth)).unwrap_or_default();
        refusal(status, said, &line).with_status(status).asked_to_wait(wait)
    };

    if !status.is_success() {
        return Err(refuse(reading.said(&response)));
    }
    if let Some(encoding) = foreign_encoding(&response.headers) {
        let text = format!(
            "the token endpoint encoded its response ({}), which was not asked for and is not read here",
            masks.clean(encoding, 32)
        );
        return Err(Error::of(ErrorKind::Response, text).transient().with_status(status));
    }
    let text = match rules.strict {
        true => None,
        false => Some(Text::of(&response.body)),
    };
    let body = text.as_ref().map_or(response.body.as_slice(), |text| text.as_bytes());
    // GitHub and Slack send errors with 200: an `error` counts, whatever else the body contains.
    // So do others, in each of their formats, where there is no token.
    let members = Members::parse(body);
    let has_token = |members: &Members<'_>| members.count("access_token") > 0 && !members.is_null("access_token");
    let is_granted = |members: &Members<'_>| members.count("error") > 1 || !has_error(members) && has_token(members);
    if !members.as_ref().is_ok_and(is_granted) {
        let said = reading.said(&response);
        // A page may be from a firewall, and have any word. A challenge counts where the body has none.
        if said.oauth.is_some() && !said.is_page && said.words.is_empty() {
            return Err(refuse(said));
        }
    }
    match members {
        Ok(members) => granted(members, &response, reading, holder, sent, clock),
        Err(flaw) => Err(not_an_object(&response, flaw, masks)),
    }
    .map_err(|e| e.with_status(status))
}

/// Whether there is a meaningful `error`: `null`, `0`, `{}` and similar values are also sent with tokens.
fn has_error(members: &Members<'_>) -> bool {
    members.get("error").is_some_and(|error| says_something(&error))
}

/// `error` is nested at most as deep as JSON is read.
fn says_something(error: &Value) -> bool {
    let is_number = |text: &str| text.parse::<f64>().ok().map(|number| number != 0.0);
    match error {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::Number(number) => is_number(&number.to_string()) != Some(false),
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            text.contains(char::is_alphabetic) && !matches!(&*text, "none" | "null" | "false" | "no" | "ok")
                || is_number(&text) == Some(true)
        }
        Value::Array(errors) => errors.iter().any(says_something),
        Value::Object(members) => {
            let is_zero = |code: &Value| match code {
                Value::Number(code) => is_number(&code.to_string()) == Some(false),
                Value::String(code) => is_number(code.trim()) == Some(false),
                _ => false,
            };
            !members.get("code").is_some_and(is_zero) && members.values().any(says_something)
        }
    }
}

/// What a response without a token says.
fn words(response: &Response, reading: Reading<'_>) -> String {
    let said = reading.said(response);
    match said.oauth {
        Some(oauth) if said.words.is_empty() => reading.quoting(response).line(&oauth),
        _ => said.words,
    }
}

/// RFC 6749 section 5.1.
fn granted(
    mut members: Members<'_>,
    response: &Response,
    reading: Reading<'_>,
    holder: Holder,
    sent: Moment,
    clock: &Clock,
) -> Result<AccessToken, Error> {
    let Reading { rules, masks, asked_scope } = reading;
    let strict = rules.strict;
    if strict && response.status != StatusCode::OK {
        return Err(unusable(format!("status {} instead of 200 (strict)", response.status.as_u16())));
    }
    if strict && !response.headers.get(CONTENT_TYPE).is_some_and(|label| is_labelled(label, "application/json")) {
        return Err(unusable("its content type is not application/json (strict)"));
    }
    if members.count("error") > 1 {
        return Err(Twice("error").into());
    }
    if has_error(&members) {
        let words = words(response, reading);
        return Err(unusable(format_args!("it has an error: {words}; is the address of the token endpoint right?")));
    }
    let secret = match members.take("access_token")? {
        Some(Value::String(secret)) => SecretString::from(secret),
        Some(mut other) if !other.is_null() => {
            wipe(&mut other);
            return Err(unusable("access_token is not a string"));
        }
        _ => {
            let words = words(response, reading);
            return Err(unusable(format_args!(
                "it has no access_token, but {}; is the address of the token endpoint right?",
                if words.is_empty() { "nothing to read" } else { &words }
            )));
        }
    };
    check_length(&secret, rules)?;
    let token_type = members.take("token_type")?;
    let masks = masks.and([&secret]);
    let clean = |name: &str| masks.clean(name, 64);
    if let Some(requested) = &rules.exchange {
        check_issued_type(&members, requested, strict, |uri| masks.clean(uri, 128))?;
    }
    match holder.key {
        None => check_type(token_type, rules, clean)?,
        Some(_) => check_dpop(token_type, clean)?,
    }
    let lifetime = lifetime(&mut members, strict, sent, server_time(&response.headers))?;
    let refresh_in = members.take("refresh_in")?.as_ref().and_then(seconds);
    let scope = scope(members.take("scope")?, Reading { masks: &masks, ..reading })?;
    // Section 4.4.3: there should be no refresh token; the client can always request a new token itself.
    for unwanted in ["refresh_token", "id_token"] {
        members.skip(unwanted)?;
    }
    let mut extra = members.rest();
    // `Debug` of the token shows the names.
    extra.retain(|name, _| name.len() <= LONGEST_CODE && !masks.hide(name));
    let asked = |demands: &Arc<Demands>| {
        let scope = asked_scope.unwrap_or_default().into();
        Box::new(OnDemand { scope, demands: Arc::clone(demands) })
    };
    let demands = rules.demands.as_ref().map(asked);
    let terms = Terms { lifetime, refresh_in, scope: scope.map(Into::into), extra, holder, from_store: false, demands };
    AccessToken::issued(&secret, terms, sent, clock)
}

pub(super) fn unusable(what: impl std::fmt::Display) -> Error {
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
    if secret.len() > rules.limits.max_token_bytes {
        return Err(unusable(format_args!("access_token is longer than {} bytes", rules.limits.max_token_bytes)));
    }
    // b64token, RFC 6750 section 2.1. Salesforce's tokens have a `!`.
    let b64token = |c: u8| c.is_ascii_alphanumeric() || b"-._~+/".contains(&c);
    if rules.strict && !secret.trim_end_matches('=').bytes().all(b64token) {
        return Err(unusable("access_token is not a b64token (strict)"));
    }
    Ok(())
}

/// RFC 6749 section 7.1. Absent at LinkedIn and Slack, `BearerToken` at Apigee, `Application Access Token` at eBay.
fn check_type(token_type: Option<Value>, rules: &Rules, clean: impl Fn(&str) -> String) -> Result<(), Error> {
    let name = match token_type {
        None | Some(Value::Null) if rules.strict => return Err(unusable("it has no token_type (strict)")),
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(name)) => name,
        Some(_) => return Err(unusable("token_type is not a string")),
    };
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("bearer") || !rules.strict && is("BearerToken") || rules.token_types.iter().any(|named| is(named)) {
        return Ok(());
    }
    let shown = clean(&name);
    Err(unusable(match not_bearer(&name) {
        Some(why) => format!("its token_type is {shown}, not Bearer: {why}"),
        // The setter does not accept it either.
        None if shown.trim().is_empty() => "its token_type is empty, not Bearer".to_owned(),
        None if shown.trim().eq_ignore_ascii_case("bearer") => {
            "its token_type is Bearer with blanks or control characters, which are no part of it (RFC 6749 appendix A.13)".to_owned()
        }
        None => format!(
            "its token_type is {shown}, not Bearer; if tokens of that type are sent as Bearer, say so with token_type({shown:?})"
        ),
    }))
}

/// Why tokens of this type are never sent as `Bearer`, whatever `token_type` accepts.
pub(crate) fn not_bearer(name: &str) -> Option<&'static str> {
    let is = |other: &str| name.trim().eq_ignore_ascii_case(other);
    if is("dpop") {
        Some("it is useless without a key, and none was given with dpop; token_type cannot change that")
    } else if is("mac") || is("pop") {
        Some("it is useless without a signature, which is not made here; token_type cannot change that")
    } else if is("n_a") {
        Some(NO_ACCESS_TOKEN)
    } else {
        None
    }
}

/// The meaning of `N_A`.
const NO_ACCESS_TOKEN: &str = "the server issued a token that is not an access token, which no API takes as Bearer (RFC 8693 \
     section 2.2.1); ask for an access token with requested_token_type";

/// RFC 8693 section 2.2.1. Absent at some servers, though it is required.
fn check_issued_type(
    members: &Members<'_>,
    Requested(requested): &Requested,
    strict: bool,
    clean: impl Fn(&str) -> String,
) -> Result<(), Error> {
    const NAME: &str = "issued_token_type";
    if members.count(NAME) > 1 {
        return Err(Twice(NAME).into());
    }
    let issued = match members.get(NAME) {
        None | Some(Value::Null) if strict => {
            return Err(unusable("it has no issued_token_type (strict; RFC 8693 section 2.2.1)"));
        }
        None | Some(Value::Null) => return Ok(()),
        Some(Value::String(issued)) => issued,
        Some(_) => return Err(unusable("issued_token_type is not a string (RFC 8693 section 2.2.1)")),
    };
    match requested {
        Some(requested) if *requested != issued => Err(unusable(format_args!(
            "its issued_token_type is {}, and not {requested} as was asked for with requested_token_type (RFC 8693 section 2.2.1)",
            clean(&issued)
        ))),
        None if NO_ACCESS_TOKENS.contains(&&*issued) => Err(unusable(format_args!(
            "its issued_token_type is {issued}, which is not an access token (RFC 8693 section 3); \
             ask for one with requested_token_type(\"urn:ietf:params:oauth:token-type:access_token\")"
        ))),
        _ => Ok(()),
    }
}

/// The types in RFC 8693 section 3 that APIs do not accept. A `jwt` may be an access token.
const NO_ACCESS_TOKENS: [&str; 4] = [
    "urn:ietf:params:oauth:token-type:refresh_token",
    "urn:ietf:params:oauth:token-type:id_token",
    "urn:ietf:params:oauth:token-type:saml1",
    "urn:ietf:params:oauth:token-type:saml2",
];

/// RFC 9449 section 5: if a bound token was requested, no other is accepted, since a thief could use it.
fn check_dpop(token_type: Option<Value>, clean: impl Fn(&str) -> String) -> Result<(), Error> {
    let name = match token_type {
        None | Some(Value::Null) => return Err(unusable("it has no token_type, where DPoP was asked for")),
        Some(Value::String(name)) if name.eq_ignore_ascii_case("dpop") => return Ok(()),
        Some(Value::String(name)) => name,
        Some(_) => return Err(unusable("token_type is not a string, where DPoP was asked for")),
    };
    let shown = clean(&name);
    let is = |other: &str| shown.trim().eq_ignore_ascii_case(other);
    Err(unusable(if is("n_a") {
        format!("its token_type is {shown}: {NO_ACCESS_TOKEN}")
    } else if is("dpop") {
        "its token_type is DPoP with blanks or control characters, which are no part of it (RFC 6749 appendix A.13)"
            .to_owned()
    } else {
        let shown = if is("") { "empty" } else { &*shown };
        format!(
            "its token_type is {shown}, and not DPoP as was asked for; is DPoP on at the server, and for this client?"
        )
    }))
}

/// The granted scope, otherwise the requested one (RFC 6749 section 5.1).
fn scope(value: Option<Value>, reading: Reading<'_>) -> Result<Option<String>, Error> {
    let Reading { rules, masks, asked_scope: asked } = reading;
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
    // An echo of a secret is not a scope. The requested scope needs no search, which takes a while for a long token.
    let is_known = |scope: &String| asked == Some(scope) || !masks.hide(scope);
    let granted = granted.filter(|scope| !scope.trim().is_empty() && is_known(scope));
    if let (Some(granted), Some(asked)) = (&granted, asked) {
        let missing = not_granted(asked, granted);
        if rules.refuse_narrower_scope && !missing.is_empty() {
            return Err(unusable(format_args!("the scope {} was not granted", missing.join(" "))));
        }
    }
    Ok(granted.or_else(|| asked.map(Into::into)))
}

/// The requested scopes that are missing. Some servers separate them by commas.
pub(crate) fn not_granted<'a>(asked: &'a str, granted: &str) -> Vec<&'a str> {
    let has = |scope: &str| {
        granted.split_whitespace().any(|one| one == scope)
            || granted.split(|c: char| c.is_whitespace() || c == ',' || c == ';').any(|one| one == scope)
    };
    let is_granted = |scope: &str| has(scope) || scope.contains(',') && scope.split(',').all(has);
    asked.split_whitespace().filter(|one| !is_granted(one)).collect()
}

fn not_an_object(response: &Response, flaw: Flaw, masks: &Masks) -> Error {
    let body = &response.body;
    let begins = |starts: &[&[u8]]| starts.iter().any(|start| body.starts_with(start));
    let is_page = is_page(&response.headers, body);
    let (what, transient) = match flaw {
        Flaw::NotJson { .. } if body.is_empty() => (Cow::from("it has no body"), true),
        Flaw::NotJson { .. } if begins(&[b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]) => {
            ("its body begins with a byte order mark; JSON is UTF-8 without one (RFC 8259 section 8.1)".into(), false)
        }
        Flaw::NotJson { .. } if begins(&[b"access_token=", b"token_type="]) => {
            ("its body is a form; it must be JSON (some servers send JSON if the header Accept says so)".into(), false)
        }
        Flaw::NotJson { .. } if is_page => ("its body is a page and not JSON".into(), true),
        // A truncated body.
        Flaw::NotJson { line, column } => (format!("its body is not JSON at line {line} column {column}").into(), true),
        Flaw::NotAnObject => ("its body is JSON, but not an object".into(), false),
    };
    let label = response.headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or("none");
    let error = unusable(format_args!("{what} ({} bytes, content type {})", body.len(), masks.clean(label, 64)));
    let hint = "is the address of the token endpoint right, or does a proxy or a login page answer in its place?";
    let error = if is_page { error.advised(hint) } else { error };
    if transient { error.transient() } else { error }
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;

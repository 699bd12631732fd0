//! Oracles for input from authorization servers.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use super::{SECRET, now, response};
use crate::clock::Clock;
use crate::error::Error;
use crate::exchange::{Response, foreign_encoding, retry_after};
use crate::grant::Quota;
use crate::grant::response::{Reading, Rules, decode};
use crate::metadata::document;
use crate::server_text::{Masks, is_of_a_script};
use crate::token::{AccessToken, Holder};

/// A response of the token endpoint, as on the wire (without chunks).
pub fn token_response(wire: &[u8]) {
    let decoded = |cut: usize, strict: bool| {
        let mut response = response(wire);
        let rest = response.body.len().saturating_sub(cut);
        response.body.truncate(rest);
        let rules = Rules { strict, ..Rules::default() };
        let masks = Masks::new(vec![SECRET.into()]);
        decode(
            response,
            Reading { rules: &rules, masks: &masks, asked_scope: None },
            Holder::default(),
            now(),
            now(),
            &Clock::System,
        )
    };
    let lenient = decoded(0, false);
    match (&lenient, decoded(0, true)) {
        (Ok(token), Ok(strict)) => {
            assert!(token.same_value(&strict) && token.lifetime() == strict.lifetime())
        }
        (Err(_), Ok(_)) => panic!("strict is laxer"),
        (_, Err(error)) => fit_to_be_shown(&error),
    }
    match lenient {
        Ok(token) => {
            let sent = response(wire);
            assert!(sent.status.is_success() && foreign_encoding(&sent.headers).is_none());
            fit_for_a_header(&token);
            // A truncated body is not a token; white space at the end has no meaning.
            let cut = sent.body.len() - sent.body.trim_ascii_end().len() + 1;
            assert!(decoded(cut, false).is_err(), "cut, and a token");
        }
        Err(error) => fit_to_be_shown(&error),
    }
}

/// A refusal as it is on the wire; and its code, in each shape that servers give it.
pub fn refusal(wire: &[u8]) {
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLWhlcmU";
    // RFC 6749 section 5.2, RFC 8707 section 2, RFC 9449 section 5.
    const CODES: [&str; 8] = [
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "invalid_dpop_proof",
        "unauthorized_client",
        "access_denied",
        "temporarily_unavailable",
    ];
    let refused = |response: Response| {
        let masks = Masks::new(vec![SECRET.into()]);
        let answer = decode(
            response,
            Reading { rules: &Rules::default(), masks: &masks, asked_scope: None },
            Holder::default(),
            now(),
            now(),
            &Clock::System,
        );
        let error = answer.expect_err("a refusal is no token");
        fit_to_be_shown(&error);
        if let Some(oauth) = error.oauth() {
            assert!((1..=128).contains(&oauth.code().len()), "{}", oauth.code());
            for (name, value) in oauth.extras() {
                let value = value.to_string();
                // Of what is named like a secret, only sentences are kept.
                let is_secret = ["token", "secret", "assertion"].iter().any(|end| name.to_lowercase().ends_with(end));
                assert!(!is_secret || [" ", "*", "null"].iter().any(|told| value.contains(told)), "{name}: {value}");
                assert!(!value.contains(SECRET) && !value.contains(JWT), "{value}");
            }
        }
        error
    };
    let mut sent = response(wire);
    if sent.status.is_success() {
        sent.status = StatusCode::BAD_REQUEST;
    }
    let (status, headers) = (sent.status, sent.headers.clone());
    let body = sent.body.clone();
    refused(sent);
    // A redirect, or an encoded body: the content does not matter.
    if status.is_redirection() || foreign_encoding(&headers).is_some() {
        return;
    }
    let Some(code) = CODES.get(body.len() % CODES.len()) else { return };
    let words: String = String::from_utf8_lossy(&body).chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect();
    if words.is_empty() {
        return;
    }
    // Two words, so that it is no single value, which may be a token.
    let text = format!("it says x{words} {JWT}");
    // The words may be an echo of the secret, in one of its forms.
    if Masks::new(vec![SECRET.into()]).hide(&text) {
        return;
    }
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let said = |label: &'static str, body: String| {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static(label))].into_iter().collect();
        refused(Response { status, headers, body: Zeroizing::new(body.into_bytes()) })
    };
    let json = |value: serde_json::Value| said("application/json", value.to_string());
    let plain = json(serde_json::json!({"error": code, "error_description": text}));
    let oauth = plain.oauth().expect("RFC 6749 section 5.2");
    assert_eq!(oauth.code(), *code);
    assert_eq!(oauth.description(), Some(&*format!("it says x{words} ***")));
    for (shape, error) in [
        (
            "a label that is wrong",
            said("text/html", serde_json::json!({"error": code, "error_description": text}).to_string()),
        ),
        (
            "a form",
            said("application/x-www-form-urlencoded", format!("error={code}&error_description={}", encoded(&text))),
        ),
        ("Okta", json(serde_json::json!({"errorCode": code, "errorSummary": text, "errorId": "1"}))),
        ("a level deeper", json(serde_json::json!({"error": {"code": code, "message": text}}))),
        ("a list", json(serde_json::json!([{"error": code, "error_description": text}]))),
        ("RFC 9457", json(serde_json::json!({"type": code, "title": "a title", "detail": text}))),
    ] {
        let other = error.oauth().unwrap_or_else(|| panic!("{shape}: {error}"));
        assert_eq!((other.code(), other.description()), (oauth.code(), oauth.description()), "{shape}");
        assert_eq!((error.kind(), error.is_transient()), (plain.kind(), plain.is_transient()), "{shape}");
    }
}

/// A response with `Retry-After` or a similar header.
pub fn waiting_time(wire: &[u8]) {
    let Response { headers, .. } = response(wire);
    for status in [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
        let wait = retry_after(status, &headers, now());
        let asked = headers.get("retry-after").and_then(|value| value.to_str().ok());
        // `parse` accepts a sign, which RFC 9110 section 10.2.3 does not allow.
        let seconds = asked.filter(|asked| !asked.contains('+')).and_then(|asked| asked.trim().parse::<u32>().ok());
        // A larger number is an instant.
        if let Some(seconds) = seconds.filter(|seconds| *seconds < 1_000_000_000) {
            assert_eq!(wait, Some(Duration::from_secs(seconds.min(86_400).into())));
        }
        let is_signed = asked.is_some_and(|asked| asked.contains('+') && asked.trim().parse::<u32>().is_ok());
        let in_millis = ["retry-after-ms", "x-ms-retry-after-ms"].iter().any(|name| headers.contains_key(*name));
        if (asked.is_none() || is_signed) && !in_millis && status == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(wait, None);
        }
        assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(86_400)), "{wait:?}");
    }
}

/// A response with the headers of a quota.
pub fn quota(wire: &[u8]) {
    let Response { headers, .. } = response(wire);
    let masks = Masks::new(vec![SECRET.into()]);
    let Some(quota) = Quota::of(&headers, &masks) else {
        return;
    };
    assert!((1..=16).contains(&quota.headers().count()));
    let mut most = None;
    for (name, value) in quota.headers() {
        assert!(headers.contains_key(name) && name.contains("limit"), "{name}");
        assert!(value.len() <= 256 && !value.contains(SECRET), "{value:?}");
        assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{value:?}");
        assert!(quota.header(&name.to_uppercase()).is_some());
        if name.ends_with("-remaining") {
            most = most.into_iter().chain(value.trim().parse().ok()).min();
        }
    }
    // Never more than the smallest plain number in the headers.
    let remaining: Option<u64> = quota.remaining();
    assert!(most.is_none() || (remaining.is_some() && remaining <= most));
}

/// A response of a metadata endpoint, as on the wire; the issuer is `https://auth.example.com`.
pub fn metadata(wire: &[u8]) {
    let url = Url::parse("https://auth.example.com").expect("a URL");
    let elsewhere = Url::parse("https://elsewhere.example").expect("a URL");
    for pinned in [None, Some(url.clone()), Some(elsewhere)] {
        for mutual_tls in [false, true] {
            let rules = document::Rules {
                issuer: "https://auth.example.com".to_owned(),
                url: url.clone(),
                plain_hosts: vec!["auth.example.com".to_owned()],
                pinned: pinned.clone(),
                mutual_tls,
                named_hosts: None,
            };
            match document::decode(&response(wire), &rules) {
                Ok(found) => {
                    let endpoint = found.token_endpoint;
                    assert_eq!(endpoint.scheme(), "https", "the issuer's is");
                    assert!(endpoint.username().is_empty() && endpoint.password().is_none());
                    assert!(endpoint.fragment().is_none());
                    assert!(pinned.as_ref().is_none_or(|pin| pin.origin() == endpoint.origin()));
                }
                Err(unusable) => assert!(!unusable.why.contains(|c: char| c.is_control())),
            }
        }
    }
}

fn fit_for_a_header(token: &AccessToken) {
    let secret = token.expose_secret();
    assert!(!secret.is_empty() && secret.len() <= Rules::default().limits.max_token_bytes);
    assert!(secret.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(token.authorization().is_sensitive());
    assert_eq!(token.authorization().as_bytes(), format!("Bearer {secret}").as_bytes());
}

/// I1: printable, short, and without our secret.
fn fit_to_be_shown(error: &Error) {
    for text in [format!("{error}"), format!("{error:#}")] {
        assert!(text.chars().all(|c| matches!(c, ' '..='~') || is_of_a_script(c)), "{text:?}");
        assert!(text.chars().count() < 2_000, "{text}");
    }
    assert!(!format!("{error} {error:#} {error:?}").contains(SECRET), "{error:?}");
}

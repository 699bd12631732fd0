//! The texts of servers: families FB1 to FB5, FB8 and FB9 of tests/FAULTS.md.

use http::{HeaderName, HeaderValue, StatusCode};
use zeroize::Zeroizing;

use super::*;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::exchange::Limits;
use crate::grant::refusal::is_of_the_credential;
use crate::grant::response::{Rules, decode};
use crate::server_text::Masks;
use crate::token::Holder;
use std::time::Duration;

const JSON: (&str, &str) = ("content-type", "application/json");
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");

fn refused(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> Error {
    refused_by(status, headers, body, &Rules::default())
}

fn refused_by(status: u16, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>, rules: &Rules) -> Error {
    let header = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers.iter().map(header).collect(),
        body: Zeroizing::new(body.as_ref().to_vec()),
    };
    let masks = Masks::new(vec!["our-secret-of-today".into(), "8301774650".into()]);
    let now = Moment::new(Duration::from_secs(1_000), Duration::from_secs(1_800_000_000));
    decode(response, Reading { rules, masks: &masks, asked_scope: None }, Holder::default(), now, now, &Clock::System)
        .unwrap_err()
}

fn code(error: &Error) -> Option<&str> {
    error.oauth().map(OAuthError::code)
}

const F5: &str = "<html><head><title>Request Rejected</title><style>p { color: red }</style></head><body>The requested \
                  URL was rejected.<br>\n<script>var secret = 1;</script>Your support ID is: <b>7281</b></body></html>";

#[test]
fn a_refused_client_is_recognised_in_every_shape() {
    // FB1
    for (status, headers, body) in [
        (401, &[][..], r#"{"error":"invalid_client"}"#),
        (
            401,
            &[],
            r#"{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}"#,
        ),
        (401, &[], r#"{"error":"unauthorized","error_description":"Bad credentials"}"#),
        (401, &[], r#"{"error":"access_denied","error_description":"Unauthorized"}"#),
        (401, &[], r#"{"errorCode":"invalid_client","errorSummary":"Invalid value for 'client_id' parameter."}"#),
        (401, &[], r#"{"error":"server_error","error_description":"access_denied"}"#),
        (401, &[], r#"{"error":"temporarily_unavailable"}"#),
        (401, &[], r#"{"error":"invalid_grant"}"#),
        (401, &[], r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"unknown client"}"#),
        (401, &[], "unauthorized"),
        (401, &[], ""),
        (401, &[], "error=invalid_client&error_description=no"),
        (401, &[("www-authenticate", "Basic realm=\"token\""), HTML], F5),
        (403, &[], ""),
        (403, &[], r#"{"message":"Forbidden"}"#),
        (403, &[], r#"{"error":"forbidden"}"#),
        (400, &[], r#"{"error":"invalid_client"}"#),
        (
            400,
            &[],
            r#"{"error":"unauthorized_client","error_description":"INVALID_CREDENTIALS: Invalid client credentials"}"#,
        ),
        (400, &[], r#"{"error":{"code":"invalid_client","message":"x"}}"#),
        (400, &[], r#"{"error":"invalid_client_id"}"#),
        (400, &[], r#"{"error":"Invalid client id or secret"}"#),
        (400, &[("www-authenticate", "Bearer error=\"invalid_client\"")], ""),
        (400, &[], "invalid_client"),
        (200, &[JSON], r#"{"ok":false,"error":"bad_client_secret"}"#),
        (200, &[JSON], r#"{"error":"incorrect_client_credentials"}"#),
        (500, &[], r#"{"error":"invalid_client"}"#),
        (400, &[], r#"{"data":{"attributes":[{"oauth":{"error":"invalid_client"}}]}}"#),
        (400, &[], r#"{"Error":"INVALID_CLIENT","Error_Description":"no"}"#),
        (422, &[], r#"{"error":["invalid_client"],"error_description":["one","two"]}"#),
        (400, &[], "{'error':'invalid_client'}"),
        (400, &[], r#"{"error_description":"no","trace":[{"error":"invalid_client""#),
        (400, &[], r#"<OAuthError code="invalid_client" description="no"/>"#),
        (400, &[], r#"<error><![CDATA[<b>invalid_client</b>]]></error>"#),
        (400, &[HTML], "<!DOCTYPE html><html><head><title>invalid_client</title></head></html>"),
    ] {
        let error = refused(status, headers, body);
        assert_eq!(error.kind(), ErrorKind::Denied, "{status} {body}: {error}");
        assert!(is_of_the_credential(&error) && !error.is_transient(), "{status} {body}: {error}");
    }
}

#[test]
fn other_refusals_do_not_try_another_credential() {
    for (status, body) in [
        (400, r#"{"error":"unauthorized_client","error_description":"grant type not allowed"}"#),
        (400, r#"{"error":"invalid_scope"}"#),
        (400, r#"{"error":"scope_invalid"}"#),
        (400, r#"{"error":"INVALID_SCOPE"}"#),
        (400, r#"{"error":"Invalid scope"}"#),
        (400, r#"{"error":"invalid_scopes"}"#),
        (403, r#"{"error":"insufficient_scope"}"#),
        (400, r#"{"error":"The scope x is not registered"}"#),
        (400, r#"{"detail":{"reasons":["unsupported_grant_type"]}}"#),
        (400, r#"{"error":"invalid_grant"}"#),
        (400, r#"{"error":"unsupported_grant_type"}"#),
        (403, r#"{"error":"access_denied","error_description":"Client is not authorized to access this API"}"#),
        (401, r#"{"error":"use_dpop_nonce"}"#),
        (401, r#"{"error":"invalid_dpop_proof"}"#),
    ] {
        let error = refused(status, &[JSON], body);
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(!is_of_the_credential(&error), "{error}");
    }
}

#[test]
fn a_page_from_a_firewall_is_not_a_denial() {
    // FB9
    for status in [400, 401, 403, 406, 418, 451, 499] {
        for (headers, body) in [
            (&[HTML][..], F5),
            (&[], F5),
            (&[], "  <!DOCTYPE HTML>\n<title>Blocked</title> support ID is: 7281"),
            (&[("content-type", "TEXT/HTML")], "<p>support ID is: <i>7281"),
            (&[], "<body>support ID is: 7281"),
        ] {
            let error = refused(status, headers, body);
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Response, true), "{status}: {error}");
            assert!(!is_of_the_credential(&error), "{error}");
            assert!(error.to_string().contains("and a page: "), "{error}");
            assert!(error.to_string().contains("support ID is: 7281"), "{error}");
            assert!(error.to_string().contains("firewall") && !error.to_string().contains("color"), "{error}");
        }
    }
    for (headers, body) in [(&[HTML][..], "no"), (&[], "<error>no</error>"), (&[JSON], "<error>no</error>")] {
        let error = refused(403, headers, body);
        assert!(error.kind() == ErrorKind::Denied && !error.to_string().contains("page"), "{error}");
    }
    let moved = refused(404, &[HTML], F5);
    assert_eq!((moved.kind(), moved.is_transient()), (ErrorKind::Response, false));
    assert!(moved.to_string().contains("is the address"), "{moved}");
    let verdict = refused(400, &[HTML], "<html><body><h1>OAuth error: invalid_client</h1></body></html>");
    assert_eq!((verdict.kind(), code(&verdict)), (ErrorKind::Denied, Some("invalid_client")));
}

#[test]
fn the_code_is_found_whatever_other_members_there_are() {
    // FB3
    let deep = format!("{}{}", "[".repeat(250), "]".repeat(250));
    let bodies: Vec<Vec<u8>> = vec![
        b"{\"error\":\"invalid_client\",\"error_description\":\"caf\xe9\"}".to_vec(),
        b"\xef\xbb\xbf{\"error\":\"invalid_client\"}".to_vec(),
        br#"{"x":"\ud800","error":"invalid_client"}"#.to_vec(),
        br#"{"error":"invalid_client","error_description":"\udc00 no"}"#.to_vec(),
        br#"{"x":1e400,"error":"invalid_client"}"#.to_vec(),
        format!(r#"{{"x":{deep},"error":"invalid_client","y":{deep}}}"#).into_bytes(),
        br#"{"error":"invalid_client","error_descr"#.to_vec(),
        br#"{"error":"invalid_client"} trailing"#.to_vec(),
        b"\r\n {\"error\":\"invalid_client\"}".to_vec(),
        [b"\xff\xfe".to_vec(), r#"{"error":"invalid_client"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect()]
            .concat(),
        r#"{"error":"invalid_client"}"#.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        b"\xef\xbb\xbf\xef\xbb\xbf{\"error\":\"invalid_client\"}".to_vec(),
    ];
    for body in bodies {
        for status in [200, 400, 401] {
            let error = refused(status, &[JSON], &body);
            let shown = String::from_utf8_lossy(&body).into_owned();
            assert_eq!((code(&error), error.kind()), (Some("invalid_client"), ErrorKind::Denied), "{shown}: {error}");
        }
    }
}

#[test]
fn a_reason_phrase_is_not_an_error_code_and_hints_at_a_wrong_address() {
    // FB5
    for (status, body) in [
        (404, r#"{"status":404,"error":"Not Found"}"#),
        (404, r#"{"timestamp":"2026","status":404,"error":"Not Found","path":"/oauth/token"}"#),
        (404, r#"{"error":"not_found"}"#),
        (404, r#"{"error":"NOT-FOUND"}"#),
        (404, r#"{"error":"no_such_route"}"#),
        (405, r#"{"error":"Method Not Allowed"}"#),
        (410, r#"{"error":"gone"}"#),
        (200, r#"{"result":1,"error":"0"}"#),
        (200, r#"{"result":1}"#),
        (200, r#"{"error":"Not Found"}"#),
    ] {
        let error = refused(status, &[JSON], body);
        assert_eq!(error.kind(), ErrorKind::Response, "{body}: {error}");
        assert!(error.to_string().contains("is the address of the token endpoint right?"), "{error}");
        assert!(code(&error).is_none_or(|code| code == "no_such_route"), "{error:?}");
    }
    for phrase in ["Bad Request", "bad_request", "Unauthorized", "internal_server_error", "serviceUnavailable"] {
        assert!(!is_code(phrase), "{phrase}");
    }
    for code in ["invalid_client", "server_error", "strange", "AADSTS90002", "access_denied"] {
        assert!(is_code(code), "{code}");
    }
    for (status, code) in [(404, "invalid_client"), (404, "invalid_request")] {
        assert_eq!(refused(status, &[], format!(r#"{{"error":"{code}"}}"#)).kind(), ErrorKind::Denied);
    }
}

#[test]
fn an_error_next_to_a_token_is_an_error() {
    for (error, passes) in [
        (r#""invalid_client""#, false),
        (r#""Bad Request""#, false),
        (r#""it failed""#, false),
        ("null", true),
        (r#""""#, true),
        (r#""0""#, true),
        ("false", true),
    ] {
        let body = format!(r#"{{"access_token":"abc","token_type":"Bearer","error":{error}}}"#);
        let response =
            Response { status: StatusCode::OK, headers: HeaderMap::new(), body: Zeroizing::new(body.into()) };
        let now = Moment::new(Duration::from_secs(1_000), Duration::from_secs(1_800_000_000));
        let masks = Masks::new(Vec::new());
        let result = decode(
            response,
            Reading { rules: &Rules::default(), masks: &masks, asked_scope: None },
            Holder::default(),
            now,
            now,
            &Clock::System,
        );
        assert_eq!(result.is_ok(), passes, "{error}");
    }
}

#[test]
fn members_below_four_levels_are_not_reported() {
    let masks = Masks::new(Vec::new());
    let rules = Rules::default();
    let words = |detail: Value| {
        let body = serde_json::json!({"title": "no", "detail": detail}).to_string().into_bytes();
        let response =
            Response { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body: Zeroizing::new(body) };
        Reading { rules: &rules, masks: &masks, asked_scope: None }.said(&response).words
    };
    let wrapped = |levels, wrap: fn(Value) -> Value| (0..levels).fold(Value::from("deep"), |inner, _| wrap(inner));
    for wrap in [|inner| Value::Array(vec![inner]), |inner| serde_json::json!({"a": inner})] {
        assert!(words(wrapped(4, wrap)).contains("deep"));
        assert_eq!(words(wrapped(5, wrap)), "title: no");
    }
}

#[test]
fn a_form_without_a_content_type_starts_with_a_name_and_has_no_space() {
    for body in ["error=x", "error_description=x", "error-code=1&x=y"] {
        assert!(is_form(body), "{body}");
    }
    for body in ["", "=x", "error", "a.b=c", "{a=b", "a b=c", "error=not found"] {
        assert!(!is_form(body), "{body}");
    }
}

#[test]
fn a_server_that_is_down_does_not_refuse_the_client_by_a_word_in_passing() {
    // FB9
    for body in [
        r#"{"message":"unavailable","details":[{"reason":"ACCESS_DENIED"}]}"#,
        r#"{"message":"unavailable","codes":{"one":"invalid_request"}}"#,
        r#"{"error":"ScopeServiceError"}"#,
        r#"{"error":"Access Denied"}"#,
    ] {
        for status in [500, 502, 503] {
            let error = refused(status, &[JSON], body);
            assert!(error.is_transient() && error.kind() != ErrorKind::Denied, "{status} {body}: {error}");
        }
        let error = refused(400, &[JSON], body);
        assert!(!error.is_transient() && error.kind() == ErrorKind::Denied, "{body}: {error}");
    }
    let error = refused(500, &[JSON], r#"{"error":"invalid_client"}"#);
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Denied, false), "{error}");
}

#[test]
fn a_code_is_found_eight_levels_below_a_member() {
    use serde_json::json;
    let nests: [fn(Value) -> Value; 2] = [|value| json!([value]), |value| json!({ "a": value })];
    for nest in nests {
        for (levels, found) in [(0, true), (8, true), (9, false)] {
            let value = (0..levels).fold(json!("invalid_scope"), |value, _| nest(value));
            assert_eq!(known_in(&value, 8).is_some(), found, "{value}");
            let error = refused(400, &[JSON], json!({"a": value}).to_string());
            assert_eq!(code(&error), found.then_some("invalid_scope"), "{value}: {error}");
        }
    }
}

#[test]
fn a_word_that_only_says_that_it_failed_is_no_code() {
    for word in
        ["true", "false", "null", "none", "error", "fail", "failed", "failure", "FAILED", "Error!", "", "40", "<1>"]
    {
        assert!(!is_code(word), "{word}");
    }
    for code in ["failures", "no_error", "errors", "nonexistent", "e1"] {
        assert!(is_code(code), "{code}");
    }
}

#[test]
fn a_form_is_known_by_its_label_whatever_its_case() {
    let body = "error=access_denied&error_description=tenant is disabled";
    for label in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
        let error = refused(400, &[("content-type", label)], body);
        assert_eq!(error.oauth().and_then(OAuthError::description), Some("tenant is disabled"), "{error:?}");
    }
    let error = refused(400, &[("content-type", "text/plain")], body);
    assert_eq!(error.oauth().and_then(OAuthError::description), Some(body), "{error:?}");
}

#[test]
fn an_error_is_found_under_each_name_that_servers_give_it() {
    for name in ["errorCode", "error_code", "errorcode", "code", "type"] {
        for text in [
            "error_description",
            "errorSummary",
            "message",
            "detail",
            "description",
            "errorMessage",
            "error_message",
            "title",
            "msg",
        ] {
            let inner = serde_json::json!({name: "INVALID_CLIENT", text: "no such tenant", "id": 7});
            for outer in ["", "error", "errors", "fault", "detail"] {
                for body in [serde_json::json!({outer: [inner]}), serde_json::json!({outer: inner})] {
                    let body = if outer.is_empty() { inner.clone() } else { body };
                    let error = refused(400, &[JSON], body.to_string());
                    let oauth = error.oauth().unwrap();
                    assert_eq!(oauth.description(), Some("no such tenant"), "{body}: {error}");
                    assert_eq!(oauth.extras().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["id"], "{body}");
                }
            }
        }
    }
}

#[test]
fn what_begins_with_blanks_or_is_a_list_is_read_in_its_format() {
    let inner = r#"{"error":"invalid_client","error_description":"no such tenant"}"#;
    for body in [format!("\r\n {inner} \n"), format!("[{inner}]"), format!(" [{inner},{inner}] ")] {
        let error = refused(400, &[], &body);
        assert_eq!(error.oauth().and_then(OAuthError::description), Some("no such tenant"), "{body}: {error}");
    }
}

#[test]
fn attributes_are_those_of_elements() {
    let xml = r#"<?xml version="1.0"?><!doctype e system="one"><e code="7"></e id="two">"#;
    let said = refused(400, &[("content-type", "application/xml")], xml).to_string();
    assert!(said.contains("code: 7"), "{said}");
    for other in ["1.0", "one", "two"] {
        assert!(!said.contains(other), "{other}: {said}");
    }
}

#[test]
fn a_code_in_words_has_at_most_128_characters() {
    for (length, found) in [(128, true), (129, false)] {
        let error = refused(400, &[], format!("it said {}invalid_client", "_".repeat(length - 14)));
        assert_eq!(code(&error).is_some(), found, "{error}");
    }
}

#[test]
fn of_an_error_without_a_code_of_oauth_the_known_one_beside_it_counts() {
    let error = refused(400, &[JSON], r#"{"errors":[{"error":"strange","code":"invalid_client"}]}"#);
    assert_eq!(code(&error), Some("invalid_client"), "{error}");
}

#[path = "said_quotes_tests.rs"]
mod quotes;

#[path = "said_hidden_tests.rs"]
mod hidden;

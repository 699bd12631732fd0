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
fn the_error_quotes_the_server_whatever_the_shape_of_the_refusal() {
    // FB2
    for (status, headers, body, words) in [
        (
            400,
            &[][..],
            r#"{"type":"https://x/e","title":"Bad","status":400,"detail":"unknown client 7"}"#,
            "unknown client 7",
        ),
        (401, &[], r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided","errorId":"oae9"}"#, "oae9"),
        (
            401,
            &[],
            r#"{"errorCode":"invalid_client","errorSummary":"No client","errorId":"oae9"}"#,
            "No client (errorId: oae9)",
        ),
        (
            400,
            &[],
            r#"{"error":{"message":"Invalid Client ID","type":"OAuthException","code":101}}"#,
            "Invalid Client ID",
        ),
        (400, &[], r#"{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2.x"}}}"#, "oauth.v2.x"),
        (
            400,
            &[],
            r#"[{"message":"expired access/refresh token","errorCode":"INVALID_AUTH_HEADER"}]"#,
            "expired access",
        ),
        (400, &[], r#"{"errors":[{"code":7,"reason":"no such tenant"}]}"#, "no such tenant"),
        (403, &[], "tenant\n  is   disabled", "tenant is disabled"),
        (400, &[], "\"tenant is disabled\"", "tenant is disabled"),
        (400, &[], "error=access_denied&error_description=tenant+is+disabled", "access_denied: tenant is disabled"),
        (
            401,
            &[("www-authenticate", "Bearer realm=\"x\", error=\"invalid_client\", error_description=\"gone\"")],
            "",
            "invalid_client: gone",
        ),
        (401, &[("www-authenticate", "Basic realm=\"tenant seven\"")], "", "Basic realm=tenant seven"),
        (
            400,
            &[],
            "<?xml version=\"1.0\"?><Error><Code>7</Code><Message>no such tenant</Message></Error>",
            "no such tenant",
        ),
        (503, &[], r#"{"message":"no such tenant"}"#, "no such tenant"),
        (404, &[], r#"{"message":"no such tenant"}"#, "no such tenant"),
        (400, &[], r#"{"error":"Invalid tenant in the request"}"#, "Invalid tenant in the request"),
        (200, &[JSON], r#"{"result":7,"reason":"no such tenant"}"#, "no such tenant"),
        (401, &[], "our-secret-of-today is wrong", "*** is wrong"),
        (400, &[("content-encoding", "br")], "\u{1}\u{2}", "encoded (br)"),
        (
            400,
            &[],
            r#"{"errors":[{"code":"invalid_client","detail":"no such tenant"}]}"#,
            "invalid_client: no such tenant",
        ),
        (400, &[], r#"{"code":17,"retry":false,"reason":" "}"#, "status 400: code: 17, retry: false"),
        (400, &[], "internal_server_failure_of_ours", ": internal_server_failure_of_ours"),
        (400, &[], "tenant-7-of-1234", ": tenant-7-of-1234"),
        (400, &[], "got eyJtb3JlIHRoYW4gdHdlbnR5 from you", "got eyJtb3JlIHRoYW4gdHdlbnR5 from you"),
        (400, &[], "got eyJtb3JlIHRoYW4.4.dHc from you", "got *** from you"),
        (400, &[], "got eyJtb3JlIHRoYW.4.dHc from you", "got eyJtb3JlIHRoYW.4.dHc from you"),
        (400, &[], r#"{"errcode":40013,"errmsg":"\u4e0d\u5408\u6cd5的应用"}"#, "errmsg: 不合法的应用"),
        (
            401,
            &[],
            r#"{"error":"invalid_client","error_description":"Der Schlüssel ist ungültig"}"#,
            "Der Schlüssel ist ungültig",
        ),
        (403, &[], r#"{"сообщение":"клиент не найден"}"#, "сообщение: клиент не найден"),
        (401, &[], "認証に失敗しました。", "認証に失敗しました。"),
        (400, &[], "{\"error\":\"x\",\"error_description\":\"no\n\ttenant\"}", "x: no tenant"),
        (
            400,
            &[],
            r#"<response xmlns:a="x"><err code="108" msg='no &quot;tenant&#34; &#x43A;'/></response>"#,
            "code: 108, msg: no 'tenant' к",
        ),
        // A secret follows, and the text is cut.
        (400, &[], r#"{"message":"try later","client_secret":"hush"#, "message: try later ("),
        (400, &[], "<!-- a > b --><e><![CDATA[no tenant & <no> client]]></e>", ": no tenant & <no> client ("),
        (400, &[], "<soap:Fault><faultstring>Ung&#252;ltig</faultstring></soap:Fault>", "Ungültig"),
    ] {
        let error = refused(status, headers, body);
        assert!(format!("{error} (").contains(words), "{body}: {error}");
    }
    for (status, body, text) in [
        (500, "", "status 500"),
        (400, "\"tenant is disabled\"", "status 400: tenant is disabled"),
        (400, "\"tenant\\u0020is\\ndisabled\"", "status 400: tenant is disabled"),
        (400, "<Error><Code>7</Code></Error>", "status 400: 7"),
        (400, "tenant-7-of-12345", "status 400"),
        (302, "this page has moved", "status 302; redirects are not followed, give the address that it redirects to"),
    ] {
        let error = refused(status, &[], body).to_string();
        assert_eq!(error, format!("the token endpoint answered with {text}"));
    }
    for (body, code_in_it, description) in [
        ("invalid_client", Some("invalid_client"), None),
        ("no: invalid_client!", Some("invalid_client"), Some("no: invalid_client!")),
        ("the parameter user_name is missing", None, None),
        ("InvalidRequest: it has no body", None, None),
    ] {
        let error = refused(400, &[], body);
        assert_eq!(code(&error), code_in_it, "{error}");
        assert_eq!(error.oauth().and_then(OAuthError::description), description, "{error}");
        assert!(!error.to_string().contains("()"), "{error}");
    }
    let page = refused(401, &[("www-authenticate", "Basic realm=\"x\""), HTML], F5).to_string();
    assert!(!page.contains("firewall"), "the server itself asks for credentials: {page}");
    let error = refused(400, &[JSON], r#"{"message":"no","access_token":"hush","client_secret":"hush"}"#);
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    for body in [
        r#"{"token":"hush-1"}"#,
        r#"{"message":"no","clientSecret":"hush-1","api-key":"hush-1","Authorization":"hush-1","x":{"passwordHash":"hush-1"}}"#,
        "0hush-1hush-1hush-1hush-1",
        r#"{"message":"got eyJhush-1hush-1.eyJhush-1hush-1.hush-1hush-1 from you"}"#,
        r#"{"error":"x","error_description":"got 'eyJhush-1hush-1.eyJhush-1hush-1.hush-1hush-1'","id_token":"hush-1"}"#,
        "error=x&access_token=hush-1",
        r#"[{"x":1e400,"message":"no","access_token":"hush-1"}]"#,
        "{'error':'x', 'access_token':'hush-1'}",
        "{\"error\":\"x\",\"note\":\"a\nb\",\"access_token\":\"hush-1\"}",
        "got { access_token: hush-1 }",
        r#"{"client_secret_2": "hush-1, a word and no end"#,
        "<r><error>x</error><access_token>hush-1</access_token></r>",
        r#"<r error="x" access_token="hush-1" apiKey='hush-1'/>"#,
        r#""0hush-1hush-1hush-1hush-1""#,
    ] {
        for status in [302, 400, 401, 403, 404, 500] {
            let error = refused(status, &[], body);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
    }
    assert!(refused(500, &[], "trace eyJtb3Jl.no").to_string().contains("eyJtb3Jl.no"), "which is no JWT");
    let long = refused(400, &[], "x".repeat(100_000));
    assert!(long.to_string().len() < 1_200, "{} characters", long.to_string().len());
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
fn the_ids_that_support_needs_survive() {
    // FB4: Entra
    let ids = "Trace ID: 0a1b2c3d-0000-0000-0000-000000000000 Correlation ID: 1f2e3d4c-0000-0000-0000-000000000000 \
               Timestamp: 2026-11-23 10:00:00Z";
    let description = format!("AADSTS7000215: Invalid client secret provided. {} {ids}", "Ensure that. ".repeat(16));
    assert!((342..=457).contains(&description.len()));
    let body = serde_json::json!({
        "error": "invalid_client", "error_description": description, "error_codes": [7_000_215],
        "trace_id": "0a1b2c3d-0000-0000-0000-000000000000", "suberror": "x\u{1b}y",
    });
    for most in [256, 1024] {
        let rules = Rules { limits: Limits::new().max_error_text(most), ..Rules::default() };
        let error = refused_by(401, &[JSON], body.to_string(), &rules);
        assert!(error.to_string().contains(ids) && error.to_string().contains("AADSTS7000215"), "{error}");
    }
    let error = refused(401, &[JSON], body.to_string());
    let oauth = error.oauth().unwrap();
    assert_eq!(oauth.extra("error_codes"), Some(&serde_json::json!([7_000_215])));
    assert_eq!(oauth.extra("suberror"), Some(&"xy".into()));
    assert_eq!(oauth.extra("error_description"), None);
    assert!(!error.to_string().contains("trace_id"), "it is in the description: {error}");
    assert!(error.to_string().contains("(suberror: xy)"), "{error}");
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
fn what_lies_deeper_than_four_levels_is_not_kept_for_the_application() {
    let kept = |detail: Value| {
        let error = refused(400, &[JSON], serde_json::json!({"error": "invalid_client", "x": detail}).to_string());
        error.oauth().unwrap().extra("x").unwrap().to_string()
    };
    let wrapped = |levels, wrap: fn(Value) -> Value| (0..levels).fold(Value::from("deep"), |inner, _| wrap(inner));
    for wrap in [|inner| Value::Array(vec![inner]), |inner| serde_json::json!({"a": inner})] {
        assert_eq!(kept(wrapped(4, wrap)), wrapped(4, wrap).to_string());
        assert_eq!(
            kept(wrapped(5, wrap)),
            wrapped(5, wrap).to_string().replace(&wrap("deep".into()).to_string(), "null")
        );
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
fn a_success_without_a_token_quotes_what_it_has_instead() {
    for (body, told) in [
        (r#"{"status":"error","reason":"invalid_client","detail":"unknown app"}"#, "unknown app"),
        (r#"{"error":"Unauthorized","reason":"invalid_client","detail":"unknown app"}"#, "unknown app"),
    ] {
        let error = refused(200, &[JSON], body);
        assert!(error.to_string().contains(told), "{error}");
    }
    let challenge = ("www-authenticate", "Bearer error=\"invalid_client\", error_description=\"gone\"");
    let error = refused(200, &[JSON, challenge], "{}").to_string();
    assert!(error.contains("invalid_client: gone") && !error.contains("it asks for"), "{error}");
}

#[test]
fn the_name_of_a_secret_is_quoted_and_a_value_under_it_is_not() {
    for (body, told) in [
        ("Missing form parameter: 'client_secret'", "client_secret"),
        ("<html>the parameter \"client_assertion\" is required</html>", "client_assertion"),
    ] {
        let error = refused(400, &[], body);
        assert!(error.to_string().contains(told), "{error}");
    }
    for body in [
        "access_token : abc-of-others",
        "{ \"token\": \"abc-of-others\", \"x\": tru",
        "{'session_token': 'abc-of-others', 'b': 1}",
        "{\"apiKey\": \"abc-of-others\", \"message\": no, \"x\"",
        "<e><AccessToken value=\"abc-of-others\"/></e>",
        "\u{feff}abc-of-others-0123456789\u{feff}",
    ] {
        let error = refused(400, &[], body);
        assert!(!error.to_string().contains("abc-of-others"), "{error}");
    }
}

#[test]
fn a_large_page_is_read_in_one_pass() {
    // In square time this test would take minutes.
    let large = |start: &str, part: &str| format!("{start}{}", part.repeat(500_000 / part.len()));
    for body in [
        large("<e>", "&"),
        large("<html>", "&"),
        large("<e a=\"", "&"),
        large("<html>", "<style>"),
        large("<html>", "<script><style>"),
        large("<html>", "<"),
        large("<e>", "<a b="),
        large("<e>", "<![CDATA["),
        large("", "_ "),
        large("{", "'token' "),
    ] {
        let error = refused(400, &[], &body);
        assert!(error.to_string().chars().count() < 3000, "{error}");
    }
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
fn references_are_read_as_their_characters() {
    assert_eq!(unescaped("a &lt;b&gt; &amp; &quot;c&apos;&nbsp;&#65;&#x42; &unknown; &"), "a <b> & 'c' AB &unknown; &");
}

#[test]
fn what_is_nearly_json_is_quoted_as_text_if_it_has_no_members() {
    let said = refused(400, &[], "{try it later").to_string();
    assert!(said.contains("try it later"), "{said}");
    let said = refused(400, &[JSON], r#"{"message":"try it later","co"#).to_string();
    assert!(said.contains("try it later") && !said.contains('{'), "{said}");
}

#[test]
fn of_the_attributes_of_a_document_only_words_are_quoted() {
    let xml = r#"<e xmlns="http://one" xsi:type="two" token="three-hush" message="try it later"/>"#;
    let said = refused(400, &[("content-type", "application/xml")], xml).to_string();
    assert!(said.contains("message: try it later"), "{said}");
    for other in ["one", "two", "three"] {
        assert!(!said.contains(other), "{other}: {said}");
    }
}

#[test]
fn a_secret_in_pieces_or_as_bytes_is_masked() {
    // L12
    let secret = "our-secret-of-today";
    let bytes = serde_json::json!({"type": "Buffer", "data": secret.as_bytes()});
    let pieces: Vec<_> = secret.split_inclusive('-').collect();
    let letters: Vec<_> = secret.chars().collect();
    for got in
        [bytes, serde_json::json!(pieces), serde_json::json!(letters), serde_json::json!({"a": [{"b": letters}]})]
    {
        for body in
            [serde_json::json!({"error": "invalid_client", "got": got}), serde_json::json!({"title": "no", "got": got})]
        {
            let error = refused(400, &[JSON], body.to_string());
            let said = format!("{error} {:?}", error.oauth());
            assert!(said.contains("***"), "{said}");
            assert!(!["111, ", "our", "\"o\"", ": o,"].iter().any(|piece| said.contains(piece)), "{said}");
        }
    }
    let error = refused(400, &[JSON], r#"{"error":"invalid_client","codes":[50,11,3],"names":["our","host"]}"#);
    assert!(error.to_string().contains("(codes: 50, codes: 11, codes: 3, names: our, names: host)"), "{error}");
}

#[test]
fn a_secret_of_digits_is_masked_where_the_server_writes_a_number() {
    // L12
    let error = refused(400, &[JSON], r#"{"error":"invalid_client","got":8301774650,"code":[50011,8301774650]}"#);
    let said = format!("{error} {:?}", error.oauth());
    assert!(said.contains("50011") && !said.contains("8301774650"), "{said}");
}

#[test]
fn the_text_of_a_page_is_what_stands_between_its_tags() {
    for (page, text) in [
        ("<b>one</b>two<br>three", "one two three"),
        ("one<!-- a > b -->two", "one two"),
        ("one<!-- without an end", "one"),
        ("1 > 0 <i>is</i> true", "1 > 0 is true"),
        ("one<a href", "one"),
        ("one<script>hidden > </script>two<style>hidden</style>three", "one two three"),
        ("one<SCRIPT>hidden</SCRIPT>two<Style>hidden</stylE>three", "one two three"),
        ("one<script>two<b>three</b>", "one two three"),
        ("one<![CDATA[<b>&lt;two]]>&lt;three", "one <b>&lt;two<three"),
        ("one<![CDATA[two", "one two"),
        ("one", "one"),
    ] {
        let shown = without_tags(page);
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), text, "{page}");
    }
}

#[test]
fn a_reference_has_at_most_eight_characters() {
    assert_eq!(unescaped("&#x10ffff;&#x010ffff;&amp"), "\u{10ffff}&#x010ffff;&amp");
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
fn what_is_assigned_to_the_name_of_a_secret_is_not_quoted() {
    for name in [
        "access_token",
        "AccessToken",
        "refresh_token",
        "RefreshToken",
        "id_token",
        "client_secret",
        "client_assertion",
    ] {
        for text in [
            format!("got {name}: hush-1"),
            format!("got {name} = hush-1"),
            format!("got '{name}': 'hush-1'"),
            format!("got {{\\\"{name}\\\": \\\"hush-1\\\"}}"),
            format!("<r><{name}>hush-1</{name}></r>"),
            format!("<html>{name}: hush-1</html>"),
        ] {
            let error = refused(400, &[], &text);
            assert!(!format!("{error} {error:?}").contains("hush"), "{text}: {error}");
        }
        let error = refused(400, &[], format!("there is no {name} here: try later"));
        assert!(error.to_string().contains("try later"), "{error}");
    }
}

#[test]
fn a_page_with_one_value_may_be_a_token() {
    for page in ["<html> 0hush-1hush-1hush-1hush-1 </html>", "<r>0hush-1hush-1hush-1hush-1</r>"] {
        let error = refused(400, &[], page);
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
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
fn at_most_thirty_two_members_are_quoted_or_kept() {
    let members = |many: usize| (0..many).map(|n| (format!("m{n}"), n.into())).collect::<Map<String, Value>>();
    let list = |many: usize| Value::from_iter((0..many).map(Value::from));
    let said = |members: Map<String, Value>| refused(400, &[JSON], Value::from(members).to_string()).to_string();
    for (many, quoted) in [(31, 31), (32, 32), (33, 32)] {
        let shown = said(members(many));
        assert_eq!(shown.matches(": ").count(), quoted + 1, "{shown}");
        let shown = said(Map::from_iter([("list".to_owned(), list(many))]));
        assert_eq!(shown.matches("list: ").count(), quoted, "{shown}");
        let mut all = members(many);
        all.insert("error".to_owned(), "invalid_client".into());
        let error = refused(400, &[JSON], Value::from(all).to_string());
        assert_eq!(error.oauth().unwrap().extras().count(), quoted, "{error}");
        for (value, kept) in [(list(many), quoted), (Value::from(members(many)), quoted)] {
            let error = refused(400, &[JSON], serde_json::json!({"error": "invalid_client", "x": value}).to_string());
            let kept_of = |value: &Value| value.as_array().map_or_else(|| value.as_object().unwrap().len(), Vec::len);
            assert_eq!(error.oauth().unwrap().extra("x").map(kept_of), Some(kept), "{error}");
        }
    }
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
fn a_word_of_another_script_and_what_only_begins_like_a_jwt_are_quoted() {
    for text in ["клиентненайденвсистеме", "trace eyJtb3JlIHRoYW4gdHdlbnR5.x of today"] {
        assert!(refused(400, &[], text).to_string().contains(text), "{text}");
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

#[test]
fn the_members_of_the_error_itself_and_what_may_be_a_secret_are_not_kept() {
    let body = serde_json::json!({
        "error": "invalid_client", "error_description": "no", "error_uri": "https://a.example/e",
        "8301774650": 1, "a\u{1b}b": 2, "id_token": "hush-1", "x": {"id": 7, "token": "hush-1", "8301774650": 1},
    });
    let error = refused(400, &[JSON], body.to_string());
    let oauth = error.oauth().unwrap();
    assert_eq!(oauth.uri(), Some("https://a.example/e"));
    assert_eq!(oauth.extras().collect::<Vec<_>>(), [(&"x".to_owned(), &serde_json::json!({"id": 7}))]);
    let error = refused(400, &[JSON], r#"{"title":"no","8301774650":1,"a\u001bb":2}"#).to_string();
    assert!(error.ends_with(": title: no"), "{error}");
}

#[test]
fn an_error_with_its_further_members_is_not_longer_than_the_limit() {
    let rules = Rules { limits: Limits::new().max_error_text(100), ..Rules::default() };
    let body = serde_json::json!({"error": "strange", "error_description": "d".repeat(70), "more": "m".repeat(200)});
    let line = refused_by(400, &[JSON], body.to_string(), &rules).to_string();
    let line = line.split_once("strange: ").unwrap().1;
    assert!(line.starts_with(&format!("{} (more: m", "d".repeat(70))) && line.len() < 100, "{line}");
}

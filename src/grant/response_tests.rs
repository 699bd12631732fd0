//! `decode` with responses of real authorization servers: families B and S of tests/FAULTS.md.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "in a test a panic is the report")]

use std::time::Duration;

use http::HeaderValue;
use zeroize::Zeroizing;

use http::HeaderName;

use super::*;

#[path = "response_errors_tests.rs"]
mod errors;
#[path = "response_properties.rs"]
mod properties;
#[path = "response_refusals_tests.rs"]
mod refusals;
#[path = "response_times_tests.rs"]
mod times;

fn sent() -> Moment {
    Moment::new(Duration::from_secs(1_000), Duration::from_secs(1_800_000_000))
}

fn rules() -> Rules {
    Rules::default()
}

fn strict() -> Rules {
    Rules { strict: true, ..rules() }
}

fn with(
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl AsRef<[u8]>,
    rules: &Rules,
) -> Result<AccessToken, Error> {
    asking(None, status, headers, body, rules)
}

fn asking(
    asked_scope: Option<&str>,
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl AsRef<[u8]>,
    rules: &Rules,
) -> Result<AccessToken, Error> {
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect(),
        body: Zeroizing::new(body.as_ref().to_vec()),
    };
    let masks = Masks::new(vec!["our-secret".into()]);
    decode(response, Reading { rules, masks: &masks, asked_scope }, Holder::default(), sent(), sent(), &Clock::System)
}

fn read(body: impl AsRef<[u8]>) -> Result<AccessToken, Error> {
    with(200, &[], body, &rules())
}

fn read_strictly(body: impl AsRef<[u8]>) -> Result<AccessToken, Error> {
    with(200, &[("content-type", "application/json")], body, &strict())
}

/// A valid response with these members.
fn having(members: &str) -> String {
    format!(r#"{{"access_token":"abc","token_type":"Bearer",{members}}}"#)
}

fn refused(body: impl AsRef<[u8]>) -> Error {
    let body = body.as_ref();
    let shown = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
    match read(body) {
        Ok(token) => panic!("{token:?} from {shown}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Response, "{shown}: {error}");
            error
        }
    }
}

const HOUR: Option<Duration> = Some(Duration::from_secs(3600));
const ZERO: Option<Duration> = Some(Duration::ZERO);

#[test]
fn the_example_of_rfc_6749_is_read() {
    // RFC 6749 section 5.1
    let body = r#"{
       "access_token":"2YotnFZFEjr1zCsicMWpAA",
       "token_type":"example",
       "expires_in":3600,
       "refresh_token":"tGzv3JOkF0XG5Qx2TlKWIA",
       "example_parameter":"example_value"
     }"#;
    assert!(refused(body).to_string().contains("token_type is example"));
    let token = read_strictly(body.replace("\"example\"", "\"bearer\"")).unwrap();
    assert_eq!(token.expose_secret(), "2YotnFZFEjr1zCsicMWpAA");
    assert_eq!(token.lifetime(), HOUR);
    assert_eq!(token.extra("example_parameter"), Some(&Value::from("example_value")));
    assert_eq!(token.received(), sent());
}

#[test]
fn a_member_that_occurs_twice_is_refused() {
    // B03, B04: another party may use the other one
    for member in [
        r#""access_token":"other""#,
        r#""token_type":"mac""#,
        r#""expires_in":1,"expires_in":3600"#,
        r#""scope":"a","scope":"a b""#,
        r#""refresh_in":1,"refresh_in":2"#,
        r#""refresh_token":"x","refresh_token":"y""#,
        r#""error":null,"error":"invalid_client""#,
        r#""error":"invalid_client","error":"""#,
    ] {
        let error = refused(having(member));
        assert!(error.to_string().contains("twice"), "{member}: {error}");
        assert!(!error.is_transient(), "{member}");
    }
    // The same name with escapes is the same name.
    refused(having(r#""acc\u0065ss_token":"other""#));
}

#[test]
fn an_access_token_is_a_string_of_visible_ascii() {
    // B06, B13, B14, B15
    for value in ["7", "{\"secret\":\"hidden\"}", "[\"hidden\"]", "null", "true", "\"\"", "\" \"", "\"  hidden\""] {
        let error = refused(format!(r#"{{"access_token":{value},"token_type":"Bearer"}}"#));
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        assert!(error.to_string().contains("access") && !error.is_transient(), "{error}");
    }
    refused(r#"{"token_type":"Bearer","expires_in":3600}"#);
    for byte in 0..=255_u8 {
        let text = serde_json::to_string(&format!("hidden{}hidden", char::from(byte))).unwrap();
        let result = read(format!(r#"{{"access_token":{text},"token_type":"Bearer"}}"#));
        assert_eq!(result.is_ok(), byte.is_ascii_graphic(), "byte {byte:#x}");
        assert!(!format!("{result:?}").contains("hidden"));
    }
    // Tokens of Salesforce have a `!`; strict accepts b64token (RFC 6750 section 2.1).
    for (text, passes_strict) in
        [("00D!AQ.x", false), ("a.b-c_d~e+f/g==", true), ("=a", false), ("a=b", false), ("a", true)]
    {
        let body = format!(r#"{{"access_token":"{text}","token_type":"Bearer"}}"#);
        assert_eq!(read(&body).unwrap().expose_secret(), text);
        assert_eq!(read_strictly(&body).is_ok(), passes_strict, "{text}");
    }
}

#[test]
fn a_long_token_is_accepted_up_to_the_cap() {
    // B16, B25
    let body = |token: &str| format!(r#"{{"access_token":"{token}","token_type":"Bearer"}}"#);
    for length in [16 * 1024, 64 * 1024] {
        assert_eq!(read(body(&"t".repeat(length))).unwrap().expose_secret().len(), length);
    }
    for length in [64 * 1024 + 1, 1024 * 1024] {
        let error = refused(body(&"t".repeat(length)));
        assert!(error.to_string().contains("longer than 65536 bytes"), "{error}");
    }
    let dots = ".".repeat(60 * 1024);
    assert_eq!(read(body(&dots)).unwrap().expose_secret(), dots);
}

#[test]
fn bearer_is_spelled_in_many_ways_and_nothing_else_is_bearer() {
    // B17
    for (token_type, passes, passes_strict) in [
        (r#""Bearer""#, true, true),
        (r#""bEaReR""#, true, true),
        (r#""BearerToken""#, true, false),
        ("null", true, false),
        (r#""mac""#, false, false),
        (r#""N_A""#, false, false),
        (r#""DPoP""#, false, false),
        (r#""Bearer ""#, false, false),
        (r#""""#, false, false),
        ("7", false, false),
    ] {
        let body = format!(r#"{{"access_token":"abc","token_type":{token_type}}}"#);
        assert_eq!(read(&body).is_ok(), passes, "{token_type}");
        assert_eq!(read_strictly(&body).is_ok(), passes_strict, "{token_type}, strict");
        if !passes {
            assert!(!refused(body).is_transient(), "{token_type}");
        }
    }
    let absent = r#"{"access_token":"abc"}"#;
    assert!(read(absent).is_ok() && read_strictly(absent).is_err());
}

#[test]
fn a_body_that_is_not_json_is_refused_with_a_reason() {
    // B01, B18, B20, B21. The last column: whether the error is transient.
    let good = having(r#""expires_in":3600"#);
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows: Vec<(Vec<u8>, &str, bool)> = vec![
        (b"".into(), "has no body", true),
        (b"   ".into(), "not JSON", true),
        (b"<html><title>Log in to the hotel's network".into(), "not JSON", true),
        (format!("{good}x").into(), "not JSON", true),
        (format!("{good}{good}").into(), "not JSON", true),
        (format!(")]}}',\n{good}").into(), "not JSON", true),
        (format!("\u{feff}{good}").into(), "byte order mark", false),
        ([b"\xff\xfe".as_slice(), &utf16].concat(), "byte order mark", false),
        (utf16, "not JSON", true),
        (b"{\"access_token\":\"caf\xe9\"}".into(), "a character outside", false),
        (b"access_token=abc&token_type=bearer".into(), "form", false),
        (b"token_type=bearer&access_token=abc".into(), "form", false),
        (b"[]".into(), "not an object", false),
        (format!("[{good}]").into(), "not an object", false),
        (b"\"abc\"".into(), "not an object", false),
        (b"null".into(), "not an object", false),
        (b"7".into(), "not an object", false),
        ("{\"a\":".repeat(5000).into(), "not JSON", true),
    ];
    for (body, reason, transient) in rows {
        let error = refused(&body);
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert_eq!(error.is_transient(), transient, "{error}");
        assert_eq!(error.status(), Some(StatusCode::OK));
    }
}

#[test]
fn the_body_decides_and_not_the_content_type() {
    // B20
    let good = having(r#""expires_in":3600"#);
    for (label, passes_strict) in [
        ("application/json", true),
        ("application/json;charset=UTF-8", true),
        ("Application/JSON ; charset=utf-8", true),
        ("text/html", false),
        ("text/plain; charset=utf-8", false),
        ("application/jsonp", false),
        ("", false),
    ] {
        let headers = [("content-type", label)];
        assert!(with(200, &headers, &good, &rules()).is_ok(), "{label}");
        assert_eq!(with(200, &headers, &good, &strict()).is_ok(), passes_strict, "{label}, strict");
    }
    assert!(read(&good).is_ok(), "no label");
    assert!(with(200, &[], &good, &strict()).is_err(), "no label, strict");
}

#[test]
fn the_scope_is_the_granted_one_or_else_the_requested_one() {
    // B22
    let asked = |member: &str, refuse_narrower_scope| {
        asking(Some("a b"), 200, &[], having(member), &Rules { refuse_narrower_scope, ..rules() })
    };
    for (member, scope, narrower) in [
        (r#""scope":"a b""#, "a b", false),
        (r#""scope":"b a c""#, "b a c", false),
        (r#""scope":"a""#, "a", true),
        (r#""scope":"""#, "a b", false),
        (r#""scope":" ""#, "a b", false),
        (r#""scope":null"#, "a b", false),
        (r#""scope":["a","b"]"#, "a b", false),
        (r#""scope":["a"]"#, "a", true),
        (r#""scope":[]"#, "a b", false),
        (r#""scope":[1,2]"#, "a b", false),
        (r#""scope":7"#, "a b", false),
        (r#""x":0"#, "a b", false),
    ] {
        let token = asked(member, false).unwrap();
        assert_eq!(token.scope(), Some(scope), "{member}");
        assert_eq!(asked(member, true).is_err(), narrower, "{member}");
    }
    assert_eq!(read(having(r#""x":0"#)).unwrap().scope(), None);
    for wrong in [r#""scope":7"#, r#""scope":["a"]"#] {
        assert!(read_strictly(having(wrong)).is_err(), "{wrong}, strict");
    }
}

#[test]
fn extra_members_are_kept_and_other_tokens_dropped() {
    // B23
    let token =
        read(having(r#""instance_url":"https://x.example","refresh_token":"hidden","id_token":{"a":"hidden"}"#))
            .unwrap();
    assert_eq!(token.extra("instance_url"), Some(&Value::from("https://x.example")));
    for gone in ["refresh_token", "id_token", "access_token", "token_type"] {
        assert_eq!(token.extra(gone), None, "{gone}");
    }
    assert!(!format!("{token:?} {token:#?}").contains("hidden"));
}

#[test]
fn an_odd_member_does_not_fail_a_token() {
    // FB3
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for odd in [r#""\ud800""#, "1e400", "-1e400", &deep, r#"{"\ud800":"\udc00"}"#, r#"["\ud800"]"#] {
        let token = read(having(&format!(r#""x":{odd},"expires_in":3600,"y":{odd}"#))).expect(odd);
        assert_eq!((token.expose_secret(), token.lifetime()), ("abc", HOUR), "{odd}");
        assert!(token.extra("x").is_some(), "{odd}");
    }
    let latin = [br#"{"access_token":"abc","x":"caf"#.as_slice(), b"\xe9", br#"","expires_in":3600}"#].concat();
    assert_eq!(read(latin).unwrap().extra("x"), Some(&Value::from("caf\u{e9}")));
    // In a required member it is an error.
    for odd in [r#""\ud800""#, "1e400", &deep] {
        assert!(!format!("{:?}", refused(format!(r#"{{"access_token":{odd}}}"#))).contains("ud800"), "{odd}");
    }
}

#[test]
fn a_name_or_a_scope_that_echoes_a_secret_is_dropped() {
    // FA6
    let long = "n".repeat(200_000);
    let members = format!(r#""our-secret":1,"the our-secret":1,"abc":1,"{long}":1,"fine":1,"scope":"a our-secret""#);
    let body = format!(r#"{{"access_token":"opaque-token-7","token_type":"Bearer",{members},"opaque-token-7":1}}"#);
    let token = read(body).unwrap();
    let text = format!("{token:?}");
    assert!(!text.contains("our-secret") && !text.contains("opaque-token-7") && text.len() < 500, "{text}");
    assert_eq!(token.extra("fine"), Some(&Value::from(1)));
    assert_eq!(token.scope(), None);
    let body = r#"{"access_token":"opaque-token-7","token_type":"Bearer","scope":"read opaque-token-7"}"#;
    assert_eq!(read(body).unwrap().scope(), None);
}

#[test]
fn a_member_with_a_long_name_is_left_out() {
    for (length, kept) in [(LONGEST_CODE, true), (LONGEST_CODE + 1, false)] {
        let name = "n".repeat(length);
        let token = read(having(&format!(r#""{name}":1"#))).unwrap();
        assert_eq!(token.extra(&name).is_some(), kept, "{length}");
    }
}

#[test]
fn a_bearer_with_a_line_break_has_no_name_to_configure() {
    for name in ["Bearer ", "\\tbearer", "Bearer\\n", "Bearer\\u0000"] {
        let error = refused(format!(r#"{{"access_token":"abc","token_type":"{name}"}}"#)).to_string();
        assert!(error.contains("with blanks or control characters") && !error.contains("token_type("), "{error}");
    }
}

#[test]
fn an_empty_token_type_has_no_name_to_configure() {
    for empty in ["", "  "] {
        let error = read(format!(r#"{{"access_token":"abc","token_type":"{empty}"}}"#)).unwrap_err().to_string();
        assert!(error.contains("its token_type is empty, not Bearer") && !error.contains("token_type("), "{error}");
    }
}

#[test]
fn the_words_of_the_body_come_before_the_code_of_a_challenge() {
    let challenge = [("www-authenticate", r#"Bearer error="invalid_request""#)];
    let error = with(200, &challenge, r#"{"message":"try it later"}"#, &rules()).unwrap_err().to_string();
    assert!(error.contains("try it later") && !error.contains("invalid_request"), "{error}");
    let error = with(200, &challenge, "{}", &rules()).unwrap_err().to_string();
    assert!(error.contains("invalid_request"), "{error}");
    let error = with(400, &challenge, r#"{"message":"try it later"}"#, &rules()).unwrap_err().to_string();
    assert!(error.contains("invalid_request: message: try it later"), "{error}");
}

#[test]
fn an_error_that_is_there_twice_is_no_refusal() {
    let error = read(r#"{"error":"invalid_client","error":"invalid_scope"}"#).unwrap_err();
    assert!(error.oauth().is_none() && error.to_string().contains("it has error twice"), "{error}");
    // And one that says nothing is none.
    assert!(read(having(r#""error":"none""#)).is_ok());
}

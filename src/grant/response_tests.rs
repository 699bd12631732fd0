//! `decode` against what authorization servers really send: families B and S of tests/FAULTS.md.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test a panic is the report"
)]

use http::HeaderValue;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

fn sent() -> Moment {
    Moment::new(
        Duration::from_secs(1_000),
        Duration::from_secs(1_800_000_000),
    )
}

fn rules() -> Rules {
    Rules::default()
}

fn strict() -> Rules {
    Rules {
        strict: true,
        ..rules()
    }
}

fn with(
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl AsRef<[u8]>,
    rules: &Rules,
) -> Result<AccessToken, Error> {
    let response = Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect(),
        body: Zeroizing::new(body.as_ref().to_vec()),
    };
    let masks = Masks::new(vec!["our-secret".into()]);
    decode(response, rules, &masks, sent(), sent())
}

fn read(body: impl AsRef<[u8]>) -> Result<AccessToken, Error> {
    with(200, &[], body, &rules())
}

fn read_strictly(body: impl AsRef<[u8]>) -> Result<AccessToken, Error> {
    with(
        200,
        &[("content-type", "application/json")],
        body,
        &strict(),
    )
}

/// A good response but for these members.
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
    assert_eq!(
        token.extra("example_parameter"),
        Some(&Value::from("example_value"))
    );
    assert_eq!(token.received(), sent());
}

#[test]
fn lifetimes_come_in_many_shapes() {
    // B07, B08, B09, B10. The last column: whether strict takes it.
    let max = Some(Duration::MAX);
    for (value, lifetime, passes_strict) in [
        ("3600", HOUR, true),
        (r#""3600""#, HOUR, false),
        (r#"" 3600 ""#, HOUR, false),
        ("3600.0", HOUR, false),
        ("3.6e3", HOUR, false),
        ("3600.7", HOUR, false),
        (r#""3600.7""#, HOUR, false),
        ("0", ZERO, true),
        ("-0", ZERO, false),
        ("-0.0", ZERO, false),
        ("-1", ZERO, false),
        ("-9223372036854775808", ZERO, false),
        (r#""-5""#, ZERO, false),
        ("0.9", ZERO, false),
        ("null", None, true),
        (r#""""#, None, false),
        (r#""soon""#, None, false),
        (r#""NaN""#, None, false),
        (r#""Infinity""#, None, false),
        ("true", None, false),
        ("[3600]", None, false),
        (r#"{"seconds":3600}"#, None, false),
        (
            "18446744073709551615",
            Some(Duration::from_secs(u64::MAX)),
            true,
        ),
        ("1e300", max, false),
        (r#""1e300""#, max, false),
    ] {
        let body = having(&format!(r#""expires_in":{value}"#));
        assert_eq!(read(&body).unwrap().lifetime(), lifetime, "{value}");
        assert_eq!(
            read_strictly(&body).is_ok(),
            passes_strict,
            "{value}, strict"
        );
    }
    assert_eq!(
        read(r#"{"access_token":"abc"}"#).unwrap().lifetime(),
        None,
        "absent"
    );
}

#[test]
fn absolute_times_count_only_where_no_lifetime_is_stated() {
    // B26
    for (members, lifetime) in [
        (r#""expires_on":1800003600"#, HOUR),
        (r#""expires_on":"1800003600""#, HOUR),
        (r#""expires_at":1800003600"#, HOUR),
        (r#""expires_in":null,"expires_on":"1800003600""#, HOUR),
        (
            r#""expires_in":"60","expires_on":"1800003600""#,
            Some(Duration::from_secs(60)),
        ),
        (
            r#""expires_in":60,"expires_at":1800003600"#,
            Some(Duration::from_secs(60)),
        ),
        (r#""expires_on":1700000000"#, ZERO),
        (r#""expires_on":"2026-11-23T10:00:00Z""#, None),
        (r#""ext_expires_in":7200"#, None),
        (r#"".expires":"Mon, 23 Nov 2026 10:00:00 GMT""#, None),
    ] {
        assert_eq!(
            read(having(members)).unwrap().lifetime(),
            lifetime,
            "{members}"
        );
    }
    let entra = having(
        r#""expires_in":"3599","ext_expires_in":"7200","expires_on":"1800003599","refresh_in":"1800""#,
    );
    let token = read(entra).unwrap();
    assert_eq!(token.lifetime(), Some(Duration::from_secs(3599)));
    assert_eq!(token.refresh_in(), Some(Duration::from_secs(1800)));
    assert_eq!(
        token.extra("ext_expires_in"),
        Some(&Value::from("7200")),
        "readable, and nothing else"
    );
    assert_eq!(token.extra("expires_on"), Some(&Value::from("1800003599")));
}

#[test]
fn a_member_that_stands_there_twice_is_refused() {
    // B03, B04: which one another party believes is anybody's guess
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
    // The same name in another spelling is the same name.
    refused(having(r#""acc\u0065ss_token":"other""#));
}

#[test]
fn an_access_token_is_a_string_of_visible_ascii() {
    // B06, B13, B14, B15
    for value in [
        "7",
        "{\"secret\":\"hidden\"}",
        "[\"hidden\"]",
        "null",
        "true",
        "\"\"",
        "\" \"",
        "\"  hidden\"",
    ] {
        let error = refused(format!(
            r#"{{"access_token":{value},"token_type":"Bearer"}}"#
        ));
        assert!(
            !format!("{error} {error:?}").contains("hidden"),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("access") && !error.is_transient(),
            "{error}"
        );
    }
    refused(r#"{"token_type":"Bearer","expires_in":3600}"#);
    for byte in 0..=255_u8 {
        let text = serde_json::to_string(&format!("hidden{}hidden", char::from(byte))).unwrap();
        let result = read(format!(
            r#"{{"access_token":{text},"token_type":"Bearer"}}"#
        ));
        assert_eq!(result.is_ok(), byte.is_ascii_graphic(), "byte {byte:#x}");
        assert!(!format!("{result:?}").contains("hidden"));
    }
    // Salesforce's have a `!`; strict takes b64token (RFC 6750 section 2.1).
    for (text, passes_strict) in [
        ("00D!AQ.x", false),
        ("a.b-c_d~e+f/g==", true),
        ("=a", false),
        ("a=b", false),
        ("a", true),
    ] {
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
        assert_eq!(
            read(body(&"t".repeat(length)))
                .unwrap()
                .expose_secret()
                .len(),
            length
        );
    }
    for length in [64 * 1024 + 1, 1024 * 1024] {
        let error = refused(body(&"t".repeat(length)));
        assert!(
            error.to_string().contains("longer than 65536 bytes"),
            "{error}"
        );
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
        assert_eq!(
            read_strictly(&body).is_ok(),
            passes_strict,
            "{token_type}, strict"
        );
        if !passes {
            assert!(!refused(body).is_transient(), "{token_type}");
        }
    }
    let absent = r#"{"access_token":"abc"}"#;
    assert!(read(absent).is_ok() && read_strictly(absent).is_err());
}

#[test]
fn what_is_no_json_is_refused_with_a_reason_and_without_guessing() {
    // B01, B18, B20, B21. The last column: whether another attempt may bring something better.
    let good = having(r#""expires_in":3600"#);
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows: Vec<(Vec<u8>, &str, bool)> = vec![
        (b"".into(), "has no body", true),
        (b"   ".into(), "not JSON", true),
        (
            b"<html><title>Log in to the hotel's network".into(),
            "not JSON",
            true,
        ),
        (format!("{good}x").into(), "not JSON", true),
        (format!("{good}{good}").into(), "not JSON", true),
        (format!(")]}}',\n{good}").into(), "not JSON", true),
        (format!("\u{feff}{good}").into(), "byte order mark", false),
        (
            [b"\xff\xfe".as_slice(), &utf16].concat(),
            "byte order mark",
            false,
        ),
        (utf16, "not JSON", true),
        (b"{\"access_token\":\"caf\xe9\"}".into(), "not JSON", true),
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
fn the_body_decides_and_not_its_label() {
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
        assert_eq!(
            with(200, &headers, &good, &strict()).is_ok(),
            passes_strict,
            "{label}, strict"
        );
    }
    assert!(read(&good).is_ok(), "no label");
    assert!(
        with(200, &[], &good, &strict()).is_err(),
        "no label, strict"
    );
}

#[test]
fn the_scope_is_what_was_granted_or_else_what_was_asked_for() {
    // B22
    let asking = |refuse| Rules {
        asked_scope: Some("a b".into()),
        refuse_narrower_scope: refuse,
        ..rules()
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
        let token = with(200, &[], having(member), &asking(false)).unwrap();
        assert_eq!(token.scope(), Some(scope), "{member}");
        assert_eq!(
            with(200, &[], having(member), &asking(true)).is_err(),
            narrower,
            "{member}"
        );
    }
    assert_eq!(read(having(r#""x":0"#)).unwrap().scope(), None);
    for wrong in [r#""scope":7"#, r#""scope":["a"]"#] {
        assert!(read_strictly(having(wrong)).is_err(), "{wrong}, strict");
    }
}

#[test]
fn extra_members_are_kept_and_other_tokens_dropped() {
    // B23
    let token = read(having(
        r#""instance_url":"https://x.example","refresh_token":"hidden","id_token":{"a":"hidden"}"#,
    ))
    .unwrap();
    assert_eq!(
        token.extra("instance_url"),
        Some(&Value::from("https://x.example"))
    );
    for gone in ["refresh_token", "id_token", "access_token", "token_type"] {
        assert_eq!(token.extra(gone), None, "{gone}");
    }
    assert!(!format!("{token:?} {token:#?}").contains("hidden"));
}

#[test]
fn a_cut_body_is_never_a_token() {
    // B02: at every byte
    let body = having(r#""expires_in":3600,"scope":"a""#);
    for end in 0..body.len() {
        assert!(refused(&body[..end]).is_transient(), "cut at {end}");
    }
    assert!(read(&body).is_ok());
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    // S02, S04. `sent()` is 2027-01-15T08:00:00Z.
    let date = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
    for (headers, wait) in [
        (vec![("retry-after", "120")], Some(120)),
        (vec![("retry-after", "0")], Some(0)),
        (
            vec![("retry-after", "Fri, 15 Jan 2027 08:02:00 GMT")],
            Some(120),
        ),
        (
            vec![("retry-after", "Fri, 15 Jan 2027 07:00:00 GMT")],
            Some(0),
        ),
        (
            vec![date[0], ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")],
            Some(120),
        ),
        (vec![("retry-after", "Fri, 31 Dec 1969 23:59:59 GMT")], None),
        (
            vec![("retry-after", "99999999999999999999999")],
            Some(u64::MAX),
        ),
        (vec![("retry-after", "+5")], None),
        (vec![("retry-after", "")], None),
        (vec![("retry-after", "tomorrow")], None),
        (vec![("retry-after", "-1")], None),
        (vec![], None),
        (vec![("x-ratelimit-reset", "1800000120")], Some(120)),
        (vec![("x-rate-limit-reset", "1700000000")], Some(0)),
        (vec![("x-ratelimit-reset", "soon")], None),
    ] {
        let error = with(429, &headers, "", &rules()).unwrap_err();
        assert_eq!(
            error.retry_after(),
            wait.map(Duration::from_secs),
            "{headers:?}"
        );
    }
    let error = with(503, &[("x-ratelimit-reset", "1800000120")], "", &rules()).unwrap_err();
    assert_eq!(
        error.retry_after(),
        None,
        "a window's end is no wish to wait, but with 429"
    );
}

#[test]
fn a_secret_is_not_shown_by_any_defect() {
    // L06: an echo of our secret in each text of the server that we show
    let echo = "our-secret";
    let error_of = |error: Error| format!("{error} {error:?}");
    let texts = [
        error_of(
            with(
                400,
                &[],
                format!(
                    r#"{{"error":"{echo}","error_description":"{echo}","error_uri":"{echo}"}}"#
                ),
                &rules(),
            )
            .unwrap_err(),
        ),
        error_of(with(200, &[("content-encoding", echo)], "", &rules()).unwrap_err()),
        error_of(with(200, &[("content-type", echo)], "", &rules()).unwrap_err()),
        error_of(read(format!(r#"{{"access_token":"abc","token_type":"{echo}"}}"#)).unwrap_err()),
    ];
    for text in texts {
        assert!(text.contains("***") && !text.contains(echo), "{text}");
    }
}

proptest! {
    #[test]
    fn no_response_makes_decoding_panic(
        status in 100..1000_u16, body in proptest::collection::vec(any::<u8>(), 0..200), label in "[ -~]{0,40}",
        encoding in "[ -~]{0,10}", wait in "[ -~]{0,40}", strict in any::<bool>(),
    ) {
        let headers = [("content-type", &*label), ("content-encoding", &*encoding), ("retry-after", &*wait)];
        let rules = Rules { strict, ..rules() };
        let result = with(status, &headers, body, &rules);
        prop_assert!(result.is_err(), "noise is no token");
    }

    #[test]
    fn no_token_has_a_character_that_a_header_cannot_carry(token: String, members in json_members()) {
        let token = serde_json::to_string(&token).unwrap();
        let body = format!(r#"{{"access_token":{token}{members}}}"#);
        if let Ok(token) = read(body) {
            prop_assert!(!token.expose_secret().is_empty());
            prop_assert!(token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(token.authorization().is_sensitive());
        }
    }

    #[test]
    fn no_cut_body_is_a_token(token in "[!-~&&[^\"\\\\]]{1,40}", expires in any::<u64>(), members in json_members(), at: prop::sample::Index) {
        let body = format!(r#"{{"access_token":"{token}","expires_in":{expires}{members}}}"#);
        let end = (0..body.len()).filter(|end| body.is_char_boundary(*end)).collect::<Vec<_>>();
        prop_assert!(read(&body[..*at.get(&end)]).is_err());
    }

    #[test]
    fn what_a_server_calls_its_error_is_short_and_printable(
        status in 400..600_u16, code: String, more in "\\PC{0,300}", description: String, most in 0..300_usize,
    ) {
        // S13, S20
        let code = format!("{code}{more}");
        let body = serde_json::json!({"error": code, "error_description": description, "error_uri": description});
        let rules = Rules { longest_error_text: most, ..rules() };
        let error = with(status, &[], body.to_string(), &rules).unwrap_err();
        let fit = |text: &str, most| text.chars().count() <= most && text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if let Some(oauth) = error.oauth() {
            prop_assert!(fit(oauth.code(), LONGEST_CODE));
            prop_assert!(oauth.description().is_none_or(|text| fit(text, most)));
            prop_assert!(oauth.uri().is_none_or(|text| fit(text, most)));
        }
        prop_assert!(fit(&error.to_string(), 1000));
    }
}

/// `,"name":value`, several or none.
fn json_members() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "token_type",
        "expires_in",
        "expires_on",
        "refresh_in",
        "scope",
        "refresh_token",
        "error",
        "x",
    ]);
    let value = prop::sample::select(vec![
        "null",
        "0",
        "-1",
        "3600",
        "1e30",
        "\"Bearer\"",
        "\"3600\"",
        "\"a b\"",
        "\"\\u0000\"",
        "[]",
        "[\"a\"]",
        "{}",
        "true",
    ]);
    proptest::collection::vec((name, value), 0..6).prop_map(|members| {
        members
            .iter()
            .map(|(name, value)| format!(",\"{name}\":{value}"))
            .collect()
    })
}

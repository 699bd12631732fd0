//! Errors with a status of success: rows S15 and FB20 of tests/FAULTS.md.

use super::*;
use crate::grant::refusal::is_of_the_credential;

const HTML: (&str, &str) = ("content-type", "text/html");

fn verdict(status: u16, body: &str) -> (ErrorKind, bool, Option<String>, bool) {
    let error = with(status, &[], body, &rules()).unwrap_err();
    let code = error.oauth().map(|oauth| oauth.code().to_owned());
    (error.kind(), error.is_transient(), code, is_of_the_credential(&error))
}

#[test]
fn a_refusal_with_200_is_the_refusal_that_it_is_with_400() {
    // FB20
    for body in [
        r#"{"error":{"code":"invalid_client"}}"#,
        r#"{"errorCode":"invalid_client"}"#,
        r#"{"Error":"invalid_client"}"#,
        r#"{"access_token":null,"errorCode":"invalid_client"}"#,
        r#"{"access_token": null ,"error":{"code":"invalid_client"}}"#,
        r#"{"error":["invalid_client"]}"#,
        r#"{"error":true,"reason":"invalid_client"}"#,
        r#"{"errors":[{"message":"invalid_client"}]}"#,
        r#"{"success":false,"code":"invalid_client","message":"no"}"#,
        r#"{"status":"error","data":{"reason":"invalid_client"}}"#,
        r#"[{"error":"invalid_client","error_description":"no"}]"#,
        r#"[{"id":1},{"error":"invalid_client"}]"#,
        r#"["invalid_client"]"#,
        r#""invalid_client""#,
        "error=invalid_client&error_description=no",
        "error=incorrect_client_credentials&error_description=no",
        "invalid_client",
        "invalid_client: no such client",
        "<error>invalid_client</error>",
        "<e code='invalid_client'/>",
        r#"{"statusCode":401,"body":"{\"error\":\"invalid_client\",\"error_description\":\"no\"}"}"#,
        r#"{"message":" {\"error\":\"invalid_client\"} "}"#,
        r#"{"message":"[{\"error\":\"invalid_client\"}]"}"#,
        r#"{"a":[{"b":"{\"x\":\"invalid_client\"}"}]}"#,
        r#""{\"error\":\"invalid_client\"}""#,
        r#"{'error':'invalid_client'}"#,
        r#"{"errorCode":"invalid_client","#,
    ] {
        let refused = verdict(400, body);
        assert_eq!((refused.0, refused.1, refused.3), (ErrorKind::Denied, false, true), "{body}");
        assert_eq!(verdict(200, body), refused, "{body}");
        assert_eq!(verdict(201, body), refused, "{body}");
        let strictly = with(200, &[("content-type", "application/json")], body, &strict()).unwrap_err();
        assert_eq!((strictly.kind(), strictly.is_transient()), (refused.0, refused.1), "{body}: {strictly}");
        assert!(!strictly.to_string().contains("is the address"), "{strictly}");
    }
    for body in
        [r#"{"error":{"code":"invalid_scope"}}"#, "invalid_scope", "error=invalid_scope", r#"{"x":"server_error"}"#]
    {
        assert_eq!(verdict(200, body), verdict(400, body), "{body}");
    }
    for status in [200, 400] {
        let error = with(
            status,
            &[],
            r#"{"statusCode":401,"body":"{\"error\":\"invalid_client\",\"error_description\":\"no such client\"}"}"#,
            &rules(),
        );
        assert!(error.unwrap_err().to_string().contains("invalid_client: no such client"));
        let error = with(
            status,
            &[],
            r#"{"body":"{\"reason\":\"tenant is gone\",\"auth\":\"6f1c9a8e2b7d4f0a6f\"}"}"#,
            &rules(),
        );
        assert!(error.unwrap_err().to_string().contains("auth: ***, reason: tenant is gone"));
    }
}

#[test]
fn what_is_no_refusal_of_the_server_stays_what_it_is() {
    // FB18, S16
    for (headers, body) in [
        (&[HTML][..], "<html><body>access_denied</body></html>"),
        (&[], "<!doctype html><title>invalid_client</title>"),
        (&[], "it does not work"),
        (&[], ""),
        (&[], r#"{"scope":"a","#),
    ] {
        let error = with(200, headers, body, &rules()).unwrap_err();
        assert_eq!(
            (error.kind(), error.is_transient(), error.oauth()),
            (ErrorKind::Response, true, None),
            "{body}: {error}"
        );
    }
    for body in
        [r#"{"result":1}"#, r#"{"error":{"code":401,"message":"it is wrong"}}"#, r#"{"error":true}"#, "error=Not+Found"]
    {
        let error = with(200, &[], body, &rules()).unwrap_err();
        assert_eq!((error.kind(), error.oauth()), (ErrorKind::Response, None), "{body}: {error}");
    }
    // A token in a list, or beside a word in passing.
    for body in
        [r#"{"access_token":"abc","note":"invalid_client"}"#, r#"{"access_token":"abc","errorCode":"invalid_client"}"#]
    {
        assert!(read(body).is_ok(), "{body}");
    }
}

#[test]
fn an_error_in_any_shape_counts_beside_a_token_and_what_says_nothing_does_not() {
    // S15
    for nothing in [
        "null",
        r#""""#,
        r#"" ""#,
        "false",
        "{}",
        "[]",
        "0",
        "0.0",
        r#""0""#,
        r#""false""#,
        r#""None""#,
        r#"" null ""#,
        r#""no""#,
        r#""OK""#,
        "[null]",
        "[{}]",
        r#"{"code":0,"message":""}"#,
        r#"{"code":null}"#,
        r#"{"code":0,"message":"success"}"#,
        r#"{"code":"0"}"#,
        r#"{"code":" 0 ","message":"success"}"#,
        r#"null,"errorCode":"invalid_client""#,
    ] {
        let token = read(having(&format!(r#""error":{nothing}"#)));
        assert!(token.is_ok(), "{nothing}: {token:?}");
    }
    for (something, kind) in [
        (r#""invalid_client""#, ErrorKind::Denied),
        (r#"{"code":"invalid_scope"}"#, ErrorKind::Denied),
        (r#"{"error":"invalid_scope"}"#, ErrorKind::Denied),
        (r#"["invalid_client"]"#, ErrorKind::Denied),
        (r#"[{"code":"invalid_client"}]"#, ErrorKind::Denied),
        (r#""{\"code\":\"invalid_client\"}""#, ErrorKind::Denied),
        ("true", ErrorKind::Response),
        ("401", ErrorKind::Response),
        ("-1", ErrorKind::Response),
        (r#""401""#, ErrorKind::Response),
        (r#"{"code":401}"#, ErrorKind::Response),
        (r#"{"message":"it failed"}"#, ErrorKind::Response),
        (r#"{"code":null,"message":"it failed"}"#, ErrorKind::Response),
        (r#"{"code":"1","message":"it failed"}"#, ErrorKind::Response),
        (r#"["it failed"]"#, ErrorKind::Response),
        (r#""it failed""#, ErrorKind::Other),
    ] {
        let error = read(having(&format!(r#""error":{something}"#))).unwrap_err();
        assert_eq!(error.kind(), kind, "{something}: {error}");
        assert!(!error.is_transient(), "{something}: {error}");
    }
}

#[test]
fn an_error_has_the_status_of_its_response() {
    for status in [200, 400, 503] {
        for body in ["", r#"{"error":"invalid_client"}"#] {
            let error = with(status, &[], body, &rules()).unwrap_err();
            assert_eq!(error.status().map(|status| status.as_u16()), Some(status), "{body}");
        }
    }
}

#[test]
fn a_coding_that_is_not_read_is_named_with_up_to_32_characters_and_passes() {
    let coded = |length: usize| {
        let error = with(200, &[("content-encoding", &"x".repeat(length))], "{}", &rules()).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Response, true));
        assert_eq!(error.status().map(|status| status.as_u16()), Some(200));
        error.to_string()
    };
    assert!(coded(32).contains(&"x".repeat(32)) && !coded(33).contains(&"x".repeat(33)));
}

//! What an error quotes of a response that refuses, and what it keeps for the application: families FB2, FB4 and L12 of
//! tests/FAULTS.md.

use super::*;

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
        large("{", "token: 'it is "),
        large("", "key: expired "),
        large("", "token: a b"),
        large("{", "x,"),
        large("<r>", "<token>a b</tokens>"),
    ] {
        let error = refused(400, &[], &body);
        assert!(error.to_string().chars().count() < 3000, "{error}");
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
        let shown = without_tags(page, str::to_owned);
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>().join(" "), text, "{page}");
    }
}

#[test]
fn a_reference_has_at_most_eight_characters() {
    assert_eq!(unescaped("&#x10ffff;&#x010ffff;&amp"), "\u{10ffff}&#x010ffff;&amp");
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
fn a_word_of_another_script_and_what_only_begins_like_a_jwt_are_quoted() {
    for text in ["клиентненайденвсистеме", "trace eyJtb3JlIHRoYW4gdHdlbnR5.x of today"] {
        assert!(refused(400, &[], text).to_string().contains(text), "{text}");
    }
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

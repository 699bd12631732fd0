//! What an error does not show of a response: tokens of others, under any name; and what it shows although a name suggests a
//! secret. Families FB2, FB4, FB19 and L14 of tests/FAULTS.md.

use super::*;

const TOKEN: &str = "6f1c9a8e2b7d4f0a6f1c9a8e";
/// Without digits, as one of forty is.
const LETTERS: &str = "qWxbNNoPLkmzRtYvHgFdSa";
const UUID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

fn shown(status: u16, headers: &[(&'static str, &str)], body: &str) -> String {
    let error = refused(status, headers, body);
    format!("{error} {error:#} {error:?} {:?}", error.oauth())
}

#[test]
fn a_token_is_not_shown_whatever_the_name_of_its_member() {
    // L14
    for name in [
        "access",
        "bearer",
        "value",
        "result",
        "data",
        "session_id",
        "sessionId",
        "ticket",
        "auth",
        "id",
        "sid",
        "oauth",
        "at",
        "accesstok",
        "response",
        "hash",
        "signature",
        "saml",
        "code",
        "nonce",
        "pin",
        "refresh",
        "message",
        "reason",
        "error_msg",
        "client_id",
        "token",
        "request",
        "instance",
    ] {
        for token in [TOKEN, "2YotnFZFEjr1zCsicMWpAA", "ya29.a0AfH6SMBx-9_kQ", "b3BhcXVlLXRva2VuLTEyMw==", LETTERS] {
            for body in [
                serde_json::json!({name: token, "expires": 3600}),
                serde_json::json!({"data": {name: token, "other": token}, "ok": true}),
                serde_json::json!({"list": [{name: [token]}], "text": format!("it is {token}.")}),
                serde_json::json!({name: format!("Bearer {token}"), "link": format!("https://a.example/cb?x={token}")}),
                serde_json::json!({token: {"expires": 3600}, name: format!("at/{token}")}),
                serde_json::json!({"error": "bad", name: token, "error_description": format!("not {token}")}),
                serde_json::json!({"body": serde_json::json!({name: token}).to_string()}),
            ] {
                let said = shown(200, &[JSON], &body.to_string());
                assert!(!said.contains(token), "{body}: {said}");
            }
            for body in [
                serde_json::json!({"error": "bad", name: token}).to_string(),
                serde_json::json!({"message": "no", "x": [{name: token}]}).to_string(),
                serde_json::json!({"error": "bad", name: token, "error_description": format!("not {token}")})
                    .to_string(),
                format!("error=bad&{name}={token}"),
                format!("<r><{name}>{token}</{name}><m>no good</m></r>"),
                format!("<r {name}='{token}' m='no good'/>"),
                format!(r#"["{token}","x y"]"#),
                format!(r#"[["x y",{{"{name}":"{token}"}}]]"#),
                format!(r#"callback({{"error":"bad","{name}":"{token}"}})"#),
                format!("event: error\ndata: {{\"{name}\":\"{token}\"}}\n\n"),
                format!("{{'error':'invalid_client','{name}':'{token}'}}"),
                format!(r#"[["invalid_client","{token}""#),
                format!(r#"{{"m":"no good","{name}":"{token}", x"#),
                token.to_owned(),
                format!("{token}=="),
            ] {
                // Letters alone may be the name of an error.
                if token != LETTERS {
                    let said = shown(400, &[], &body);
                    assert!(!said.contains(token), "{body}: {said}");
                }
            }
        }
    }
    for (name, number) in [("access", "12345678901234567890"), ("x", "123456789012345678")] {
        let said = shown(200, &[JSON], &format!(r#"{{"{name}":{number}}}"#));
        assert!(!said.contains("12345678901234567"), "{said}");
    }
    let said = shown(200, &[JSON], &format!(r#"{{"id":"{UUID}","error":"bad"}}"#));
    assert!(!said.contains(UUID), "Spring issues such tokens: {said}");
}

#[test]
fn the_tokens_of_a_body_are_masked_in_its_texts() {
    // L14, S15: too short to be recognised elsewhere
    for name in ["access_token", "refresh_token", "id_token", "accessToken", "refreshToken", "clientSecret"] {
        let body = serde_json::json!({"error": "bad", "error_description": "not Ab3-xYz9 or tok", name: "Ab3-xYz9"});
        for status in [200, 400, 401, 500] {
            let said = shown(status, &[JSON], &body.to_string());
            assert!(said.contains("not *** or tok") && !said.contains("Ab3-xYz9"), "{said}");
        }
    }
    for (name, value) in [("access_token", "none"), ("token_type", "Bearer"), ("id_token", "")] {
        let body =
            serde_json::json!({"error": "bad", "error_description": "there is none, Bearer or other", name: value});
        let said = shown(400, &[JSON], &body.to_string());
        assert!(said.contains("there is none, Bearer or other"), "{said}");
    }
}

#[test]
fn ids_times_and_words_are_shown_where_a_token_would_not_be() {
    // FB2, FB4
    for (name, value) in [
        ("trace_id", UUID),
        ("correlationId", UUID),
        ("requestid", "0af7651916cd43dd8448eb211c80319c"),
        ("RequestId", "req_7fK2m9QxL4abcdefgh"),
        ("errorId", "oaeQ8Y9nXk2TzGq1vW7pLdRmA"),
        ("fbtrace_id", "AbCdEf1234567890XyZaBcD"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("id", UUID),
        ("tenantId", UUID),
        ("timestamp", "2026-11-23T10:00:00.000+0000"),
        ("when", "2026-11-23T10:00:00Z"),
        ("type", "https://errors.example.com/probs/tenant-suspended"),
        ("path", "/realms/billing/protocol/openid-connect/token"),
        ("code", "oauth.v2.InvalidClientIdentifier"),
        ("exception", "org.springframework.security.oauth2.InvalidClientException"),
        ("name", "NotAuthorizedException"),
        ("reason", "SAMLResponseNotAccepted"),
        ("status", "tenant-suspended-by-policy"),
        ("message", "TenantSuspended:policy=7"),
    ] {
        let said = refused(400, &[JSON], serde_json::json!({name: value}).to_string()).to_string();
        assert!(said.contains(value), "{name}: {said}");
    }
    for (name, value) in [("trace_id", UUID), ("x-request-id", "0af7651916cd43dd8448eb211c80319c"), ("expires", "3600")]
    {
        let said = refused(200, &[JSON], serde_json::json!({name: value}).to_string()).to_string();
        assert!(said.contains(&format!("{name}: {value}")), "{said}");
    }
    let said = refused(200, &[JSON], format!(r#"{{"error":"bad","error_description":"No. Trace ID: {UUID}"}}"#));
    assert!(said.to_string().contains(&format!("Trace ID: {UUID}")), "{said}");
}

#[test]
fn a_sentence_is_shown_though_its_member_is_named_like_a_secret() {
    // FB19
    const TEXT: &str = "the client is disabled by policy 7";
    for name in [
        "token_error",
        "tokenError",
        "error_token",
        "errorKey",
        "error_key",
        "key",
        "messageKey",
        "authorizationError",
        "credentialsError",
        "passwordPolicy",
        "cookieError",
        "jwtError",
        "assertionError",
        "api_key_status",
        "keycloak_error",
        "monkey",
        "Authorization",
        "tokens",
        "secretStatus",
        "client_secret",
        "access-token",
    ] {
        for body in [
            serde_json::json!({name: TEXT}).to_string(),
            serde_json::json!({name: [TEXT]}).to_string(),
            serde_json::json!({name: {"message": TEXT}}).to_string(),
            serde_json::json!({"error": "strange", name: TEXT}).to_string(),
            format!("<{name}>{TEXT}</{name}>"),
            format!("<r><n:{name} a='b'>{TEXT}</n:{name}></r>"),
            format!("<e {name}='{TEXT}'/>"),
            format!("{name}={}", TEXT.replace(' ', "+")),
            format!("{name}: {TEXT}"),
            format!("no: '{name}' is not accepted. {name}: {TEXT}"),
        ] {
            let said = refused(400, &[], &body).to_string();
            assert!(said.contains(TEXT), "{body}: {said}");
        }
    }
    for (body, told) in [
        (r#"{"client_secret":["This field is required."]}"#, "client_secret: This field is required."),
        (r#"{"errors":{"client_secret":["The client secret field is required."]}}"#, "secret field is required."),
        ("client_secret: must not be empty", "client_secret: must not be empty"),
        ("Invalid value for client_assertion: signature mismatch", "client_assertion: signature mismatch"),
        ("id_token: not supported for this client", "id_token: not supported for this client"),
        ("access_token>5 are active for client billing", "5 are active for client billing"),
        ("Invalid token: expired", "Invalid token: expired"),
        ("Invalid JWT: Token must be a short-lived token (60 minutes)", "a short-lived token (60 minutes)"),
        ("POST /oauth/token: 404", "token: 404"),
        ("token=abc is not known", "token=*** is not known"),
        ("Parameter 'client_secret' = empty, try again", "Parameter 'client_secret' = *** try again"),
        (r#"{"errorKey":"CLIENT_DISABLED"}"#, "errorKey: CLIENT_DISABLED"),
        (r#"{"message_key":"client.disabled"}"#, "message_key: client.disabled"),
        (r#"{"keycloak_error":"disabled"}"#, "keycloak_error: disabled"),
        (r#"{"token_error":"客户端已被禁用"}"#, "token_error: 客户端已被禁用"),
        (r#"{"tokenType":"Bearer","token_error_code":40013}"#, "tokenType: Bearer, token_error_code: 40013"),
    ] {
        let said = refused(400, &[], body).to_string();
        assert!(said.contains(told), "{body}: {said}");
    }
}

#[test]
fn what_is_no_sentence_is_hidden_under_the_name_of_a_secret() {
    // L14
    for name in [
        "token",
        "accesstoken",
        "APIKey",
        "apikey",
        "api_key",
        "x-api-key",
        "privateKey",
        "secret2",
        "jwt",
        "Cookie",
        "userPassword",
        "passwd",
        "Authorization",
        "credentials",
        "keys",
        "sessionToken",
        "token_value",
    ] {
        for value in ["hush-1", "Bearer hush-1", "Basic hush", "hush=1; Path=/", "hush1 and more", " hush ", "hush"] {
            for body in [
                serde_json::json!({"message": "no good", name: value}).to_string(),
                serde_json::json!({"message": "no good", name: {"a": [value]}}).to_string(),
                serde_json::json!({"message": format!("no good, '{name}': '{value}', so")}).to_string(),
                serde_json::json!({"error": "strange", "error_description": format!("no good, {name}={value}")})
                    .to_string(),
                format!("<r><m>no good</m><{name}>{value}</{name}></r>"),
                format!("<r><m>no good</m><{name}><v>{value}</v></{name}></r>"),
                format!("<r><m>no good</m><{name}><v>bob</v><v>{value}</v></{name}></r>"),
                format!("<r><m>no good</m><{name}><{name}-type>Bearer</{name}-type><v>{value}</v></{name}></r>"),
                format!("<r><m>no good</m><{name} a='1'>{value}"),
                format!("<r><m>no good</m><{name} a='{value}'/></r>"),
                format!("no good [{name}] => \"{value}\""),
                format!("no good, {{\\\"{name}\\\": \\\"{value}\\\"}}"),
                format!("no good, {name}=\"{value}\", so"),
                format!("no good, \"{name}\": [\"{value}\"]"),
                format!("no good\n{name}={value}\nso"),
            ] {
                let said = shown(400, &[], &body);
                assert!(!said.contains("hush") && said.contains("no good"), "{body}: {said}");
            }
        }
    }
    for body in ["<token>hush", "<token>hush</token>", "<token a='hush'/>", "<a:token>hush", "<token>hush hush1</x>"] {
        let said = shown(400, &[], body);
        assert!(!said.contains("hush"), "{body}: {said}");
    }
    for body in [r#"{"message":"no","key":8301774,"tokens":[83017,74]}"#, "no, password: swordfish"] {
        let said = shown(400, &[], body);
        assert!(!said.contains("8301") && !said.contains("swordfish"), "{said}");
    }
}

#[test]
fn a_token_up_to_eight_levels_down_is_masked_in_the_texts_and_words_are_not() {
    let nested =
        |levels: usize, wrap: fn(Value) -> Value, value: Value| (0..levels).fold(value, |inner, _| wrap(inner));
    let arrays = |levels| nested(levels, |inner| serde_json::json!([inner]), "Ab3-xYz9".into());
    let objects = |levels| nested(levels, |inner| serde_json::json!({"token": inner}), "Ab3-xYz9".into());
    for (value, is_masked) in [(arrays(8), true), (arrays(9), false), (objects(8), true), (objects(9), false)] {
        let body = serde_json::json!({"error": "bad", "error_description": "not Ab3-xYz9 or", "token": value});
        let said = refused(400, &[JSON], body.to_string()).to_string();
        assert_eq!(said.contains("not *** or"), is_masked, "{body}: {said}");
    }
    let body = serde_json::json!({"error": "bad", "error_description": "not Ab3-xYz9 or", "x": {"a": [{"token": "Ab3-xYz9"}]}});
    assert!(refused(400, &[JSON], body.to_string()).to_string().contains("not *** or"));
    for value in ["Ab3-xYz", "mismatch", "a_word_of_it"] {
        let description = format!("it is {value} again");
        let body = serde_json::json!({"error": "bad", "error_description": description, "token": value});
        let said = refused(400, &[JSON], body.to_string()).to_string();
        assert!(said.contains(&description), "{said}");
    }
}

#[test]
fn the_number_and_size_of_tokens_that_are_masked_in_the_texts_is_bounded() {
    let tokens: Vec<_> = (10..43).map(|n| format!("Ab3-xYz{n}")).collect();
    let body = serde_json::json!({"error": "bad", "error_description": "not Ab3-xYz41 or Ab3-xYz42", "token": tokens});
    let said = refused(400, &[JSON], body.to_string()).to_string();
    assert!(said.contains("not *** or Ab3-xYz42"), "{said}");
    let rules = Rules { limits: Limits::default().max_token_bytes(9), ..Rules::default() };
    for (token, is_masked) in [("Ab3-xYz41", true), ("Ab3-xYz412", false)] {
        let body = serde_json::json!({"error": "bad", "error_description": format!("not {token}"), "token": token});
        let said = refused_by(400, &[JSON], body.to_string(), &rules).to_string();
        assert_eq!(said.contains("not ***"), is_masked, "{said}");
    }
}

#[test]
fn a_secret_of_ours_is_masked_before_parts_of_it_are() {
    let body = serde_json::json!({"message": "it was our%2Dsecret%2Dof&#45;today, sir"}).to_string();
    let said = refused(200, &[JSON], body).to_string();
    assert!(said.contains("it was ***, sir"), "{said}");
}

#[test]
fn of_a_member_with_the_name_of_a_secret_only_sentences_are_left() {
    let ours: Vec<u8> = b"our-secret-of-today".to_vec();
    let (fits, longer) = ("n".repeat(LONGEST_CODE), "n".repeat(LONGEST_CODE + 1));
    let body = serde_json::json!({
        "error": "bad", "list": [], "more": {}, "bytes": ours, &fits: true, &longer: true,
        "token": 12345, "secret": true, "password": null, "tokens": [], "keys": [{"a": "Ab3-xYz9"}], "secrets": {},
        "cookies": ["it has expired", "no"], "jwt": {"note": "it has expired"},
        "at": 1_234_567_890_123_456_u64, "other": 12_345_678_901_234_567_u64,
    });
    let error = refused(400, &[JSON], body.to_string());
    let shown: Map<_, _> = error.oauth().unwrap().extras().map(|(name, value)| (name.clone(), value.clone())).collect();
    let expected = serde_json::json!({
        "list": [], "more": {}, "bytes": "***", &fits: true, "cookies": ["it has expired"], "jwt": {"note": "it has expired"},
        "at": 1_234_567_890_123_456_u64, "other": "***",
    });
    assert_eq!(Value::from(shown), expected);
}

#[test]
fn numbers_have_sixteen_digits_and_an_id_may_have_blanks_around_it() {
    for (number, is_shown) in [("123456789", true), ("1234567890123456", true), ("12345678901234567", false)] {
        let said = refused(200, &[JSON], format!(r#"{{"error":"bad","x":{number}}}"#)).to_string();
        assert_eq!(said.contains(number), is_shown, "{said}");
    }
    let said = refused(200, &[JSON], format!(r#"{{"error":"bad","trace_id":" {UUID} "}}"#)).to_string();
    assert!(said.contains(UUID), "{said}");
}

#[test]
fn a_text_without_a_name_and_one_that_ends_like_the_description_are_shown() {
    let said = refused(400, &[JSON], r#"["it is wrong"]"#).to_string();
    assert!(said.contains("400: it is wrong"), "{said}");
    let body = r#"{"error":"bad","error_description":"too old","detail":"why: too old"}"#;
    let said = refused(400, &[JSON], body).to_string();
    assert!(said.contains("(detail: why: too old)"), "{said}");
    let code = "abc_".repeat(LONGEST_CODE / 4);
    assert_eq!(super::code(&refused(400, &[JSON], format!(r#"{{"error":"{code}"}}"#))), Some(&*code));
    // A known code is told, whatever its shape.
    for (code, told) in [(TOKEN, "***"), ("TEmPORaRILy.UNaVAIlABLe", "TEmPORaRILy.UNaVAIlABLe")] {
        let challenge = format!(r#"Bearer error="{code}""#);
        assert_eq!(super::code(&refused(401, &[("www-authenticate", &challenge)], "")), Some(told));
    }
}

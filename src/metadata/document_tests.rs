use http::HeaderMap;
use proptest::prelude::*;
use serde_json::json;
use zeroize::Zeroizing;

use super::*;

const ISSUER: &str = "https://auth.example.com/realms/demo";
const TOKEN: &str = "https://auth.example.com/token";

fn rules(issuer: &str) -> Rules {
    Rules {
        issuer: issuer.to_owned(),
        url: Url::parse(issuer).unwrap(),
        plain_hosts: vec!["keycloak".to_owned()],
        pinned: None,
        mutual_tls: false,
        named_hosts: None,
    }
}

fn response(status: u16, body: &[u8]) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.to_vec()),
    }
}

fn decoded(body: &Value, rules: &Rules) -> Result<Document, Unusable> {
    decode(&response(200, body.to_string().as_bytes()), rules)
}

#[test]
fn a_document_in_a_foreign_encoding_is_reported_as_one() {
    let encoded = |coding: &'static str| {
        let mut response = response(200, b"\x01\x02");
        response.headers.insert("content-encoding", coding.parse().unwrap());
        decode(&response, &rules("https://auth.example.com")).unwrap_err().why
    };
    assert!(encoded("br").contains("encoded in a way that is not read here"));
    assert!(encoded("identity").contains("it is not JSON"));
}

/// The token endpoint, or why there is none.
fn found(issuer: &str, endpoint: &str, change: impl FnOnce(&mut Rules)) -> Result<String, String> {
    let mut rules = rules(issuer);
    change(&mut rules);
    let document = decoded(&json!({"issuer": issuer, "token_endpoint": endpoint}), &rules);
    match document {
        Ok(document) => Ok(document.token_endpoint.into()),
        Err(flaw) => {
            assert!(!flaw.transient);
            Err(flaw.why)
        }
    }
}

#[test]
fn the_well_known_urls_are_those_of_the_rfcs() {
    for (issuer, first, second) in [
        // RFC 8414 section 3.1, OpenID Connect Discovery 1.0 section 4.1
        ("https://example.com", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"),
        ("https://example.com/", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"),
        (
            "https://example.com/issuer1",
            "/.well-known/oauth-authorization-server/issuer1",
            "/issuer1/.well-known/openid-configuration",
        ),
        (
            "https://example.com/a/b%20c/",
            "/.well-known/oauth-authorization-server/a/b%20c",
            "/a/b%20c/.well-known/openid-configuration",
        ),
    ] {
        let urls = well_known(&Url::parse(issuer).unwrap());
        let expected = [first, second].map(|path| format!("https://example.com{path}"));
        assert_eq!(urls.map(String::from), expected, "{issuer}");
    }
}

#[test]
fn the_issuer_is_compared_exactly() {
    // M01, RFC 8414 section 3.3
    assert_eq!(found(ISSUER, TOKEN, |_| {}), Ok(TOKEN.to_owned()));
    for other in [
        "https://auth.example.com/realms/demo/",
        "https://auth.example.com/realms/Demo",
        "https://auth.example.com:443/realms/demo",
        "HTTPS://auth.example.com/realms/demo",
        "https://evil.example/realms/demo",
    ] {
        let body = json!({"issuer": other, "token_endpoint": TOKEN});
        let why = decoded(&body, &rules(ISSUER)).unwrap_err().why;
        assert!(why.contains("must be identical"), "{why}");
    }
    for body in [json!({"token_endpoint": TOKEN}), json!({"issuer": null, "token_endpoint": TOKEN})] {
        assert_eq!(decoded(&body, &rules(ISSUER)), Err(unusable("it has no issuer")));
    }
    let twice = format!(r#"{{"issuer":"{ISSUER}","issuer":"{ISSUER}","token_endpoint":"{TOKEN}"}}"#);
    let flaw = decode(&response(200, twice.as_bytes()), &rules(ISSUER)).unwrap_err();
    assert_eq!(flaw.why, "it has issuer twice");
}

#[test]
fn a_token_endpoint_at_another_origin_must_be_https() {
    // M04
    let http = "http://127.0.0.1:8080";
    for (issuer, endpoint) in [
        (ISSUER, "https://elsewhere.example/token?a=b"),
        (http, "http://127.0.0.1:8080/token"),
        (http, "https://elsewhere.example/token"),
        ("http://keycloak/realms/demo", "http://keycloak/token"),
    ] {
        assert_eq!(found(issuer, endpoint, |_| {}).as_deref(), Ok(endpoint));
    }
    for (issuer, endpoint) in [
        (ISSUER, "http://auth.example.com/token"),
        (ISSUER, "http://127.0.0.1/token"),
        (ISSUER, "http://keycloak/token"),
        (http, "http://127.0.0.1:8081/token"),
        ("http://auth.example.com/realms/demo", "http://auth.example.com/token"),
        (http, "http://localhost:8080/token"),
    ] {
        let why = found(issuer, endpoint, |_| {}).unwrap_err();
        assert!(why.contains("is not https"), "{endpoint}: {why}");
    }
    for (endpoint, flaw) in [
        ("/token", "not an absolute URL"),
        ("ftp://auth.example.com/token", "does not begin with https://"),
        ("data:text/plain,x", "not an absolute URL"),
        ("https:///token", "has no host"),
        ("https://user:canary@auth.example.com/token", "user information"),
        ("https://user@auth.example.com/token", "user information"),
        ("https://:canary@auth.example.com/token", "user information"),
        ("https://", "has no host"),
        ("https://auth.example.com/token#f", "fragment"),
    ] {
        let why = found(ISSUER, endpoint, |_| {}).unwrap_err();
        assert!(why.contains(flaw) && !why.contains("canary"), "{why}");
    }
}

#[test]
fn only_the_pinned_origin_is_accepted() {
    // M04
    let pin = |rules: &mut Rules| rules.pinned = Url::parse("https://pinned.example").ok();
    let at_home = "https://pinned.example/oauth2/token";
    assert_eq!(found(ISSUER, at_home, pin).as_deref(), Ok(at_home));
    for endpoint in [TOKEN, "https://pinned.example:8443/token", "https://pinned.example.evil.example/"] {
        let why = found(ISSUER, endpoint, pin).unwrap_err();
        assert!(why.contains("pinned origin https://pinned.example"), "{why}");
    }
}

#[test]
fn mutual_tls_needs_an_endpoint_of_https() {
    let keycloak = "http://keycloak/realms/demo";
    assert!(found(keycloak, "http://keycloak/token", |_| {}).is_ok());
    let why = found(keycloak, "http://keycloak/token", |rules| rules.mutual_tls = true).unwrap_err();
    assert!(why.contains("is not https, and mutual_tls presents the certificate"), "{why}");
    assert!(found(keycloak, TOKEN, |rules| rules.mutual_tls = true).is_ok());
}

#[test]
fn an_endpoint_at_a_private_address_is_one_that_the_user_named() {
    let endpoint = "https://10.0.0.7/token";
    let named = |hosts: &[&str]| NamedHosts::new(hosts.iter().map(|&host| host.to_owned()));
    assert!(found(ISSUER, endpoint, |_| {}).is_ok());
    assert!(found(ISSUER, endpoint, |rules| rules.named_hosts = Some(named(&["10.0.0.7"]))).is_ok());
    let why = found(ISSUER, endpoint, |rules| rules.named_hosts = Some(named(&["auth.example.com"]))).unwrap_err();
    assert!(why.contains("which is not a public address"), "{why}");
}

#[test]
fn a_document_lacks_the_methods_of_the_client_if_it_lists_none_of_them() {
    let lacks = |listed: Option<&[&str]>, methods: &[&str]| {
        let auth_methods = listed.map(|all| all.iter().map(|&one| one.to_owned()).collect());
        Document { token_endpoint: Url::parse(TOKEN).unwrap(), auth_methods }.lacks(methods)
    };
    let listed = Some(&["client_secret_basic", "private_key_jwt"][..]);
    for (listed, methods, expected) in [
        (listed, &["private_key_jwt"][..], false),
        (listed, &["tls_client_auth", "client_secret_basic"], false),
        (listed, &["tls_client_auth", "self_signed_tls_client_auth"], true),
        (Some(&[]), &["none"], true),
        (listed, &[], false),
        (None, &["none"], false),
    ] {
        assert_eq!(lacks(listed, methods), expected, "{listed:?} {methods:?}");
    }
}

#[test]
fn an_alias_is_used_for_mutual_tls_only() {
    // M10
    let alias = "https://mtls.example.com/token";
    let mut body = json!({
        "issuer": ISSUER,
        "token_endpoint": TOKEN,
        "mtls_endpoint_aliases": {"token_endpoint": alias, "revocation_endpoint": "x"},
    });
    let mut rules = rules(ISSUER);
    let at = |body: &Value, rules: &Rules| decoded(body, rules).map(|one| one.token_endpoint.to_string());
    assert_eq!(at(&body, &rules).as_deref(), Ok(TOKEN));
    rules.mutual_tls = true;
    assert_eq!(at(&body, &rules).as_deref(), Ok(alias));
    for none in [json!({"revocation_endpoint": "x"}), json!({"token_endpoint": null})] {
        body["mtls_endpoint_aliases"] = none;
        assert_eq!(at(&body, &rules).as_deref(), Ok(TOKEN));
    }
    // Refused over plain http, without falling back to the other endpoint.
    for alias in [json!("http://auth.example.com/token"), json!(1)] {
        body["mtls_endpoint_aliases"]["token_endpoint"] = alias;
        assert!(at(&body, &rules).is_err());
    }
}

#[test]
fn a_member_of_another_type_is_not_reported_as_missing() {
    // M21
    let mut rules = rules(ISSUER);
    rules.mutual_tls = true;
    for other in [json!(1), json!([TOKEN]), json!({"url": TOKEN}), json!(true)] {
        for (body, why) in [
            (json!({"issuer": other, "token_endpoint": TOKEN}), "its issuer is not a string"),
            (json!({"issuer": ISSUER, "token_endpoint": other}), "its token_endpoint is not a string"),
            (
                json!({"issuer": ISSUER, "token_endpoint": TOKEN, "mtls_endpoint_aliases": {"token_endpoint": other}}),
                "the token_endpoint in its mtls_endpoint_aliases is not a string",
            ),
        ] {
            assert_eq!(decoded(&body, &rules), Err(unusable(why)), "{body}");
        }
        let aliases = json!({"token_endpoint": TOKEN});
        let body = json!({"issuer": ISSUER, "token_endpoint": other, "mtls_endpoint_aliases": aliases});
        assert!(decoded(&body, &rules).is_ok(), "the other one is used");
    }
    for body in [json!({"issuer": ISSUER}), json!({"issuer": ISSUER, "token_endpoint": null})] {
        assert_eq!(decoded(&body, &rules), Err(unusable("it has no token_endpoint")));
    }
}

#[test]
fn an_unusable_document_states_why_and_whether_that_may_change() {
    for (status, body, why, transient) in [
        (404, "", "status 404", false),
        (302, "", "status 302, and redirects are not followed", false),
        (503, "", "status 503", true),
        (408, "", "status 408", true),
        (425, "", "status 425", true),
        (429, "{}", "status 429", true),
        (200, "<html>", "it is a page and not JSON", true),
        (200, "<xml", "it is not JSON at line 1 column 1", true),
        (200, r#"{"issuer":"#, "it is not JSON at line 1 column 10", true),
        (200, "[]", "it is JSON, but not an object", false),
        (200, "{}", "it has no issuer", false),
    ] {
        let flaw = decode(&response(status, body.as_bytes()), &rules(ISSUER)).unwrap_err();
        assert_eq!((flaw.why.as_str(), flaw.transient), (why, transient));
    }
}

#[test]
fn text_from_a_server_is_truncated_and_cleaned() {
    let body = json!({"issuer": format!("x\u{1b}[2J{}?canary", "y".repeat(1000)), "token_endpoint": TOKEN});
    let why = decoded(&body, &rules(ISSUER)).unwrap_err().why;
    assert!(why.len() < 400 && !why.contains(['\u{1b}', '?']), "{why}");
    let why = found(ISSUER, "http://evil.example/token?canary", |_| {}).unwrap_err();
    assert!(why.contains("http://evil.example/token is not https"), "{why}");
}

proptest! {
    #[test]
    fn no_response_causes_a_panic(status in 100u16..600, body: Vec<u8>, text: String) {
        let _ = decode(&response(status, &body), &rules(ISSUER));
        let _ = decode(&response(200, text.as_bytes()), &rules(ISSUER));
    }

    #[test]
    fn no_document_causes_a_panic_and_every_endpoint_found_is_https(endpoint in ".{0,40}|(https?|x)://[a-z.:@0-9\\[\\]/#?%]{0,40}", alias: String, mutual_tls: bool) {
        let mut rules = rules(ISSUER);
        rules.mutual_tls = mutual_tls;
        let aliases = json!({"token_endpoint": alias});
        let body = json!({"issuer": ISSUER, "token_endpoint": endpoint, "mtls_endpoint_aliases": aliases});
        if let Ok(document) = decoded(&body, &rules) {
            prop_assert_eq!(document.token_endpoint.scheme(), "https");
        }
    }

    #[test]
    fn no_issuer_causes_a_panic(path in "(/[^?#\\s]{0,10}){0,4}") {
        if let Ok(issuer) = Url::parse(&format!("https://example.com{path}")) {
            for url in well_known(&issuer) {
                prop_assert_eq!(url.host_str(), Some("example.com"));
                prop_assert!(url.path().contains("/.well-known/"));
            }
        }
    }
}

#[test]
fn a_byte_order_mark_is_read_over() {
    // M19
    let good = json!({"issuer": ISSUER, "token_endpoint": TOKEN}).to_string();
    let utf16: Vec<u8> = format!("\u{feff}{good}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [format!("\u{feff}{good}").into_bytes(), utf16] {
        assert_eq!(decode(&response(200, &body), &rules(ISSUER)).unwrap().token_endpoint.as_str(), TOKEN);
    }
}

#[test]
fn an_issuer_that_looks_the_same_is_said_to_differ() {
    // M20
    for (said, differs) in
        [("\u{200b}", true), ("?a=b", true), ("#", true), ("\n", true), ("\"", true), ("/", false), ("x", false)]
    {
        let flaw = decoded(&json!({"issuer": format!("{ISSUER}{said}"), "token_endpoint": TOKEN}), &rules(ISSUER))
            .unwrap_err();
        assert_eq!(flaw.why.contains("query, a fragment or characters that are not shown"), differs, "{}", flaw.why);
    }
}

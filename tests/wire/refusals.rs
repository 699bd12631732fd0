//! Refusals as servers write them: family FB of the catalogue, and the rows of families FC and FE about responses.

use std::io::Write;

use client_credentials::{ClientAuth, ClientCredentials, ClientCredentialsBuilder, Credential, ErrorKind, Issuer};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::harness::canary::{SECRET, TOKEN, assert_no_canary};
use crate::harness::server::{Script, Server, answer, json, ok, raw, token_json};

const OLD: &str = "Xw2old-secret-Qp71";
const HTML: [(&str, &str); 1] = [("content-type", "text/html")];
const PAGE: &str = "<!doctype html><title>Blocked</title><p>Your support ID is: 7281</p>";

/// How servers refuse a wrong secret: Keycloak, UAA, SAP, Auth0, Okta, Glewlwyd, ServiceNow, plain text.
fn ways_of_saying_no() -> Vec<(&'static str, Script)> {
    vec![
        (
            "Keycloak",
            json(
                401,
                r#"{"error":"unauthorized_client","error_description":"Invalid client or Invalid client credentials"}"#,
            ),
        ),
        ("UAA", json(401, r#"{"error":"unauthorized","error_description":"Bad credentials"}"#)),
        (
            "SAP",
            answer(
                401,
                &[("www-authenticate", "Basic realm=\"xsuaa\"")],
                r#"{"error":"unauthorized","error_description":"An Authentication object was not found"}"#,
            ),
        ),
        ("Auth0", json(401, r#"{"error":"access_denied","error_description":"Unauthorized"}"#)),
        (
            "Okta",
            json(401, r#"{"errorCode":"invalid_client","errorSummary":"The client secret supplied is invalid."}"#),
        ),
        ("Glewlwyd", answer(403, &[], "")),
        ("ServiceNow", json(401, r#"{"error_description":"access_denied","error":"server_error"}"#)),
        ("plain text", answer(401, &[("content-type", "text/plain")], "Bad client credentials")),
        // FB20
        ("a level deeper, with 200", json(200, r#"{"error":{"code":"invalid_client","message":"No such client"}}"#)),
        ("AWS Lambda", json(200, r#"{"statusCode":401,"body":"{\"error\":\"invalid_client\"}"}"#)),
        (
            "a form, with 200",
            answer(
                200,
                &[("content-type", "application/x-www-form-urlencoded")],
                "error=incorrect_client_credentials&error_description=no",
            ),
        ),
    ]
}

fn of(server: &Server, secret: impl Into<Credential>) -> ClientCredentialsBuilder {
    ClientCredentials::builder(server.url("/token"), ClientAuth::client_secret_basic("billing", secret))
}

#[tokio::test]
async fn the_second_secret_is_tried_however_the_server_refuses_the_first() {
    // FB1
    for (name, no) in ways_of_saying_no() {
        let server = Server::start([no, ok(TOKEN)]);
        let tokens = of(&server, Credential::from(OLD).or(SECRET)).build().unwrap();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), TOKEN, "{name}");
        assert_eq!(server.hits(), 2, "{name}");
        let seen = server.requests();
        assert_ne!(seen[0].header("authorization"), seen[1].header("authorization"), "{name}");
    }
}

#[tokio::test]
async fn a_refused_client_reports_it_and_sends_nothing_for_a_while() {
    // FB1, FB10
    for (name, no) in ways_of_saying_no() {
        let server = Server::start([no]);
        let tokens = of(&server, SECRET).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Denied, false), "{name}: {error}");
        assert_eq!(error.next_attempt_in(), None, "{name}");
        for part in [server.url("/token").as_str(), "client \"billing\"", "client_secret_basic", "Credential(value)"] {
            assert!(error.to_string().contains(part), "{name}: {part}: {error}");
        }
        let again = tokens.token().await.unwrap_err();
        assert!(again.next_attempt_in().is_some_and(|wait| wait.as_millis() <= 1_000), "{name}: {again:?}");
        assert!(again.to_string().contains("the next one is made in"), "{name}: {again}");
        assert!(again.to_string().starts_with(&error.to_string()), "{name}: {again}");
        assert_eq!(server.hits(), 1, "{name}");
        assert_no_canary([format!("{error} {error:#} {error:?} {again} {again:?}")]);
    }
}

#[tokio::test]
async fn a_401_with_an_unusable_body_is_a_denial() {
    // FB1
    let large = "x".repeat(300_000);
    for no in [answer(401, &[], &large), answer(401, &[("content-encoding", "gzip")], "damaged")] {
        let server = Server::start([no.clone(), ok(TOKEN), no]);
        let tokens = of(&server, Credential::from(OLD).or(SECRET)).build().unwrap();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), TOKEN);
        let error = of(&server, SECRET).build().unwrap().token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert_eq!(server.hits(), 3);
    }
}

#[tokio::test]
async fn the_name_of_a_source_is_in_its_errors_and_its_debug_form() {
    let named = async |name: Option<&str>| {
        let server = Server::start([answer(403, &[], "")]);
        let builder = of(&server, SECRET);
        let tokens = match name {
            Some(name) => builder.name(name),
            None => builder,
        }
        .build()
        .unwrap();
        let error = tokens.token().await.unwrap_err();
        let again = tokens.token().await.unwrap_err();
        (format!("{tokens:?}"), [error.to_string(), format!("{error:?}"), again.to_string()])
    };
    let (tokens, errors) = named(Some("invoices of A")).await;
    assert!(tokens.contains("name: \"invoices of A\""), "{tokens}");
    for error in errors {
        assert!(error.replace('\\', "").contains("Credential(value), source \"invoices of A\")"), "{error}");
    }
    let (tokens, errors) = named(None).await;
    assert!(tokens.contains("name: \"127.0.0.1#"), "{tokens}");
    assert!(!errors.concat().contains("source \""), "{errors:?}");
}

#[tokio::test]
async fn a_challenge_in_latin_1_is_read() {
    // FD8
    let challenge = |status: u16, value: &[u8]| {
        let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nwww-authenticate: ");
        raw([head.as_bytes(), value, b"\r\n\r\n"].concat())
    };
    let whole = b"Bearer realm=\"Pr\xfcfung\", error=\"invalid_client\", error_description=\"gone\"";
    for (status, value, words) in
        [(400, &whole[..], "invalid_client: gone"), (401, b"Basic realm=\"Pr\xfcfung\"", "Basic realm=Pr\u{fc}fung")]
    {
        let server = Server::start([challenge(status, value)]);
        let error = of(&server, SECRET).build().unwrap().token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn an_html_page_is_not_a_denial() {
    // FB9
    for status in [400, 401, 403] {
        let server = Server::start([answer(status, &HTML, PAGE), ok(TOKEN)]);
        let tokens = of(&server, Credential::from(SECRET).or(OLD)).build().unwrap();
        assert!(tokens.token().await.is_ok(), "{status}: another attempt");
        let seen = server.requests();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].header("authorization"), seen[1].header("authorization"), "{status}: the same secret");
    }
}

#[tokio::test]
async fn a_secret_that_the_server_does_not_decode_is_reported() {
    // FB7
    for (secret, named) in [("Xw2+Qp71/abcd=ef", true), ("Xw2Qp71abcdef0", false)] {
        let server = Server::start([json(401, r#"{"error":"invalid_client"}"#)]);
        let basic = of(&server, secret).build().unwrap().token().await.unwrap_err().to_string();
        assert_eq!(basic.contains("client_secret_basic_raw"), named, "{basic}");
        assert_eq!(basic.contains("client_secret_post"), named, "{basic}");
        let post = ClientAuth::client_secret_post("billing", secret);
        let post = ClientCredentials::builder(server.url("/token"), post).build().unwrap();
        let post = post.token().await.unwrap_err().to_string();
        assert!(!post.contains("client_secret_basic_raw"), "{post}");
    }
}

#[tokio::test]
async fn after_a_move_metadata_is_read_again_within_a_second() {
    // FB5
    for (status, gone) in [
        (404, r#"{"status":404,"error":"Not Found"}"#),
        (404, r#"{"error":"not_found"}"#),
        (410, r#"{"error":"gone"}"#),
        (200, r#"{"result":1,"error":"0"}"#),
    ] {
        let server = Server::start([]);
        let (issuer, document) = (server.url(""), |path: &str| {
            let (issuer, endpoint) = (server.url(""), server.url(path));
            json(200, format!(r#"{{"issuer":"{issuer}","token_endpoint":"{endpoint}"}}"#))
        });
        server.now([document("/old"), json(status, gone), document("/new"), ok(TOKEN)]);
        let auth = ClientAuth::client_secret_basic("billing", SECRET);
        let tokens = ClientCredentials::builder(Issuer::new(issuer), auth).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response, "{error}");
        assert!(error.to_string().contains("is the address of the token endpoint right?"), "{error}");
        let wait = tokens.token().await.unwrap_err().next_attempt_in().unwrap();
        assert!(wait.as_millis() < 1_000, "{wait:?}");
        while tokens.token().await.is_err() {
            tokio::task::yield_now().await;
        }
        let lines: Vec<_> = server.requests().iter().map(|request| request.line().to_owned()).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[3], "POST /new HTTP/1.1");
    }
}

fn gzip(plain: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(plain.as_bytes()).unwrap();
    packer.finish().unwrap()
}

fn zlib(plain: &str) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(plain.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[tokio::test]
async fn a_response_that_was_compressed_without_being_asked_is_read() {
    // FE4: a token, a refusal, metadata
    for (label, pack) in [("gzip", gzip as fn(&str) -> Vec<u8>), ("deflate", zlib)] {
        let packed = |status, body: &str| answer(status, &[("content-encoding", label)], pack(body));
        let server = Server::start([packed(200, &token_json(TOKEN, 60))]);
        assert_eq!(of(&server, SECRET).build().unwrap().token().await.unwrap().expose_secret(), TOKEN, "{label}");
        let server = Server::start([packed(401, r#"{"error":"invalid_client","error_description":"no such"}"#)]);
        let error = of(&server, SECRET).build().unwrap().token().await.unwrap_err();
        assert!(error.to_string().contains("invalid_client: no such"), "{error}");
        let server = Server::start([]);
        let document = format!(r#"{{"issuer":"{}","token_endpoint":"{}"}}"#, server.url(""), server.url("/token"));
        server.now([packed(200, &document), ok(TOKEN)]);
        let auth = ClientAuth::client_secret_basic("billing", SECRET);
        let tokens = ClientCredentials::builder(Issuer::new(server.url("")), auth).build().unwrap();
        assert!(tokens.token().await.is_ok(), "{label}");
    }
    let bomb = " ".repeat(8 * 1024 * 1024);
    let server = Server::start([answer(200, &[("content-encoding", "gzip")], gzip(&bomb))]);
    let error = of(&server, SECRET).build().unwrap().token().await.unwrap_err();
    assert!(error.to_string().contains("larger than 262144 bytes"), "{error}");
}

#[tokio::test]
async fn a_bearer_token_under_another_name_is_accepted_if_configured() {
    // FC1: eBay
    let body = r#"{"access_token":"abc","token_type":"Application Access Token","expires_in":7200}"#;
    let server = Server::start([json(200, body)]);
    let named = of(&server, SECRET).token_type("application access token").strict(true).build().unwrap();
    assert_eq!(named.token().await.unwrap().authorization(), "Bearer abc");
    let error = of(&server, SECRET).build().unwrap().token().await.unwrap_err();
    assert!(error.to_string().contains("token_type(\"Application Access Token\")"), "{error}");
    for never in ["mac", "N_A", "DPoP", "pop"] {
        let server = Server::start([json(200, body.replace("Application Access Token", never))]);
        let tokens = of(&server, SECRET).token_type("Application Access Token").build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert!(error.to_string().contains(never) && error.to_string().contains("token_type"), "{error}");
        let fault = of(&server, SECRET).token_type(never).build().unwrap_err();
        assert!(fault.to_string().contains(never) && fault.to_string().contains("token_type"), "{fault}");
    }
}

#[test]
fn a_parameter_sent_twice_or_a_wrong_content_type_is_a_fault() {
    // FE2, FE7
    let build = |url: &str, auth: ClientAuth| ClientCredentials::builder(url, auth).scope("a").build();
    let (basic, post) =
        (ClientAuth::client_secret_basic("billing", SECRET), ClientAuth::client_secret_post("billing", SECRET));
    for (query, auth, name) in [
        ("grant_type=client_credentials", &basic, "grant_type"),
        ("grant%5Ftype=x", &basic, "grant_type"),
        ("tenant=a&scope=a", &basic, "scope"),
        ("client_id=billing", &post, "client_id"),
        ("client_secret=hush", &post, "client_secret"),
    ] {
        let error = build(&format!("https://auth.example.com/token?{query}"), auth.clone()).unwrap_err();
        assert!(error.to_string().contains(&format!("has {name} in its query")), "{query}: {error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    for (query, auth) in [("tenant=a", &basic), ("client_id=billing", &basic), ("audience=x", &post)] {
        assert!(build(&format!("https://auth.example.com/token?{query}"), auth.clone()).is_ok(), "{query}");
    }
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("Content-Range", "bytes 0-9/10"),
        ("transfer-encoding", "gzip"),
        ("expect", "100-continue"),
    ] {
        let builder = ClientCredentials::builder("https://auth.example.com/token", basic.clone());
        let error = builder.header(name, value).build().unwrap_err().to_string();
        assert!(error.contains(&name.to_ascii_lowercase()), "{name}: {error}");
    }
    for (label, json, fine) in [
        ("application/x-www-form-urlencoded", false, true),
        ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", false, true),
        ("application/json", false, false),
        ("application/vnd.api+json", false, false),
        ("text/plain", false, false),
        ("multipart/form-data", false, false),
        ("application/json", true, true),
        ("application/x-www-form-urlencoded", true, false),
    ] {
        let builder = ClientCredentials::builder("https://auth.example.com/token", basic.clone());
        let result = builder.header("content-type", label).json_body(json).build();
        assert_eq!(result.is_ok(), fine, "{label}, {json}");
        if let Some(error) = result.err().filter(|_| !json) {
            assert!(error.to_string().contains("json_body(true)"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_scope_is_sent_once_and_granted_with_commas_too() {
    // FC4
    let server = Server::start([json(200, r#"{"access_token":"abc","token_type":"Bearer","scope":"a,b"}"#)]);
    let tokens = of(&server, SECRET).scope("a").scopes(["b a", "a"]).refuse_narrower_scope(true).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().scope(), Some("a,b"));
    assert!(server.requests()[0].body().ends_with("scope=a+b"), "{}", server.requests()[0].body());
}

//! The authorization server is found by its issuer: family M, as far as it concerns metadata.

use std::time::Duration;

use client_credentials::{
    ClientAuth, ClientCredentials, ClientCredentialsBuilder, Error, ErrorKind, HttpClient, Issuer, Limits,
};

use crate::harness::canary::{SECRET, TOKEN, assert_no_canary, render_all};
use crate::harness::server::{Script, Server, Step, answer, head, json, ok};
use crate::refreshed::refreshed;
use crate::story::{MOMENT, SOON, bare, basic, hasty, recovers};

/// Listens without a script, since the script needs the address.
fn server() -> Server {
    Server::start([])
}

fn issuer(server: &Server) -> String {
    server.url("/realms/demo")
}

fn builder(server: &Server) -> ClientCredentialsBuilder {
    builder_of(named(server))
}

fn named(server: &Server) -> Issuer {
    Issuer::new(issuer(server))
}

fn builder_of(issuer: Issuer) -> ClientCredentialsBuilder {
    hasty(ClientCredentials::builder(issuer, basic()))
}

/// Metadata of this issuer with this token endpoint.
fn document(issuer: &str, token_endpoint: &str) -> Script {
    let body = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{token_endpoint}"}}"#);
    json(200, body)
}

/// The server's own.
fn own(server: &Server, path: &str) -> Script {
    document(&issuer(server), &server.url(path))
}

fn lines(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let lines = requests.iter().map(|request| request.line());
    lines.map(|line| line.replace(" HTTP/1.1", "")).collect()
}

const FIRST: &str = "GET /.well-known/oauth-authorization-server/realms/demo";
const SECOND: &str = "GET /realms/demo/.well-known/openid-configuration";

async fn failed(tokens: &ClientCredentials) -> Error {
    let error = tokens.token().await.unwrap_err();
    assert_no_canary([render_all(&error)]);
    error
}

#[tokio::test]
async fn the_token_endpoint_is_found_inside_the_first_fetch() {
    let server = server();
    server.now([own(&server, "/token"), ok("t1"), ok("t2")]);
    let tokens = builder(&server).header("user-agent", "wire/1").header("x-api-key", SECRET).build().unwrap();
    assert_eq!(server.connections(), 0, "not by build()");
    for one in futures_util::future::join_all((0..10).map(|_| tokens.token())).await {
        assert_eq!(one.unwrap().expose_secret(), "t1");
    }
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t2");
    assert_eq!(lines(&server), [FIRST, "POST /token", "POST /token"]);

    let get = &server.requests()[0];
    assert_no_canary([get.head()]);
    assert!(get.body().is_empty() && get.header("authorization").is_empty());
    assert_eq!(get.header("accept"), ["application/json"]);
    assert_eq!(get.header("user-agent"), ["wire/1"]);
}

#[tokio::test]
async fn openid_discovery_is_the_fallback() {
    // M01: a document of another issuer counts as none
    for (row, first) in [
        ("missing", json(404, "{}")),
        ("a page", answer(200, &[], "<html>")),
        ("another issuer", document("https://evil.example", "https://evil.example/token")),
        ("not for everybody", json(403, "{}")),
        ("broken", json(500, "{}")),
        ("far too long", answer(200, &[], vec![b' '; 2 << 20])),
    ] {
        let server = server();
        server.now([first, own(&server, "/token"), ok(TOKEN)]);
        let tokens = builder(&server).build().unwrap();
        let token = tokens.token().await;
        assert_eq!(token.unwrap().expose_secret(), TOKEN, "{row}");
        assert_eq!(lines(&server), [FIRST, SECOND, "POST /token"], "{row}");
    }
}

#[tokio::test]
async fn the_result_at_each_url_is_reported_and_retry_after_is_obeyed() {
    let server = server();
    let busy = answer(429, &[("retry-after", "7")], "{}");
    server.now([busy, json(404, "{}")]);
    let error = failed(&builder(&server).build().unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    let text = error.to_string();
    let (first, second) = (FIRST.replace("GET ", ""), SECOND.replace("GET ", ""));
    let (first, second) = (server.url(&first), server.url(&second));
    let told = format!("has no usable metadata: at {first}: status 429; at {second}: status 404");
    assert!(text.contains(&told), "{text}");
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused() {
    // M01
    let server = server();
    let almost = format!("{}/", issuer(&server));
    server.now([document(&almost, &server.url("/token"))]);
    let tokens = builder(&server).build().unwrap();
    let error = failed(&tokens).await;
    assert_eq!(error.kind(), ErrorKind::Response);
    assert!(!error.is_transient());
    let text = error.to_string();
    let at = format!(
        "{}: it names the issuer {almost}, but {} was configured (they must be identical",
        server.url(FIRST.trim_start_matches("GET ")),
        issuer(&server)
    );
    assert!(text.contains(&at) && text.contains(SECOND.trim_start_matches("GET ")), "{text}");
    assert_eq!(lines(&server), [FIRST, SECOND]);
    server.now([own(&server, "/token"), ok(TOKEN)]);
    recovers("M01", &tokens).await;
}

#[tokio::test]
async fn a_redirect_of_metadata_is_not_followed() {
    // M03
    let (server, target) = (server(), server());
    target.now([document(&issuer(&server), &server.url("/token"))]);
    let location = target.url("/there");
    server.now([answer(302, &[("location", &location)], "")]);
    let tokens = builder(&server).build().unwrap();
    let error = failed(&tokens).await;
    assert_eq!(error.kind(), ErrorKind::Response);
    assert!(error.to_string().contains("redirects are not followed"));
    assert_eq!(target.connections(), 0);
}

#[test]
fn an_issuer_must_be_https_and_nothing_may_be_set_twice() {
    // M03
    let faults = |builder: ClientCredentialsBuilder| builder.build().unwrap_err().to_string();
    let from = |issuer: &str| {
        ClientCredentials::builder(Issuer::new(issuer), basic()).http_client(HttpClient::from_reqwest_0_13(bare))
    };
    for (issuer, flaw) in [
        ("http://auth.example.com", "dangerously_allow_http(\"auth.example.com\")"),
        ("https://auth.example.com?a=b", "query or fragment"),
        ("https://me:canary@auth.example.com", "user information"),
        ("auth.example.com", "not an absolute URL"),
    ] {
        let text = faults(from(issuer));
        assert!(text.contains("issuer ") && text.contains(flaw) && !text.contains("canary"), "{text}");
    }
    let good = || Issuer::new("https://auth.example.com");
    let faults = |issuer: Issuer| faults(builder_of(issuer));
    assert!(builder_of(good()).build().is_ok());
    assert!(faults(good().pin_token_endpoint_origin("https://a.example/token")).contains("more than an origin"));
    assert!(faults(good().pin_token_endpoint_origin("http://a.example")).contains("unencrypted"));
    assert!(faults(good().pin_token_endpoint_origin("https:///a.example")).contains("no host"));
    assert!(faults(good().metadata_lifetime(Duration::ZERO)).contains("metadata_lifetime"));
}

#[tokio::test]
async fn a_token_endpoint_over_http_at_another_origin_or_off_its_pin_gets_no_request() {
    // M04
    let (server, elsewhere) = (server(), server());
    elsewhere.now([ok(TOKEN)]);
    for (endpoint, pin, flaw) in [
        (elsewhere.url("/token"), None, "is not https"),
        (elsewhere.https("/token"), Some("https://pinned.example"), "is not at the pinned origin"),
    ] {
        server.now([document(&issuer(&server), &endpoint)]);
        let issuer = match pin {
            Some(pin) => named(&server).pin_token_endpoint_origin(pin),
            None => named(&server),
        };
        let error = failed(&builder_of(issuer).build().unwrap()).await;
        assert_eq!(error.kind(), ErrorKind::Response);
        assert!(error.to_string().contains(flaw), "{error}");
    }
    assert_eq!(elsewhere.connections(), 0);

    server.now([own(&server, "/token"), ok(TOKEN)]);
    let pinned = builder_of(named(&server).pin_token_endpoint_origin(server.url("").trim_end_matches('/')));
    assert!(pinned.build().unwrap().token().await.is_ok());
}

#[tokio::test]
async fn metadata_is_bounded_in_size_and_time() {
    // M06
    let (server, gib) = (server(), (1_u64 << 30).to_string());
    let announced = head(200, &[("content-length", &gib)]);
    server.now([vec![Step::ReadReq, Step::Write(announced), Step::Hang]]);
    let tokens = builder(&server).build().unwrap();
    let error = failed(&tokens).await;
    assert_eq!(error.kind(), ErrorKind::Response);
    assert!(error.to_string().contains("the response of the metadata is larger than"), "{error}");

    server.now([vec![Step::ReadReq, Step::Drip(head(200, &[]), Duration::from_secs(1))]]);
    let tokens = builder(&server).limits(Limits::new().attempt_timeout(SOON)).build().unwrap();
    let error = failed(&tokens).await;
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.is_transient());
    let at = format!("the metadata at {}", server.url(FIRST.trim_start_matches("GET ")));
    assert!(error.to_string().starts_with(&at), "{error}");
    server.now([own(&server, "/token"), ok(TOKEN)]);
    recovers("M06", &tokens).await;
}

#[tokio::test]
async fn the_last_good_metadata_is_used_while_no_other_can_be_fetched() {
    // M07
    let other = || document("https://evil.example", "https://evil.example/token");
    for (row, faults) in [
        ("reset", vec![vec![Step::ReadReq, Step::Rst]]),
        ("down", vec![json(503, "{}"), json(503, "{}")]),
        ("another issuer", vec![other(), other()]),
    ] {
        let server = server();
        let mut scripts = vec![own(&server, "/token"), ok("t1")];
        scripts.extend(faults);
        scripts.extend([ok("t2"), own(&server, "/token"), ok("t3")]);
        server.now(scripts);
        let tokens = builder_of(named(&server).metadata_lifetime(MOMENT)).build().unwrap();
        for token in ["t1", "t2", "t3"] {
            assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), token, "{row}");
        }
    }
}

#[tokio::test]
async fn a_token_endpoint_that_moves_is_adopted_with_new_metadata_only() {
    // M08
    let server = server();
    let gone = json(404, "{}");
    server.now([own(&server, "/old"), ok("t1"), ok("t2"), gone, own(&server, "/new"), ok("t3"), ok("t4")]);
    let tokens = builder(&server).build().unwrap();
    refreshed(&tokens).await.unwrap();
    refreshed(&tokens).await.unwrap();
    assert_eq!(lines(&server)[1..], ["POST /old", "POST /old"], "the metadata are kept");
    let error = refreshed(&tokens).await.unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(404));
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t3");
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t4");
    assert_eq!(lines(&server)[3..], ["POST /old", FIRST, "POST /new", "POST /new"]);
    #[cfg(feature = "tracing")]
    assert_eq!(told(&server, "the token endpoint has moved"), 1);
}

#[tokio::test]
async fn an_oauth_error_does_not_cause_metadata_to_be_read_again() {
    let server = server();
    let denied = json(400, r#"{"error":"invalid_scope"}"#);
    server.now([own(&server, "/token"), denied, ok(TOKEN)]);
    let tokens = builder(&server).build().unwrap();
    assert_eq!(failed(&tokens).await.kind(), ErrorKind::Denied);
    recovers("denied", &tokens).await;
    assert_eq!(lines(&server), [FIRST, "POST /token", "POST /token"]);
}

#[tokio::test]
async fn the_configured_method_is_used_whatever_the_metadata_lists() {
    // M09
    let server = server();
    let body = format!(
        r#"{{"issuer":"{}","token_endpoint":"{}","token_endpoint_auth_methods_supported":["client_secret_post","none"]}}"#,
        issuer(&server),
        server.url("/token")
    );
    server.now([json(200, &body), ok("t1"), json(200, &body), ok("t2")]);
    let tokens = builder_of(named(&server).metadata_lifetime(MOMENT)).build().unwrap();
    refreshed(&tokens).await.unwrap();
    #[cfg(feature = "tracing")]
    assert_eq!(told(&server, "does not list the client's authentication method"), 1);
    refreshed(&tokens).await.unwrap();
    for post in [&server.requests()[1], &server.requests()[3]] {
        assert!(post.header("authorization")[0].starts_with("Basic "));
        assert_eq!(post.body(), "grant_type=client_credentials");
    }
    #[cfg(feature = "tracing")]
    assert_eq!(told(&server, "does not list the client's authentication method"), 1, "one warning");
}

#[tokio::test]
async fn a_server_that_lists_the_method_or_nothing_is_not_warned_about() {
    let server = server();
    server.now([own(&server, "/token"), ok(TOKEN)]);
    builder(&server).build().unwrap().token().await.unwrap();
    let auth = ClientAuth::client_assertion("a.b.c");
    server.now([own(&server, "/token"), ok(TOKEN)]);
    let tokens =
        ClientCredentials::builder(Issuer::new(issuer(&server)), auth).http_client(HttpClient::from_reqwest_0_13(bare));
    tokens.build().unwrap().token().await.unwrap();
    #[cfg(feature = "tracing")]
    assert_eq!(told(&server, ""), 0);
}

/// How often this was reported about the server.
#[cfg(feature = "tracing")]
fn told(server: &Server, what: &str) -> usize {
    let said = crate::harness::canary::said().into_iter();
    let issuer = format!("issuer={}", issuer(server));
    said.filter(|(_, text)| text.contains(&issuer) && text.contains(what)).count()
}

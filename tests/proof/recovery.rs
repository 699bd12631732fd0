//! What refusals, absurd answers and half-written files cost: bounded requests, and no end.

use std::time::Duration;

use client_credentials::{ClientAuth, ClientCredentials, Credential, ErrorKind, TokenSource};
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn token() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(serde_json::json!({
        "access_token": "t", "token_type": "Bearer", "expires_in": 0
    }))
}

fn metadata(server: &MockServer) -> ResponseTemplate {
    let (issuer, endpoint) = (server.uri(), format!("{}/token", server.uri()));
    ResponseTemplate::new(200).set_body_json(serde_json::json!({ "issuer": issuer, "token_endpoint": endpoint }))
}

fn invalid_client(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(serde_json::json!({ "error": "invalid_client" }))
}

fn two_secrets(server: &MockServer) -> ClientCredentials {
    let auth = ClientAuth::client_secret_post("me", Credential::from("aaa").or("bbb"));
    ClientCredentials::builder(&format!("{}/token", server.uri()), auth).build().unwrap()
}

#[tokio::test]
async fn a_refused_credential_is_not_asked_with_again_in_the_same_flight() {
    let server = MockServer::start().await;
    let refused = Mock::given(body_string_contains("client_secret=aaa"));
    refused.respond_with(invalid_client(401)).expect(1).mount(&server).await;
    let down = Mock::given(body_string_contains("client_secret=bbb"));
    down.respond_with(ResponseTemplate::new(503)).mount(&server).await;
    let error = two_secrets(&server).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "with the backoff of a denied client");
}

#[tokio::test]
async fn a_throttled_client_does_not_ask_with_the_next_credential() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(invalid_client(429)).expect(1).mount(&server).await;
    let error = two_secrets(&server).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
}

#[tokio::test]
async fn one_absurd_date_does_not_end_all_assertions() {
    let server = MockServer::start().await;
    let absurd = ResponseTemplate::new(502).insert_header("date", "Thu, 01 Jan 1970 00:00:10 GMT");
    Mock::given(method("POST")).respond_with(absurd).up_to_n_times(1).mount(&server).await;
    Mock::given(method("POST")).respond_with(token()).mount(&server).await;
    let auth = ClientAuth::client_secret_jwt("me", "s").assertion_time_by_server();
    let builder = ClientCredentials::builder(&format!("{}/token", server.uri()), auth);
    let tokens = builder.issuer(server.uri()).build().unwrap();
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn a_page_too_large_at_the_first_path_does_not_hide_the_second() {
    let server = MockServer::start().await;
    let openid = Mock::given(path("/.well-known/openid-configuration"));
    openid.respond_with(metadata(&server)).mount(&server).await;
    let page = ResponseTemplate::new(404).set_body_string("x".repeat(300 * 1024));
    Mock::given(method("GET")).respond_with(page).mount(&server).await;
    Mock::given(method("POST")).respond_with(token()).mount(&server).await;
    let builder = ClientCredentials::from_issuer(&server.uri(), ClientAuth::none("me"));
    builder.build().unwrap().token().await.unwrap();
}

#[tokio::test]
async fn an_endless_token_endpoint_is_cut_in_errors() {
    let server = MockServer::start().await;
    let document = ResponseTemplate::new(200).set_body_json(serde_json::json!({
        "issuer": server.uri(), "token_endpoint": format!("http://other.example/{}", "x".repeat(100_000))
    }));
    Mock::given(method("GET")).respond_with(document).mount(&server).await;
    let tokens = ClientCredentials::from_issuer(&server.uri(), ClientAuth::none("me")).build().unwrap();
    let text = tokens.token().await.unwrap_err().to_string();
    assert!(text.len() < 2_000, "{} bytes", text.len());
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_has_the_metadata_read_anew_once_a_minute() {
    let server = MockServer::start().await;
    let once = Mock::given(method("GET")).respond_with(metadata(&server)).up_to_n_times(1);
    once.mount(&server).await;
    let refusing = Mock::given(method("POST")).respond_with(ResponseTemplate::new(403));
    refusing.mount(&server).await;
    let builder = ClientCredentials::from_issuer(&server.uri(), ClientAuth::none("me"));
    let shortest = Duration::from_millis(1);
    let tokens = builder.expired_backoff(shortest, shortest).build().unwrap();
    let posts = async || {
        let requests = server.received_requests().await.unwrap_or_default();
        requests.iter().filter(|request| request.method.as_str() == "POST").count()
    };
    while posts().await < 5 {
        tokens.token().await.unwrap_err();
    }
    let requests = server.received_requests().await.unwrap_or_default();
    assert!(requests.len() <= 5 + 3, "the first time, and out of turn once, at two places");
}

#[test]
fn client_id_in_body_without_an_id_is_a_fault() {
    let auth = ClientAuth::client_assertion("a.b.c");
    let builder = ClientCredentials::builder("https://a.example/token", auth).client_id_in_body();
    assert!(builder.build().unwrap_err().to_string().contains("client_id_in_body"));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_makes_the_metadata_be_read_anew() {
    let server = MockServer::start().await;
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let old = ResponseTemplate::new(200).set_body_json(serde_json::json!({
        "issuer": server.uri(), "token_endpoint": format!("https://{gone}/token")
    }));
    Mock::given(method("GET")).respond_with(old).up_to_n_times(1).mount(&server).await;
    Mock::given(method("GET")).respond_with(metadata(&server)).mount(&server).await;
    Mock::given(method("POST")).respond_with(token()).mount(&server).await;
    let builder = ClientCredentials::from_issuer(&server.uri(), ClientAuth::none("me"));
    let shortest = Duration::from_millis(1);
    let tokens = builder.attempt_backoff(shortest, shortest).build().unwrap();
    tokens.token().await.unwrap();
}

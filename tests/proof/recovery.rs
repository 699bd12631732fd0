//! Refusals, invalid responses and half-written files: the number of requests is bounded, and the source recovers.

use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{
    Backoff, CachePolicy, ClientAuth, ClientCredentials, Credential, ErrorKind, Issuer, RetryPolicy,
};
use serde_json::json;

fn response(status: u16, (name, value): (&str, &str), body: impl Into<String>) -> Answer {
    Answer::Response(http::Response::builder().status(status).header(name, value).body(body.into()).unwrap())
}

/// The metadata of `server`, with this token endpoint.
fn metadata(server: &AuthorizationServer, token_endpoint: &str) -> Answer {
    Answer::Body(json!({ "issuer": server.issuer(), "token_endpoint": token_endpoint }).to_string())
}

/// The number of requests at this endpoint.
fn asked(server: &AuthorizationServer, endpoint: Endpoint) -> usize {
    server.requests().iter().filter(|request| request.endpoint() == endpoint).count()
}

fn two_secrets(server: &AuthorizationServer) -> ClientCredentials {
    let auth = ClientAuth::client_secret_post("me", Credential::from("aaa").or("bbb"));
    ClientCredentials::builder(server.token_url(), auth).build().unwrap()
}

fn by_name(server: &AuthorizationServer) -> client_credentials::ClientCredentialsBuilder {
    ClientCredentials::builder(Issuer::new(server.issuer()), ClientAuth::none("me"))
}

#[tokio::test]
async fn a_refused_credential_is_not_sent_again_in_the_same_fetch() {
    let server = AuthorizationServer::start();
    server.answer_by(Endpoint::Token, |request| match request.sent("client_secret", "aaa") {
        true => Answer::Refuse("invalid_client"),
        false => Answer::Status(503),
    });
    let error = two_secrets(&server).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "with the backoff of a denied client");
    assert_eq!(server.requests().iter().filter(|request| request.sent("client_secret", "aaa")).count(), 1);
}

#[tokio::test]
async fn a_throttled_client_does_not_try_the_next_credential() {
    let server = AuthorizationServer::start();
    let throttled = response(429, ("content-type", "application/json"), r#"{"error":"invalid_client"}"#);
    server.until_changed(throttled);
    let error = two_secrets(&server).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(server.token_requests(), 1);
}

#[tokio::test]
async fn one_absurd_date_does_not_end_all_assertions() {
    let server = AuthorizationServer::start();
    server.next(response(502, ("date", "Thu, 01 Jan 1970 00:00:10 GMT"), ""));
    let auth = ClientAuth::client_secret_jwt("me", "s").audience(server.issuer()).server_time(true);
    let tokens = ClientCredentials::builder(server.token_url(), auth).build().unwrap();
    tokens.token().await.unwrap();
    assert_eq!(server.token_requests(), 2);
}

#[tokio::test]
async fn a_page_too_large_at_the_first_path_does_not_hide_the_second() {
    let server = AuthorizationServer::start();
    server.answer_by(Endpoint::Metadata, |request| match request.path() {
        "/.well-known/openid-configuration" => Answer::Token,
        _ => response(404, ("content-type", "text/plain"), "x".repeat(300 * 1024)),
    });
    by_name(&server).build().unwrap().token().await.unwrap();
    assert_eq!(asked(&server, Endpoint::Metadata), 2, "the page, and the document after it");
}

#[tokio::test]
async fn a_very_long_token_endpoint_is_truncated_in_errors() {
    let server = AuthorizationServer::start();
    let endless = format!("http://other.example/{}", "x".repeat(100_000));
    server.until_changed_at(Endpoint::Metadata, metadata(&server, &endless));
    let text = by_name(&server).build().unwrap().token().await.unwrap_err().to_string();
    assert!(text.len() < 2_000, "{} bytes", text.len());
}

#[tokio::test]
async fn a_refusal_by_the_token_endpoint_causes_metadata_to_be_read_again_once_a_minute() {
    let server = AuthorizationServer::start();
    server.next_at(Endpoint::Metadata, Answer::Token).until_changed_at(Endpoint::Metadata, Answer::Status(404));
    server.until_changed(response(403, ("content-type", "application/json"), "null"));
    let shortest = Duration::from_millis(1);
    let soon = Backoff::new(shortest, shortest);
    let policy = CachePolicy::new().expired_backoff(soon).denied_backoff(soon);
    let tokens = by_name(&server).cache(policy).build().unwrap();
    while server.token_requests() < 5 {
        tokens.token().await.unwrap_err();
    }
    let read = asked(&server, Endpoint::Metadata);
    assert!(read <= 3, "the first time, and out of turn once, at two places: {read}");
}

#[test]
fn client_id_in_body_without_an_id_is_a_fault() {
    let auth = ClientAuth::client_assertion("a.b.c");
    let builder = ClientCredentials::builder("https://a.example/token", auth).client_id_in_body(true);
    assert!(builder.build().unwrap_err().to_string().contains("client_id_in_body"));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_causes_metadata_to_be_read_again() {
    // Nothing listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = AuthorizationServer::start();
    server.next_at(Endpoint::Metadata, metadata(&server, &format!("https://{gone}/token")));
    let shortest = Duration::from_millis(1);
    let retry = RetryPolicy::new().backoff(Backoff::new(shortest, shortest));
    by_name(&server).retry(retry).build().unwrap().token().await.unwrap();
}

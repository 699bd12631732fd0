//! The output of the kit is published by CI systems: it has no secret, wherever a program put it.

use client_credentials::testing::{AuthorizationServer, FakeTokens};
use client_credentials::{ClientAuth, ClientCredentials};
use std::time::Duration;

const CANARY: &str = "canary-7Qp2-Zx91";

#[tokio::test]
async fn no_secret_is_in_the_story_or_in_a_record() {
    let server = AuthorizationServer::start().client("billing", CANARY).client("other", "other-canary-Zx91");
    let http = reqwest::Client::new();
    let form = |params: &[(&str, &str)]| crate::post_form(server.token_url(), params).send();
    let mut secrets = vec!["canary".to_owned(), "Y2FuYXJ5".to_owned()];
    // Correct use.
    for auth in [ClientAuth::client_secret_basic("billing", CANARY), ClientAuth::client_secret_post("billing", CANARY)]
    {
        let tokens = ClientCredentials::builder(server.token_url(), auth).build().unwrap();
        let token = tokens.token().await.unwrap();
        let request = http.get(format!("{}/{}", server.api_origin(), token.expose_secret()));
        request.header("authorization", token.authorization()).send().await.unwrap();
        form(&[("scope", token.expose_secret()), ("resource", &format!("x={}&", token.expose_secret()))])
            .await
            .unwrap();
        secrets.push(token.expose_secret().to_owned());
    }
    // Incorrect use: another secret, and secrets in the wrong place.
    form(&[("client_id", CANARY), ("client_secret", "billing")]).await.unwrap();
    form(&[("client_id", "another-canary-Zx91"), ("client_secret", "x")]).await.unwrap();
    form(&[("client_id", "billing"), ("client_secret", "wrong-canary-Zx91")]).await.unwrap();
    form(&[("grant_type", CANARY), ("scope", CANARY), ("api_key", "some-canary-Zx91")]).await.unwrap();
    form(&[("client_assertion", "canary-Zx91.canary-Zx91.canary-Zx91")]).await.unwrap();
    http.get(format!("{}/path?key=canary-Zx91", server.api_origin())).bearer_auth(CANARY).send().await.unwrap();
    http.get(server.api_origin())
        .header("x-api-key", "canary-Zx91")
        .basic_auth("canary-Zx91", Some("x"))
        .send()
        .await
        .unwrap();

    let mut shown = format!("{}\n{server:?}\n{:?}\n{:#?}", server.story(), server.requests(), server.requests());
    for request in server.requests() {
        for name in ["grant_type", "scope", "client_id", "client_secret", "client_assertion", "api_key"] {
            shown.push_str(request.param(name).unwrap_or_default());
        }
        for name in ["authorization", "x-api-key"] {
            shown.push_str(request.header(name).unwrap_or_default());
        }
        shown.push_str(request.client_id().unwrap_or_default());
    }
    for secret in secrets {
        assert!(!shown.contains(&secret), "{secret} is seen: {shown}");
    }
    assert_eq!(server.requests().len(), 13);
}

#[tokio::test]
async fn what_was_sent_can_be_compared() {
    let server = AuthorizationServer::start().client("billing", CANARY);
    let auth = ClientAuth::client_secret_post("billing", CANARY);
    let builder = ClientCredentials::builder(server.token_url(), auth).param("tenant", "a-tenant").header("x-key", "k");
    builder.build().unwrap().token().await.unwrap();
    let request = &server.requests()[0];
    assert!(request.sent("tenant", "a-tenant") && !request.sent("tenant", "another"));
    assert!(request.sent("client_secret", CANARY) && request.sent_header("x-key", "k"));
    assert_eq!(request.param("tenant"), Some("[8 characters]"));
    assert_eq!(request.param("grant_type"), Some("client_credentials"));
    assert_eq!((request.method(), request.path(), request.token()), ("POST", "/token", Some(1)));
}

#[tokio::test]
async fn what_was_sent_is_read_only_where_the_name_says_so() {
    let server = AuthorizationServer::start();
    let auth = ClientAuth::client_secret_post("billing", CANARY);
    let builder = ClientCredentials::builder(server.token_url(), auth).header("x-key", CANARY);
    let builder = builder.resource("https://one.example").resource("https://two.example");
    builder.build().unwrap().token().await.unwrap();
    let request = &server.requests()[0];
    assert!(request.expose_params("client_secret").eq([CANARY]) && request.expose_headers("x-key").eq([CANARY]));
    assert!(request.expose_params("resource").eq(["https://one.example", "https://two.example"]));
    assert_eq!(request.expose_params("x-key").count() + request.expose_headers("client_secret").count(), 0);
    assert!(!format!("{request} {request:?} {request:#?}").contains(CANARY));
}

#[tokio::test]
async fn a_fake_shows_no_token() {
    let fake = FakeTokens::lasting(Duration::from_secs(60));
    let token = fake.token().await.unwrap();
    assert!(!format!("{fake:?}").contains(token.expose_secret()));
}

//! The test that the README shows.

use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer};
use client_credentials::{ClientAuth, ClientCredentials, ManualClock};

#[tokio::test]
async fn an_outage_fails_no_call_while_the_token_is_valid() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().clock(&clock);
    let auth = ClientAuth::client_secret_basic("billing", "secret");
    let tokens = ClientCredentials::builder(server.token_url(), auth)
        .clock(&clock)
        .build()
        .unwrap();
    tokens.token().await.unwrap();
    server.until_changed(Answer::Status(503));
    clock.advance(Duration::from_secs(3500)); // due, still valid
    assert!(tokens.token().await.is_ok());
}

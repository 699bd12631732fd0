//! What a user writes: a token expires, the API refuses one, the server is down and comes back.

use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer};
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, ManualClock, RetryPolicy};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

fn client(server: &AuthorizationServer, clock: &ManualClock) -> ClientWithMiddleware {
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    let builder = ClientCredentials::builder(server.token_url(), auth).clock(clock);
    let tokens = builder.retry(RetryPolicy::new().attempts(1)).build().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens).unwrap();
    ClientBuilder::new(http).with(bearer).build()
}

#[tokio::test]
async fn billing_survives_expiry_a_revoked_token_and_an_outage() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().client("billing", "a secret").clock(&clock);
    let client = client(&server, &clock);
    let call = async || client.get(server.api_origin()).send().await.map(|r| r.status().as_u16());
    assert_eq!(call().await.unwrap(), 200);

    clock.advance(Duration::from_secs(3600)); // the token expires
    assert_eq!(call().await.unwrap(), 200);

    server.revoke_all(); // the API refuses it
    assert_eq!(call().await.unwrap(), 200);

    server.until_changed(Answer::Status(503)); // an outage that outlasts the token
    clock.advance(Duration::from_secs(3600));
    assert!(call().await.is_err());

    server.until_changed(Answer::Token); // the server is back
    clock.advance(Duration::from_secs(10));
    assert_eq!(call().await.unwrap(), 200);
    assert_eq!((server.token_requests(), server.tokens_issued()), (5, 4));
}

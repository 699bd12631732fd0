use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use client_credentials::{ErrorKind, ManualClock, RetryPolicy};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> (AuthorizationServer, ManualClock) {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().client("billing", "a secret");
    (server.clock(&clock), clock)
}

fn tokens(
    server: &AuthorizationServer,
    clock: &ManualClock,
) -> ClientCredentials {
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    ClientCredentials::builder(server.token_url(), auth)
        .retry(RetryPolicy::new().attempts(1)) // no waits between attempts
        .clock(clock)
        .build()
        .unwrap()
}

fn client(
    server: &AuthorizationServer,
    tokens: ClientCredentials,
) -> ClientWithMiddleware {
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    ClientBuilder::new(http).with(bearer).build()
}

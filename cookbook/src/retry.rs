//! reqwest-retry: outside of the token, so that each attempt has a fresh one.

use client_credentials::{BearerAuth, ClientCredentials, Error};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;

pub fn client(tokens: ClientCredentials, origin: &str) -> Result<ClientWithMiddleware, Error> {
    let policy = ExponentialBackoff::builder().build_with_max_retries(3);
    Ok(ClientBuilder::new(reqwest::Client::new())
        .with(RetryTransientMiddleware::new_with_policy(policy)) // first is outermost
        .with(BearerAuth::for_origin(origin, tokens)?)
        .build())
}

#[cfg(test)]
mod tests {
    use client_credentials::testing::{Answer, Endpoint};

    use crate::support::start;

    #[tokio::test]
    async fn an_attempt_after_an_outage_may_need_another_token() {
        let (server, tokens) = start();
        server.next_at(Endpoint::Api, Answer::Status(503)).next_at(Endpoint::Api, Answer::Refuse("invalid_token"));
        let client = super::client(tokens, server.api_origin()).unwrap();
        let response = client.get(server.api_origin()).send().await.unwrap();
        assert_eq!((response.status().as_u16(), server.api_requests(), server.token_requests()), (200, 3, 2));
    }
}

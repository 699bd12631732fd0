//! reqwest without reqwest-middleware: tower's layer over its client.

use client_credentials::{BearerAuth, ClientCredentials};
use tower::{BoxError, Layer, ServiceExt};

pub async fn send(
    tokens: ClientCredentials,
    origin: &str,
    request: reqwest::Request,
) -> Result<reqwest::Response, BoxError> {
    let bearer = BearerAuth::for_origin(origin, tokens)?;
    bearer.layer(reqwest::Client::new()).oneshot(request).await
}

#[cfg(test)]
mod tests {
    use crate::support::start;

    #[tokio::test]
    async fn a_revoked_token_is_replaced_and_the_request_repeated() {
        let (server, tokens) = start();
        tokens.token().await.unwrap();
        server.revoke_all();
        let request = reqwest::Client::new().get(format!("{}/a", server.api_origin())).build().unwrap();
        let response = super::send(tokens, server.api_origin(), request).await.unwrap();
        assert_eq!((response.status().as_u16(), server.token_requests(), server.api_requests()), (200, 2, 2));
    }
}

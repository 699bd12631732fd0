//! octocrab: a stack of its own, as GitHub Enterprise behind a gateway needs it.

use client_credentials::{BearerAuth, ClientCredentials};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use tower::BoxError;

/// Over TLS, the connector is one of hyper-rustls.
pub fn client(tokens: ClientCredentials, origin: &str) -> Result<Octocrab, BoxError> {
    let bearer = BearerAuth::builder(tokens).origin(origin).clone_body(OctoBody::try_clone).build()?;
    let client = OctocrabBuilder::new_empty()
        .with_service(Client::builder(TokioExecutor::new()).build_http::<OctoBody>())
        .with_layer(&bearer)
        .with_layer(&BaseUriLayer::new(origin.parse()?))
        .with_auth(AuthState::None);
    Ok(client.build()?)
}

#[cfg(test)]
mod tests {
    use crate::support::start;

    #[tokio::test]
    async fn a_revoked_token_is_replaced_and_the_request_repeated() {
        let (server, tokens) = start();
        let client = super::client(tokens, server.api_origin()).unwrap();
        for fetches in 1..=2 {
            let answer = client._post("/repos/a/b/issues", Some("an issue")).await.unwrap();
            assert_eq!(answer.status(), 200);
            let answer = client.body_to_string(answer).await.unwrap();
            assert!(answer.contains("an issue"), "{answer}");
            assert_eq!(server.token_requests(), fetches);
            server.revoke_all();
        }
    }
}

//! A client that progenitor has made: its hooks, of which `pre` can say that there is no token, and `exec` can repeat.

use client_credentials::ClientCredentials;
use progenitor_client::{ClientHooks, ClientInfo, Error, OperationInfo};
use reqwest::{Request, Response};

use self::api::Client;

pub mod api {
    #![allow(clippy::all, unused_qualifications, reason = "generated")]
    progenitor::generate_api!(spec = "invoices/openapi.json", inner_type = client_credentials::ClientCredentials);
}

impl ClientHooks<ClientCredentials> for Client {
    async fn pre<E>(&self, request: &mut Request, _: &OperationInfo) -> Result<(), Error<E>> {
        let token = self.inner().token().await.map_err(|error| Error::Custom(error.to_string()))?;
        request.headers_mut().insert("authorization", token.authorization());
        Ok(())
    }
    async fn exec(&self, request: Request, _: &OperationInfo) -> reqwest::Result<Response> {
        send(self.client(), self.inner(), request).await
    }
}

async fn send(http: &reqwest::Client, tokens: &ClientCredentials, request: Request) -> reqwest::Result<Response> {
    let (old, again) = (tokens.token().await, request.try_clone());
    let response = http.execute(request).await?;
    match (old, again) {
        (Ok(old), Some(mut again)) if old.is_rejected_by(response.status(), response.headers()) => {
            tokens.reject(&old);
            let Ok(new) = tokens.token().await else { return Ok(response) };
            again.headers_mut().insert("authorization", new.authorization());
            http.execute(again).await
        }
        _ => Ok(response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::start;

    #[tokio::test]
    async fn a_revoked_token_is_replaced_and_the_request_repeated() {
        let (server, tokens) = start();
        let server = server.serve_at("/invoices", r#"["17"]"#);
        tokens.token().await.unwrap();
        server.revoke_all();
        let client = Client::new(server.api_origin(), tokens);
        let lines = vec!["a line".to_owned()];
        assert_eq!(client.create_invoice(&lines).await.unwrap().into_inner(), ["17"]);
        assert_eq!((server.token_requests(), server.api_requests()), (2, 2));
    }

    #[tokio::test]
    async fn without_a_token_the_call_fails_with_the_reason() {
        let (server, tokens) = start();
        let server = server.client("billing", "another secret");
        let error = Client::new(server.api_origin(), tokens).create_invoice(&vec![]).await.unwrap_err();
        assert!(error.to_string().contains("invalid_client"), "{error}");
        assert_eq!(server.api_requests(), 0);
    }
}

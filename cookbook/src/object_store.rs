//! object_store: the token of each request to Azure Blob Storage.

use std::sync::Arc;

use client_credentials::ClientCredentials;
use object_store::azure::AzureCredential;
use object_store::{CredentialProvider, Error};

#[derive(Debug)]
pub struct Tokens(pub ClientCredentials);

#[async_trait::async_trait]
impl CredentialProvider for Tokens {
    type Credential = AzureCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AzureCredential>> {
        let token = self.0.token().await;
        let token = token.map_err(|error| Error::Generic { store: "Azure", source: error.into() })?;
        Ok(Arc::new(AzureCredential::BearerToken(token.expose_secret().to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use client_credentials::testing::Endpoint;
    use object_store::ObjectStoreExt;
    use object_store::azure::MicrosoftAzureBuilder;

    use super::*;
    use crate::support::start;

    #[tokio::test]
    async fn each_request_has_the_current_token() {
        let (server, tokens) = start();
        let store = MicrosoftAzureBuilder::new()
            .with_account("billing")
            .with_container_name("invoices")
            .with_endpoint(server.api_origin().to_owned())
            .with_allow_http(true)
            .with_credentials(Arc::new(Tokens(tokens.clone())))
            .build()
            .unwrap();
        let path = "2026/1.json".into();
        let _ = store.delete(&path).await;
        let first = tokens.token().await.unwrap();
        tokens.reject(&first);
        let _ = store.delete(&path).await;
        let requests = server.requests();
        let to_api = requests.iter().filter(|request| request.endpoint() == Endpoint::Api);
        assert_eq!(to_api.map(|request| request.token()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }
}

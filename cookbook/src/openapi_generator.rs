//! A client that openapi-generator has made, with `library=reqwest,supportMiddleware=true`: the middleware in its configuration.

use client_credentials::{BearerAuth, ClientCredentials, Error};
use invoices::apis::configuration::Configuration;
use reqwest_middleware::ClientBuilder;

pub fn configuration(tokens: ClientCredentials, url: &str) -> Result<Configuration, Error> {
    let bearer = BearerAuth::for_origin(url, tokens)?;
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    Ok(Configuration { base_path: url.to_owned(), client, ..Configuration::default() })
}

#[cfg(test)]
mod tests {
    use invoices::apis::default_api::create_invoice;

    use crate::support::start;

    #[tokio::test]
    async fn a_revoked_token_is_replaced_and_the_request_repeated() {
        let (server, tokens) = start();
        let server = server.serve_at("/invoices", r#"["17"]"#);
        tokens.token().await.unwrap();
        server.revoke_all();
        let configuration = super::configuration(tokens, server.api_origin()).unwrap();
        assert_eq!(create_invoice(&configuration, vec!["a line".to_owned()]).await.unwrap(), ["17"]);
        assert_eq!((server.token_requests(), server.api_requests()), (2, 2));
    }
}

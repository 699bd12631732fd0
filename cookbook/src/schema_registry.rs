//! schema_registry_converter: the middleware in its settings.

use client_credentials::{BearerAuth, ClientCredentials};
use schema_registry_converter::async_impl::schema_registry::SrSettings;

pub fn settings(tokens: ClientCredentials, url: &str) -> Result<SrSettings, Box<dyn std::error::Error>> {
    let bearer = BearerAuth::for_origin(url, tokens)?;
    Ok(SrSettings::new_builder(url.to_owned()).with_middleware(bearer).build()?)
}

#[cfg(test)]
mod tests {
    use schema_registry_converter::async_impl::schema_registry::get_all_subjects;

    use crate::support::start;

    #[tokio::test]
    async fn a_revoked_token_is_replaced() {
        let (server, tokens) = start();
        let server = server.serve_at("/subjects", r#"["invoices-value"]"#);
        tokens.token().await.unwrap();
        server.revoke_all();
        let settings = super::settings(tokens, server.api_origin()).unwrap();
        assert_eq!(get_all_subjects(&settings).await.unwrap(), ["invoices-value"]);
        assert_eq!(server.token_requests(), 2);
    }
}

//! The trait of the crate `token-source`, which the community's google-cloud crates take.

use client_credentials::ClientCredentials;

#[derive(Debug)]
pub struct Adapter(pub ClientCredentials);

#[async_trait::async_trait]
impl token_source::TokenSource for Adapter {
    async fn token(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(format!("Bearer {}", self.0.token().await?.expose_secret()))
    }
}

#[cfg(test)]
mod tests {
    use token_source::TokenSource;

    use super::*;
    use crate::support::start;

    #[tokio::test]
    async fn the_token_is_formatted_as_a_whole_header() {
        let (server, tokens) = start();
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", Adapter(tokens).token().await.unwrap().parse().unwrap());
        assert!(server.accepts(&headers));
    }
}

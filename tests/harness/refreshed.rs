//! Another token, also after failures. Included by `#[path]`, separately from the harness, which imports nothing from
//! the crate.

use std::time::Duration;

use client_credentials::{AccessToken, ClientCredentials, Error, TokenState};

/// Rejects the token, if there is one, and gets another. Backoffs must be shorter than 5 ms.
pub(crate) async fn refreshed(tokens: &ClientCredentials) -> Result<AccessToken, Error> {
    // Not `token()`, which would start a fetch if there is no token.
    if !matches!(tokens.status().state, TokenState::Empty | TokenState::Expired) {
        tokens.reject(&tokens.token().await?);
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    tokens.token().await
}

//! A file that always has a fresh token: for `tokenFile` of a kubeconfig, `bearer_token_file`, a sidecar.

use std::io::Write;
use std::path::Path;

use client_credentials::ClientCredentials;

/// Until it fails or is dropped. The file is replaced as a whole, and readable by its owner alone.
pub async fn keep(tokens: &ClientCredentials, path: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut changes = tokens.changes();
    loop {
        let token = changes.next().await?;
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(token.expose_secret().as_bytes())?;
        file.persist(path)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{MINUTE, next_after, start};

    #[tokio::test]
    async fn the_file_has_the_latest_token() {
        let (_server, tokens) = start();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let keeper = tokio::spawn({
            let (tokens, path) = (tokens.clone(), path.clone());
            async move { keep(&tokens, &path).await }
        });
        let has = async |secret: &str| {
            while std::fs::read_to_string(&path).ok().as_deref() != Some(secret) {
                tokio::task::yield_now().await;
            }
        };
        let first = tokens.token().await.unwrap();
        tokio::time::timeout(MINUTE, has(first.expose_secret())).await.unwrap();
        let second = next_after(&tokens, &first).await;
        tokio::time::timeout(MINUTE, has(second.expose_secret())).await.unwrap();
        keeper.abort();
    }
}

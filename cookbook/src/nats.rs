//! async-nats: a token for each connection, and for each reconnection.

use async_nats::{Auth, AuthError, ConnectOptions};
use client_credentials::ClientCredentials;

/// Calls `token()` whenever it connects: a token that expired meanwhile, or was rejected, has been replaced by then.
pub fn options(tokens: ClientCredentials) -> ConnectOptions {
    ConnectOptions::with_auth_callback(move |_nonce| {
        let tokens = tokens.clone();
        async move {
            let token = tokens.token().await.map_err(AuthError::new)?;
            let mut auth = Auth::new();
            auth.token = Some(token.expose_secret().to_owned());
            Ok(auth)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Daemon, MINUTE, free_port, next_after, start, text};

    #[tokio::test]
    async fn a_server_that_requires_another_token_gets_it_when_the_client_reconnects() {
        let (_server, tokens) = start();
        let folder = tempfile::tempdir().unwrap();
        let (file, port) = (folder.path().join("nats.conf"), free_port());
        let accept = |token: &str| {
            let config = format!("listen: 127.0.0.1:{port}\nauthorization {{ token: \"{token}\" }}\n");
            std::fs::write(&file, config).unwrap();
        };
        let first = tokens.token().await.unwrap();
        accept(first.expose_secret());
        let Some(nats) = Daemon::start("nats-server", &["-c", text(&file)], port) else { return };
        let (lost, mut events) = tokio::sync::mpsc::unbounded_channel();
        let options = options(tokens.clone()).event_callback(move |event| {
            let _ = lost.send(event);
            async {}
        });
        let client = options.connect(format!("nats://127.0.0.1:{port}")).await.unwrap();
        client.flush().await.unwrap();

        // The server closes the connection whose token it no longer accepts.
        accept(next_after(&tokens, &first).await.expose_secret());
        nats.reload();
        let back = async {
            let mut connects = 0;
            while let Some(event) = events.recv().await {
                connects += usize::from(event == async_nats::Event::Connected);
                if connects == 2 {
                    break;
                }
            }
        };
        tokio::time::timeout(MINUTE, back).await.unwrap();
        client.flush().await.unwrap();
    }
}

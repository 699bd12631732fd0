//! WebSockets: the token is in the handshake; a connection outlives it.

use client_credentials::{BearerAuth, ClientCredentials};
use reqwest_middleware::ClientBuilder;
use reqwest_websocket::{Upgrade, WebSocket};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Error::Http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// reqwest-websocket, through the middleware.
pub async fn by_reqwest(tokens: ClientCredentials, origin: &str, path: &str) -> Result<WebSocket, BoxError> {
    let bearer = BearerAuth::for_origin(origin, tokens)?;
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    Ok(client.get(format!("{origin}{path}")).upgrade().send().await?.into_websocket().await?)
}

/// tokio-tungstenite, by the header.
pub async fn by_tungstenite(
    tokens: &ClientCredentials,
    url: &str,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, BoxError> {
    for attempt in 0.. {
        let (token, mut request) = (tokens.token().await?, url.into_client_request()?);
        request.headers_mut().insert("authorization", token.authorization());
        match tokio_tungstenite::connect_async(request).await {
            Err(Http(refusal)) if attempt == 0 && refusal.status() == 401 => tokens.reject(&token),
            result => return Ok(result?.0),
        }
    }
    Err(tungstenite::Error::AlreadyClosed.into())
}

#[cfg(test)]
mod tests {
    use client_credentials::testing::AuthorizationServer;
    use futures_util::StreamExt;
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

    use super::*;
    use crate::support::start;

    /// Says hello to clients with a token of `issuer`. Returns its host and port.
    async fn greeter(issuer: &AuthorizationServer) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let issuer = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let issuer = issuer.clone();
                #[expect(clippy::result_large_err, reason = "tungstenite's own")]
                let check = move |request: &Request, response: Response| match issuer.accepts(request.headers()) {
                    true => Ok(response),
                    false => {
                        let mut refusal = ErrorResponse::new(None);
                        *refusal.status_mut() = http::StatusCode::UNAUTHORIZED;
                        Err(refusal)
                    }
                };
                tokio::spawn(async move {
                    let mut socket = tokio_tungstenite::accept_hdr_async(stream, check).await.unwrap();
                    futures_util::SinkExt::send(&mut socket, "hello".into()).await.unwrap();
                    socket.close(None).await.unwrap();
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_handshake_whose_token_was_revoked_is_repeated() {
        let (server, tokens) = start();
        let address = greeter(&server).await;
        for connects in 1..=2 {
            let socket = by_reqwest(tokens.clone(), &format!("http://{address}"), "/").await;
            let message = socket.unwrap().next().await.unwrap().unwrap();
            assert!(matches!(message, reqwest_websocket::Message::Text(text) if text == "hello"));
            assert_eq!(server.token_requests(), connects);
            server.revoke_all();
        }
        let mut socket = by_tungstenite(&tokens, &format!("ws://{address}/")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), "hello");
        assert_eq!(server.token_requests(), 3);
    }
}

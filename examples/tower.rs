//! The tower layer around hyper-util's client: `cargo run --example tower --features tower,test-util`.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use bytes::Bytes;
use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens)?;
    let hyper = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(bearer).service(hyper);

    for name in ["Ada", "Grace"] {
        // A body that can be copied, so that the request can be repeated.
        let body = Full::new(Bytes::from(name));
        let request = Request::post(format!("{}/greeting", server.api_origin())).body(body)?;
        let response = service.clone().oneshot(request).await?;
        let text = response.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&text));
        // The next request is refused once, and repeated with a new token.
        server.revoke_all();
    }
    println!("API requests: {}", server.api_requests());
    println!("token requests: {}", server.token_requests());
    Ok(())
}

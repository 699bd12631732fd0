//! The token as a layer of tower, over the client of hyper-util: `cargo run --example tower --features tower`.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod support;

use std::error::Error;

use bytes::Bytes;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use support::{CLIENT_ID, CLIENT_SECRET, Servers};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let servers = Servers::start()?;
    let auth = ClientAuth::client_secret_basic(CLIENT_ID, CLIENT_SECRET);
    let tokens = ClientCredentials::builder(&servers.token_url, auth).build()?;
    let bearer = BearerAuth::for_origin(&servers.api_origin, tokens)?;
    let hyper = Client::builder(TokioExecutor::new()).build_http();
    let service = ServiceBuilder::new().layer(bearer).service(hyper);

    for name in ["Ada", "Grace"] {
        // A body that can be copied, so that the request can be repeated.
        let body = Full::new(Bytes::from(name));
        let request = Request::post(&servers.api_url).body(body)?;
        let response = service.clone().oneshot(request).await?;
        let text = response.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&text));
        // The next request is refused once, and repeated with a new token.
        servers.revoke_tokens();
    }
    println!("refused: {}", servers.refused());
    println!("token requests: {}", servers.token_requests());
    Ok(())
}

//! gRPC: a call whose token is refused is repeated with another: `cargo run -p integrations --example tonic`.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod grpc;

use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use tonic::{body::Body, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::Layer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");
    let origin = grpc::start(&server)?;
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
    let bearer = BearerAuth::builder(tokens).origin(&origin).buffer_body(64 * 1024, Body::new).build()?;
    let channel = Channel::from_shared(origin.clone())?.connect().await?;
    let mut client = HealthClient::with_origin(bearer.layer(channel), origin.parse()?);
    for _ in 0..2 {
        let answer = client.check(HealthCheckRequest::default()).await?;
        println!("{:?}", answer.into_inner().status());
        server.revoke_all(); // The next call is refused, and repeated.
    }
    println!("token requests: {}", server.token_requests());
    Ok(())
}

//! gRPC: a call whose token is refused is repeated with another: `cargo run -p integrations --example tonic`.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod grpc;
#[path = "../../../examples/support/mod.rs"]
mod support;

use bytes::Bytes;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use http_body_util::{BodyExt, Full};
use support::{CLIENT_ID, CLIENT_SECRET, Servers};
use tonic::{body::Body, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = Servers::start()?;
    let origin = grpc::start(&servers)?;
    let auth = ClientAuth::client_secret_basic(CLIENT_ID, CLIENT_SECRET);
    let tokens = ClientCredentials::builder(&servers.token_url, auth).build()?;
    let service = tower::ServiceBuilder::new()
        .filter_async(in_one_piece)
        .layer(BearerAuth::for_origin(&origin, tokens)?)
        .map_request(|request: http::Request<Full<Bytes>>| request.map(Body::new))
        .service(Channel::from_shared(origin.clone())?.connect().await?);
    let mut client = HealthClient::with_origin(service, origin.parse()?);
    for _ in 0..2 {
        let answer = client.check(HealthCheckRequest::default()).await?;
        println!("{:?}", answer.into_inner().status());
        servers.revoke_tokens(); // The next call is refused, and repeated.
    }
    println!("refused: {}", servers.refused());
    Ok(())
}

/// The message of a unary call, so that it can be repeated; a stream of messages cannot be.
async fn in_one_piece(request: http::Request<Body>) -> tonic::Result<http::Request<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let message = Full::new(body.collect().await?.to_bytes());
    Ok(http::Request::from_parts(parts, message))
}

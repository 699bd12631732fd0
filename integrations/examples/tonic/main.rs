//! gRPC: a call whose token is refused is repeated with another: `cargo run -p integrations --example tonic`.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod grpc;

use bytes::Bytes;
use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use http_body_util::{BodyExt, Full};
use tonic::{body::Body, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");
    let origin = grpc::start(&server)?;
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
    let service = tower::ServiceBuilder::new()
        .filter_async(in_one_piece)
        .layer(BearerAuth::for_origin(&origin, tokens)?)
        .map_request(|request: http::Request<Full<Bytes>>| request.map(Body::new))
        .service(Channel::from_shared(origin.clone())?.connect().await?);
    let mut client = HealthClient::with_origin(service, origin.parse()?);
    for _ in 0..2 {
        let answer = client.check(HealthCheckRequest::default()).await?;
        println!("{:?}", answer.into_inner().status());
        server.revoke_all(); // The next call is refused, and repeated.
    }
    println!("token requests: {}", server.token_requests());
    Ok(())
}

/// The message of a unary call, so that it can be repeated; a stream of messages cannot be.
async fn in_one_piece(request: http::Request<Body>) -> tonic::Result<http::Request<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let message = Full::new(body.collect().await?.to_bytes());
    Ok(http::Request::from_parts(parts, message))
}

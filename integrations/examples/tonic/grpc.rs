//! A gRPC server with the standard health service, for clients with a token.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use client_credentials::testing::AuthorizationServer;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

/// Serves until the process ends, for the tokens of this server. Returns its origin.
pub(crate) fn start(server: &AuthorizationServer) -> io::Result<String> {
    let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let origin = format!("http://{}", incoming.local_addr()?);
    let issuer = server.clone();
    let check = move |request: Request<()>| match issuer.accepts(&request.metadata().clone().into_headers()) {
        true => Ok(request),
        false => Err(Status::unauthenticated("Who are you?")),
    };
    let (_, health) = tonic_health::server::health_reporter();
    let service = InterceptedService::new(health, check);
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(origin)
}

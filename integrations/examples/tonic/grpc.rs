//! A gRPC server with the standard health service, for those who bring a token.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use crate::support::Servers;

/// Serves until the process ends, for the tokens of these servers. Returns its origin.
pub(crate) fn start(servers: &Servers) -> io::Result<String> {
    let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let origin = format!("http://{}", incoming.local_addr()?);
    let tokens = Arc::clone(&servers.tokens);
    let check = move |request: Request<()>| {
        let sent = request.metadata().get("authorization");
        match tokens.accept(sent.map(|value| value.as_encoded_bytes())) {
            true => Ok(request),
            false => Err(Status::unauthenticated("Who are you?")),
        }
    };
    let (_, health) = tonic_health::server::health_reporter();
    let service = InterceptedService::new(health, check);
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(origin)
}

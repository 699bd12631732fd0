//! tonic: a channel with the token, whose unary calls are repeated when a token is refused.

use client_credentials::{BearerAuth, BearerService, ClientCredentials, Error};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::Layer;

/// For the generated clients: `GreeterClient::with_origin(channel, origin)`.
pub fn channel(tokens: ClientCredentials, origin: &str, channel: Channel) -> Result<BearerService<Channel>, Error> {
    let bearer = BearerAuth::builder(tokens).origin(origin).buffer_body(64 * 1024, Body::new).build()?;
    Ok(bearer.layer(channel))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use client_credentials::testing::AuthorizationServer;
    use tonic::service::interceptor::InterceptedService;
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;
    use tonic::{Request, Status};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    use crate::support::start;

    /// The standard health service, for the tokens of this server. Returns its origin.
    fn serve(issuer: &AuthorizationServer) -> String {
        let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let origin = format!("http://{}", incoming.local_addr().unwrap());
        let issuer = issuer.clone();
        let check = move |request: Request<()>| match issuer.accepts(&request.metadata().clone().into_headers()) {
            true => Ok(request),
            false => Err(Status::unauthenticated("who are you?")),
        };
        let (_, health) = tonic_health::server::health_reporter();
        let service = InterceptedService::new(health, check);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        origin
    }

    #[tokio::test]
    async fn a_call_whose_token_was_revoked_is_served() {
        let (server, tokens) = start();
        let origin = serve(&server);
        let channel = tonic::transport::Channel::from_shared(origin.clone()).unwrap().connect().await.unwrap();
        let channel = super::channel(tokens, &origin, channel).unwrap();
        let mut client = HealthClient::with_origin(channel, origin.parse().unwrap());
        for fetches in 1..=3 {
            client.check(HealthCheckRequest::default()).await.unwrap();
            assert_eq!(server.token_requests(), fetches);
            server.revoke_all();
        }
    }
}

//! OTLP over gRPC: the exporter's interceptor, which is synchronous.

use client_credentials::blocking::Tokens;
use tonic::service::Interceptor;
use tonic::{Request, Status};

#[derive(Clone)]
pub struct Authorized(pub Tokens);

impl Interceptor for Authorized {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let token = self.0.token().map_err(|error| Status::unavailable(error.to_string()))?;
        request.metadata_mut().as_mut().insert("authorization", token.authorization());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::{Arc, Mutex};

    use client_credentials::AccessToken;
    use client_credentials::testing::AuthorizationServer;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tonic::Response;
    use tonic::transport::Server;
    use tonic::transport::server::TcpIncoming;

    use super::*;
    use crate::support::start;

    /// A receiver of spans, for the tokens of one server.
    #[derive(Clone)]
    struct Receiver {
        issuer: AuthorizationServer,
        /// Name of the span, and whether its token was accepted.
        seen: Arc<Mutex<Vec<(String, bool)>>>,
    }

    #[tonic::async_trait]
    impl TraceService for Receiver {
        async fn export(
            &self,
            request: Request<ExportTraceServiceRequest>,
        ) -> Result<Response<ExportTraceServiceResponse>, Status> {
            let accepted = self.issuer.accepts(request.metadata().as_ref());
            let span = request.into_inner().resource_spans[0].scope_spans[0].spans[0].name.clone();
            self.seen.lock().unwrap().push((span, accepted));
            match accepted {
                true => Ok(Response::new(ExportTraceServiceResponse::default())),
                false => Err(Status::unauthenticated("who are you?")),
            }
        }
    }

    #[test]
    fn each_export_has_the_current_token() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (server, tokens) = start();
        let receiver = Receiver { issuer: server.clone(), seen: Arc::default() };
        // The batch exporter has a thread of its own, without a runtime; its channel uses this runtime.
        let entered = runtime.enter();
        let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let endpoint = format!("http://{}", incoming.local_addr().unwrap());
        let service = TraceServiceServer::new(receiver.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        let blocking = Tokens::new(tokens.clone());
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_interceptor(Authorized(blocking.clone()))
            .build()
            .unwrap();
        drop(entered);
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
        let export = |name: &'static str| {
            provider.tracer("test").in_span(name, |_| {});
            provider.force_flush().is_ok()
        };
        let first: AccessToken = blocking.token().unwrap();
        assert!(export("with the first token"));
        server.revoke_all();
        assert!(!export("revoked, of which the exporter says nothing"));
        blocking.reject(&first);
        assert!(export("after a rejection"));
        let seen: Vec<_> = receiver.seen.lock().unwrap().iter().map(|(_, accepted)| *accepted).collect();
        assert_eq!((seen, server.token_requests()), (vec![true, false, true], 2));
    }
}

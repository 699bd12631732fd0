//! OTLP over HTTP: the exporter's client with the middleware.

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest_middleware::ClientWithMiddleware;

#[derive(Debug)]
pub struct Authorized(pub ClientWithMiddleware);

#[async_trait::async_trait]
impl HttpClient for Authorized {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut response = self.0.execute(request.try_into()?).await?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            *headers = std::mem::take(response.headers_mut());
        }
        Ok(answer.body(response.bytes().await?)?)
    }
}

#[cfg(test)]
mod tests {
    use client_credentials::BearerAuth;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use reqwest_middleware::ClientBuilder;

    use super::*;
    use crate::support::start;

    #[test]
    fn spans_arrive_although_the_token_was_revoked() {
        // The batch exporter has a thread of its own, without a runtime: this runtime drives its requests.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (server, tokens) = start();
        runtime.block_on(tokens.token()).unwrap();
        server.revoke_all();
        let bearer = BearerAuth::for_origin(server.api_origin(), tokens).unwrap();
        let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OnRuntime(Authorized(client).into(), runtime.handle().clone()))
            .with_endpoint(format!("{}/v1/traces", server.api_origin()))
            .build()
            .unwrap();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
        provider.tracer("test").in_span("a span", |_| {});
        let _ = provider.shutdown();
        assert_eq!((server.token_requests(), server.api_requests()), (2, 2));
        assert_eq!(server.requests().last().unwrap().status(), Some(200));
    }

    /// Runs requests on a runtime.
    #[derive(Debug)]
    struct OnRuntime(std::sync::Arc<Authorized>, tokio::runtime::Handle);

    #[async_trait::async_trait]
    impl HttpClient for OnRuntime {
        async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
            let client = self.0.clone();
            self.1.spawn(async move { client.send_bytes(request).await }).await?
        }
    }
}

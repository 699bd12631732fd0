//! kube: a stack of its own, in which request bodies are buffered, so that requests can be repeated.

use bytes::Bytes;
use client_credentials::{BearerAuth, ClientCredentials};
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use tower::{BoxError, ServiceBuilder};

/// Over TLS, `config.rustls_https_connector()?` is the connector.
pub fn client(tokens: ClientCredentials, config: &kube::Config) -> Result<kube::Client, BoxError> {
    let bearer = BearerAuth::for_origin(config.cluster_url.to_string(), tokens)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .filter_async(async |request: Request<Body>| {
            let (parts, body) = request.into_parts();
            Ok::<_, BoxError>(Request::from_parts(parts, Full::<Bytes>::new(body.collect_bytes().await?)))
        })
        .layer(bearer)
        .service(Client::builder(TokioExecutor::new()).build_http());
    Ok(kube::Client::new(service, &*config.default_namespace))
}

#[cfg(test)]
mod tests {
    use crate::support::start;

    #[tokio::test]
    async fn a_revoked_token_is_replaced_and_the_request_repeated() {
        let (server, tokens) = start();
        let config = kube::Config::new(server.api_origin().parse().unwrap());
        let client = super::client(tokens, &config).unwrap();
        for fetches in 1..=2 {
            let request = http::Request::post("/api/v1/namespaces").body(b"a namespace".to_vec()).unwrap();
            let answer = client.request_text(request).await.unwrap();
            assert!(answer.contains("a namespace"), "{answer}");
            assert_eq!(server.token_requests(), fetches);
            server.revoke_all();
        }
    }
}

//! temporalio-client: each new token becomes the API key of the connection.

use client_credentials::{ClientCredentials, Error};
use temporalio_client::{Connection, ConnectionOptions};
use tower::BoxError;

/// The first token is needed to connect.
pub async fn connect(tokens: &ClientCredentials, mut options: ConnectionOptions) -> Result<Connection, BoxError> {
    options.api_key = Some(tokens.token().await?.expose_secret().to_owned());
    Ok(Connection::connect(options).await?)
}

/// Runs alongside the workers, until the tokio runtime shuts down.
pub async fn keep(connection: Connection, tokens: ClientCredentials) -> Result<(), Error> {
    let mut changes = tokens.changes();
    loop {
        let token = changes.next().await?;
        connection.set_api_key(Some(token.expose_secret().to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Request, Response};
    use hyper::body::Incoming;

    use super::*;
    use crate::support::{MINUTE, next_after, serve, start};

    #[tokio::test]
    async fn calls_have_the_token_after_the_rejected_one() {
        let (server, tokens) = start();
        // It knows no method, and refuses requests without a token of the server.
        let issuer = server.clone();
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let (status, text) = match issuer.accepts(request.headers()) {
                true => ("12", "unknown method"),
                false => ("16", "who are you?"),
            };
            let answer = Response::builder().header("content-type", "application/grpc");
            let answer = answer.header("grpc-status", status).header("grpc-message", text);
            std::future::ready(Ok::<_, Infallible>(answer.body(String::new()).unwrap()))
        });
        let options = ConnectionOptions::new(serve(service).await.parse::<temporalio_client::Url>().unwrap()).build();
        let connection = connect(&tokens, options).await.unwrap();
        let code = async || {
            let answer = connection.workflow_service().get_system_info(tonic::Request::new(Default::default())).await;
            answer.unwrap_err().code()
        };
        let first = tokens.token().await.unwrap();
        let keeping = tokio::spawn(keep(connection.clone(), tokens.clone()));
        server.revoke_all();
        assert_eq!(code().await, tonic::Code::Unauthenticated);
        next_after(&tokens, &first).await;
        let again = async {
            while code().await != tonic::Code::Unimplemented {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(MINUTE, again).await.unwrap();
        assert_eq!(server.token_requests(), 2);
        keeping.abort();
    }
}

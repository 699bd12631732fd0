//! Server-sent events: a stream of responses of a client that has the middleware.

use client_credentials::{BearerAuth, ClientCredentials};
use eventsource_stream::{Event, Eventsource};
use futures_util::{Stream, StreamExt};
use reqwest_middleware::ClientBuilder;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub async fn events(
    tokens: ClientCredentials,
    origin: &str,
    path: &str,
) -> Result<impl Stream<Item = Result<Event, BoxError>>, BoxError> {
    let bearer = BearerAuth::for_origin(origin, tokens)?;
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    let request = client.get(format!("{origin}{path}")).header("accept", "text/event-stream");
    let response = request.send().await?.error_for_status()?;
    Ok(response.bytes_stream().eventsource().map(|event| event.map_err(Into::into)))
}

#[cfg(test)]
mod tests {
    use client_credentials::testing::{Answer, Endpoint};

    use super::*;
    use crate::support::start;

    #[tokio::test]
    async fn a_stream_whose_token_was_revoked_is_opened_again() {
        let (server, tokens) = start();
        server.next_at(Endpoint::Api, Answer::Refuse("invalid_token"));
        let response = http::Response::builder().header("content-type", "text/event-stream");
        let body = "data: one\n\ndata: two\n\n".to_owned();
        server.next_at(Endpoint::Api, Answer::Response(response.body(body).unwrap()));
        let events = events(tokens, server.api_origin(), "/events").await.unwrap();
        let seen: Vec<_> = events.map(|event| event.unwrap().data).collect().await;
        assert_eq!((seen, server.token_requests()), (vec!["one".to_owned(), "two".to_owned()], 2));
    }
}

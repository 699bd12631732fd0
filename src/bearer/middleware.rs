//! [`BearerAuth`] as a middleware of reqwest-middleware.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::reqwest::answer;
use super::trip::Trip;
use super::{BearerAuth, Choice};

#[async_trait::async_trait]
impl<S: Choice<Key: 'static> + 'static> Middleware for BearerAuth<S> {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let Some((origin, key)) = self.destination(&request, Some(extensions)).map_err(Error::middleware)? else {
            return next.run(request, extensions).await;
        };
        let token = self.source.token_for(&key).await.map_err(Error::middleware)?;
        let mut trip = Trip::begin(&self.policy, origin, token, &mut request);
        trip.prove(&mut request).await.map_err(Error::middleware)?;
        mark(extensions, &trip);
        let mut response = next.clone().run(request, extensions).await?;
        loop {
            let verdict = trip.judge(&self.policy, &answer(&response));
            match trip.again(self, &key, verdict).await {
                Some(again) => {
                    mark(extensions, &trip);
                    response = next.clone().run(again, extensions).await?;
                }
                None => return Ok(response),
            }
        }
    }
}

/// For [`SameCertificate`](super::SameCertificate).
#[cfg(feature = "mtls")]
fn mark(extensions: &mut Extensions, trip: &Trip<Request>) {
    use super::same_certificate::Carried;
    match trip.token().client_certificate() {
        Some(_) => extensions.insert(Carried(trip.token().clone())),
        None => extensions.remove(),
    };
}

#[cfg(not(feature = "mtls"))]
fn mark(_: &mut Extensions, _: &Trip<Request>) {}

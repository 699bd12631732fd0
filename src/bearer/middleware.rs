//! [`BearerAuth`] as a middleware of reqwest-middleware.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::BearerAuth;
use super::reqwest::stack;
use super::trip::{Trip, Verdict};

#[async_trait::async_trait]
impl Middleware for BearerAuth {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        let Some((place, source)) = self.destination(&request, Some(extensions)).map_err(Error::middleware)? else {
            return next.run(request, extensions).await;
        };
        let policy = self.policy();
        let token = source.token().await.map_err(Error::middleware)?;
        let mut trip = Trip::begin(policy, place, source, token, &mut request);
        // Rare cases are boxed: this future is allocated for each request, and should be small.
        if trip.token().possession().is_some() {
            Box::pin(trip.prove(&mut request)).await.map_err(Error::middleware)?;
        }
        self.mark(extensions, &trip);
        let stack = stack::<Error>();
        let mut response = next.clone().run(request, extensions).await?;
        loop {
            let verdict = trip.judge(policy, &(stack.answer)(&response));
            if verdict == Verdict::HandBack {
                return Ok(response);
            }
            let again;
            (response, again) = Box::pin(trip.next(policy, &stack, response, verdict)).await?;
            let Some(again) = again else {
                return Ok(response);
            };
            self.mark(extensions, &trip);
            response = next.clone().run(again, extensions).await?;
        }
    }
}

impl BearerAuth {
    /// For [`SameCertificate`](super::SameCertificate).
    #[cfg(feature = "mtls")]
    fn mark(&self, extensions: &mut Extensions, trip: &Trip<Request>) {
        use super::same_certificate::Carried;
        let token = trip.token();
        match token.client_certificate() {
            Some(certificate) => extensions.insert(Carried {
                certificate,
                header: self.policy().header().clone(),
                value: self.policy().value(token),
            }),
            None => extensions.remove(),
        };
    }

    #[cfg(not(feature = "mtls"))]
    fn mark(&self, _: &mut Extensions, _: &Trip<Request>) {}
}

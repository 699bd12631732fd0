//! [`BearerAuth`] as a middleware of reqwest-middleware.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::BearerAuth;
use super::reqwest::answer;
use super::trip::Trip;
use crate::TokenSource;

#[cfg_attr(docsrs, doc(cfg(feature = "middleware")))]
#[async_trait::async_trait]
impl<S: TokenSource + 'static> Middleware for BearerAuth<S> {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let Some(origin) = Trip::destination(&self.policy, &request).map_err(Error::middleware)?
        else {
            return next.run(request, extensions).await;
        };
        let token = self.source.token().await.map_err(Error::middleware)?;
        let mut trip = Trip::begin(&self.policy, origin, token, &mut request);
        trip.prove(&mut request).await.map_err(Error::middleware)?;
        let mut response = next.clone().run(request, extensions).await?;
        loop {
            let verdict = trip.judge(&self.policy, &answer(&response));
            match trip.again(self, verdict).await {
                Some(again) => response = next.clone().run(again, extensions).await?,
                None => return Ok(response),
            }
        }
    }
}

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
        let trip = Trip::begin(&self.policy, origin, token, &mut request);
        let response = next.clone().run(request, extensions).await?;
        if !trip.is_refused(&self.policy, &answer(&response)) {
            return Ok(response);
        }
        match trip.again(self).await {
            Some(again) => next.run(again, extensions).await,
            None => Ok(response),
        }
    }
}

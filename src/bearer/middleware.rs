//! [`BearerAuth`] as a middleware of reqwest-middleware, and requests of reqwest.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::BearerAuth;
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
        let trip = Trip::begin(self, &mut request)
            .await
            .map_err(Error::middleware)?;
        let response = next.clone().run(request, extensions).await?;
        match trip.judge(self, super::reqwest::answer(&response)).await {
            Some(again) => next.run(again, extensions).await,
            None => Ok(response),
        }
    }
}

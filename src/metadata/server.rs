//! One source's view of an authorization server (RFC 8414, OpenID Connect Discovery 1.0).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Found, Published};
use crate::Error;
use crate::cache::clock::{Clock, Moment};
use crate::client_auth::ClientAuth;
use crate::event::event;
use crate::exchange::Exchange;

pub(crate) struct Server {
    published: Arc<Published>,
    /// The method was found missing in the list, and that was told.
    told_method: AtomicBool,
}

impl Server {
    pub(crate) fn new(published: Arc<Published>) -> Self {
        Server { published, told_method: AtomicBool::new(false) }
    }

    pub(super) fn issuer(&self) -> &str {
        &self.published.rules.issuer
    }

    pub(super) async fn find(&self, exchange: &Exchange, auth: &ClientAuth, clock: &Clock) -> Result<Found, Error> {
        let document = self.published.document(exchange, clock).await?;
        // Real lists are wrong, and a weaker method would be a present to whoever forges one.
        if document.lacks(auth.registered_names()) && !self.told_method.swap(true, Ordering::Relaxed) {
            event!(
                warn,
                issuer = %self.issuer(),
                method = auth.name(),
                "the authorization server's metadata does not list the client's method: it is used all the same"
            );
        }
        Ok(Found {
            token_endpoint: document.token_endpoint.clone(),
            issuer: Some(self.issuer().to_owned()),
            resource: None,
        })
    }

    pub(super) fn ask_soon(&self, now: Moment) {
        self.published.ask_soon(now);
    }
}

//! The metadata of one authorization server (RFC 8414, OpenID Connect Discovery 1.0).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use url::Url;

use super::Found;
use super::document::{Document, Rules, decode, well_known};
use super::kept::{Kept, Look, first_usable};
use crate::Error;
use crate::cache::clock::{Clock, Moment};
use crate::client_auth::ClientAuth;
use crate::event::event;
use crate::exchange::Exchange;
#[cfg(feature = "tracing")]
use crate::exchange::Shown;

pub(crate) struct Server {
    pub(super) rules: Rules,
    token_endpoint: Kept<Url>,
    /// The method was found missing in the list, and that was told.
    told_method: AtomicBool,
}

impl Server {
    pub(crate) fn new(rules: Rules, lifetime: Duration) -> Self {
        Server {
            rules,
            token_endpoint: Kept::new(lifetime),
            told_method: AtomicBool::new(false),
        }
    }

    pub(super) async fn find(
        &self,
        exchange: &Exchange,
        auth: &ClientAuth,
        clock: &Clock,
    ) -> Result<Found, Error> {
        let known = match self.token_endpoint.look(clock.now()) {
            Look::Known(url) => return Ok(self.found(url)),
            Look::Due(known) => known,
        };
        match (self.fetch(exchange, clock).await, known) {
            (Ok(document), _) => Ok(self.adopt(document, auth, clock.now())),
            (Err(_error), Some(known)) => {
                event!(warn, issuer = %self.rules.issuer, error = %format_args!("{_error:#}"), "the authorization server's metadata cannot be renewed: the previous stays in use");
                Ok(self.found(known))
            }
            (Err(error), None) => Err(error),
        }
    }

    pub(super) fn ask_soon(&self, now: Moment) {
        self.token_endpoint.ask_soon(now);
    }

    fn found(&self, token_endpoint: Url) -> Found {
        Found {
            token_endpoint,
            issuer: Some(self.rules.issuer.clone()),
            resource: None,
        }
    }

    fn adopt(&self, document: Document, auth: &ClientAuth, now: Moment) -> Found {
        let url = document.token_endpoint;
        if self.token_endpoint.adopt(url.clone(), now) {
            event!(warn, issuer = %self.rules.issuer, token_endpoint = %Shown(&url), "the token endpoint has moved");
        }
        let names = auth.registered_names();
        let is_listed =
            |listed: &Vec<String>| listed.iter().any(|one| names.contains(&one.as_str()));
        let missing = document
            .auth_methods
            .is_some_and(|listed| !is_listed(&listed));
        if missing && !names.is_empty() && !self.told_method.swap(true, Ordering::Relaxed) {
            // Real lists are wrong, and a weaker method would be a present to whoever forges one.
            event!(warn, issuer = %self.rules.issuer, method = auth.name(),
                "the authorization server's metadata does not list the client's method: it is used all the same"
            );
        }
        self.found(url)
    }

    async fn fetch(&self, exchange: &Exchange, clock: &Clock) -> Result<Document, Error> {
        let whose = format!("the issuer {}", self.rules.issuer);
        let places = well_known(&self.rules.url);
        first_usable(
            exchange,
            clock,
            (whose, "the metadata"),
            &places,
            |response| decode(response, &self.rules),
        )
        .await
    }
}

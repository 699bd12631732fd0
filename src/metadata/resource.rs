//! Finds the authorization server of an API: the metadata of a protected resource (RFC 9728), and of the server that it
//! names.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Found;
use super::fetch::first_usable;
use super::memory::{Memory, News};
use super::resource_document::{Named, ResourceRules, decode};
use super::server::Server;
use crate::clock::{Clock, Moment};
use crate::error::Error;
use crate::event::event;
use crate::exchange::Exchange;

pub(crate) struct Resource {
    pub(super) rules: ResourceRules,
    /// The URLs of its metadata, in the order in which they are tried.
    places: Vec<Url>,
    /// The servers of all allowed issuers.
    servers: Vec<Arc<Server>>,
    /// Whether `resource` is sent.
    sent: bool,
    /// Whether its scopes are requested.
    scoped: bool,
    named: Memory<Named>,
}

impl Resource {
    pub(crate) fn new(
        rules: ResourceRules,
        places: Vec<Url>,
        servers: Vec<Arc<Server>>,
        (sent, scoped): (bool, bool),
        lifetime: Duration,
    ) -> Self {
        Resource { rules, places, servers, sent, scoped, named: Memory::new(lifetime) }
    }

    /// A change in the API's metadata takes effect once the metadata of the server is usable, too.
    pub(super) async fn find(&self, exchange: &Exchange, clock: &Clock) -> Result<Found, Error> {
        let mut found = None;
        let fetch = async {
            let whose = (format!("the resource {}", self.rules.shown()), "the resource's metadata");
            let decode = |response: &_| decode(response, &self.rules);
            let named = first_usable(exchange, clock, whose, &self.places, decode).await?;
            found = Some(self.found(&named, exchange, clock).await?);
            Ok(named)
        };
        let limit = exchange.attempt_timeout().saturating_mul(4); // two addresses each of the resource and its server
        let (named, news) = self.named.get(clock, limit, fetch).await?;
        match &news {
            News::Same => {}
            News::Changed => {
                event!(warn, resource = %self.rules.shown(), issuer = %named.issuer, "the resource has another authorization server, or another name");
            }
            News::Previous(_error) => {
                event!(warn, resource = %self.rules.shown(), error = %format_args!("{_error:#}"), "the resource's metadata cannot be fetched again: the previous metadata stays in use");
            }
        }
        // The server's metadata is fetched at most once for an attempt, however soon it is due again.
        match found {
            Some(found) => Ok(found),
            None => self.found(&named, exchange, clock).await,
        }
    }

    /// The URL is not, or no longer, that of a token endpoint.
    pub(super) fn fetch_early(&self, now: Moment) {
        self.refused(now);
        for server in &self.servers {
            server.fetch_early(now);
        }
    }

    /// The API rejected a token.
    pub(super) fn refused(&self, now: Moment) {
        self.named.fetch_early(now);
    }

    async fn found(&self, named: &Named, exchange: &Exchange, clock: &Clock) -> Result<Found, Error> {
        let Some(server) = self.servers.iter().find(|server| server.issuer() == named.issuer) else {
            // `issuer` is always one of the allowed ones.
            return Err(Error::other("the issuer is not among those allowed"));
        };
        let document = server.document(exchange, clock).await?;
        let resource = self.sent.then(|| named.resource.clone());
        let scope = named.scope.clone().filter(|_| self.scoped);
        Ok(Found { resource, scope, ..Found::at(server, document) })
    }
}

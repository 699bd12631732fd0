//! From an API to its authorization server: the metadata of a protected resource (RFC 9728), and of the server that
//! they name.

use std::time::Duration;

use url::Url;

use super::kept::{Kept, Look, first_usable};
use super::resource_document::{Named, ResourceRules, decode};
use super::{Found, Server};
use crate::Error;
use crate::cache::clock::{Clock, Moment};
use crate::client_auth::ClientAuth;
use crate::event::event;
use crate::exchange::Exchange;

pub(crate) struct Resource {
    pub(super) rules: ResourceRules,
    /// Where its metadata are, in the order of asking.
    places: Vec<Url>,
    /// Of all issuers that are allowed.
    servers: Vec<Server>,
    /// Whether `resource` is sent along.
    sent: bool,
    named: Kept<Named>,
}

impl Resource {
    pub(crate) fn new(
        rules: ResourceRules,
        places: Vec<Url>,
        servers: Vec<Server>,
        sent: bool,
        lifetime: Duration,
    ) -> Self {
        Resource { rules, places, servers, sent, named: Kept::new(lifetime) }
    }

    /// What is newly named counts from the moment on at which its server's metadata are good, too.
    pub(super) async fn find(&self, exchange: &Exchange, auth: &ClientAuth, clock: &Clock) -> Result<Found, Error> {
        let known = match self.named.look(clock.now()) {
            Look::Known(named) => return self.found(&named, exchange, auth, clock).await,
            Look::Due(known) => known,
        };
        let renewed = async {
            let named = self.fetch(exchange, clock).await?;
            let found = self.found(&named, exchange, auth, clock).await?;
            Ok((named, found))
        };
        match (renewed.await, known) {
            (Ok((named, found)), _) => {
                if self.named.adopt(named, clock.now()) {
                    event!(warn, resource = %self.rules.shown(), issuer = found.issuer.as_deref(), "the resource has another authorization server, or another name");
                }
                Ok(found)
            }
            (Err(_error), Some(known)) => {
                event!(warn, resource = %self.rules.shown(), error = %format_args!("{_error:#}"), "the resource's metadata cannot be renewed: the previous stay in use");
                self.found(&known, exchange, auth, clock).await
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The token endpoint is none, or is gone.
    pub(super) fn ask_soon(&self, now: Moment) {
        self.refused(now);
        for server in &self.servers {
            server.ask_soon(now);
        }
    }

    /// The API refused a token.
    pub(super) fn refused(&self, now: Moment) {
        self.named.ask_soon(now);
    }

    async fn found(
        &self,
        named: &Named,
        exchange: &Exchange,
        auth: &ClientAuth,
        clock: &Clock,
    ) -> Result<Found, Error> {
        let is_named = |server: &&Server| server.issuer() == named.issuer;
        let Some(server) = self.servers.iter().find(is_named) else {
            // Only allowed issuers are ever named.
            return Err(Error::other("the issuer is not among those allowed"));
        };
        let mut found = server.find(exchange, auth, clock).await?;
        found.resource = self.sent.then(|| named.resource.clone());
        Ok(found)
    }

    async fn fetch(&self, exchange: &Exchange, clock: &Clock) -> Result<Named, Error> {
        let whose = format!("the resource {}", self.rules.shown());
        let name = "the resource's metadata";
        first_usable(exchange, clock, (whose, name), &self.places, |response| decode(response, &self.rules)).await
    }
}

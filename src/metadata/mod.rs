//! Finds the token endpoint: by the name of its authorization server (RFC 8414, OpenID Connect Discovery 1.0), or from
//! the API on (RFC 9728).

pub(crate) mod document;
mod kept;
mod published;
mod resource;
pub(crate) mod resource_document;
mod server;

use std::fmt;

use url::Url;

use crate::cache::clock::{Clock, Moment};
use crate::client_auth::ClientAuth;
use crate::exchange::{Exchange, Shown};
use crate::{Error, ErrorKind};
pub(crate) use document::{Rules, secure};
pub(crate) use kept::LIFETIME;
pub(crate) use published::Published;
pub(crate) use resource::Resource;
pub(crate) use resource_document::{ResourceRules, well_known as well_known_of_resource};
pub(crate) use server::Server;

/// Where to ask for tokens.
pub(crate) enum Endpoint {
    /// Told, and whose it is, if that was told as well.
    Fixed(Url, Option<String>),
    OfServer(Box<Server>),
    OfResource(Box<Resource>),
}

/// What one attempt goes by: it does not move under way.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) token_endpoint: Url,
    pub(crate) issuer: Option<String>,
    /// `resource` to ask for (RFC 8707), beside what the user asks for.
    pub(crate) resource: Option<String>,
}

impl Endpoint {
    /// For one attempt.
    pub(crate) async fn find(&self, exchange: &Exchange, auth: &ClientAuth, clock: &Clock) -> Result<Found, Error> {
        match self {
            Endpoint::Fixed(url, issuer) => {
                Ok(Found { token_endpoint: url.clone(), issuer: issuer.clone(), resource: None })
            }
            Endpoint::OfServer(server) => server.find(exchange, auth, clock).await,
            Endpoint::OfResource(resource) => resource.find(exchange, auth, clock).await,
        }
    }

    /// An attempt failed there.
    pub(crate) fn failed(&self, error: &Error, now: Moment) {
        // Nobody answered, or whoever did was no token endpoint.
        let moved = matches!(error.kind(), ErrorKind::Response | ErrorKind::Transport | ErrorKind::Tls);
        match self {
            Endpoint::OfServer(server) if moved => server.ask_soon(now),
            Endpoint::OfResource(resource) if moved => resource.ask_soon(now),
            _ => {}
        }
    }

    /// The API refused a token from there: it may have another authorization server now (RFC 9728 section 5.2).
    pub(crate) fn refused_by_api(&self, now: Moment) {
        if let Endpoint::OfResource(resource) = self {
            resource.refused(now);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Fixed(url, _) => write!(f, "{}", Shown(url)),
            Endpoint::OfServer(server) => write!(f, "of {}", server.issuer()),
            Endpoint::OfResource(resource) => {
                write!(f, "of the server that {} names", resource.rules.shown())
            }
        }
    }
}

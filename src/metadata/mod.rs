//! Finds the token endpoint from the issuer (RFC 8414, OpenID Connect Discovery 1.0) or from the API (RFC 9728).

pub(crate) mod document;
mod fetch;
mod memory;
mod resource;
pub(crate) mod resource_document;
mod server;

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::address::Shown;
use crate::clock::{Clock, Moment};
use crate::error::{Error, ErrorKind};
use crate::exchange::Exchange;
use document::Document;
pub(crate) use document::{Rules, named_by};
pub(crate) use memory::LIFETIME;
pub(crate) use resource::Resource;
pub(crate) use resource_document::{ResourceRules, well_known_of_resource};
pub(crate) use server::{Directory, Server};

/// How the token endpoint is found.
pub(crate) enum Endpoint {
    Fixed(Url),
    OfServer(Arc<Server>),
    OfResource(Box<Resource>),
}

/// The endpoint of one attempt, which does not change during the attempt.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) token_endpoint: Url,
    pub(crate) issuer: Option<String>,
    /// The `resource` to request (RFC 8707), in addition to the user's parameters.
    pub(crate) resource: Option<String>,
    /// The `scope` to request if the user sets none: all scopes that the API supports.
    pub(crate) scope: Option<String>,
    document: Option<Arc<Document>>,
}

impl Found {
    fn at(server: &Server, document: Arc<Document>) -> Found {
        Found {
            token_endpoint: document.token_endpoint.clone(),
            issuer: Some(server.issuer().to_owned()),
            resource: None,
            scope: None,
            document: Some(document),
        }
    }

    /// Whether the metadata lists client authentication methods, and none of these.
    pub(crate) fn lacks(&self, methods: &[&str]) -> bool {
        self.document.as_ref().is_some_and(|document| document.lacks(methods))
    }
}

impl Endpoint {
    /// Finds the endpoint for one attempt.
    pub(crate) async fn find(&self, exchange: &Exchange, clock: &Clock) -> Result<Found, Error> {
        match self {
            Endpoint::Fixed(url) => {
                Ok(Found { token_endpoint: url.clone(), issuer: None, resource: None, scope: None, document: None })
            }
            Endpoint::OfServer(server) => Ok(Found::at(server, server.document(exchange, clock).await?)),
            Endpoint::OfResource(resource) => resource.find(exchange, clock).await,
        }
    }

    /// An attempt at this endpoint failed.
    pub(crate) fn failed(&self, error: &Error, now: Moment) {
        // There was no response, or none of a token endpoint.
        let moved = match error.kind() {
            ErrorKind::Response | ErrorKind::Transport | ErrorKind::Tls => true,
            // Without an OAuth error, another service may be at this address now.
            ErrorKind::Denied | ErrorKind::Other => error.oauth().is_none(),
            _ => false,
        };
        match self {
            Endpoint::OfServer(server) if moved => server.fetch_early(now),
            Endpoint::OfResource(resource) if moved => resource.fetch_early(now),
            _ => {}
        }
    }

    /// The API rejected a token from this endpoint: it may have another authorization server now (RFC 9728 section
    /// 5.2).
    pub(crate) fn refused_by_api(&self, now: Moment) {
        if let Endpoint::OfResource(resource) = self {
            resource.refused(now);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Fixed(url) => write!(f, "{}", Shown(url)),
            Endpoint::OfServer(server) => write!(f, "of {}", server.issuer()),
            Endpoint::OfResource(resource) => write!(f, "of the server that {} names", resource.rules.shown()),
        }
    }
}

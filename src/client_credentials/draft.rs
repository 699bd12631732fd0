//! The settings of a builder as they are, to explain or examine them without a source.

use http::HeaderMap;
use url::Url;

use super::ClientCredentialsBuilder;
use super::server::Known;
use crate::address;
use crate::clock::Moment;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::faults::Faults;
use crate::grant::request::Params;
use crate::retry::RetryPolicy;

/// The settings of a builder, and all faults that `build()` would report.
pub(crate) struct Draft {
    pub(crate) faults: Vec<String>,
    pub(crate) start: Start,
    pub(crate) params: Params,
    /// The user's headers.
    pub(crate) headers: HeaderMap,
    pub(crate) now: Moment,
    /// The builder itself.
    pub(crate) builder: ClientCredentialsBuilder,
}

/// How the user identifies the server; a URL is `None` if it is invalid.
pub(crate) enum Start {
    TokenEndpoint(Option<Url>),
    Issuer { issuer: String, url: Option<Url>, pinned: bool },
    Resource { resource: String, url: Option<Url>, allowed: Vec<String>, sent: bool, scoped: bool },
}

impl Start {
    pub(crate) fn url(&self) -> Option<&Url> {
        match self {
            Start::TokenEndpoint(url) | Start::Issuer { url, .. } | Start::Resource { url, .. } => url.as_ref(),
        }
    }
}

impl ClientCredentialsBuilder {
    /// Checks everything, without I/O.
    pub(crate) fn draft(&self) -> Draft {
        let mut faults = Faults::default();
        let (_, params, headers) = self.checked(&mut faults);
        let url = |text: &str| address::secure(text, &self.plain_hosts).ok();
        let start = match &self.server.0 {
            Known::TokenEndpoint(endpoint) => Start::TokenEndpoint(url(endpoint)),
            Known::Issuer(issuer) => Start::Issuer {
                issuer: issuer.issuer.clone(),
                url: url(&issuer.issuer),
                pinned: issuer.metadata.pinned_origin.is_some(),
            },
            Known::Resource(api) => Start::Resource {
                resource: api.resource.clone(),
                url: url(&api.resource),
                allowed: api.allowed.clone(),
                sent: !api.omitted && !self.names("resource"),
                scoped: api.scoped,
            },
        };
        Draft { faults: faults.into_list(), start, params, headers, now: self.clock.now(), builder: self.clone() }
    }

    /// An exchange like that of the source, for any host.
    pub(crate) fn exchange(&self, first: &Url) -> Result<Exchange, Error> {
        self.exchange_with(first, &self.wire_headers(&mut Faults::default()), None)
    }

    /// For a source that sends one token request, with one credential: nothing is repeated, shared or observed.
    pub(crate) fn for_one_request(mut self) -> Self {
        self.auth = self.auth.at_one_place();
        self.retry = RetryPolicy::new().attempts(1);
        self.observers.clear();
        #[cfg(feature = "shared")]
        {
            self.shared = None;
        }
        self
    }

    /// Whether tokens are bound to a key by DPoP.
    pub(crate) fn is_bound(&self) -> bool {
        #[cfg(feature = "dpop")]
        return self.dpop.is_some();
        #[cfg(not(feature = "dpop"))]
        false
    }

    pub(crate) fn is_shared(&self) -> bool {
        #[cfg(feature = "shared")]
        return self.shared.is_some();
        #[cfg(not(feature = "shared"))]
        false
    }
}

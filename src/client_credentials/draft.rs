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
    pub(crate) faults: Faults,
    /// The URL that the user identifies the server by; `None`: it is invalid.
    pub(crate) url: Option<Url>,
    /// Whether the URL of an API is sent as `resource`.
    pub(crate) sends_resource: bool,
    pub(crate) params: Params,
    /// The user's headers.
    pub(crate) headers: HeaderMap,
    pub(crate) now: Moment,
    /// The builder itself.
    pub(crate) builder: ClientCredentialsBuilder,
}

impl Draft {
    /// How the user identifies the server.
    pub(crate) fn server(&self) -> &Known {
        &self.builder.server.0
    }
}

impl ClientCredentialsBuilder {
    /// Checks everything, without I/O.
    pub(crate) fn draft(&self) -> Draft {
        let mut faults = Faults::default();
        let (_, params, headers) = self.checked(&mut faults);
        let url = match &self.server.0 {
            Known::TokenEndpoint(endpoint) => endpoint,
            Known::Issuer(issuer) => &issuer.issuer,
            Known::Resource(api) => &api.resource,
        };
        let url = address::secure(url, &self.plain_hosts).ok();
        let sends_resource = matches!(&self.server.0, Known::Resource(api) if self.sends_resource(api));
        Draft { faults, url, sends_resource, params, headers, now: self.clock.now(), builder: self.clone() }
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

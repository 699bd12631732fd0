//! Where the first request goes, from how the user identifies the server.

use std::sync::Arc;

use url::Url;

use super::ClientCredentialsBuilder;
use super::server::{Issuer, Known, Metadata, ProtectedResource};
use crate::address::{self, NamedHosts, Shown};
use crate::faults::Faults;
use crate::metadata::document::owner;
use crate::metadata::{self, Endpoint, Resource, ResourceRules, Rules, Server, named_by, well_known_of_resource};

/// The location of the server, as far as the configuration has it.
pub(super) struct Located {
    pub(super) endpoint: Endpoint,
    /// The URL that the first request goes to.
    pub(super) first: Url,
    /// A URL to which the credential may be sent over plain `http`.
    pub(super) plain: Option<Url>,
    /// Other hosts must have public addresses.
    pub(super) named_hosts: Option<NamedHosts>,
}

impl ClientCredentialsBuilder {
    pub(super) fn locate(&self, faults: &mut Faults) -> Option<Located> {
        match &self.server.0 {
            Known::TokenEndpoint(endpoint) => self.at_endpoint(endpoint, faults),
            Known::Issuer(issuer) => self.at_issuer(issuer, faults),
            Known::Resource(api) => self.at_resource(api, faults),
        }
    }

    fn at_endpoint(&self, endpoint: &str, faults: &mut Faults) -> Option<Located> {
        const FIELD: &str = "token_endpoint";
        let url = faults.take(FIELD, address::secure(endpoint, &self.plain_hosts))?;
        if url.fragment().is_some() {
            faults.add(FIELD, "has a fragment (RFC 6749 section 3.2)");
        }
        if let Some(owner) = owner(&url) {
            let flaw = "is the address of metadata: give the token_endpoint that is in it, or the issuer in place of the token endpoint";
            faults.add(FIELD, format!("{} {flaw}, probably {owner}", Shown(&url)));
        }
        if self.auth.is_mutual_tls() && url.scheme() != "https" {
            faults.add(FIELD, "is not https, and mutual_tls presents the certificate in the TLS handshake");
        }
        let plain = Some(url.clone()).filter(|url| url.scheme() == "http");
        Some(Located { endpoint: Endpoint::Fixed(url.clone()), first: url, plain, named_hosts: None })
    }

    fn at_issuer(&self, issuer: &Issuer, faults: &mut Faults) -> Option<Located> {
        let url = self.issuer_url("issuer", &issuer.issuer, faults);
        let pinned = self.pinned(&issuer.metadata, faults);
        let url = url?;
        let server = self.server(&issuer.issuer, url.clone(), &issuer.metadata, pinned, None);
        Some(Located {
            endpoint: Endpoint::OfServer(server),
            plain: Some(url.clone()).filter(|url| url.scheme() == "http"),
            first: url,
            named_hosts: None,
        })
    }

    fn at_resource(&self, api: &ProtectedResource, faults: &mut Faults) -> Option<Located> {
        const FIELD: &str = "protected_resource";
        let url = faults.take(FIELD, address::secure(&api.resource, &self.plain_hosts));
        // A query is allowed (RFC 9728 section 1.2).
        if url.as_ref().is_some_and(|url| url.fragment().is_some()) {
            faults.add(FIELD, "has a fragment (RFC 9728 section 1.2)");
        }
        if let Some((url, owner)) = url.as_ref().and_then(|url| Some((url, owner(url)?))) {
            faults.add(
                FIELD,
                format!("{} is the address of the API's metadata: give that of the API, probably {owner}", Shown(url)),
            );
        }
        if api.allowed.is_empty() {
            faults.add("allowed_issuers", "is empty: name the authorization servers that know this client");
        }
        let issuers: Vec<Option<Url>> =
            api.allowed.iter().map(|issuer| self.issuer_url("allowed_issuers", issuer, faults)).collect();
        let issuers: Option<Vec<Url>> = issuers.into_iter().collect();
        let pinned = self.pinned(&api.metadata, faults);
        let (url, issuers) = (url?, issuers?);

        let named = issuers.iter().chain([&url]).chain(&pinned).filter_map(Url::host_str).map(Into::into);
        let named = NamedHosts::new(named.chain(self.plain_hosts.iter().cloned()));
        let places = match &api.location {
            None => well_known_of_resource(&url, api.enclosing),
            Some(location) => {
                let judged = named_by(&url, location, &self.plain_hosts);
                let judged = judged.and_then(|url| match named.flaw(&url) {
                    Some(flaw) => Err(flaw.to_string()),
                    None => Ok(url),
                });
                vec![faults.take("resource_metadata", judged.map_err(|flaw| format!("of the challenge {flaw}")))?]
            }
        };
        let first = places.first()?.clone();
        let plain = issuers.iter().find(|issuer| issuer.scheme() == "http").cloned();
        let servers = api.allowed.iter().zip(issuers);
        let servers = servers
            .map(|(issuer, url)| self.server(issuer, url, &api.metadata, pinned.clone(), Some(named.clone())))
            .collect();
        let rules = ResourceRules {
            resource: api.resource.clone(),
            url,
            allowed: api.allowed.clone(),
            enclosing: api.enclosing,
        };
        let sent = self.sends_resource(api);
        let lifetime = api.metadata.lifetime.unwrap_or(metadata::LIFETIME);
        if api.scoped && !sent {
            let flaw = "lets the API choose the scope of tokens that are not for it alone: leave out omit_resource and resource, or \
                        name the scopes by step_up";
            faults.add("scopes_from_api", flaw);
        }
        let resource = Resource::new(rules, places, servers, (sent, api.scoped), lifetime);
        let endpoint = Endpoint::OfResource(Box::new(resource));
        Some(Located { endpoint, first, plain, named_hosts: Some(named) })
    }

    /// An issuer is compared character by character: nothing is normalised.
    fn issuer_url(&self, field: &str, issuer: &str, faults: &mut Faults) -> Option<Url> {
        let url = faults.take(field, address::secure(issuer, &self.plain_hosts))?;
        if url.query().is_some() || url.fragment().is_some() {
            faults.add(field, "has a query or fragment (RFC 8414 section 2)");
        }
        if let Some(owner) = owner(&url) {
            let flaw = "is the address of the metadata: give the issuer that is in it";
            faults.add(field, format!("{} {flaw}, probably {owner}", Shown(&url)));
        }
        Some(url)
    }

    fn pinned(&self, metadata: &Metadata, faults: &mut Faults) -> Option<Url> {
        const FIELD: &str = "pin_token_endpoint_origin";
        if metadata.lifetime.is_some_and(|lifetime| lifetime.is_zero()) {
            faults.add("metadata_lifetime", "is zero: give a duration above it");
        }
        let url = faults.take(FIELD, address::secure(metadata.pinned_origin.as_ref()?, &self.plain_hosts))?;
        if url.as_str().trim_end_matches('/') != url.origin().ascii_serialization() {
            faults.add(FIELD, "is more than an origin: give https://host or https://host:port");
        }
        Some(url)
    }

    fn server(
        &self,
        issuer: &str,
        url: Url,
        metadata: &Metadata,
        pinned: Option<Url>,
        named_hosts: Option<NamedHosts>,
    ) -> Arc<Server> {
        let rules = Rules {
            issuer: issuer.to_owned(),
            url,
            plain_hosts: self.plain_hosts.clone(),
            pinned,
            mutual_tls: self.auth.is_mutual_tls(),
            named_hosts,
        };
        self.http_client.directory().server(rules, metadata.lifetime.unwrap_or(metadata::LIFETIME))
    }
}

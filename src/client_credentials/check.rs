//! What `build()` checks: everything at once, each fault with its field, never with the value of a secret.

use std::collections::BTreeSet;
use std::fmt;

use http::HeaderValue;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, TRANSFER_ENCODING,
};
use url::Url;

use super::ClientCredentialsBuilder;
#[cfg(feature = "jwt")]
use super::place::Place;
use crate::exchange::is_loopback;
use crate::grant::request::Params;
use crate::{Error, ErrorKind};

impl ClientCredentialsBuilder {
    pub(super) fn endpoint(&self, endpoint: &str, faults: &mut Faults) -> Option<Url> {
        const FIELD: &str = "token_endpoint";
        let url = self.secure(FIELD, endpoint, faults)?;
        if !url.username().is_empty() || url.password().is_some() {
            faults.add(FIELD, "has user information before the host: the credentials belong into ClientAuth");
        }
        if url.fragment().is_some() {
            faults.add(FIELD, "has a fragment (RFC 6749 section 3.2)");
        }
        if self.auth.is_mutual_tls() && url.scheme() != "https" {
            faults.add(FIELD, "is not https, and the certificate of mutual_tls is shown in TLS");
        }
        Some(url)
    }

    /// It is compared character by character: nothing is normalised.
    pub(super) fn check_issuer(&self, field: &str, issuer: &str, faults: &mut Faults) -> Option<Url> {
        let url = self.secure(field, issuer, faults)?;
        if url.query().is_some() || url.fragment().is_some() {
            faults.add(field, "has a query or fragment (RFC 8414 section 2)");
        }
        if !url.username().is_empty() || url.password().is_some() {
            faults.add(field, "has user information before the host");
        }
        Some(url)
    }

    /// As the issuer, but a query is allowed (RFC 9728 section 1.2).
    pub(super) fn check_resource(&self, resource: &str, faults: &mut Faults) -> Option<Url> {
        const FIELD: &str = "resource";
        let url = self.secure(FIELD, resource, faults)?;
        if url.fragment().is_some() {
            faults.add(FIELD, "has a fragment (RFC 9728 section 1.2)");
        }
        if !url.username().is_empty() || url.password().is_some() {
            faults.add(FIELD, "has user information before the host");
        }
        Some(url)
    }

    /// Of assertions.
    #[cfg(feature = "jwt")]
    pub(super) fn check_audience(&self, faults: &mut Faults) {
        match (&self.issuer, &self.place) {
            (Some(_), Place::Issuer(_)) => faults.add("issuer", "is given already, to from_issuer"),
            (Some(_), Place::Resource(_)) => {
                faults.add("issuer", "is given already, as one of allowed_issuers");
            }
            (None, Place::TokenEndpoint(_)) if self.auth.needs_issuer() => faults.add("issuer", "is missing: the assertion needs an audience, so name the authorization server by .issuer(\"https://..\"), or say ClientAuth's .assertion_audience(..) for a server that wants another one (Entra ID and older servers: the token endpoint)"),
            _ => {}
        }
    }

    /// Scheme, host and port of a URL that has nothing else.
    pub(super) fn origin(&self, field: &str, origin: &str, faults: &mut Faults) -> Option<Url> {
        let url = self.secure(field, origin, faults)?;
        let bare = url.origin().ascii_serialization();
        if url.as_str().trim_end_matches('/') != bare {
            faults.add(field, "is more than an origin: give https://host or https://host:port");
        }
        Some(url)
    }

    /// A URL where a secret may go.
    fn secure(&self, field: &str, url: &str, faults: &mut Faults) -> Option<Url> {
        let url = match Url::parse(url) {
            Ok(url) => url,
            Err(e) => {
                faults.add(field, format!("is not an absolute URL: give https://host/path ({e})"));
                return None;
            }
        };
        let Some(host) = url.host_str() else {
            faults.add(field, "has no host: give https://host/path");
            return None;
        };
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) || self.plain_hosts.iter().any(|plain| plain.eq_ignore_ascii_case(host)) => {}
            "http" => faults.add(
                field,
                format!(
                    "would send the secret to {host} unencrypted: use https, or say dangerously_allow_http({host:?})"
                ),
            ),
            other => faults.add(field, format!("has the scheme {other} instead of https")),
        }
        Some(url)
    }

    /// Parameters in the order of the RFCs.
    pub(super) fn wire_params(&self, faults: &mut Faults) -> Params {
        // scope-token, RFC 6749 section 3.3.
        let scope_character = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
        let scopes: Vec<_> =
            self.scopes.iter().flat_map(|scope| scope.split(' ')).filter(|one| !one.is_empty()).collect();
        for scope in scopes.iter().filter(|scope| !scope.chars().all(scope_character)) {
            faults.add("scope", format!("{scope:?} has a character that RFC 6749 section 3.3 does not allow"));
        }
        for resource in &self.resources {
            match Url::parse(resource) {
                Ok(uri) if uri.fragment().is_none() => {}
                Ok(_) => faults.add("resource", format!("{resource:?} has a fragment (RFC 8707 section 2)")),
                Err(_) => faults.add("resource", format!("{resource:?} is not an absolute URI (RFC 8707 section 2)")),
            }
        }
        if self.authorization_details.as_ref().is_some_and(|details| !details.is_array()) {
            faults.add("authorization_details", "is not a JSON array (RFC 9396 section 2)");
        }
        if self.client_id_in_body && self.auth.id().is_empty() {
            faults.add("client_id_in_body", "needs an id: ClientAuth::client_id");
        }
        if self.grant_type.is_empty() {
            faults.add("grant_type", "is empty");
        }
        for host in self
            .plain_hosts
            .iter()
            .filter(|host| host.is_empty() || host.contains(['/', ':']) && !host.starts_with('['))
        {
            faults
                .add("dangerously_allow_http", format!("{host:?} is not the name of a host, without scheme and port"));
        }
        self.check_params(faults);

        let scope = (!scopes.is_empty()).then(|| scopes.join(" "));
        let id = (self.client_id_in_body && !self.auth.posts_client_id()).then(|| self.auth.id().to_owned());
        let mut params = vec![("grant_type".to_owned(), self.grant_type.clone())];
        let mut add = |name: &str, value: Option<String>| params.extend(value.map(|value| (name.to_owned(), value)));
        add("client_id", id);
        add("scope", scope);
        add("audience", self.audience.clone());
        self.resources.iter().for_each(|resource| add("resource", Some(resource.clone())));
        add("authorization_details", self.authorization_details.as_ref().map(ToString::to_string));
        self.params.iter().for_each(|(name, value)| add(name, Some(value.clone())));
        Params(params)
    }

    fn check_params(&self, faults: &mut Faults) {
        let mut seen = BTreeSet::new();
        for (name, _) in &self.params {
            match name.as_str() {
                "grant_type" | "scope" | "audience" | "resource" | "authorization_details" => {
                    faults.add("param", format!("{name} has a setter of its own"));
                }
                "client_id" | "client_secret" | "client_assertion" | "client_assertion_type" => {
                    faults.add("param", format!("{name} belongs into ClientAuth"));
                }
                "" => faults.add("param", "has an empty name"),
                _ if !seen.insert(name) => faults.add("param", format!("{name} is given twice (RFC 6749 section 3.2)")),
                _ => {}
            }
        }
    }

    pub(super) fn check_headers(&mut self, faults: &mut Faults) {
        const OURS: [HeaderName; 8] = [
            AUTHORIZATION,
            HOST,
            CONTENT_LENGTH,
            TRANSFER_ENCODING,
            CONNECTION,
            ACCEPT_ENCODING,
            COOKIE,
            HeaderName::from_static("dpop"),
        ];
        for (name, value) in &self.headers {
            match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                (Ok(name), _) if OURS.contains(&name) => {
                    faults.add("header", format!("{name} is not yours to set here"))
                }
                (Ok(name), Ok(mut value)) => {
                    // It may be an API key of a gateway.
                    value.set_sensitive(true);
                    if self.exchange.headers.insert(&name, value).is_some() {
                        faults.add("header", format!("{name} is given twice"));
                    }
                }
                (Ok(name), Err(_)) => {
                    faults.add("header", format!("the value of {name} has a character that headers cannot carry"))
                }
                (Err(_), _) => faults.add("header", format!("{name:?} is not a name of a header")),
            }
        }
    }
}

/// Everything that is wrong, field by field.
#[derive(Default)]
pub(super) struct Faults(pub(super) Vec<String>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, flaw: impl fmt::Display) {
        self.0.push(format!("{field} {flaw}"));
    }

    pub(super) fn into_error(self) -> Error {
        Error::new(ErrorKind::Configuration, format!("the configuration is not usable: {}", self.0.join("; ")))
    }
}

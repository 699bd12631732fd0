//! The parameters and headers of all token requests of a source, and their checks.

use std::collections::BTreeSet;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use url::Url;

use super::ClientCredentialsBuilder;
use super::asserted::TOKEN_EXCHANGE;
use super::locate::Located;
use super::server::{Known, ProtectedResource};
use crate::exchange::{is_labelled, is_reserved};
use crate::faults::Faults;
use crate::grant::request::Params;
use crate::metadata::Endpoint;
use crate::step_up::is_scope;

/// Parameters that are compared with the response or with metadata, so that a value that is only read for the request would
/// be sent twice or not be checked.
const PUBLIC: [&str; 5] = ["scope", "audience", "resource", "authorization_details", "requested_token_type"];

/// The types of the tokens in a token exchange.
const TYPES: [&str; 2] = ["subject_token_type", "actor_token_type"];

impl ClientCredentialsBuilder {
    /// The parameters, in the order of the RFCs.
    fn wire_params(&self, faults: &mut Faults) -> Params {
        let scopes = self.wire_scopes(faults);
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
            faults.add("client_id_in_body", "needs an id: ClientAssertion::client_id");
        }
        if self.grant_type.is_empty() {
            faults.add("grant_type", "is empty");
        }
        self.check_params(faults);

        let id = (self.client_id_in_body && !self.auth.posts_client_id()).then(|| self.auth.id().to_owned());
        let mut params = vec![("grant_type".to_owned(), self.grant_type.clone())];
        let mut add = |name: &str, value: Option<String>| params.extend(value.map(|value| (name.to_owned(), value)));
        add("client_id", id);
        add("scope", (!scopes.is_empty()).then(|| scopes.join(" ")));
        add("audience", self.audience.clone());
        self.resources.iter().for_each(|resource| add("resource", Some(resource.clone())));
        add("authorization_details", self.authorization_details.as_ref().map(ToString::to_string));
        self.params.iter().for_each(|(name, value)| add(name, Some(value.clone())));
        params.shrink_to_fit();
        Params(params)
    }

    /// The scopes in the given order, without duplicates.
    fn wire_scopes(&self, faults: &mut Faults) -> Vec<&str> {
        let of_challenge = match &self.server.0 {
            Known::Resource(api) if api.scoped && !self.names("scope") => api.scope.as_deref(),
            _ => None,
        };
        let mut scopes: Vec<&str> = Vec::new();
        let mut add = |scope| {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        };
        for scope in of_challenge.into_iter().flat_map(|scope| scope.split(' ')).filter(|one| is_scope(one)) {
            add(scope);
        }
        for scope in self.scopes.iter().flat_map(|scope| scope.split(' ')).filter(|one| !one.is_empty()) {
            if !is_scope(scope) {
                faults.add("scope", format!("{scope:?} has a character that RFC 6749 section 3.3 does not allow"));
            }
            add(scope);
        }
        scopes
    }

    fn check_params(&self, faults: &mut Faults) {
        faults.extend(self.secrets.faults());
        for (name, _) in self.secrets.0.iter().filter(|(name, _)| PUBLIC.contains(&name.as_str())) {
            faults.add(
                "secret_param",
                format!("{name} is not a secret, and decides which token is returned: use its setter"),
            );
        }
        let mut seen = BTreeSet::new();
        let secrets = self.secrets.0.iter().map(|(name, _)| name);
        for name in self.params.iter().map(|(name, _)| name).chain(secrets) {
            match name.as_str() {
                "grant_type" => faults.add("param", format!("{name} has a setter of its own")),
                // `param` can send a value that the setter refuses: Entra has resources that are not URIs.
                _ if self.is_set(name) => {
                    faults.add("param", format!("{name} is given by its setter, too (RFC 6749 section 3.2)"));
                }
                "client_id" | "client_secret" | "client_assertion" | "client_assertion_type" => {
                    faults.add("param", format!("{name} belongs in ClientAuth"));
                }
                "" => faults.add("param", "has an empty name"),
                _ if !seen.insert(name) => faults.add("param", format!("{name} is given twice (RFC 6749 section 3.2)")),
                _ => {}
            }
        }
        // Required; without a value they would be missing (RFC 6749 section 3.2).
        let is_type = |name: &str| self.grant_type == TOKEN_EXCHANGE && TYPES.contains(&name);
        for (name, _) in self.params.iter().filter(|(name, value)| value.is_empty() && is_type(name)) {
            faults.add(name, "is empty (RFC 8693 section 2.1)");
        }
    }

    fn is_set(&self, param: &str) -> bool {
        match param {
            // An empty one is not sent.
            "scope" => self.scopes.iter().any(|scope| scope.split(' ').any(|one| !one.is_empty())),
            "audience" => self.audience.is_some(),
            "resource" => !self.resources.is_empty(),
            "authorization_details" => self.authorization_details.is_some(),
            _ => false,
        }
    }

    /// Whether the user set this parameter, by its setter or by `param`. Otherwise that of the API may be sent.
    fn names(&self, param: &str) -> bool {
        self.is_set(param) || self.params.iter().any(|(name, _)| name == param)
    }

    /// Whether the URL of the API is sent as `resource`.
    pub(super) fn sends_resource(&self, api: &ProtectedResource) -> bool {
        !api.omitted && !self.names("resource")
    }

    /// The request as configured. Finds everything that can be wrong with the settings, without I/O.
    pub(super) fn checked(&self, faults: &mut Faults) -> (Option<Located>, Params, HeaderMap) {
        let located = self.locate(faults);
        self.check(faults);
        let params = self.wire_params(faults);
        let headers = self.wire_headers(faults);
        self.check_query(located.as_ref(), &params, faults);
        (located, params, headers)
    }

    /// RFC 6749 section 3.2: no parameter may be sent twice, and the query of the endpoint is sent, too.
    fn check_query(&self, located: Option<&Located>, params: &Params, faults: &mut Faults) {
        let Some(Endpoint::Fixed(url)) = located.map(|located| &located.endpoint) else {
            return;
        };
        let mut seen = BTreeSet::new();
        for (name, _) in url.query_pairs() {
            let in_form = params.get(&name).is_some()
                || self.secrets.0.iter().any(|(secret, _)| *secret == name)
                || self.auth.posts(&name);
            if in_form && seen.insert(name.clone()) {
                let flaw = format!("has {name} in its query, which the form has too: leave it out of the URL");
                faults.add("token_endpoint", flaw);
            }
        }
    }

    /// The user's headers.
    pub(super) fn wire_headers(&self, faults: &mut Faults) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for header in &self.headers {
            match header.clone() {
                Ok((name, _)) if name == AUTHORIZATION || is_reserved(&name) => {
                    faults.add("header", format!("{name} cannot be set here"));
                }
                Ok((name, value)) if name == CONTENT_TYPE && !self.is_body(&value) => {
                    let label = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    let sent =
                        if self.json_body { "JSON, under its own type" } else { "a form; json_body(true) sends JSON" };
                    faults.add("header", format!("content-type {label:?} is not what is sent, {sent}"));
                }
                Ok((name, mut value)) => {
                    // It may be an API key of a gateway.
                    value.set_sensitive(true);
                    if headers.insert(&name, value).is_some() {
                        faults.add("header", format!("{name} is given twice"));
                    }
                }
                Err(flaw) => faults.add("header", flaw),
            }
        }
        headers
    }

    /// Whether `label` is the type of the body: of a form, also with parameters such as a charset; of JSON, without
    /// parameters.
    fn is_body(&self, label: &HeaderValue) -> bool {
        if self.json_body {
            return label.as_bytes().eq_ignore_ascii_case(b"application/json");
        }
        is_labelled(label, "application/x-www-form-urlencoded")
    }
}

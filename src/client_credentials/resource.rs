//! From the API on: its metadata name the authorization server (RFC 9728).

use http::HeaderMap;
use url::Url;

use super::check::Faults;
use super::place::{Located, Place};
use super::{ClientCredentials, ClientCredentialsBuilder};
use crate::ClientAuth;
use crate::challenge::Challenge;
use crate::exchange::NamedHosts;
use crate::metadata::{self, Endpoint, Resource, ResourceRules, Server, secure, well_known_of_resource};

impl ClientCredentials {
    /// Starts with the URL of the API instead of the authorization server, as a client of the Model Context Protocol
    /// has to: the API's metadata (RFC 9728) name its authorization servers, and the first of them that is among
    /// `allowed_issuers` is asked for tokens.
    ///
    /// `resource` is what the API calls itself, character by character: its metadata have to say the same (RFC 9728
    /// section 3.3), unless [`accept_enclosing_resource`](ClientCredentialsBuilder::accept_enclosing_resource) is said.
    /// It is sent along as `resource` (RFC 8707), unless [`resource`](ClientCredentialsBuilder::resource) says another
    /// one or [`omit_resource`](ClientCredentialsBuilder::omit_resource) none.
    ///
    /// `allowed_issuers` are the servers that know this client, each as it spells itself; at least one. An API can say
    /// what it likes, the client is proved to no other.
    ///
    /// Both documents are fetched inside the first flight: `/.well-known/oauth-protected-resource`, put before the path
    /// of `resource`, and those of the server, for which everything holds that is said at
    /// [`from_issuer`](Self::from_issuer), as does how long they are kept. They are also fetched anew when the API
    /// refuses a token. When the API names another server, or a server another token endpoint, that counts from the
    /// next flight on, and only if all of it can be used. `signed_metadata` are ignored.
    ///
    /// # Addresses
    ///
    /// Hosts that only a document names (a token endpoint that is not at its issuer's host, metadata that a challenge
    /// points to) have to be at public addresses, so that no API can have the client talk to its own network:
    /// loopback, private, link-local and the like are refused, in the URL and, since names can change their minds, for
    /// each connection. Hosts that you name are excused: that of `resource`, those of `allowed_issuers`, and those given
    /// to [`pin_token_endpoint_origin`](ClientCredentialsBuilder::pin_token_endpoint_origin) and
    /// [`dangerously_allow_http`](ClientCredentialsBuilder::dangerously_allow_http).
    ///
    /// Names of the other hosts are resolved by the system, and not by a `dns_resolver` of
    /// [`http_client`](ClientCredentialsBuilder::http_client): one that is needed for the token endpoint is used when
    /// its origin is pinned. Addresses by `resolve` or `resolve_to_addrs` are yours, and used unseen. Through a proxy
    /// it is the proxy who resolves: what it must not reach is for its own rules to say.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let auth = ClientAuth::client_secret_basic("agent", Credential::file("/run/secrets/client-secret"));
    /// let tokens = ClientCredentials::for_resource("https://mcp.example.com/mcp", ["https://auth.example.com"], auth).build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Of `token()`, when the metadata cannot be had and never could: as at [`from_issuer`](Self::from_issuer). When
    /// the API names none of the allowed issuers it is of kind [`Response`](crate::ErrorKind::Response), and has both
    /// lists in its text.
    #[must_use = "a builder does nothing before `build()`"]
    pub fn for_resource<I>(resource: &str, allowed_issuers: I, auth: ClientAuth) -> ClientCredentialsBuilder
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let place = Place::Resource(Api {
            resource: resource.to_owned(),
            allowed: allowed_issuers.into_iter().map(Into::into).collect(),
            ..Api::default()
        });
        ClientCredentialsBuilder::new(place, auth)
    }
}

/// What the builder knows of the API.
#[derive(Clone, Default)]
pub(super) struct Api {
    pub(super) resource: String,
    pub(super) allowed: Vec<String>,
    enclosing: bool,
    omitted: bool,
    /// `resource_metadata` of a challenge.
    metadata: Option<String>,
}

#[cfg(feature = "shared")]
impl Api {
    /// What decides which token is asked for. Not where the metadata were found: they are of the same resource.
    pub(super) fn parts(&self) -> Vec<String> {
        let mut allowed = self.allowed.clone();
        allowed.sort_unstable();
        let rules = format!("enclosing {}, omitted {}", self.enclosing, self.omitted);
        [vec![self.resource.clone(), rules], allowed].concat()
    }
}

/// # From the API to its authorization server
///
/// For a builder from [`ClientCredentials::for_resource`]; of another one `build()` refuses these setters.
impl ClientCredentialsBuilder {
    /// Takes the address of the API's metadata from a 401 of it: `resource_metadata` of the `Bearer` or `DPoP` challenge
    /// (RFC 9728 section 5.1). Without one there, the well-known address stays.
    ///
    /// It is for you to call, and never done by itself: whoever sends such a response chooses where the metadata come
    /// from. They have to be `https`, or at the API's own origin, and of this resource all the same.
    ///
    /// ```
    /// # use client_credentials::{ClientAuth, ClientCredentials};
    /// # let auth = ClientAuth::none("agent");
    /// # let mut response = http::Response::new(());
    /// # let challenge = r#"Bearer resource_metadata="https://mcp.example.com/metadata""#.parse().unwrap();
    /// # response.headers_mut().insert("www-authenticate", challenge);
    /// let tokens = ClientCredentials::for_resource("https://mcp.example.com/mcp", ["https://auth.example.com"], auth)
    ///     .resource_metadata_from(response.headers())
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn resource_metadata_from(self, headers: &HeaderMap) -> Self {
        let found = Challenge::all(headers).iter().find_map(|challenge| {
            let is_ours = challenge.is("Bearer") || challenge.is("DPoP");
            challenge.param("resource_metadata").filter(|_| is_ours).map(Into::into)
        });
        self.of_api("resource_metadata_from", |api| api.metadata = found)
    }

    /// Also accepts metadata of a resource that the API is a part of: of the same origin, with a path that the API's
    /// begins with, whole segments compared (draft-mcguinness-oauth-rfc9728bis). Its name is then the `resource` that is
    /// sent. The metadata of the whole origin are asked for as well, where those of the API are of no use.
    ///
    /// Where several parties have paths at one origin, one could speak for those beneath it.
    pub fn accept_enclosing_resource(self) -> Self {
        self.of_api("accept_enclosing_resource", |api| api.enclosing = true)
    }

    /// Sends no `resource`, for servers that refuse it (Entra ID: the scope is `{resource}/.default`).
    pub fn omit_resource(self) -> Self {
        self.of_api("omit_resource", |api| api.omitted = true)
    }

    fn of_api(mut self, setter: &'static str, apply: impl FnOnce(&mut Api)) -> Self {
        match &mut self.place {
            Place::Resource(api) => apply(api),
            _ => self.misplaced.push(setter),
        }
        self
    }

    pub(super) fn locate_by_resource(&mut self, api: Api, faults: &mut Faults) -> Option<Located> {
        let url = self.check_resource(&api.resource, faults);
        if api.allowed.is_empty() {
            faults.add("allowed_issuers", "is empty: name the authorization servers that know this client");
        }
        let checked = api.allowed.iter();
        let issuers: Vec<Option<Url>> =
            checked.map(|issuer| self.check_issuer("allowed_issuers", issuer, faults)).collect();
        let issuers: Option<Vec<Url>> = issuers.into_iter().collect();
        let pinned = self.pinned(faults);
        let (url, issuers) = (url?, issuers?);

        let named = issuers.iter().chain([&url]).chain(&pinned);
        let named = named.filter_map(Url::host_str).map(Into::into);
        let named = NamedHosts::new(named.chain(self.plain_hosts.iter().cloned()));
        self.exchange.named_hosts = Some(named.clone());
        let places = match &api.metadata {
            None => well_known_of_resource(&url, api.enclosing),
            Some(told) => {
                let judged = secure(told, &url, &self.plain_hosts);
                let judged = judged.and_then(|url| match named.flaw(&url) {
                    Some(flaw) => Err(flaw.to_string()),
                    None => Ok(url),
                });
                match judged {
                    Ok(url) => vec![url],
                    Err(flaw) => {
                        faults.add("resource_metadata of the challenge", flaw);
                        return None;
                    }
                }
            }
        };
        let first = places.first()?.clone();
        let plain = issuers.iter().find(|issuer| issuer.scheme() == "http");
        let plain = plain.cloned();

        let lifetime = self.metadata_lifetime.unwrap_or(metadata::LIFETIME);
        let servers = api.allowed.iter().zip(issuers);
        let servers = servers.map(|(issuer, url)| {
            let rules = self.rules_of(issuer, url, pinned.clone());
            Server::new(self.http_client.published(rules, lifetime))
        });
        let servers = servers.collect();
        let sent = !api.omitted && self.resources.is_empty();
        let rules = ResourceRules { resource: api.resource, url, allowed: api.allowed, enclosing: api.enclosing };
        let resource = Resource::new(rules, places, servers, sent, lifetime);
        Some(Located { endpoint: Endpoint::OfResource(Box::new(resource)), first, plain })
    }
}

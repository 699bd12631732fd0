//! Where the token endpoint is: told, or found by the issuer's name, or from the API on.

use std::time::Duration;

use url::Url;

use super::check::Faults;
use super::resource::Api;
use super::{ClientCredentials, ClientCredentialsBuilder};
use crate::ClientAuth;
use crate::metadata::{self, Endpoint, Rules, Server};

/// What the builder was made from.
#[derive(Clone)]
pub(super) enum Place {
    TokenEndpoint(String),
    Issuer(String),
    Resource(Api),
}

/// Where it is, as far as the builder knows.
pub(super) struct Located {
    pub(super) endpoint: Endpoint,
    /// The URL that the first request goes to.
    pub(super) first: Url,
    /// Where the credential may go over plain `http`.
    pub(super) plain: Option<Url>,
}

impl ClientCredentials {
    /// Starts with the name of the authorization server instead of the address of its token endpoint.
    ///
    /// `issuer` is what the server calls itself, character by character: its metadata has to say the same (RFC 8414
    /// section 3.3). They are fetched inside the first flight, not by `build()`: `/.well-known/oauth-authorization-server`
    /// first (RFC 8414 section 3.1), and where that is of no use `/.well-known/openid-configuration` behind the issuer's
    /// path (OpenID Connect Discovery 1.0 section 4). They are kept for an
    /// [hour](ClientCredentialsBuilder::metadata_lifetime), and for as long as newer ones cannot be had; they are
    /// fetched anew when the token endpoint turns out to be none. An attempt keeps to the endpoint it began with. Sources
    /// that share an [`HttpClient`](crate::HttpClient), as all do that are not given one, and agree on the issuer, the
    /// setters below, the hosts of plain `http` and on whether they use mutual TLS, fetch them once for all.
    ///
    /// The token endpoint has to be `https`, and may be at another origin then, unless
    /// [`pin_token_endpoint_origin`](ClientCredentialsBuilder::pin_token_endpoint_origin) says where; plain `http` is
    /// accepted at the issuer's own origin only, under the conditions of [`builder`](Self::builder). The client proves
    /// itself by the method that `auth` says, whatever the metadata list: a weaker one is never used. The issuer is the
    /// audience of assertions, and `mtls_endpoint_aliases` (RFC 8705 section 5) are for mutual TLS alone.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let auth = ClientAuth::client_secret_basic("billing", Credential::file("/run/secrets/client-secret"));
    /// let tokens = ClientCredentials::from_issuer("https://auth.example.com/realms/demo", auth).build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Of `token()`, when the metadata cannot be had and never could: [`Transport`](crate::ErrorKind::Transport),
    /// [`Tls`](crate::ErrorKind::Tls) or [`Throttled`](crate::ErrorKind::Throttled), or
    /// [`Response`](crate::ErrorKind::Response) with what is wrong with each of the two.
    #[must_use = "a builder does nothing before `build()`"]
    pub fn from_issuer(issuer: &str, auth: ClientAuth) -> ClientCredentialsBuilder {
        ClientCredentialsBuilder::new(Place::Issuer(issuer.to_owned()), auth)
    }
}

/// # How the token endpoint is found
///
/// For a builder from [`ClientCredentials::from_issuer`] or [`ClientCredentials::for_resource`]; of another one `build()`
/// refuses these setters.
impl ClientCredentialsBuilder {
    /// How long metadata are kept before they are fetched anew. Default: 1 h.
    pub fn metadata_lifetime(mut self, lifetime: Duration) -> Self {
        self.metadata_lifetime = Some(self.nonzero("metadata_lifetime", lifetime));
        self
    }

    /// The origin (`https://host` or `https://host:port`) at which the token endpoint has to be, so that whoever can
    /// change the metadata cannot have the client prove itself elsewhere.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let auth = ClientAuth::client_secret_basic("billing", Credential::file("/run/secrets/client-secret"));
    /// let tokens = ClientCredentials::from_issuer("https://accounts.example.com", auth)
    ///     .pin_token_endpoint_origin("https://oauth2.example.com")
    ///     .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn pin_token_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.pinned_origin = Some(origin.into());
        self
    }

    pub(super) fn locate(&mut self, faults: &mut Faults) -> Option<Located> {
        match self.place.clone() {
            Place::TokenEndpoint(endpoint) => self.locate_by_endpoint(&endpoint, faults),
            Place::Issuer(issuer) => self.locate_by_issuer(&issuer, faults),
            Place::Resource(api) => self.locate_by_resource(api, faults),
        }
    }

    fn locate_by_endpoint(&mut self, endpoint: &str, faults: &mut Faults) -> Option<Located> {
        for (setter, given) in [
            ("metadata_lifetime", self.metadata_lifetime.is_some()),
            ("pin_token_endpoint_origin", self.pinned_origin.is_some()),
        ] {
            if given {
                faults.add(setter, "is for from_issuer and for_resource, and the token endpoint is given");
            }
        }
        if let Some(issuer) = &self.issuer {
            self.check_issuer("issuer", issuer, faults);
        }
        let url = self.endpoint(endpoint, faults)?;
        let plain = Some(url.clone()).filter(|url| url.scheme() == "http");
        Some(Located { endpoint: Endpoint::Fixed(url.clone(), self.issuer.clone()), first: url, plain })
    }

    fn locate_by_issuer(&mut self, issuer: &str, faults: &mut Faults) -> Option<Located> {
        let url = self.check_issuer("issuer", issuer, faults);
        let pinned = self.pinned(faults);
        let url = url?;
        let lifetime = self.metadata_lifetime.unwrap_or(metadata::LIFETIME);
        let rules = self.rules_of(issuer, url.clone(), pinned);
        let server = Server::new(self.http_client.published(rules, lifetime));
        Some(Located {
            endpoint: Endpoint::OfServer(Box::new(server)),
            plain: Some(url.clone()).filter(|url| url.scheme() == "http"),
            first: url,
        })
    }

    pub(super) fn pinned(&self, faults: &mut Faults) -> Option<Url> {
        let origin = self.pinned_origin.as_ref()?;
        self.origin("pin_token_endpoint_origin", origin, faults)
    }

    /// For the metadata of this authorization server.
    pub(super) fn rules_of(&self, issuer: &str, url: Url, pinned: Option<Url>) -> Rules {
        Rules {
            issuer: issuer.to_owned(),
            url,
            plain_hosts: self.plain_hosts.clone(),
            pinned,
            mutual_tls: self.auth.is_mutual_tls(),
            named_hosts: self.exchange.named_hosts.clone(),
        }
    }
}

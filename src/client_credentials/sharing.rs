//! The part of the configuration that a shared store needs.

use http::HeaderMap;
use url::Url;

use super::builder::ClientCredentialsBuilder;
use super::server::Known;
use crate::grant::request::Params;
use crate::grant::response::Rules;
use crate::shared::key::{Asked, Key, Place};
use crate::shared::{BoundTo, SealedStore};

pub(super) struct Sharing {
    pub(super) store: SealedStore,
    pub(super) key: Key,
    pub(super) bound_to: BoundTo,
}

impl ClientCredentialsBuilder {
    /// `None`: the token is not shared.
    pub(super) fn sharing(
        &self,
        endpoint: &Url,
        params: &Params,
        headers: &HeaderMap,
        rules: &Rules,
    ) -> Option<Sharing> {
        let store = self.shared.clone()?;
        let api: Vec<String>;
        let place = match &self.server.0 {
            Known::TokenEndpoint(_) => Place::TokenEndpoint(endpoint),
            Known::Issuer(issuer) => Place::Issuer(&issuer.issuer),
            Known::Resource(resource) => {
                api = resource.parts();
                Place::Resource(&api)
            }
        };
        let auth = &self.auth;
        let asked = Asked { place, client_id: auth.id(), method: auth.name(), params, headers, rules };
        let bound_to = BoundTo {
            #[cfg(feature = "dpop")]
            key: self.dpop.clone(),
            #[cfg(feature = "mtls")]
            certificate: auth.is_mutual_tls().then(|| auth.clone()),
        };
        Some(Sharing { store, key: Key::of_grant(&asked), bound_to })
    }
}

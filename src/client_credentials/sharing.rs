//! The part of the configuration that a shared store needs.

use http::HeaderMap;
use url::Url;

use super::builder::ClientCredentialsBuilder;
use super::server::Known;
use crate::grant::request::Params;
use crate::shared::key::{Asked, Key};
use crate::shared::{BoundTo, SealedStore};

pub(super) struct Sharing {
    pub(super) store: SealedStore,
    pub(super) key: Key,
    pub(super) bound_to: BoundTo,
}

impl ClientCredentialsBuilder {
    /// `None`: the token is not shared.
    pub(super) fn sharing(&self, endpoint: &Url, params: &Params, headers: &HeaderMap) -> Option<Sharing> {
        let store = self.shared.clone()?;
        let server = match &self.server.0 {
            Known::TokenEndpoint(_) => ("token_endpoint", vec![endpoint.to_string()]),
            Known::Issuer(issuer) => ("issuer", vec![issuer.issuer.to_string()]),
            Known::Resource(resource) => ("api", resource.parts()),
        };
        let auth = &self.auth;
        let asked = Asked { server, client_id: auth.id(), method: auth.name(), params, headers, rules: &self.rules };
        let bound_to = BoundTo {
            #[cfg(feature = "dpop")]
            key: self.dpop.clone(),
            #[cfg(feature = "mtls")]
            certificate: auth.is_mutual_tls().then(|| auth.clone()),
        };
        Some(Sharing { store, key: Key::of_grant(&asked), bound_to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_auth::ClientAuth;
    use crate::client_credentials::{ClientCredentials, ProtectedResource};
    use crate::shared::FileStore;

    fn key(api: ProtectedResource) -> Vec<u8> {
        let store = SealedStore::new(FileStore::new("/nowhere"), "q4m2cH8q0yq3l8cT1d9m1tq2ZxM6m2t0v8uJp3b7XyA=");
        let builder = ClientCredentials::builder(api, ClientAuth::client_secret_basic("id", "secret")).shared(store);
        let url = Url::parse("https://api.example/.well-known/oauth-protected-resource").unwrap();
        let sharing = builder.sharing(&url, &Params(Vec::new()), &HeaderMap::new());
        sharing.unwrap().key.bytes().to_vec()
    }

    #[test]
    fn a_token_is_shared_for_one_api_and_the_same_rules_only() {
        let (one, other) = ("https://one.example", "https://other.example");
        let api = |issuers: &[&str]| ProtectedResource::new("https://api.example/v1", issuers.iter().copied());
        assert_eq!(key(api(&[one, other])), key(api(&[other, one])));
        let mut keys = vec![
            key(api(&[one])),
            key(api(&[other])),
            key(api(&[one, other])),
            key(api(&[one]).accept_enclosing(true)),
            key(api(&[one]).omit_resource(true)),
            key(ProtectedResource::new("https://api.example/v2", [one])),
        ];
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}

//! Metadata (RFC 8414, OpenID Connect Discovery 1.0, RFC 9728) and keys (RFC 7517).

use serde_json::{Map, Value, json};

use super::message::Reply;
use super::world::{State, World};

/// Both paths have the same document.
pub(super) const SERVER_PATHS: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
/// May be followed by the path of the API (RFC 9728 section 3.1).
pub(super) const API_PATH: &str = "/.well-known/oauth-protected-resource";

pub(super) fn server(world: &World, state: &State) -> Reply {
    let issuer = &world.issuer;
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    set("issuer", issuer.as_str().into());
    set("token_endpoint", format!("{issuer}/token").into());
    set("jwks_uri", format!("{issuer}/jwks").into());
    set("response_types_supported", json!([]));
    set("grant_types_supported", json!(["client_credentials"]));
    let methods = [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "none",
    ];
    set("token_endpoint_auth_methods_supported", json!(methods));
    let algorithms = ["HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
    set("token_endpoint_auth_signing_alg_values_supported", json!(algorithms));
    if let Some(scopes) = &state.scopes {
        set("scopes_supported", json!(scopes));
    }
    if issuer.starts_with("https:") {
        set("tls_client_certificate_bound_access_tokens", true.into());
    }
    if cfg!(feature = "dpop") {
        set("dpop_signing_alg_values_supported", json!(["ES256", "ES384", "ES512", "EdDSA", "Ed25519"]));
    }
    Reply::json(200, &Value::Object(members))
}

pub(super) fn api(world: &World, state: &State, path: &str) -> Reply {
    let resource = format!("{}{}", world.api, path.strip_prefix(API_PATH).unwrap_or_default());
    let mut document = json!({"resource": resource, "authorization_servers": [world.issuer]});
    if let (Some(members), Some(scope)) = (document.as_object_mut(), &state.api_scope) {
        members.insert("scopes_supported".to_owned(), json!([scope]));
    }
    Reply::json(200, &document)
}

pub(super) fn keys(state: &State) -> Reply {
    #[cfg(feature = "jwt")]
    if let Some(key) = &state.token_key {
        return Reply::json(200, &json!({"keys": [key.public_members()]}));
    }
    let _ = state;
    Reply::json(200, &json!({"keys": []}))
}

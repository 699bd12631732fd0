//! Metadata (RFC 8414, OpenID Connect Discovery 1.0, RFC 9728) and keys (RFC 7517).

use serde_json::{Map, Value, json};

use super::message::{Reply, merged};
use super::world::{ServerState, World};

/// Both paths have the same document.
pub(super) const SERVER_PATHS: [&str; 2] =
    ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
/// May be followed by the path of the API (RFC 9728 section 3.1).
pub(super) const API_PATH: &str = "/.well-known/oauth-protected-resource";

pub(super) fn server(world: &World, state: &ServerState) -> Reply {
    let issuer = &world.issuer;
    let methods = [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "none",
    ];
    let proofs = ["ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
    let members = json!({
        "issuer": issuer,
        "token_endpoint": world.token_url,
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported":
            ["HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
        "scopes_supported": state.scopes,
        "tls_client_certificate_bound_access_tokens": issuer.starts_with("https:").then_some(true),
        "dpop_signing_alg_values_supported": cfg!(feature = "dpop").then_some(proofs),
    });
    Reply::json(200, &Value::Object(merged(Map::new(), members)))
}

pub(super) fn api(world: &World, state: &ServerState, path: &str) -> Reply {
    let resource = format!("{}{}", world.api, path.strip_prefix(API_PATH).unwrap_or_default());
    let document = json!({
        "resource": resource,
        "authorization_servers": [world.issuer],
        "scopes_supported": state.api_scope.as_ref().map(|scope| [scope]),
    });
    Reply::json(200, &Value::Object(merged(Map::new(), document)))
}

pub(super) fn keys(state: &ServerState) -> Reply {
    #[cfg(feature = "jwt")]
    let keys: Vec<_> = state.token_key.iter().filter_map(super::jwt::public_members).collect();
    #[cfg(not(feature = "jwt"))]
    let (_, keys) = (state, [(); 0]);
    Reply::json(200, &json!({"keys": keys}))
}

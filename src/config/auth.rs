//! From the members to the client authentication method.

use serde_json::Value;

use super::build::{credential, with};
use super::members::{MEMBERS, METHODS};
use super::reader::Reader;
use crate::client_auth::{ClientAssertion, ClientAuth};
#[cfg(feature = "jwt")]
use crate::client_auth::{ClientSecretJwt, PrivateKeyJwt};

/// Whether a member of `auth` is one of the method.
fn is_own(name: &str, method: &str) -> bool {
    match name {
        "method" => true,
        "client_id" => method != "anonymous",
        "secret_file" | "secret_env" => method.starts_with("client_secret_"),
        "key_file" | "key_env" | "certificate_file" | "certificate_env" => {
            matches!(method, "private_key_jwt" | "mutual_tls")
        }
        "assertion_file" | "assertion_env" | "assertion_type" => method == "client_assertion",
        "key_id" => method == "private_key_jwt",
        _ => matches!(method, "client_secret_jwt" | "private_key_jwt"),
    }
}

/// The feature that a method needs and this build does not have.
fn missing_feature(method: &str) -> Option<&'static str> {
    match method {
        "mutual_tls" if cfg!(not(feature = "mtls")) => Some("mtls"),
        "client_secret_jwt" | "private_key_jwt" if cfg!(not(feature = "jwt")) => Some("jwt"),
        _ => None,
    }
}

pub(super) fn auth(reader: &mut Reader<'_>) -> Option<ClientAuth> {
    let method = reader.required("auth.method", "auth.method is missing: client_secret_basic, for example")?;
    let is_method = METHODS.contains(&method);
    let given = reader.value("auth").and_then(Value::as_object);
    for name in given.into_iter().flat_map(|table| table.keys()) {
        let is_known = MEMBERS.iter().any(|member| member.path.strip_prefix("auth.") == Some(name));
        if is_method && is_known && !is_own(name, method) {
            reader.fault(format!("auth.{name} is not a member of the method {method}"));
        }
    }
    let has = |name: &str| is_method && is_own(name, method);
    let secret = credential(reader, "auth.secret", has("secret_file"));
    let key = credential(reader, "auth.key", has("key_file"));
    let certificate = credential(reader, "auth.certificate", method == "mutual_tls");
    let assertion = credential(reader, "auth.assertion", has("assertion_file"));
    match method {
        "anonymous" => return Some(ClientAuth::anonymous()),
        // The assertion may name the client.
        "client_assertion" => {
            let auth = ClientAuth::client_assertion(assertion?);
            let auth = with(auth, reader.text("auth.client_id"), ClientAssertion::client_id);
            let auth = with(auth, reader.text("auth.assertion_type"), ClientAssertion::assertion_type);
            return Some(auth.into());
        }
        _ => {}
    }
    let id = reader.required("auth.client_id", "auth.client_id is missing")?;
    if let Some(feature) = missing_feature(method) {
        reader.fault(format!("auth.method {method} needs the feature {feature} of client-credentials"));
        return None;
    }
    #[cfg(not(any(feature = "jwt", feature = "mtls")))]
    let _ = (key, certificate);
    #[cfg(feature = "jwt")]
    macro_rules! signed {
        ($auth:expr, $method:ident) => {{
            let algorithm = reader.text("auth.algorithm").and_then(|name| name.parse().ok());
            let auth = with($auth, algorithm, $method::algorithm);
            let auth = with(auth, reader.text("auth.audience"), $method::audience);
            let auth = with(auth, reader.text("auth.typ"), $method::typ);
            let auth = with(auth, reader.duration("auth.lifetime"), $method::lifetime);
            Some(auth.not_before(reader.flag("auth.not_before")).server_time(reader.flag("auth.server_time")).into())
        }};
    }
    match method {
        "client_secret_basic" => Some(ClientAuth::client_secret_basic(id, secret?)),
        "client_secret_basic_raw" => Some(ClientAuth::client_secret_basic_raw(id, secret?)),
        "client_secret_post" => Some(ClientAuth::client_secret_post(id, secret?)),
        "none" => Some(ClientAuth::none(id)),
        #[cfg(feature = "mtls")]
        "mutual_tls" => Some(ClientAuth::mutual_tls(id, certificate?, key?)),
        #[cfg(feature = "jwt")]
        "client_secret_jwt" => signed!(ClientAuth::client_secret_jwt(id, secret?), ClientSecretJwt),
        #[cfg(feature = "jwt")]
        "private_key_jwt" => {
            let auth = ClientAuth::private_key_jwt(id, key?);
            let auth = with(auth, certificate, PrivateKeyJwt::certificate);
            signed!(with(auth, reader.text("auth.key_id"), PrivateKeyJwt::key_id), PrivateKeyJwt)
        }
        // The reader has reported a method that does not exist.
        _ => None,
    }
}

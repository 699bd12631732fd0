//! From the members to a builder.

use std::time::Duration;

use super::Config;
use super::auth::auth;
use super::env::variable;
use super::grant::grant;
use super::http::http;
use super::members::MEMBERS;
use super::policies::{cache, limits, retry};
use super::reader::Reader;
use crate::client_auth::ClientAuth;
use crate::client_credentials::{ClientCredentials, ClientCredentialsBuilder, Issuer, ProtectedResource, Server};
use crate::credential::Credential;
#[cfg(feature = "dpop")]
use crate::dpop::DpopKey;
use crate::error::{Error, ErrorKind};
#[cfg(feature = "shared")]
use crate::shared::{FileStore, SealedStore};

/// Reports all faults together: those of the members, and those that `build()` would find.
pub(super) fn builder(config: &Config) -> Result<ClientCredentialsBuilder, Error> {
    let mut reader = Reader::new(&config.members, &config.credentials);
    let builder = read(&mut reader);
    let mut faults = config.faults.clone();
    faults.append(&mut reader.faults);
    faults.extend(builder.draft().faults.lines_with(path_of));
    match faults.is_empty() {
        true => Ok(builder),
        false => {
            let mut text = format!("the configuration is not usable: {}", faults.join("; "));
            if let Some(prefix) = &config.prefix {
                let example = variable(prefix, "auth.client_id");
                text.push_str(&format!(" (variables are named like {example} for auth.client_id)"));
            }
            Err(Error::of(ErrorKind::Configuration, text))
        }
    }
}

/// The path of the builder's field.
fn path_of(field: &str) -> &str {
    match field {
        "client_id" => "auth.client_id",
        "client_secret" => "auth.secret",
        "client_assertion" => "auth.assertion",
        "client_assertion_type" => "auth.assertion_type",
        "key" => "auth.key",
        "certificate" => "auth.certificate",
        "audience" => "auth.audience",
        "key_id" => "auth.key_id",
        "algorithm" => "auth.algorithm",
        "lifetime" => "auth.lifetime",
        "scope" => "scopes",
        "resource" => "resources",
        "token_type" => "token_types",
        "dpop" => "dpop.key",
        "protected_resource" => "protected_resource.url",
        "allowed_issuers" => "protected_resource.allowed_issuers",
        "scopes_from_api" => "protected_resource.scopes_from_api",
        "param" => "params",
        "header" => "headers",
        "shared" => "store",
        "subject_token" => "grant.subject_token",
        "subject_token_type" => "grant.subject_token_type",
        "actor_token" => "grant.actor_token",
        "actor_token_type" => "grant.actor_token_type",
        "assertion" => "grant.assertion",
        other => {
            let is_its = |path: &&str| match path.split_once('.') {
                Some(("limits" | "retry" | "cache", name)) => name.strip_suffix("_first").unwrap_or(name) == other,
                _ => false,
            };
            MEMBERS.iter().map(|member| member.path).find(is_its).unwrap_or(other)
        }
    }
}

/// `builder` with each of the values, of which there may be none.
pub(super) fn with<B, V>(builder: B, values: impl IntoIterator<Item = V>, set: impl FnMut(B, V) -> B) -> B {
    values.into_iter().fold(builder, set)
}

/// A missing member is a fault, and is replaced by something, so that the others are checked, too.
fn read(reader: &mut Reader<'_>) -> ClientCredentialsBuilder {
    use ClientCredentialsBuilder as Builder;
    let (server, auth) = (server(reader), auth(reader));
    let (limits, retry, cache) = (limits(reader), retry(reader), cache(reader));
    let (http, grant) = (http(reader), grant(reader));
    let key = credential(reader, "dpop.key", false);
    let generate = reader.flag("dpop.generate");
    if generate && key.is_some() {
        reader.fault("dpop.generate excludes dpop.key_file and dpop.key_env");
    }
    if cfg!(not(feature = "dpop")) && (generate || key.is_some()) {
        reader.fault("dpop needs the feature dpop of client-credentials");
    }
    let store = store(reader);
    if cfg!(not(feature = "shared")) && store.is_some() {
        reader.fault("store needs the feature shared of client-credentials");
    }
    let server = server.unwrap_or_else(|| "https://missing.invalid/token".into());
    let auth = auth.unwrap_or_else(|| ClientAuth::none("missing"));
    let builder = ClientCredentials::builder(server, auth)
        .limits(limits)
        .retry(retry)
        .cache(cache)
        .scopes(reader.list("scopes"))
        .json_body(reader.flag("json_body"))
        .client_id_in_body(reader.flag("client_id_in_body"))
        .strict(reader.flag("strict"))
        .fapi(reader.flag("fapi"))
        .refuse_narrower_scope(reader.flag("refuse_narrower_scope"));
    let step_up = Some(reader.list("step_up")).filter(|scopes| !scopes.is_empty());
    // A name of a token type may have blanks: a text is one name.
    let token_types = reader.text("token_types").map_or_else(|| reader.list("token_types"), |one| vec![one]);
    let builder = with(builder, step_up, Builder::step_up);
    let builder = with(builder, reader.text("name"), Builder::name);
    let builder = with(builder, reader.text("audience"), Builder::audience);
    let builder = with(builder, reader.text("grant_type"), Builder::grant_type);
    let builder = with(builder, grant, Builder::grant);
    let builder = with(builder, reader.value("authorization_details").cloned(), Builder::authorization_details);
    let builder = with(builder, reader.list("resources"), Builder::resource);
    let builder = with(builder, token_types, Builder::token_type);
    let builder = with(builder, reader.list("dangerously_allow_http"), Builder::dangerously_allow_http);
    let builder = with(builder, reader.table("params"), |builder, (name, value)| builder.param(name, value));
    let builder = with(builder, reader.table("headers"), |builder, (name, value)| builder.header(name, value));
    let builder = with(builder, http, Builder::http_client);
    #[cfg(feature = "dpop")]
    let builder = with(builder, key.map(DpopKey::from).or_else(|| generate.then(DpopKey::generate)), Builder::dpop);
    #[cfg(feature = "shared")]
    let builder = with(builder, store, |builder, (directory, key, timeout)| {
        builder.shared(with(SealedStore::new(FileStore::new(directory), key), timeout, SealedStore::timeout))
    });
    builder
}

fn server(reader: &mut Reader<'_>) -> Option<Server> {
    let given = ["token_endpoint", "issuer", "protected_resource"].map(|name| reader.value(name).is_some());
    match given {
        [false, false, false] => {
            reader.fault("token_endpoint, issuer or protected_resource is missing: where tokens are requested")
        }
        [true, false, false] | [false, true, false] | [false, false, true] => {}
        _ => reader.fault("of token_endpoint, issuer and protected_resource only one can be given"),
    }
    let (lifetime, pinned) = (reader.duration("metadata_lifetime"), reader.text("pin_token_endpoint_origin"));
    if given == [true, false, false] {
        for name in ["metadata_lifetime", "pin_token_endpoint_origin"] {
            if reader.value(name).is_some() {
                reader.fault(format!("{name} does nothing with token_endpoint: it needs issuer or protected_resource"));
            }
        }
    }
    if let Some(endpoint) = reader.text("token_endpoint") {
        return Some(endpoint.into());
    }
    if let Some(issuer) = reader.text("issuer") {
        let issuer = with(Issuer::new(issuer), lifetime, Issuer::metadata_lifetime);
        return Some(with(issuer, pinned, Issuer::pin_token_endpoint_origin).into());
    }
    reader.value("protected_resource")?;
    let url = reader.required("protected_resource.url", "protected_resource.url is missing")?;
    let api = ProtectedResource::new(url, reader.list("protected_resource.allowed_issuers"))
        .accept_enclosing(reader.flag("protected_resource.accept_enclosing"))
        .omit_resource(reader.flag("protected_resource.omit_resource"))
        .scopes_from_api(reader.flag("protected_resource.scopes_from_api"));
    let api = with(api, lifetime, ProtectedResource::metadata_lifetime);
    Some(with(api, pinned, ProtectedResource::pin_token_endpoint_origin).into())
}

/// From `*_file` or `*_env`.
pub(super) fn credential(reader: &mut Reader<'_>, path: &str, required: bool) -> Option<Credential> {
    if let Some(credential) = reader.credentials.get(path) {
        return Some(credential.clone());
    }
    let names = [format!("{path}_file"), format!("{path}_env")];
    let [file, env] = &names;
    let result = match (reader.text(file), reader.text(env)) {
        (Some(_), Some(_)) => Err(format!("of {file} and {env} only one can be given")),
        (Some(""), None) => Err(format!("{file} is empty")),
        (None, Some("")) => Err(format!("{env} is empty")),
        (Some(file), None) => Ok(Some(Credential::file(file))),
        (None, Some(env)) => Ok(Some(Credential::env(env))),
        (None, None) if required && names.iter().all(|name| reader.value(name).is_none()) => {
            Err(format!("{file} or {env} is missing"))
        }
        (None, None) => Ok(None),
    };
    result.map_err(|fault| reader.fault(fault)).ok().flatten()
}

/// Directory, seal key and timeout.
fn store(reader: &mut Reader<'_>) -> Option<(String, Credential, Option<Duration>)> {
    reader.value("store")?;
    let key = credential(reader, "store.seal_key", true);
    let timeout = reader.duration("store.timeout");
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        reader.fault("store.timeout is zero: give a duration above it");
    }
    match reader.text("store.directory") {
        Some(directory) if !directory.is_empty() => Some((directory.to_owned(), key?, timeout)),
        _ => {
            reader.fault("store.directory is missing");
            None
        }
    }
}

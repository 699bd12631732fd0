//! From the members to a builder.

use serde_json::Value;

use super::Config;
use super::env::variable;
use super::reader::Reader;
use crate::backoff::Backoff;
use crate::cache::CachePolicy;
use crate::client_auth::ClientAuth;
use crate::client_credentials::{
    ClientCredentials, ClientCredentialsBuilder, HttpClient, Issuer, ProtectedResource, Server,
};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind};
use crate::exchange::Limits;
use crate::retry::RetryPolicy;

/// Every fault at once: those of the members, and those that `build()` would find.
pub(super) fn builder(config: &Config) -> Result<ClientCredentialsBuilder, Error> {
    let mut reader = Reader::new(&config.members, &config.credentials);
    let builder = read(&mut reader);
    let mut faults = config.faults.clone();
    faults.append(&mut reader.faults);
    for fault in builder.draft().faults {
        let (field, flaw) = fault.split_once(' ').unwrap_or(("", &fault));
        // What the reader found already, it found with its path.
        if !faults.iter().any(|known| known.ends_with(flaw)) {
            faults.push(format!("{} {flaw}", path_of(field)));
        }
    }
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

/// What the builder calls `field`.
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
        "allowed_issuers" => "protected_resource.allowed_issuers",
        "scopes_from_api" => "protected_resource.scopes_from_api",
        "param" => "params",
        "header" => "headers",
        "shared" => "store",
        other => other,
    }
}

/// What is missing comes with a fault, and something in its place, so that the rest is judged as well.
fn read(reader: &mut Reader<'_>) -> ClientCredentialsBuilder {
    let (server, auth) = (server(reader), auth(reader));
    let (limits, retry, cache) = (limits(reader), retry(reader), cache(reader));
    let http = http(reader);
    let credential = credential(reader, "dpop.key", false);
    let generate = reader.flag("dpop.generate").unwrap_or_default();
    if generate && credential.is_some() {
        reader.fault("dpop.generate excludes dpop.key_file and dpop.key_env");
    }
    let store = store(reader);
    let server = server.unwrap_or_else(|| "https://missing.invalid/token".into());
    let auth = auth.unwrap_or_else(|| ClientAuth::none("missing"));
    let mut builder = ClientCredentials::builder(server, auth).limits(limits).retry(retry).cache(cache);
    builder = builder.scopes(reader.list("scopes"));
    let step_up = reader.list("step_up");
    if !step_up.is_empty() {
        builder = builder.step_up(step_up);
    }
    let flag = |path| reader.flag(path).unwrap_or_default();
    builder = builder
        .json_body(flag("json_body"))
        .client_id_in_body(flag("client_id_in_body"))
        .strict(flag("strict"))
        .fapi(flag("fapi"))
        .refuse_narrower_scope(flag("refuse_narrower_scope"));
    if let Some(name) = reader.text("name") {
        builder = builder.name(name);
    }
    if let Some(audience) = reader.text("audience") {
        builder = builder.audience(audience);
    }
    if let Some(grant_type) = reader.text("grant_type") {
        builder = builder.grant_type(grant_type);
    }
    if let Some(details) = reader.value("authorization_details") {
        builder = builder.authorization_details(details.clone());
    }
    builder = reader.list("resources").into_iter().fold(builder, |builder, one| builder.resource(one));
    builder = token_types(reader, builder);
    builder = reader
        .list("dangerously_allow_http")
        .into_iter()
        .fold(builder, |builder, one| builder.dangerously_allow_http(one));
    builder = reader.table("params").fold(builder, |builder, (name, value)| builder.param(name, value));
    builder = reader.table("headers").fold(builder, |builder, (name, value)| builder.header(name, value));
    if let Some(http) = http {
        builder = builder.http_client(http);
    }
    builder = bound(reader, builder, credential, generate);
    stored(reader, builder, store)
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
        let mut issuer = Issuer::new(issuer);
        if let Some(lifetime) = lifetime {
            issuer = issuer.metadata_lifetime(lifetime);
        }
        if let Some(pinned) = pinned {
            issuer = issuer.pin_token_endpoint_origin(pinned);
        }
        return Some(issuer.into());
    }
    reader.value("protected_resource")?;
    let Some(url) = reader.text("protected_resource.url") else {
        if reader.value("protected_resource.url").is_none() {
            reader.fault("protected_resource.url is missing");
        }
        return None;
    };
    let flag = |path| reader.flag(path).unwrap_or_default();
    let mut api = ProtectedResource::new(url, reader.list("protected_resource.allowed_issuers"))
        .accept_enclosing(flag("protected_resource.accept_enclosing"))
        .omit_resource(flag("protected_resource.omit_resource"))
        .scopes_from_api(flag("protected_resource.scopes_from_api"));
    if let Some(lifetime) = lifetime {
        api = api.metadata_lifetime(lifetime);
    }
    if let Some(pinned) = pinned {
        api = api.pin_token_endpoint_origin(pinned);
    }
    Some(api.into())
}

/// A name may have blanks: a text is one name.
fn token_types(reader: &Reader<'_>, builder: ClientCredentialsBuilder) -> ClientCredentialsBuilder {
    match reader.text("token_types") {
        Some(one) => builder.token_type(one),
        None => reader.list("token_types").into_iter().fold(builder, |builder, one| builder.token_type(one)),
    }
}

/// From `*_file` or `*_env`.
fn credential(reader: &mut Reader<'_>, path: &str, required: bool) -> Option<Credential> {
    if let Some((_, credential)) = reader.credentials.iter().find(|(known, _)| known == path) {
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

/// The members of each method, besides `method` and `client_id`.
fn own_members(method: &str) -> &'static [&'static str] {
    match method {
        "client_secret_basic" | "client_secret_basic_raw" | "client_secret_post" => &["secret_file", "secret_env"],
        "client_secret_jwt" => {
            &["secret_file", "secret_env", "algorithm", "audience", "typ", "lifetime", "not_before", "server_time"]
        }
        "private_key_jwt" => &[
            "key_file",
            "key_env",
            "certificate_file",
            "certificate_env",
            "algorithm",
            "audience",
            "key_id",
            "typ",
            "lifetime",
            "not_before",
            "server_time",
        ],
        "client_assertion" => &["assertion_file", "assertion_env", "assertion_type"],
        "mutual_tls" => &["key_file", "key_env", "certificate_file", "certificate_env"],
        _ => &[],
    }
}

fn auth(reader: &mut Reader<'_>) -> Option<ClientAuth> {
    let Some(method) = reader.text("auth.method") else {
        if reader.value("auth.method").is_none() {
            reader.fault("auth.method is missing: client_secret_basic, say");
        }
        return None;
    };
    let own = own_members(method);
    let is_method = super::members::METHODS.contains(&method);
    let given: Vec<String> = match reader.value("auth") {
        Some(Value::Object(table)) => table.keys().cloned().collect(),
        _ => Vec::new(),
    };
    for name in &given {
        let is_known = super::members::MEMBERS.iter().any(|member| member.path.strip_prefix("auth.") == Some(name));
        let is_named = name == "method" || name == "client_id" && method != "anonymous";
        if is_method && is_known && !is_named && !own.contains(&name.as_str()) {
            reader.fault(format!("auth.{name} is no member of the method {method}"));
        }
    }
    let has = |name: &str| own.contains(&name);
    let secret = credential(reader, "auth.secret", has("secret_file"));
    let key = credential(reader, "auth.key", has("key_file"));
    let certificate = credential(reader, "auth.certificate", method == "mutual_tls");
    let assertion = credential(reader, "auth.assertion", has("assertion_file"));
    let id = match reader.text("auth.client_id") {
        Some(id) => Some(id.to_owned()),
        // An assertion may name the client itself.
        None if matches!(method, "client_assertion" | "anonymous") => None,
        None => {
            if reader.value("auth.client_id").is_none() {
                reader.fault("auth.client_id is missing");
            }
            None
        }
    };
    match method {
        "anonymous" => return Some(ClientAuth::anonymous()),
        "client_assertion" => {
            let mut auth = ClientAuth::client_assertion(assertion?);
            if let Some(id) = id {
                auth = auth.client_id(id);
            }
            if let Some(kind) = reader.text("auth.assertion_type") {
                auth = auth.assertion_type(kind);
            }
            return Some(auth.into());
        }
        _ => {}
    }
    let id = id?;
    match method {
        "client_secret_basic" => Some(ClientAuth::client_secret_basic(id, secret?)),
        "client_secret_basic_raw" => Some(ClientAuth::client_secret_basic_raw(id, secret?)),
        "client_secret_post" => Some(ClientAuth::client_secret_post(id, secret?)),
        "none" => Some(ClientAuth::none(id)),
        "mutual_tls" => mutual_tls(reader, id, certificate, key),
        "client_secret_jwt" | "private_key_jwt" => signed(reader, method, id, secret, key, certificate),
        // Not one of the list: that fault is there already.
        _ => None,
    }
}

#[cfg(feature = "mtls")]
fn mutual_tls(
    _: &mut Reader<'_>,
    id: String,
    certificate: Option<Credential>,
    key: Option<Credential>,
) -> Option<ClientAuth> {
    Some(ClientAuth::mutual_tls(id, certificate?, key?))
}

#[cfg(not(feature = "mtls"))]
fn mutual_tls(reader: &mut Reader<'_>, _: String, _: Option<Credential>, _: Option<Credential>) -> Option<ClientAuth> {
    reader.fault("auth.method mutual_tls needs the feature mtls of client-credentials");
    None
}

#[cfg(feature = "jwt")]
fn signed(
    reader: &mut Reader<'_>,
    method: &str,
    id: String,
    secret: Option<Credential>,
    key: Option<Credential>,
    certificate: Option<Credential>,
) -> Option<ClientAuth> {
    use crate::signing::SigningAlgorithm;
    let algorithm = reader.text("auth.algorithm").and_then(SigningAlgorithm::named);
    macro_rules! common {
        ($auth:ident) => {{
            if let Some(algorithm) = algorithm {
                $auth = $auth.algorithm(algorithm);
            }
            if let Some(audience) = reader.text("auth.audience") {
                $auth = $auth.audience(audience);
            }
            if let Some(typ) = reader.text("auth.typ") {
                $auth = $auth.typ(typ);
            }
            if let Some(lifetime) = reader.duration("auth.lifetime") {
                $auth = $auth.lifetime(lifetime);
            }
            let flag = |path| reader.flag(path).unwrap_or_default();
            Some($auth.not_before(flag("auth.not_before")).server_time(flag("auth.server_time")).into())
        }};
    }
    if method == "client_secret_jwt" {
        let mut auth = ClientAuth::client_secret_jwt(id, secret?);
        return common!(auth);
    }
    let mut auth = ClientAuth::private_key_jwt(id, key?);
    if let Some(certificate) = certificate {
        auth = auth.certificate(certificate);
    }
    if let Some(key_id) = reader.text("auth.key_id") {
        auth = auth.key_id(key_id);
    }
    common!(auth)
}

#[cfg(not(feature = "jwt"))]
fn signed(
    reader: &mut Reader<'_>,
    method: &str,
    _: String,
    _: Option<Credential>,
    _: Option<Credential>,
    _: Option<Credential>,
) -> Option<ClientAuth> {
    reader.fault(format!("auth.method {method} needs the feature jwt of client-credentials"));
    None
}

#[cfg(feature = "dpop")]
fn bound(
    _: &mut Reader<'_>,
    builder: ClientCredentialsBuilder,
    key: Option<Credential>,
    generate: bool,
) -> ClientCredentialsBuilder {
    match key {
        Some(key) => builder.dpop(key),
        None if generate => builder.dpop(crate::dpop::DpopKey::generate()),
        None => builder,
    }
}

#[cfg(not(feature = "dpop"))]
fn bound(
    reader: &mut Reader<'_>,
    builder: ClientCredentialsBuilder,
    key: Option<Credential>,
    generate: bool,
) -> ClientCredentialsBuilder {
    if generate || key.is_some() {
        reader.fault("dpop needs the feature dpop of client-credentials");
    }
    builder
}

/// Directory and seal key.
fn store(reader: &mut Reader<'_>) -> Option<(String, Credential)> {
    reader.value("store")?;
    let key = credential(reader, "store.seal_key", true);
    match reader.text("store.directory") {
        Some(directory) if !directory.is_empty() => Some((directory.to_owned(), key?)),
        _ => {
            reader.fault("store.directory is missing");
            None
        }
    }
}

#[cfg(feature = "shared")]
fn stored(
    _: &mut Reader<'_>,
    builder: ClientCredentialsBuilder,
    store: Option<(String, Credential)>,
) -> ClientCredentialsBuilder {
    use crate::shared::{FileStore, SealedStore};
    match store {
        Some((directory, key)) => builder.shared(SealedStore::new(FileStore::new(directory), key)),
        None => builder,
    }
}

#[cfg(not(feature = "shared"))]
fn stored(
    reader: &mut Reader<'_>,
    builder: ClientCredentialsBuilder,
    store: Option<(String, Credential)>,
) -> ClientCredentialsBuilder {
    if store.is_some() {
        reader.fault("store needs the feature shared of client-credentials");
    }
    builder
}

fn http(reader: &mut Reader<'_>) -> Option<HttpClient> {
    let (ca_file, proxy) = (reader.text("http.ca_file"), reader.text("http.proxy"));
    let mut url = None;
    if let Some(proxy) = proxy {
        match url::Url::parse(proxy) {
            Ok(proxy) if !proxy.username().is_empty() || proxy.password().is_some() => {
                reader.fault(
                    "http.proxy has a user or password, which would be a secret in plain text: set HTTPS_PROXY instead",
                );
            }
            Ok(proxy) if proxy.has_host() => url = Some(proxy),
            _ => reader.fault("http.proxy is not a URL: give http://host:port"),
        }
    }
    if cfg!(not(feature = "rustls")) && ca_file.is_some() {
        reader.fault("http.ca_file needs the feature rustls of client-credentials");
        return None;
    }
    let certificates = match ca_file {
        Some(path) => match certificates(path) {
            Ok(_) => Some(path.to_owned()),
            Err(flaw) => {
                reader.fault(format!("http.ca_file {flaw}"));
                None
            }
        },
        None => None,
    };
    (url.is_some() || certificates.is_some()).then(|| {
        HttpClient::from_reqwest_0_13(move || {
            let mut builder = reqwest::Client::builder();
            if let Some(proxy) = url.as_ref().and_then(|url| reqwest::Proxy::all(url.as_str()).ok()) {
                builder = builder.proxy(proxy);
            }
            match &certificates {
                Some(path) => trusting(builder, path),
                None => builder,
            }
        })
    })
}

/// Read again whenever a client is made: the file may have been replaced.
#[cfg(feature = "rustls")]
fn trusting(builder: reqwest::ClientBuilder, path: &str) -> reqwest::ClientBuilder {
    builder.tls_certs_merge(certificates(path).unwrap_or_default())
}

#[cfg(not(feature = "rustls"))]
fn trusting(builder: reqwest::ClientBuilder, _: &str) -> reqwest::ClientBuilder {
    builder
}

#[cfg(feature = "rustls")]
fn certificates(path: &str) -> Result<Vec<reqwest::Certificate>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    match reqwest::Certificate::from_pem_bundle(&bytes) {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err("has no certificate in PEM".to_owned()),
    }
}

#[cfg(not(feature = "rustls"))]
fn certificates(_: &str) -> Result<(), String> {
    Ok(())
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    let mut limits = Limits::new();
    limits.connect_timeout = reader.duration("limits.connect_timeout").unwrap_or(limits.connect_timeout);
    limits.attempt_timeout = reader.duration("limits.attempt_timeout").unwrap_or(limits.attempt_timeout);
    limits.max_response_bytes = reader.number("limits.max_response_bytes").unwrap_or(limits.max_response_bytes);
    limits.max_token_bytes = reader.number("limits.max_token_bytes").unwrap_or(limits.max_token_bytes);
    limits.max_error_text = reader.number("limits.max_error_text").unwrap_or(limits.max_error_text);
    reader.faults.extend(limits.faults().into_iter().map(|(setter, flaw)| format!("limits.{setter} {flaw}")));
    limits
}

fn backoff(reader: &Reader<'_>, path: &str, default: Backoff) -> Backoff {
    let first = reader.duration(&format!("{path}_first"));
    let max = reader.duration(&format!("{path}_max"));
    Backoff::new(first.unwrap_or(default.first), max.unwrap_or(default.max))
}

fn retry(reader: &mut Reader<'_>) -> RetryPolicy {
    let mut retry = RetryPolicy::new();
    retry.attempts = reader.number("retry.attempts").unwrap_or(retry.attempts);
    retry.backoff = backoff(reader, "retry.backoff", retry.backoff);
    retry.retry_after_limit = reader.duration("retry.retry_after_limit").unwrap_or(retry.retry_after_limit);
    let path = |setter: &str| if setter == "attempts" { "retry.attempts" } else { "retry.backoff_first" };
    reader.faults.extend(retry.faults().into_iter().map(|(setter, flaw)| format!("{} {flaw}", path(setter))));
    retry
}

fn cache(reader: &mut Reader<'_>) -> CachePolicy {
    let mut cache = CachePolicy::new();
    let or = |path: &str, default| reader.duration(&format!("cache.{path}")).unwrap_or(default);
    cache.fetch_timeout = or("fetch_timeout", cache.fetch_timeout);
    cache.takeover_after = reader.duration("cache.takeover_after");
    cache.refresh_window = reader.duration("cache.refresh_window");
    cache.max_age = or("max_age", cache.max_age);
    cache.safety_margin = or("safety_margin", cache.safety_margin);
    cache.default_lifetime = or("default_lifetime", cache.default_lifetime);
    cache.due_backoff = backoff(reader, "cache.due_backoff", cache.due_backoff);
    cache.expired_backoff = backoff(reader, "cache.expired_backoff", cache.expired_backoff);
    cache.denied_backoff = backoff(reader, "cache.denied_backoff", cache.denied_backoff);
    cache.due_retry_after_limit = or("due_retry_after_limit", cache.due_retry_after_limit);
    cache.expired_retry_after_limit = or("expired_retry_after_limit", cache.expired_retry_after_limit);
    cache.forced_refresh_interval = or("forced_refresh_interval", cache.forced_refresh_interval);
    cache.forced_refreshes = reader.number("cache.forced_refreshes").unwrap_or(cache.forced_refreshes);
    let path = |setter: &str| {
        if setter.ends_with("backoff") { format!("cache.{setter}_first") } else { format!("cache.{setter}") }
    };
    reader.faults.extend(cache.faults().into_iter().map(|(setter, flaw)| format!("{} {flaw}", path(setter))));
    cache
}

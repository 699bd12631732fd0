//! The list of members, for the reader, the names of variables, and the schema.

/// A member of [`Config`](crate::Config).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConfigMember {
    /// The path, for example `auth.client_id`.
    pub path: &'static str,
    /// The type of its value.
    pub kind: MemberKind,
    /// The meaning, in one sentence.
    pub about: &'static str,
}

/// The type of a [`ConfigMember`]'s value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberKind {
    /// A string.
    Text,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A list of strings.
    List,
    /// A table of strings.
    Table,
    /// `true` or `false`.
    Flag,
    /// An integer.
    Number,
    /// A duration: `"10s"`, or a number of seconds.
    Duration,
    /// Any JSON value.
    Json,
}

use MemberKind::{Duration, Flag, Json, List, Number, OneOf, Table, Text};

pub(super) const METHODS: &[&str] = &[
    "client_secret_basic",
    "client_secret_basic_raw",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "client_assertion",
    "mutual_tls",
    "none",
    "anonymous",
];

const ALGORITHMS: &[&str] = &[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
    "EdDSA", "Ed25519",
];

const fn member(path: &'static str, kind: MemberKind, about: &'static str) -> ConfigMember {
    ConfigMember { path, kind, about }
}

pub(super) fn find(path: &str) -> Option<&'static ConfigMember> {
    MEMBERS.iter().find(|member| member.path == path)
}

pub(super) const MEMBERS: &[ConfigMember] = &[
    member("token_endpoint", Text, "URL of the token endpoint; or issuer, or protected_resource"),
    member("issuer", Text, "URL of the issuer, whose metadata names the token endpoint"),
    member("protected_resource.url", Text, "URL of the API, whose metadata names its authorization server"),
    member("protected_resource.allowed_issuers", List, "issuers at which this client is registered"),
    member("protected_resource.accept_enclosing", Flag, "accept metadata of an enclosing resource"),
    member("protected_resource.omit_resource", Flag, "omit the resource parameter"),
    member("protected_resource.scopes_from_api", Flag, "request the scopes that the API requires"),
    member("metadata_lifetime", Duration, "how long metadata is kept"),
    member("pin_token_endpoint_origin", Text, "origin that the token endpoint must have"),
    member("name", Text, "name of the source in events, metrics and errors"),
    member("auth.method", OneOf(METHODS), "client authentication method"),
    member("auth.client_id", Text, "client ID"),
    member("auth.secret_file", Text, "file with the client secret"),
    member("auth.secret_env", Text, "variable with the client secret"),
    member("auth.key_file", Text, "file with the private key: PEM or JWK"),
    member("auth.key_env", Text, "variable with the private key"),
    member("auth.certificate_file", Text, "file with the certificate: mutual_tls, or x5t#S256 of private_key_jwt"),
    member("auth.certificate_env", Text, "variable with the certificate"),
    member("auth.assertion_file", Text, "file with an assertion that another program issues"),
    member("auth.assertion_env", Text, "variable with an assertion that another program issues"),
    member("auth.assertion_type", Text, "client_assertion_type"),
    member("auth.algorithm", OneOf(ALGORITHMS), "algorithm of signed assertions"),
    member("auth.audience", Text, "aud of signed assertions"),
    member("auth.key_id", Text, "kid of signed assertions"),
    member("auth.typ", Text, "typ of signed assertions"),
    member("auth.lifetime", Duration, "how long a signed assertion is valid"),
    member("auth.not_before", Flag, "add nbf to signed assertions"),
    member("auth.server_time", Flag, "use the clock of the server (Date) in signed assertions"),
    member("scopes", List, "scopes to request"),
    member("step_up", List, "scopes to request in addition once the API requires them"),
    member("audience", Text, "audience parameter"),
    member("resources", List, "resource parameters (RFC 8707)"),
    member("authorization_details", Json, "authorization_details (RFC 9396)"),
    member("params", Table, "other parameters of the token request"),
    member("headers", Table, "headers of the token request"),
    member("grant_type", Text, "grant_type, instead of client_credentials"),
    member("grant.subject_token_file", Text, "file with the token that is exchanged (RFC 8693)"),
    member("grant.subject_token_env", Text, "variable with the token that is exchanged"),
    member("grant.subject_token_type", Text, "subject_token_type, a JWT by default"),
    member("grant.requested_token_type", Text, "requested_token_type"),
    member("grant.actor_token_file", Text, "file with the token of the party that acts for the subject"),
    member("grant.actor_token_env", Text, "variable with the token of the party that acts for the subject"),
    member("grant.actor_token_type", Text, "actor_token_type"),
    member("grant.assertion_file", Text, "file with the JWT that is the grant (RFC 7523 section 2.1)"),
    member("grant.assertion_env", Text, "variable with the JWT that is the grant"),
    member("json_body", Flag, "send JSON instead of a form"),
    member("client_id_in_body", Flag, "also send client_id in the form"),
    member("strict", Flag, "refuse responses that violate RFC 6749"),
    member("fapi", Flag, "enforce the FAPI 2.0 Security Profile"),
    member("refuse_narrower_scope", Flag, "refuse a scope narrower than the requested one"),
    member("token_types", List, "names of token_type that mean Bearer"),
    member("dangerously_allow_http", List, "hosts for which plain http is allowed"),
    member("dpop.key_file", Text, "file with the key that tokens are bound to"),
    member("dpop.key_env", Text, "variable with the key that tokens are bound to"),
    member("dpop.generate", Flag, "bind tokens to a new key of this process"),
    member("http.ca_file", Text, "PEM file with additional root certificates, a regular file of at most 1 MiB"),
    member("http.proxy", Text, "URL of a proxy, without user and password"),
    member("store.directory", Text, "directory in which processes share the token"),
    member("store.seal_key_file", Text, "file with the key that seals the token"),
    member("store.seal_key_env", Text, "variable with the key that seals the token"),
    member("store.timeout", Duration, "how long a fetch waits for a store that does not respond"),
    member("limits.connect_timeout", Duration, "how long connecting may take"),
    member("limits.attempt_timeout", Duration, "how long one attempt may take"),
    member("limits.max_response_bytes", Number, "the largest response that is read"),
    member("limits.max_token_bytes", Number, "the longest token that is accepted"),
    member("limits.max_error_text", Number, "how much of a server's error text is kept"),
    member("retry.attempts", Number, "the number of attempts within a fetch"),
    member("retry.backoff_first", Duration, "the first wait between attempts"),
    member("retry.backoff_max", Duration, "the longest wait between attempts"),
    member("retry.retry_after_limit", Duration, "the longest Retry-After that a fetch waits for"),
    member("cache.fetch_timeout", Duration, "how long a fetch may take"),
    member("cache.takeover_after", Duration, "when a fetch without progress is taken over"),
    member("cache.refresh_window", Duration, "how long before its expiry a token may be refreshed"),
    member("cache.max_age", Duration, "the age at which a token is refreshed in any case"),
    member("cache.safety_margin", Duration, "how long before its expiry a token is no longer used"),
    member("cache.default_lifetime", Duration, "the lifetime of tokens for which the server states none"),
    member("cache.due_backoff_first", Duration, "the first wait after a failed refresh"),
    member("cache.due_backoff_max", Duration, "the longest wait after a failed refresh"),
    member("cache.expired_backoff_first", Duration, "the first wait without a usable token"),
    member("cache.expired_backoff_max", Duration, "the longest wait without a usable token"),
    member("cache.denied_backoff_first", Duration, "the first wait after a refusal"),
    member("cache.denied_backoff_max", Duration, "the longest wait after a refusal"),
    member("cache.due_retry_after_limit", Duration, "the longest Retry-After while a token is usable"),
    member("cache.expired_retry_after_limit", Duration, "the longest Retry-After while no token is usable"),
    member("cache.forced_refreshes", Number, "how many refreshes rejections can force in a row"),
    member("cache.forced_refresh_interval", Duration, "the time after which one more forced refresh is allowed"),
];

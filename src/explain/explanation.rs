//! The token request as it would be sent, and the settings that apply.

use std::fmt;

use http::header::CONTENT_TYPE;
use url::Url;

use super::findings::is_entra;
use crate::address::{Shown, is_loopback};
use crate::client_auth::{Carrier, ClientAuth};
use crate::client_credentials::{ClientCredentialsBuilder, Draft, Known};
use crate::credential::Shape;
use crate::exchange::AGENT;
use crate::grant::request::{JOINED, is_joined};

/// The result of [`ClientCredentialsBuilder::explain`]: the token request as it would be sent, the origin of its values, and
/// the settings that apply to the token.
///
/// `Display` prints it for people; with the feature `serde` it implements `Serialize`. Neither contains a secret, only its
/// length, its format and the place that it is read from.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Explanation {
    /// All faults that `build()` would report; empty if it succeeds.
    pub faults: Vec<String>,
    /// The method and the URL without its query, or how the URL is found.
    pub request: String,
    /// The headers of the token request.
    pub headers: Vec<Item>,
    /// The parameters of the token request.
    pub body: Vec<Item>,
    /// The format of the body: `form` or `json`.
    pub encoding: &'static str,
    /// The settings for responses, attempts and the cache.
    pub policies: Vec<Item>,
    /// Unusual settings, and why they matter.
    pub unusual: Vec<String>,
}

/// A name, its value, and the origin of the value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Item {
    /// The name of a header, parameter or setter.
    pub name: String,
    /// The value; for a secret, only its length and format.
    pub value: String,
    /// The setter, method or default that set it.
    pub origin: String,
}

fn item(name: impl Into<String>, value: impl fmt::Display, origin: impl Into<String>) -> Item {
    Item { name: name.into(), value: value.to_string(), origin: origin.into() }
}

impl ClientCredentialsBuilder {
    /// Describes the token request without sending it. Does no I/O and reads no credential file.
    ///
    /// It never fails: [`Explanation::faults`] lists everything that `build()` would refuse.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    ///
    /// let secret = Credential::file("/run/secrets/client-secret");
    /// let auth = ClientAuth::client_secret_post("billing", secret);
    /// let endpoint = "https://auth.example.com/token";
    /// let builder = ClientCredentials::builder(endpoint, auth).scope("read");
    /// let text = builder.explain().to_string();
    /// assert!(text.contains("POST https://auth.example.com/token"));
    /// assert!(text.contains("file /run/secrets/client-secret"));
    /// ```
    pub fn explain(&self) -> Explanation {
        let draft = self.draft();
        Explanation {
            request: request(&draft),
            headers: headers(&draft),
            body: body(&draft),
            encoding: if self.json_body { "json" } else { "form" },
            policies: policies(self),
            unusual: unusual(&draft),
            faults: draft.faults.lines(),
        }
    }
}

fn request(draft: &Draft) -> String {
    match (draft.server(), &draft.url) {
        (Known::TokenEndpoint(_), Some(url)) => {
            let query = if url.query().is_some() { " (its query is sent, too)" } else { "" };
            format!("POST {}{query}", Shown(url))
        }
        (Known::TokenEndpoint(_), None) => "POST to a token endpoint that is not usable".to_owned(),
        (Known::Issuer(issuer), _) => format!("POST to the token_endpoint in the metadata of {:?}", issuer.issuer),
        (Known::Resource(api), _) => format!(
            "POST to the token_endpoint of the authorization server that {:?} names, if it is one of {}",
            api.resource,
            api.allowed.iter().map(|issuer| format!("{issuer:?}")).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn headers(draft: &Draft) -> Vec<Item> {
    let builder = &draft.builder;
    let media = if builder.json_body { "application/json" } else { "application/x-www-form-urlencoded" };
    let ours = [("accept", "application/json"), ("content-type", media), ("user-agent", AGENT)];
    let mut headers = Vec::new();
    for (name, value) in ours {
        // JSON is always sent with its own type.
        if !draft.headers.contains_key(name) || builder.json_body && name == CONTENT_TYPE.as_str() {
            headers.push(item(name, value, "default"));
        }
    }
    for (name, value) in &draft.headers {
        // It may be an API key of a gateway.
        headers.push(item(name.as_str(), format_args!("{} bytes", value.len()), "header(..)"));
    }
    match builder.auth.carrier() {
        Carrier::Basic => {
            let secret = builder.auth.credential().map(|secret| secret.outline()).unwrap_or_default();
            let value = format!("Basic of client {:?} and the secret ({secret})", builder.auth.id());
            headers.push(item("authorization", value, builder.auth.name()));
        }
        Carrier::Params(_) | Carrier::Handshake | Carrier::Nothing => {}
    }
    if builder.is_bound() {
        headers.push(item("dpop", "a proof for this request, signed with the key", "dpop(..)"));
    }
    headers
}

fn body(draft: &Draft) -> Vec<Item> {
    let setter = |name: &str| match name {
        "grant_type" => "grant_type(..), grant(..) or the default".to_owned(),
        "subject_token_type" | "requested_token_type" | "actor_token_type" => "grant(..)".to_owned(),
        "client_id" => "client_id_in_body(true)".to_owned(),
        "scope" | "audience" | "resource" | "authorization_details" => format!("{name}(..)"),
        _ => "param(..)".to_owned(),
    };
    let param = |(name, value): &(String, String)| match setter(name) {
        // The value may be a secret, for example a password of another grant.
        origin if origin == "param(..)" => item(name, format_args!("{} characters", value.chars().count()), origin),
        origin => item(name, value, origin),
    };
    let mut body: Vec<_> = draft.params.0.iter().map(param).collect();
    if matches!(draft.server(), Known::Resource(api) if api.scoped) && draft.params.scope().is_none() {
        body.push(item("scope", "scopes_supported of the API's metadata", "scopes_from_api"));
    }
    if let (Known::Resource(api), true) = (draft.server(), draft.sends_resource) {
        body.push(item("resource", &api.resource, "ProtectedResource, RFC 8707"));
    }
    let auth = &draft.builder.auth;
    if auth.posts_client_id() && !auth.id().is_empty() {
        body.push(item("client_id", auth.id(), auth.name()));
    }
    match auth.carrier() {
        Carrier::Params(names) => body.extend(names.iter().map(|name| item(*name, proof(auth, name), auth.name()))),
        Carrier::Basic | Carrier::Handshake | Carrier::Nothing => {}
    }
    for (name, value) in &draft.builder.secrets.0 {
        body.push(item(name, value.outline(), "secret_param(..) or grant(..)"));
    }
    body
}

/// The value of a parameter that authenticates the client; of a secret its outline.
fn proof(auth: &ClientAuth, param: &str) -> String {
    let outline = auth.credential().map(|one| one.outline());
    match param {
        "client_assertion_type" => auth.assertion_type().to_owned(),
        "client_assertion" if auth.signs() => {
            let key = outline.map_or("by a signer of yours".to_owned(), |key| format!("with {key}"));
            format!("a JWT, signed for each attempt {key}")
        }
        _ => outline.unwrap_or_default(),
    }
}

fn policies(builder: &ClientCredentialsBuilder) -> Vec<Item> {
    let (limits, retry, cache) = (&builder.rules.limits, &builder.retry, &builder.cache);
    let mut all = vec![
        item("connect_timeout", format_args!("{:?}", limits.connect_timeout), "limits"),
        item("attempt_timeout", format_args!("{:?}", limits.attempt_timeout), "limits"),
        item("max_response_bytes", limits.max_response_bytes, "limits"),
        item("attempts", retry.attempts, "retry"),
        item("fetch_timeout", format_args!("{:?}", cache.fetch_timeout), "cache"),
        item("default_lifetime", format_args!("{:?}", cache.default_lifetime), "cache"),
        item("max_age", format_args!("{:?}", cache.max_age), "cache"),
        item("safety_margin", format_args!("{:?}", cache.safety_margin), "cache"),
    ];
    let window = match cache.refresh_window {
        Some(window) => format!("{window:?}"),
        None => "20 % of the lifetime, 30s to 15min".to_owned(),
    };
    all.push(item("refresh_window", window, "cache"));
    for (name, set) in [
        ("strict", builder.rules.strict || builder.fapi),
        ("fapi", builder.fapi),
        ("refuse_narrower_scope", builder.rules.refuse_narrower_scope),
        ("shared", builder.is_shared()),
    ] {
        all.push(item(name, set, "builder"));
    }
    if builder.auth.is_mutual_tls() {
        let certificate = builder.auth.credential().map(|one| one.outline()).unwrap_or_default();
        all.push(item("client certificate", certificate, "mutual_tls, presented in the TLS handshake"));
    }
    all
}

fn unusual(draft: &Draft) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |is: bool, text: &str| notes.extend(is.then(|| text.to_owned()));
    let param = |name: &str| draft.params.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let (start, builder) = (draft.url.as_ref(), &draft.builder);
    let is_readable = |url: &Url| url.scheme() == "http" && !is_loopback(url);
    note(start.is_some_and(is_readable), "plain http: secret and token can be read on the network");
    note(!builder.plain_hosts.is_empty(), "dangerously_allow_http: plain http is accepted for the hosts named there");
    let in_program = builder.auth.credential().is_some_and(|one| one.is_in_program());
    note(in_program, "the credential is a value in the program: a file or variable can be rotated without a restart");
    note(builder.auth.name() == "none", "method none: the client does not authenticate");
    note(builder.auth.name() == "anonymous", "anonymous: the request does not name a client");
    note(
        param("grant_type") != Some("client_credentials"),
        "another grant_type than client_credentials (RFC 6749 section 4.4)",
    );
    note(
        param("scope").is_none() && param("audience").is_none() && param("resource").is_none(),
        "neither scope, audience nor resource: the authorization server decides what the token is for",
    );
    let is_default = param("scope").is_some_and(|scope| scope.ends_with("/.default"));
    note(
        start.is_some_and(is_entra) && !is_default,
        "Entra ID requires one scope that ends in /.default for this grant",
    );
    note(builder.json_body, "json_body: RFC 6749 requires a form");
    note(
        builder.auth.posts_client_id() && builder.auth.name() == "client_secret_post",
        "client_secret_post: RFC 6749 section 2.3.1 prefers client_secret_basic",
    );
    let is_scoped = matches!(draft.server(), Known::Resource(api) if api.scoped);
    note(is_scoped, "scopes_from_api: the API decides which scopes are requested");
    let is_pinned = matches!(draft.server(), Known::Issuer(issuer) if issuer.metadata.pinned_origin.is_some());
    note(is_pinned, "pin_token_endpoint_origin: metadata that names another origin is refused");
    note(draft.params.scope().is_some_and(is_joined), &format!("the scope {JOINED}"));
    let values = draft.params.0.iter().filter(|(name, _)| name != "authorization_details");
    let id = ("client_id".to_owned(), builder.auth.id().to_owned());
    for (name, value) in values.chain([&id]) {
        let flaws = Shape::of(value).flaws;
        note(!flaws.is_empty(), &format!("{name} {}: it is sent that way", flaws.join(" and ")));
    }
    note(
        draft.now.wall() < std::time::Duration::from_secs(1_700_000_000),
        "the clock of this machine is before November 2023",
    );
    notes
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.request)?;
        let mut list = |title: &str, items: &[Item]| -> fmt::Result {
            if items.is_empty() {
                return Ok(());
            }
            writeln!(f, "\n{title}")?;
            items.iter().try_for_each(|one| writeln!(f, "  {}: {}  [{}]", one.name, one.value, one.origin))
        };
        list("headers", &self.headers)?;
        list(if self.encoding == "json" { "JSON" } else { "form" }, &self.body)?;
        list("policies", &self.policies)?;
        for (title, lines) in [("unusual", &self.unusual), ("faults: build() refuses this", &self.faults)] {
            if !lines.is_empty() {
                writeln!(f, "\n{title}")?;
                lines.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "explanation_tests.rs"]
mod tests;

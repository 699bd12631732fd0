//! The metadata of an authorization server (RFC 8414 section 2, OpenID Connect Discovery 1.0 section 3; pure).

use http::StatusCode;
use serde_json::Value;
use url::Url;

use crate::address::{self, NamedHosts, Shown, is_secure};
use crate::exchange::{Response, foreign_encoding, is_page};
use crate::json::{Flaw, Members, Text};
use crate::server_text;

/// The members that are used.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    /// The token endpoint for this client.
    pub(crate) token_endpoint: Url,
    /// `token_endpoint_auth_methods_supported`.
    pub(crate) auth_methods: Option<Vec<String>>,
}

impl Document {
    /// Whether it lists methods, and none of these; `false` for a client whose method has no registered name.
    pub(super) fn lacks(&self, methods: &[&str]) -> bool {
        let listed = |one: &String| methods.contains(&one.as_str());
        let list = self.auth_methods.as_ref();
        !methods.is_empty() && list.is_some_and(|list| !list.iter().any(listed))
    }
}

/// The rules for a document to be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    /// As configured, character by character.
    pub(crate) issuer: String,
    pub(crate) url: Url,
    /// Hosts for which plain `http` is allowed.
    pub(crate) plain_hosts: Vec<String>,
    /// The origin that the token endpoint must have, if it is pinned.
    pub(crate) pinned: Option<Url>,
    /// Whether the client presents a certificate, for which there may be another endpoint.
    pub(crate) mutual_tls: bool,
    /// Other hosts than these must have public addresses; `None`: any address.
    pub(crate) named_hosts: Option<NamedHosts>,
}

/// Why a response is not a usable document.
#[derive(Debug, PartialEq)]
pub(crate) struct Unusable {
    pub(crate) why: String,
    /// It may be usable the next time.
    pub(crate) transient: bool,
}

pub(super) fn unusable(why: impl Into<String>) -> Unusable {
    Unusable { why: why.into(), transient: false }
}

/// The URLs of the document, in the order in which they are tried: RFC 8414 section 3.1 (before the path of the
/// issuer), OpenID Connect Discovery 1.0 section 4 (after it).
pub(crate) fn well_known(issuer: &Url) -> [Url; 2] {
    let path = issuer.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    [format!("/.well-known/oauth-authorization-server{path}"), format!("{path}/.well-known/openid-configuration")].map(
        |path| {
            let mut url = issuer.clone();
            url.set_path(&path);
            url
        },
    )
}

/// The issuer, or the API, whose document is at this URL, if it is the URL of a document.
pub(crate) fn owner(url: &Url) -> Option<String> {
    let (before, rest) = url.path().split_once("/.well-known/")?;
    let names = ["oauth-authorization-server", "openid-configuration", "oauth-protected-resource"];
    let after = names.iter().find_map(|name| rest.strip_prefix(name))?;
    let is_whole = after.is_empty() || after.starts_with('/');
    is_whole.then(|| format!("{}{before}{after}", url.origin().ascii_serialization()))
}

pub(crate) fn decode(response: &Response, rules: &Rules) -> Result<Document, Unusable> {
    read(&mut members(response, &Text::marked(&response.body))?, rules)
}

/// The members of a successful response with this text.
pub(super) fn members<'t>(response: &Response, text: &'t Text<'_>) -> Result<Members<'t>, Unusable> {
    let status = response.status;
    if status != StatusCode::OK {
        let transient = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
        let why = match status.as_u16() {
            code @ 300..=399 => format!("status {code}, and redirects are not followed"),
            code => format!("status {code}"),
        };
        return Err(Unusable { why, transient });
    }
    if foreign_encoding(&response.headers).is_some() {
        return Err(unusable("it is encoded in a way that is not read here, and that was not asked for"));
    }
    Members::parse(text.as_bytes()).map_err(|flaw| Unusable {
        why: match flaw {
            Flaw::NotJson { .. } if is_page(&response.headers, &response.body) => {
                "it is a page and not JSON".to_owned()
            }
            Flaw::NotJson { line, column } => {
                format!("it is not JSON at line {line} column {column}")
            }
            Flaw::NotAnObject => "it is JSON, but not an object".to_owned(),
        },
        // A page of a proxy, or a truncated body.
        transient: matches!(flaw, Flaw::NotJson { .. }),
    })
}

fn read(members: &mut Members, rules: &Rules) -> Result<Document, Unusable> {
    // RFC 8414 section 3.3: otherwise one server could impersonate another.
    match text(members, "issuer")? {
        Some(issuer) if issuer == rules.issuer => {}
        Some(issuer) => {
            let shown = shown(&issuer);
            let more = match shown == rules.issuer {
                true => " with a query, a fragment or characters that are not shown",
                false => "",
            };
            return Err(unusable(format!(
                "it names the issuer {shown}{more}, but {} was configured (they must be identical, trailing slash included)",
                rules.issuer
            )));
        }
        None => return Err(unusable("it has no issuer")),
    }
    let methods = take(members, "token_endpoint_auth_methods_supported")?;
    let auth_methods = match methods {
        Some(Value::Array(methods)) => Some(methods.iter().filter_map(Value::as_str).map(Into::into).collect()),
        _ => None,
    };
    let mut endpoint = take(members, "token_endpoint")?;
    let mut name = "its token_endpoint";
    if rules.mutual_tls {
        // RFC 8705 section 5: a client without a certificate uses the regular endpoint.
        if let Some(Value::Object(aliases)) = take(members, "mtls_endpoint_aliases")? {
            if let Some(alias) = aliases.get("token_endpoint").filter(|one| !one.is_null()) {
                endpoint = Some(alias.clone());
                name = "the token_endpoint in its mtls_endpoint_aliases";
            }
        }
    }
    let endpoint = string(endpoint, name)?.ok_or_else(|| unusable("it has no token_endpoint"))?;
    Ok(Document {
        token_endpoint: judged(&endpoint, rules).map_err(|flaw| unusable(format!("its token_endpoint {flaw}")))?,
        auth_methods,
    })
}

/// The token endpoint, if the client may authenticate there; otherwise what is wrong with it.
fn judged(endpoint: &str, rules: &Rules) -> Result<Url, String> {
    let url = named_by(&rules.url, endpoint, &rules.plain_hosts)?;
    if url.fragment().is_some() {
        return Err("has a fragment (RFC 6749 section 3.2)".to_owned());
    }
    let place = Shown(&url);
    if rules.mutual_tls && url.scheme() != "https" {
        return Err(format!("{place} is not https, and mutual_tls presents the certificate in the TLS handshake"));
    }
    if let Some(flaw) = rules.named_hosts.as_ref().and_then(|hosts| hosts.flaw(&url)) {
        return Err(format!("{place} {flaw}"));
    }
    match &rules.pinned {
        Some(pinned) if pinned.origin() != url.origin() => {
            Err(format!("{place} is not at the pinned origin {}", pinned.origin().ascii_serialization()))
        }
        _ => Ok(url),
    }
}

/// A URL from a document of `home`. A document that was sent in plain `http` could have been changed on the way, so a
/// plain `http` URL must be at `home` itself.
pub(crate) fn named_by(home: &Url, url: &str, plain_hosts: &[String]) -> Result<Url, String> {
    let url = address::parse(url)?;
    match url.scheme() == "https" || url.origin() == home.origin() && is_secure(&url, plain_hosts) {
        true => Ok(url),
        false => Err(format!("{} is not https", Shown(&url))),
    }
}

pub(super) fn take(members: &mut Members, name: &'static str) -> Result<Option<Value>, Unusable> {
    members.take(name).map_err(|_| unusable(format!("it has {name} twice")))
}

pub(super) fn text(members: &mut Members, name: &'static str) -> Result<Option<String>, Unusable> {
    string(take(members, name)?, &format!("its {name}"))
}

/// `None` or `null`: there is none.
fn string(value: Option<Value>, name: &str) -> Result<Option<String>, Unusable> {
    match value {
        Some(Value::String(text)) => Ok(Some(text)),
        None | Some(Value::Null) => Ok(None),
        Some(_) => Err(unusable(format!("{name} is not a string"))),
    }
}

/// A URL from a server, sanitised.
pub(super) fn shown(url: &str) -> String {
    server_text::shown(url.split(['?', '#']).next().unwrap_or_default())
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;

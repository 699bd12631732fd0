//! The metadata of an API (RFC 9728 section 2; pure). `signed_metadata` is ignored, as section 2.2 allows.

use serde_json::Value;
use url::Url;

use super::document::{Unusable, members, shown, take, text, unusable};
use crate::exchange::Response;
use crate::json::Text;
use crate::step_up::is_scope;

/// The members that are used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    /// The identifier of the API, or of a resource that encloses it.
    pub(crate) resource: String,
    /// Its authorization server, one of the allowed ones.
    pub(crate) issuer: String,
    /// `scopes_supported`.
    pub(crate) scope: Option<String>,
}

/// The rules for a document to be used.
#[derive(Clone, Debug)]
pub(crate) struct ResourceRules {
    /// As configured, character by character.
    pub(crate) resource: String,
    pub(crate) url: Url,
    /// The only issuers that the client authenticates to; not empty.
    pub(crate) allowed: Vec<String>,
    /// Whether an enclosing resource is accepted.
    pub(crate) enclosing: bool,
}

impl ResourceRules {
    /// Sanitised: its query may be secret.
    pub(super) fn shown(&self) -> String {
        shown(&self.resource)
    }

    fn is_of(&self, resource: &str) -> bool {
        resource == self.resource || (self.enclosing && encloses(resource, &self.url))
    }
}

/// The URLs of the document (RFC 9728 section 3.1): its path is inserted between host and path. `whole`: followed by
/// that of the whole origin, as in the Model Context Protocol.
pub(crate) fn well_known_of_resource(resource: &Url, whole: bool) -> Vec<Url> {
    const SUFFIX: &str = "/.well-known/oauth-protected-resource";
    let mut own = resource.clone();
    own.set_path(&match resource.path() {
        "/" => SUFFIX.to_owned(),
        // Unchanged, except that a slash after the host is dropped.
        path => format!("{SUFFIX}{path}"),
    });
    let mut origin = resource.clone();
    origin.set_path(SUFFIX);
    origin.set_query(None);
    let mut places = vec![own];
    if whole && !places.contains(&origin) {
        places.push(origin);
    }
    places
}

pub(crate) fn decode(response: &Response, rules: &ResourceRules) -> Result<Named, Unusable> {
    let text_of_body = Text::marked(&response.body);
    let mut members = members(response, &text_of_body)?;
    // RFC 9728 section 3.3: otherwise one API could impersonate another.
    let resource = match text(&mut members, "resource")? {
        Some(resource) if rules.is_of(&resource) => resource,
        Some(resource) => {
            let relation = match rules.enclosing {
                true => "which does not enclose",
                false => "which is not identical to",
            };
            return Err(unusable(format!("it names the resource {}, {relation} {}", shown(&resource), rules.shown())));
        }
        None => return Err(unusable("it has no resource")),
    };
    let scope = match take(&mut members, "scopes_supported")? {
        Some(Value::Array(scopes)) => scope(&scopes),
        _ => None,
    };
    let servers = match take(&mut members, "authorization_servers")? {
        Some(Value::Array(servers)) => servers,
        None | Some(Value::Null) => return Err(unusable("it names no authorization_servers")),
        Some(_) => return Err(unusable("its authorization_servers is not a list")),
    };
    let named = || servers.iter().filter_map(Value::as_str);
    let is_allowed = |issuer: &&str| rules.allowed.iter().any(|allowed| allowed == issuer);
    match named().find(is_allowed) {
        Some(issuer) => Ok(Named { resource, issuer: issuer.to_owned(), scope }),
        None => Err(unusable(format!(
            "none of its authorization_servers ({}) is an allowed issuer ({})",
            list(named()),
            list(rules.allowed.iter().map(String::as_str)),
        ))),
    }
}

/// The scopes that a request can have.
fn scope(scopes: &[Value]) -> Option<String> {
    const MOST: usize = 64; // real lists have tens
    let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).filter(|scope| is_scope(scope)).take(MOST).collect();
    (!scopes.is_empty()).then(|| scopes.join(" "))
}

/// Same origin, and its path a prefix by whole segments (draft-mcguinness-oauth-rfc9728bis).
fn encloses(resource: &str, inner: &Url) -> bool {
    let Ok(outer) = Url::parse(resource) else {
        return false;
    };
    let is_bare = outer.query().is_none()
        && outer.fragment().is_none()
        && outer.username().is_empty()
        && outer.password().is_none();
    let (outer_path, inner_path) = (outer.path(), inner.path());
    let rest = inner_path.strip_prefix(outer_path);
    is_bare
        && outer.origin() == inner.origin()
        && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || outer_path.ends_with('/'))
}

/// URLs, sanitised.
fn list<'a>(urls: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 8; // real lists have one or two
    let mut shown: Vec<_> = urls.take(MOST + 1).map(shown).collect();
    if shown.len() > MOST {
        shown.truncate(MOST);
        shown.push("..".to_owned());
    }
    shown.join(", ")
}

#[cfg(test)]
#[path = "resource_document_tests.rs"]
mod tests;

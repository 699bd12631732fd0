//! The key of a token in a store that all clients share (pure): everything in the request except the client's credential,
//! which differs between replicas and is rotated.

use crate::grant::request::Params;
use crate::grant::response::Rules;

/// The parts in a fixed order, encoded unambiguously. The key is authenticated with the record, and its keyed hash is
/// the record's name; neither reveals it.
#[derive(Clone)]
pub(crate) struct Key(Vec<u8>);

/// The parts of a token request that decide which token is returned.
pub(crate) struct Asked<'a> {
    /// What the server is found by, and its value: the issuer, the token endpoint with its query, or an API whose metadata
    /// names the server, and the rules for both.
    pub(crate) server: (&'static str, Vec<String>),
    pub(crate) client_id: &'a str,
    /// The client authentication method: a token may state how the client was authenticated.
    pub(crate) method: &'a str,
    pub(crate) params: &'a Params,
    /// Some gateways choose the tenant by a header.
    pub(crate) headers: &'a http::HeaderMap,
    /// A response that these rules refuse must not be taken from a source that accepts it.
    pub(crate) rules: &'a Rules,
}

impl Key {
    /// For a custom source, whose user provides a name for its tokens.
    pub(crate) fn named(name: &str) -> Key {
        let mut key = Key(Vec::new());
        key.add("name", name.as_bytes());
        key
    }

    pub(crate) fn of_grant(asked: &Asked<'_>) -> Key {
        let mut key = Key(Vec::new());
        let (label, parts) = &asked.server;
        parts.iter().for_each(|part| key.add(label, part.as_bytes()));
        key.add("client_id", asked.client_id.as_bytes());
        key.add("method", asked.method.as_bytes());
        // The order of parameters, resources and scopes has no meaning (RFC 6749 section 3.3, RFC 8707 section 2).
        let mut params: Vec<_> = asked
            .params
            .0
            .iter()
            .map(|(name, value)| match name.as_str() {
                "scope" => (name.as_str(), a_set(value)),
                _ => (name.as_str(), value.clone()),
            })
            .collect();
        params.sort_unstable();
        params.dedup();
        for (name, value) in params {
            key.add("param", name.as_bytes());
            key.add("value", value.as_bytes());
        }
        let mut headers: Vec<_> = asked
            .headers
            .iter()
            // It identifies a release, not a token.
            .filter(|(name, _)| **name != http::header::USER_AGENT)
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        headers.sort_unstable();
        for (name, value) in headers {
            key.add("header", name.as_bytes());
            key.add("value", value);
        }
        let rules = [("strict", asked.rules.strict), ("refuse_narrower_scope", asked.rules.refuse_narrower_scope)];
        for (rule, _) in rules.iter().filter(|(_, holds)| *holds) {
            key.add("rule", rule.as_bytes());
        }
        let mut types: Vec<_> = asked.rules.token_types.iter().map(|name| name.to_ascii_lowercase()).collect();
        types.sort_unstable();
        types.dedup();
        types.iter().for_each(|name| key.add("token_type", name.as_bytes()));
        key
    }

    /// For a token that is bound to this key or certificate: replicas with another one use another record name.
    pub(crate) fn bound_to(&self, thumbprint: Option<&[u8]>) -> Key {
        let mut key = self.clone();
        if let Some(thumbprint) = thumbprint {
            key.add("bound_key", thumbprint);
        }
        key
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Each with its length, so that no two lists have the same encoding.
    fn add(&mut self, label: &str, value: &[u8]) {
        for part in [label.as_bytes(), value] {
            self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
            self.0.extend_from_slice(part);
        }
    }
}

/// Scopes sorted, each once.
fn a_set(scope: &str) -> String {
    let mut scopes: Vec<_> = scope.split_ascii_whitespace().collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(params: &[(&str, &str)]) -> Params {
        Params(params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Issuer, client, method, parameters and header of a request.
    fn key(issuer: &str, id: &str, method: &str, asked: &[(&str, &str)], header: &str) -> Vec<u8> {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-tenant", header.parse().unwrap());
        let asked = Asked {
            server: ("issuer", vec![issuer.to_owned()]),
            client_id: id,
            method,
            params: &params(asked),
            headers: &headers,
            rules: &Rules::default(),
        };
        Key::of_grant(&asked).0
    }

    #[test]
    fn the_order_of_parameters_does_not_change_the_key() {
        // C24 across processes
        let one = [("scope", "a b"), ("resource", "x"), ("resource", "y")];
        let other = [("resource", "y"), ("resource", "x"), ("scope", "b a b")];
        assert_eq!(key("i", "c", "m", &one, "t"), key("i", "c", "m", &other, "t"));
    }

    #[test]
    fn any_difference_changes_the_key() {
        let asked = [("scope", "a"), ("audience", "x")];
        let mut keys = vec![
            key("i", "c", "m", &asked, "t"),
            key("I", "c", "m", &asked, "t"),
            key("i", "C", "m", &asked, "t"),
            key("i", "c", "M", &asked, "t"),
            key("i", "c", "m", &asked, "T"),
            key("i", "c", "m", &[("scope", "a b"), ("audience", "x")], "t"),
            key("i", "c", "m", &[("scope", "a"), ("audience", "y")], "t"),
            key("i", "c", "m", &[("scope", "a"), ("resource", "x")], "t"),
            key("i", "c", "m", &[("scope", "a")], "t"),
            // Parts that are equal when concatenated.
            key("ic", "", "m", &asked, "t"),
            key("i", "cm", "", &asked, "t"),
            Key::named("i").0,
        ];
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_bound_token_has_a_record_of_its_own_for_each_key() {
        // D20
        let key = Key::named("x");
        let bound = |to: Option<&[u8]>| key.bound_to(to).0;
        assert_eq!(bound(None), key.0);
        assert_ne!(bound(Some(b"one")), bound(None));
        assert_ne!(bound(Some(b"one")), bound(Some(b"other")));
    }

    #[test]
    fn the_user_agent_is_not_part_of_the_key() {
        let headers = |agent: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert("user-agent", agent.parse().unwrap());
            headers
        };
        let of = |headers: &http::HeaderMap| {
            let url = url::Url::parse("https://auth.example.com/token?tenant=a").unwrap();
            Key::of_grant(&Asked {
                server: ("token_endpoint", vec![url.to_string()]),
                client_id: "c",
                method: "m",
                params: &params(&[]),
                headers,
                rules: &Rules::default(),
            })
            .0
        };
        assert_eq!(of(&headers("one/1")), of(&headers("one/2")));
    }
}

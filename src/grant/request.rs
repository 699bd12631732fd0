//! The token request (RFC 6749 section 4.4.2; pure).

use std::borrow::Cow;

use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::client_auth::Proof;
use crate::exchange::Request;
use crate::json::wipe;

/// Whether a scope is written as a list of another kind. A server reads it as one scope, since a comma or semicolon may be
/// part of a scope (RFC 6749 section 3.3).
pub(crate) fn is_joined(scope: &str) -> bool {
    scope.contains([',', ';'])
}

/// What to say about such a scope.
pub(crate) const JOINED: &str =
    "has a comma or semicolon, which does not separate scopes: blanks do (RFC 6749 section 3.3)";

/// The parameters of a request, without the client's authentication, in the order in which they are sent.
#[derive(Clone, Debug)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

impl Params {
    /// The requested scope.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.get("scope")
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// These parameters with another scope.
    pub(crate) fn with_scope(&self, scope: &str) -> Params {
        let mut params = self.clone();
        match params.0.iter_mut().find(|(name, _)| name == "scope") {
            Some((_, value)) => scope.clone_into(value),
            None => params.0.push(("scope".to_owned(), scope.to_owned())),
        }
        params
    }

    /// These parameters and the resource from metadata (RFC 8707).
    pub(crate) fn with_resource(&self, resource: Option<&str>) -> Cow<'_, Params> {
        let mut params = Cow::Borrowed(self);
        if let Some(resource) = resource {
            let resource = ("resource".to_owned(), resource.to_owned());
            params.to_mut().0.push(resource);
        }
        params
    }
}

/// The endpoint without those parameters of its query that the form has, since none may be sent twice (RFC 6749 section
/// 3.2). For a URL from metadata; `build()` refuses one of the user.
pub(crate) fn without_repetition<'a>(endpoint: &'a Url, params: &Params, proof: &Proof) -> Cow<'a, Url> {
    let in_form = |name: &str| params.get(name).is_some() || proof.params.iter().any(|(n, _)| &**n == name);
    if !endpoint.query_pairs().any(|(name, _)| in_form(&name)) {
        return Cow::Borrowed(endpoint);
    }
    let kept: Vec<_> = endpoint.query_pairs().filter(|(name, _)| !in_form(name)).collect();
    let mut url = endpoint.clone();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    Cow::Owned(url)
}

/// What is sent: the parameters, then those of the client authentication.
fn pairs<'a>(params: &'a Params, proof: &'a Proof) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
    let asked = params.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    asked.chain(proof.params.iter().map(|(name, value)| (&**name, value.as_str())))
}

/// application/x-www-form-urlencoded, RFC 6749 appendix B.
pub(crate) fn encode(params: &Params, proof: Proof) -> Request {
    let pairs = pairs(params, &proof);
    // The largest size, `%XX` for each byte: growing would leave copies of the secret in memory.
    let room = pairs.clone().map(|(name, value)| (name.len() + value.len() + 1).saturating_mul(3)).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    for (name, value) in pairs {
        if !body.is_empty() {
            body.push(b'&');
        }
        for (part, end) in [(name, b"=".as_slice()), (value, b"")] {
            for piece in form_urlencoded::byte_serialize(part.as_bytes()) {
                body.extend_from_slice(piece.as_bytes());
            }
            body.extend_from_slice(end);
        }
    }
    let authorization = proof.authorization.map(|value| (AUTHORIZATION, value));
    Request { headers: authorization.into_iter().collect(), body }
}

/// Encodes as a JSON object, for servers that accept no form (Google STS, OpenAI, Anthropic). A parameter that occurs
/// several times is an array.
pub(crate) fn encode_json(params: &Params, proof: Proof) -> Request {
    let mut object = serde_json::Map::new();
    let pairs = pairs(params, &proof);
    for (name, value) in pairs.clone() {
        match object.get_mut(name) {
            None => {
                object.insert(name.to_owned(), value.into());
            }
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
        }
    }
    let mut object = Value::Object(object);
    // The largest size, `\u00XX` for each byte: growing would leave copies of the secret in memory.
    let room: usize = pairs.map(|(name, value)| name.len() + value.len() + 6).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(room.saturating_mul(6)));
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *body, &object);
    wipe(&mut object);
    let authorization = proof.authorization.map(|value| (AUTHORIZATION, value));
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Request { headers: authorization.into_iter().chain([json]).collect(), body }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(params: &[(&str, &str)]) -> Params {
        let owned = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
        Params(params.iter().map(owned).collect())
    }

    fn body(params: &[(&str, &str)], secret: Option<&str>) -> Zeroizing<Vec<u8>> {
        let proof = Proof {
            authorization: None,
            params: secret.map(|secret| ("client_secret".into(), Zeroizing::new(secret.into()))).into_iter().collect(),
            echoes: Vec::new(),
        };
        encode(&asked(params), proof).body
    }

    #[test]
    fn the_requested_scope_is_found_among_the_others() {
        let params = asked(&[("audience", "x"), ("scope", "a b"), ("y", "z")]);
        assert_eq!(params.scope(), Some("a b"));
        assert_eq!(asked(&[("audience", "x")]).scope(), None);
    }

    #[test]
    fn no_parameter_of_the_form_is_in_the_query_too() {
        // FE2
        let proof = Proof { params: vec![("client_id".into(), Zeroizing::new("x".into()))], ..Proof::default() };
        let params = asked(&[("grant_type", "client_credentials")]);
        for (query, kept) in [
            ("", None),
            ("?p=policy", Some("p=policy")),
            ("?grant_type=client_credentials", None),
            ("?p=a%20b&grant%5Ftype=x&client_id=y&q", Some("p=a+b&q=")),
        ] {
            let url = Url::parse(&format!("https://auth.example.com/token{query}")).unwrap();
            assert_eq!(without_repetition(&url, &params, &proof).query(), kept, "{query}");
        }
    }

    #[test]
    fn the_form_is_that_of_rfc_6749_appendix_b() {
        // F04, and the vector of appendix B: " %&+£€"
        assert_eq!(
            *body(&[("grant_type", "client_credentials"), ("scope", "a b")], Some(" %&+£€")),
            *b"grant_type=client_credentials&scope=a+b&client_secret=+%25%26%2B%C2%A3%E2%82%AC"
        );
    }

    #[test]
    fn a_json_body_has_the_same_parameters() {
        let proof = Proof { params: vec![("subject_token".into(), Zeroizing::new("a\"b".into()))], ..Proof::default() };
        let asked = asked(&[("grant_type", "x"), ("resource", "one"), ("resource", "two"), ("resource", "three")]);
        let request = encode_json(&asked, proof);
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let expected =
            serde_json::json!({"grant_type": "x", "resource": ["one", "two", "three"], "subject_token": "a\"b"});
        assert_eq!(body, expected);
        assert_eq!(request.headers[CONTENT_TYPE], "application/json");
    }

    proptest! {
        #[test]
        fn a_json_body_is_not_reallocated(name in ".+", value: String, secret: String) {
            let secret = vec![("client_secret".into(), Zeroizing::new(secret))];
            let proof = Proof { params: secret, ..Proof::default() };
            let worst = 6 * proof.params.iter().map(|(n, v)| n.len() + v.len() + 6).sum::<usize>()
                + 6 * (name.len() + value.len() + 6);
            prop_assert_eq!(encode_json(&asked(&[(&name, &value)]), proof).body.capacity(), worst);
        }

        #[test]
        fn every_value_arrives_unchanged_and_nothing_is_reallocated(name in ".+", value: String, secret: String) {
            let encoded = body(&[("grant_type", "x"), (&name, &value)], Some(&secret));
            let decoded: Vec<_> = form_urlencoded::parse(&encoded).into_owned().collect();
            let expected = [("grant_type", "x"), (&name, &value), ("client_secret", &secret)];
            let worst: usize = expected.iter().map(|(n, v)| 3 * (n.len() + 1 + v.len())).sum();
            prop_assert_eq!(encoded.capacity(), worst);
            prop_assert_eq!(decoded, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
        }
    }
}

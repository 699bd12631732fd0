//! A type of another crate in the public API ties users to that crate's major version, so only these are allowed.
//! `.ci/public-api` compares the code with `tests/public-api.txt`.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;

/// The allowed names, by crate.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("bytes", &["Bytes"]),
    ("http", &["Extensions", "HeaderMap", "HeaderName", "HeaderValue", "Method", "Request", "Response", "StatusCode"]),
    ("http_body", &["Body", "Frame", "SizeHint"]),
    // The version is in the name of the constructor: `HttpClient::from_reqwest_0_13`.
    ("reqwest", &["ClientBuilder", "Request", "Response"]),
    ("reqwest_middleware", &["Middleware", "Next", "Result"]),
    ("secrecy", &["SecretBox", "SecretString"]),
    ("serde_core", &["Deserialize", "Deserializer"]),
    ("serde_json", &["Value"]),
    ("tower_layer", &["Layer"]),
    ("tower_service", &["Service"]),
];

#[test]
fn no_other_type_of_another_crate_is_in_the_public_api() {
    let strangers: BTreeSet<_> = foreign(include_str!("public-api.txt")).filter(|path| !is_allowed(path)).collect();
    assert!(strangers.is_empty(), "{strangers:#?}");
}

#[test]
fn every_allowed_type_is_used() {
    let named: BTreeSet<_> = foreign(include_str!("public-api.txt")).collect();
    for (home, types) in ALLOWED {
        for name in types {
            let used =
                named.iter().any(|path| path.starts_with(&format!("{home}::")) && path.ends_with(&format!("::{name}")));
            assert!(used, "{home}'s {name} is not in the public API");
        }
    }
}

#[test]
fn foreign_types_are_distinguished_from_our_own_and_from_the_standard_library() {
    let line =
        "pub fn client_credentials::X::y(&self, url: &url::Url, t: alloc::string::String) -> http::method::Method";
    let found: Vec<_> = foreign(line).collect();
    assert_eq!(found, ["url::Url", "http::method::Method"]);
    assert!(!is_allowed(found[0]) && is_allowed(found[1]));
}

fn is_allowed(path: &str) -> bool {
    let (home, name) = (path.split("::").next(), path.rsplit("::").next());
    ALLOWED.iter().any(|(allowed, types)| Some(*allowed) == home && name.is_some_and(|name| types.contains(&name)))
}

/// The paths of other crates, each of which begins with the name of its crate.
fn foreign(listing: &str) -> impl Iterator<Item = &str> {
    let of_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let paths = listing.split(move |c: char| !of_path(c)).map(|path| path.trim_matches(':'));
    paths.filter(|path| {
        let home = path.split("::").next().unwrap_or_default();
        let is_crate = home.starts_with(|c: char| c.is_ascii_lowercase());
        path.contains("::") && is_crate && !["client_credentials", "core", "alloc", "std"].contains(&home)
    })
}

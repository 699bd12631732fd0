use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use serde_json::json;
use zeroize::Zeroizing;

use super::*;

const API: &str = "https://api.example.com/v1/mcp";
const ISSUER: &str = "https://auth.example.com";

fn rules(resource: &str, enclosing: bool) -> ResourceRules {
    ResourceRules {
        resource: resource.to_owned(),
        url: Url::parse(resource).unwrap(),
        allowed: vec![ISSUER.to_owned(), "https://other.example".to_owned()],
        enclosing,
    }
}

fn decoded(body: impl ToString, rules: &ResourceRules) -> Result<Named, Unusable> {
    let response = Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Zeroizing::new(body.to_string().into_bytes()),
    };
    decode(&response, rules)
}

/// The accepted resource, or why it is not accepted.
fn found(resource: &str, of: &str, enclosing: bool) -> Result<String, String> {
    let body = json!({"resource": resource, "authorization_servers": [ISSUER]});
    match decoded(body, &rules(of, enclosing)) {
        Ok(named) => {
            assert_eq!(named.issuer, ISSUER);
            Ok(named.resource)
        }
        Err(flaw) => {
            assert!(!flaw.transient);
            Err(flaw.why)
        }
    }
}

#[test]
fn the_well_known_segment_is_between_host_and_path() {
    // RFC 9728 section 3.1: only a slash after the host is dropped.
    for (resource, place) in [
        ("https://api.example.com", ""),
        ("https://api.example.com/", ""),
        ("https://api.example.com?a=b", "?a=b"),
        ("https://api.example.com/v1/mcp", "/v1/mcp"),
        ("https://api.example.com/v1/mcp/", "/v1/mcp/"),
        ("https://api.example.com/v1?a=b", "/v1?a=b"),
    ] {
        let url = Url::parse(resource).unwrap();
        let expected = format!("https://api.example.com/.well-known/oauth-protected-resource{place}");
        let places = well_known_of_resource(&url, false).into_iter().map(String::from);
        assert_eq!(places.collect::<Vec<_>>(), [expected.as_str()], "{resource}");
        let whole = "https://api.example.com/.well-known/oauth-protected-resource";
        let mut both = vec![expected.as_str(), whole];
        both.dedup();
        let places = well_known_of_resource(&url, true).into_iter().map(String::from);
        assert_eq!(places.collect::<Vec<_>>(), both, "{resource}");
    }
}

#[test]
fn the_resource_is_compared_exactly() {
    assert_eq!(found(API, API, false).as_deref(), Ok(API));
    for other in [
        "https://api.example.com/v1/mcp/",
        "https://api.example.com/v1",
        "https://api.example.com/v1/MCP",
        "https://api.example.com:443/v1/mcp",
        "HTTPS://api.example.com/v1/mcp",
        "https://evil.example/v1/mcp",
    ] {
        let why = found(other, API, false).unwrap_err();
        assert!(why.contains("not identical") && why.contains(API), "{why}");
    }
    // M21
    for (body, why) in [
        (json!({"authorization_servers": [ISSUER]}), "it has no resource"),
        (json!({"resource": [API]}), "its resource is not a string"),
    ] {
        assert_eq!(decoded(body, &rules(API, true)).unwrap_err(), unusable(why));
    }
    let twice = format!(r#"{{"resource":"{API}","resource":"{API}","authorization_servers":["{ISSUER}"]}}"#);
    assert_eq!(decoded(twice, &rules(API, false)).unwrap_err().why, "it has resource twice");
}

#[test]
fn an_enclosing_resource_has_the_same_origin_and_a_prefix_of_whole_segments() {
    // The table of draft-mcguinness-oauth-rfc9728bis, and more.
    let origin = "https://api.example.com";
    for (outer, inner, encloses) in [
        ("", "/accounts", true),
        ("/", "/accounts", true),
        ("/", "/api/v1/accounts", true),
        ("/api", "/api/v1/accounts", true),
        ("/api/", "/api/v1/accounts", true),
        ("/api/v1", "/api/v1/accounts", true),
        ("/api/v1", "/api/v1/", true),
        ("/api/v1/", "/api/v1/accounts", true),
        ("/api/v1", "/api/v1", true),
        ("/api/x/../v1", "/api/v1", true),
        ("/api/v1", "/api/v1?a=b", true),
        ("/api/v1/", "/api/v1", false),
        ("/api/v1", "/api/v10", false),
        ("/api/v1", "/api/v1admin", false),
        ("/api/v1", "/api/v2/accounts", false),
        ("/api/v1/..%2fv2", "/api/v2", false),
        ("/api/v1", "/other", false),
        ("/api/V1", "/api/v1", false),
        ("/accounts", "/transactions", false),
        ("/api?a=b", "/api/v1", false),
        ("/api#f", "/api/v1", false),
        (":8443/", "/api", false),
        (".evil.example/", "/api", false),
    ] {
        let (outer, inner) = (format!("{origin}{outer}"), format!("{origin}{inner}"));
        let result = found(&outer, &inner, true);
        assert_eq!(result.is_ok(), encloses, "{outer} {inner} {result:?}");
        if let Err(why) = result {
            assert!(why.contains("which does not enclose"), "{why}");
        }
    }
    for outer in ["http://api.example.com/", "https://me@api.example.com/", "/", "data:x", ""] {
        assert!(found(outer, API, true).is_err(), "{outer}");
    }
}

#[test]
fn the_first_allowed_server_is_used() {
    for (servers, issuer) in [
        (json!([ISSUER]), Some(ISSUER)),
        (json!(["https://evil.example", "https://other.example", ISSUER]), Some("https://other.example")),
        (json!([1, null, ISSUER]), Some(ISSUER)),
        (json!(["https://auth.example.com/", "HTTPS://auth.example.com", "https://auth.example.com:443"]), None),
        (json!([]), None),
    ] {
        let body = json!({"resource": API, "authorization_servers": servers, "signed_metadata": "x.y.z"});
        match (decoded(&body, &rules(API, false)), issuer) {
            (Ok(named), Some(issuer)) => assert_eq!(named.issuer, issuer),
            (Err(flaw), None) => {
                let allowed = "is an allowed issuer (https://auth.example.com, https://other.example)";
                assert!(flaw.why.contains(allowed), "{}", flaw.why);
            }
            (other, _) => panic!("{body}: {other:?}"),
        }
    }
    for (body, why) in [
        (json!({"resource": API}), "it names no authorization_servers"),
        (json!({"resource": API, "authorization_servers": null}), "it names no authorization_servers"),
        (json!({"resource": API, "authorization_servers": ISSUER}), "its authorization_servers is not a list"),
    ] {
        assert_eq!(decoded(body, &rules(API, false)).unwrap_err(), unusable(why));
    }
}

#[test]
fn text_from_an_api_is_truncated_and_cleaned() {
    let mut servers = vec![format!("https://evil.example/\u{1b}[2J{}?canary", "y".repeat(1000))];
    servers.extend((0..1000).map(|n| format!("https://evil{n}.example")));
    let body = json!({"resource": API, "authorization_servers": servers});
    let why = decoded(body, &rules(API, false)).unwrap_err().why;
    assert!(why.len() < 1000 && !why.contains(['\u{1b}', '?']), "{why}");
    assert!(why.contains("https://evil6.example, ..)") && !why.contains("evil7"), "{why}");
    let why = found("https://evil.example/?canary", API, true).unwrap_err();
    assert!(!why.contains("canary"), "{why}");
}

proptest! {
    #[test]
    fn no_document_causes_a_panic_and_only_allowed_issuers_are_found(
        body: String, resource in ".{0,30}|https://api.example.com[a-z0-9/?#%.]{0,20}",
        servers in prop::collection::vec(".{0,20}|https://[a-z.]{0,20}|https://auth.example.com/?", 0..4), enclosing: bool,
    ) {
        let rules = rules(API, enclosing);
        let _ = decoded(&body, &rules);
        if let Ok(named) = decoded(json!({"resource": resource, "authorization_servers": servers}), &rules) {
            prop_assert!(rules.allowed.contains(&named.issuer));
            prop_assert!(named.resource == API || enclosing);
            prop_assert_eq!(Url::parse(&named.resource).unwrap().origin(), rules.url.origin());
        }
    }

    #[test]
    fn every_enclosing_resource_is_a_prefix_by_segments(outer in "(/[ab]{1,2}){0,3}/?", inner in "(/[ab]{1,2}){0,3}/?") {
        let segments = |path: &str| path.split('/').filter(|one| !one.is_empty()).map(Into::into).collect::<Vec<String>>();
        let url = Url::parse(&format!("https://api.example.com{inner}")).unwrap();
        if encloses(&format!("https://api.example.com{outer}"), &url) {
            prop_assert!(segments(&inner).starts_with(&segments(&outer)));
        }
    }

    #[test]
    fn every_well_known_url_has_the_origin_of_the_resource(path in "(/[^?#\\s]{0,10}){0,4}(\\?[a-z=&]{0,9})?") {
        if let Ok(resource) = Url::parse(&format!("https://api.example.com:8443{path}")) {
            for place in well_known_of_resource(&resource, true) {
                prop_assert_eq!(place.origin(), resource.origin());
                prop_assert!(place.path().starts_with("/.well-known/oauth-protected-resource"));
            }
        }
    }
}

#[test]
fn at_most_eight_entries_of_a_list_are_shown() {
    let urls: Vec<_> = (0..9).map(|n| format!("https://{n}.example")).collect();
    let shown = |most| list(urls.iter().take(most).map(String::as_str));
    assert_eq!(shown(8).split(", ").count(), 8);
    assert!(shown(8).ends_with("https://7.example"));
    assert_eq!(shown(9), format!("{}, ..", shown(8)));
}

//! Oracles for input from APIs.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use super::{SECRET, response};
use crate::exchange::Response;
use crate::metadata::{ResourceRules, resource_document};
use crate::token::AccessToken;

/// The values of `WWW-Authenticate`, one per line.
pub fn www_authenticate(lines: &[u8]) {
    use crate::challenge::{Challenge, MOST_CHALLENGES, MOST_PARAMS, parse};

    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("www-authenticate", value);
        }
    }
    let challenges = Challenge::all(&headers);
    assert!(challenges.len() <= MOST_CHALLENGES);
    assert!(challenges.iter().all(|one| one.params.len() <= MOST_PARAMS));
    // Serialised and parsed again, they are equal.
    let quoted = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"");
    let written: Vec<_> = challenges
        .iter()
        .map(|one| {
            let params: Vec<_> =
                one.params.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
            format!("{} {}", one.scheme, params.join(", "))
        })
        .collect();
    let written = written.join(", ");
    let mut again = Vec::new();
    parse(written.as_bytes(), &mut again);
    assert_eq!(challenges, again, "{written}");
}

/// A response to a request with a token: whether it refuses the token, and which scope it demands.
pub fn challenge_verdict(wire: &[u8]) {
    use crate::step_up::{Demands, covers, is_scope};

    let Response { status, headers, .. } = response(wire);
    let token = AccessToken::builder(SECRET).build().expect("a token");
    let with = |first: &'static str| {
        let first = (WWW_AUTHENTICATE, HeaderValue::from_static(first));
        let rest = headers.get_all(WWW_AUTHENTICATE).iter().map(|value| (WWW_AUTHENTICATE, value.clone()));
        std::iter::once(first).chain(rest).fold(HeaderMap::new(), |mut all, (name, value)| {
            all.append(name, value);
            all
        })
    };
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    let text: String = lines.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    let text: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let rejected = token.is_rejected_by(status, &headers);
    let grpc = status == StatusCode::OK && headers.get("grpc-status").is_some_and(|code| code == "16");
    assert!(!rejected || status == StatusCode::UNAUTHORIZED || grpc, "{status}");
    if status == StatusCode::UNAUTHORIZED && !rejected {
        let else_where = ["insufficientscope", "invaliddpopproof", "usedpopnonce"];
        assert!(else_where.iter().any(|error| text.contains(error)), "{text}");
    }
    // Whatever else an API says, this is about the token (RFC 6750 section 3.1).
    assert!(token.is_rejected_by(StatusCode::UNAUTHORIZED, &with(r#"Bearer error="invalid_token""#)));

    let demanded = token.insufficient_scope(&with(r#"Bearer error="insufficient_scope", scope="a b""#));
    assert_eq!(demanded.expect("it says so").scope.as_deref(), Some("a b"));
    let Some(said) = token.insufficient_scope(&headers) else {
        // Then it is of the token, or of its proof.
        let of_proof = text.contains("invaliddpopproof") || text.contains("usedpopnonce");
        assert!(status != StatusCode::UNAUTHORIZED || rejected || of_proof, "{text}");
        return;
    };
    assert!(text.contains("insufficientscope"), "{text}");
    for shown in said.scope.iter().chain(&said.description) {
        assert!((1..=1024).contains(&shown.len()), "{shown}");
        assert!(shown.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !shown.contains(SECRET), "{shown:?}");
    }
    let demanded = said.scope.unwrap_or_default();
    let some = Demands::new(Some(vec!["a".to_owned(), "b".to_owned()]));
    let any = Demands::new(None);
    let missing = || demanded.split(' ').filter(|scope| !scope.is_empty() && *scope != "a");
    assert_eq!(some.concerns("a", &demanded), missing().count() > 0 && missing().all(|scope| scope == "b"));
    assert_eq!(any.concerns("a", &demanded), missing().count() > 0 && missing().all(is_scope));
    assert!(!any.concerns(&demanded, &demanded) && covers(&demanded, &demanded));
}

/// A response with a DPoP nonce, from a server or an API.
#[cfg(feature = "dpop")]
pub fn dpop_nonce(wire: &[u8]) {
    use crate::dpop::Nonces;
    use crate::possession::Role;
    use crate::possession::demands_nonce;

    let headers = response(wire).headers;
    let api = Url::parse("https://api.example.com/a").expect("a URL");
    let elsewhere = Url::parse("https://elsewhere.example/a").expect("a URL");
    let before: HeaderMap =
        [("dpop-nonce".parse().expect("a name"), HeaderValue::from_static("before"))].into_iter().collect();
    let nonces = Nonces::default();
    assert_eq!(nonces.hear(Role::Resource, &api, &before), Some("before"));
    let heard = nonces.hear(Role::Resource, &api, &headers);
    let last = nonces.last(Role::Resource, &api).expect("one or the other");
    if let Some(heard) = heard {
        assert_eq!(heard, last);
        // RFC 9449 section 8.1: it is a claim of the next proof, unchanged.
        assert_eq!(headers.get("dpop-nonce").map(HeaderValue::as_bytes), Some(last.as_bytes()));
        assert!((1..=1024).contains(&last.len()));
        assert!(last.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')));
    } else {
        assert_eq!(last, "before");
    }
    assert_eq!(nonces.last(Role::Authorization, &api), None);
    assert_eq!(nonces.last(Role::Resource, &elsewhere), None);
    if demands_nonce(&headers) {
        // RFC 9110 section 5.3: several lines are one list, so a parameter may belong to a challenge in the previous
        // line.
        let lines = headers.get_all("www-authenticate").iter();
        let text: String = lines.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        // A quoted string may have a backslash before each of its characters.
        let text = text.replace('\\', "");
        assert!(text.contains("use_dpop_nonce"), "{text}");
        assert!(text.to_ascii_lowercase().matches("dpop").count() > 1, "{text}");
    }
}

/// A response with an API's metadata; the API is `https://api.example.com/v1/mcp`.
pub fn resource_metadata(wire: &[u8]) {
    const RESOURCE: &str = "https://api.example.com/v1/mcp";
    const ALLOWED: [&str; 2] = ["https://auth.example.com", "https://other.example"];
    let answer = response(wire);
    for enclosing in [false, true] {
        let rules = ResourceRules {
            resource: RESOURCE.to_owned(),
            url: Url::parse(RESOURCE).expect("a URL"),
            allowed: ALLOWED.map(str::to_owned).to_vec(),
            enclosing,
        };
        match resource_document::decode(&answer, &rules) {
            Ok(named) => {
                // A member that is not read here may be invalid for another parser.
                let Ok(said) = serde_json::from_slice::<serde_json::Value>(&answer.body) else {
                    continue;
                };
                assert_eq!(said["resource"], named.resource.as_str());
                let servers = said["authorization_servers"].as_array().expect("a list");
                assert!(servers.contains(&named.issuer.as_str().into()));
                assert!(ALLOWED.contains(&named.issuer.as_str()));
                let exact = named.resource == RESOURCE;
                assert!(exact || enclosing);
                if !exact {
                    let outer = Url::parse(&named.resource).expect("it was compared as a URL");
                    assert_eq!(outer.origin(), rules.url.origin());
                    assert!(["/", "/v1", "/v1/", "/v1/mcp"].contains(&outer.path()), "{outer}");
                }
            }
            Err(unusable) => {
                assert!(!unusable.why.contains(|c: char| c.is_control()));
                assert!(unusable.why.len() < 8_000, "{}", unusable.why.len());
            }
        }
    }
}

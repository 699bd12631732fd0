//! Refusals: family S of tests/FAULTS.md.

use super::*;

fn kind(status: u16, code: Option<&str>) -> (ErrorKind, bool) {
    let body = code.map_or(String::new(), |code| format!(r#"{{"error":"{code}"}}"#));
    let error = with(status, &[], body, &rules()).unwrap_err();
    (error.kind(), error.is_transient())
}

#[test]
fn a_refusal_is_classified_by_its_code_first_and_then_by_its_status() {
    use ErrorKind::{Denied, Other, Response, Throttled};

    for code in [
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "access_denied",
        "invalid_target",
        "invalid_authorization_details",
        "invalid_dpop_proof",
        "use_dpop_nonce",
    ] {
        for status in [200, 400, 401, 403, 500] {
            assert_eq!(kind(status, Some(code)), (Denied, false), "{status} {code}");
        }
    }
    for code in ["temporarily_unavailable", "server_error", "slow_down"] {
        for status in [200, 400, 403, 500] {
            assert_eq!(kind(status, Some(code)), (Response, true), "{status} {code}");
        }
        assert_eq!(kind(401, Some(code)), (Denied, false), "{code}");
    }
    for status in [200, 400, 403, 409] {
        assert_eq!(kind(status, Some("strange")), (Other, false), "{status}");
    }
    assert_eq!(kind(401, Some("strange")), (Denied, false));
    for status in [301, 404, 405, 410] {
        assert_eq!(kind(status, Some("strange")), (Response, false), "{status}");
    }
    for status in [408, 425, 500, 502, 503, 504, 599] {
        assert_eq!(kind(status, Some("strange")), (Other, true), "{status}");
        assert_eq!(kind(status, None), (Response, true), "{status}");
    }
    for status in [301, 400, 404, 407, 409, 422] {
        assert_eq!(kind(status, None), (Response, false), "{status}");
    }
    for status in [401, 403] {
        assert_eq!(kind(status, None), (Denied, false), "{status}");
    }
    assert_eq!(kind(101, None), (Response, true));
    for code in [None, Some("invalid_client"), Some("strange")] {
        assert_eq!(kind(429, code), (Throttled, true), "{code:?}");
    }
}

#[test]
fn an_ambiguous_status_is_reported_with_a_likely_reason() {
    for (status, guess) in [
        (302, "redirects are not followed"),
        (399, "redirects are not followed"),
        (404, "is the address"),
        (405, "is the address"),
        (410, "is the address"),
        (415, "is the address"),
        (401, "did not accept the client's credentials"),
        (403, "a firewall"),
        (407, "the proxy requires credentials"),
    ] {
        let text = with(status, &[], "", &rules()).unwrap_err().to_string();
        assert!(text.contains(guess), "{text}");
    }
    let text = with(400, &[], "", &rules()).unwrap_err().to_string();
    assert_eq!(text, "the token endpoint answered with status 400");
}

#[test]
fn a_request_for_a_dpop_token_accepts_no_other() {
    // FB22
    let check = |token_type: Option<Value>| check_dpop(token_type, str::to_owned);
    for fine in ["DPoP", "dpop", "DPOP"] {
        assert!(check(Some(fine.into())).is_ok(), "{fine}");
    }
    for (other, flaw) in [
        (Some("Bearer".into()), "its token_type is Bearer, and not DPoP"),
        (Some("N_A".into()), "its token_type is N_A: the server issued a token that is not an access token"),
        (Some(Value::Null), "no token_type"),
        (Some(1.into()), "token_type is not a string, where DPoP was asked for"),
        (Some(serde_json::json!(["DPoP"])), "token_type is not a string, where DPoP was asked for"),
        (Some("DPoP ".into()), "its token_type is DPoP with blanks or control characters"),
        (Some("\nDPoP".into()), "its token_type is DPoP with blanks or control characters"),
        (Some("".into()), "its token_type is empty, and not DPoP"),
        (Some(" ".into()), "its token_type is empty, and not DPoP"),
        (Some("N_A ".into()), "the server issued a token that is not an access token"),
        (None, "no token_type"),
    ] {
        let text = check(other).unwrap_err().to_string();
        assert!(text.contains(flaw), "{text}");
    }
}

#[test]
fn the_requested_scopes_that_were_not_granted_are_named() {
    assert_eq!(not_granted("a b c", "c  a"), ["b"]);
    assert!(not_granted("a", "b a").is_empty());
    assert_eq!(not_granted("ab", "a b abc"), ["ab"]);
    // FC4
    for granted in ["a,b", "a, b", "b,a c", "a;b", "b a"] {
        assert!(not_granted("a b", granted).is_empty(), "{granted}");
    }
    assert!(not_granted("a,b", "a,b").is_empty() && not_granted("a,b", "b a").is_empty());
    assert_eq!(not_granted("a,b c", "a,c"), ["a,b"]);
}

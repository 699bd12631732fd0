//! Whether an answer says that the token was refused (pure).

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::Policy;
use crate::challenge::Challenge;

impl Policy {
    /// Of a token that was presented by this scheme; `is_post`: by a POST.
    pub(super) fn says_rejected(&self, scheme: &str, is_post: bool, status: StatusCode, headers: &HeaderMap) -> bool {
        if self.rejected_when.as_ref().is_some_and(|predicate| predicate(status, headers)) {
            return true;
        }
        match status {
            StatusCode::UNAUTHORIZED => unauthorized(scheme, headers),
            StatusCode::OK if is_post => {
                is_grpc(headers) && headers.get("grpc-status").is_some_and(|code| code == "16")
            }
            _ => false,
        }
    }
}

/// gRPC, whose calls are all POSTs, says UNAUTHENTICATED in the headers of a response without messages ("Trailers-Only", which
/// has a content type).
fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|label| label.as_bytes().starts_with(b"application/grpc"))
}

/// RFC 6750 section 3.1 and RFC 9449 section 7.1: unless the challenge for our scheme names an error other than `invalid_token`. Many servers
/// send `Bearer realm="x"`, or nothing, for an expired token.
fn unauthorized(scheme: &str, headers: &HeaderMap) -> bool {
    let challenges = Challenge::all(headers);
    let mut errors =
        challenges.iter().filter(|challenge| challenge.is(scheme)).filter_map(|c| c.param("error")).peekable();
    errors.peek().is_none() || errors.any(|error| error == "invalid_token")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::WWW_AUTHENTICATE;

    use super::*;

    fn policy() -> Policy {
        Policy::new(Vec::new())
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_401_rejects_the_token_unless_its_challenge_says_otherwise() {
        for (challenge, rejected) in [
            (r#"Bearer error="invalid_token""#, true),
            (r#"Bearer realm="x""#, true),
            ("Bearer", true),
            ("Basic realm=\"x\"", true),
            (r#"Basic error="insufficient_scope""#, true),
            (r#"Bearer error="insufficient_scope""#, false),
            (r#"Bearer error="invalid_request""#, false),
            (r#"Basic realm="x", Bearer error="insufficient_scope""#, false),
            (r#"Bearer error="insufficient_scope", Bearer error="invalid_token""#, true),
            ("\u{fc}", true),
        ] {
            let value = HeaderValue::from_bytes(challenge.as_bytes()).unwrap();
            let headers: HeaderMap = [(WWW_AUTHENTICATE, value)].into_iter().collect();
            assert_eq!(
                policy().says_rejected("Bearer", false, StatusCode::UNAUTHORIZED, &headers),
                rejected,
                "{challenge}"
            );
        }
        assert!(policy().says_rejected("Bearer", false, StatusCode::UNAUTHORIZED, &HeaderMap::new()));
    }

    #[test]
    fn nothing_but_a_401_is_a_401() {
        // R08, R09, R18
        let invalid_token = headers(&[("www-authenticate", r#"Bearer error="invalid_token""#)]);
        for status in [200, 400, 403, 419, 429, 500, 503] {
            assert!(
                !policy().says_rejected("Bearer", true, StatusCode::from_u16(status).unwrap(), &invalid_token),
                "{status}"
            );
        }
    }

    #[test]
    fn grpc_says_it_with_a_status_of_its_own() {
        let says = |is_post, status, code| {
            policy().says_rejected(
                "Bearer",
                is_post,
                status,
                &headers(&[("content-type", "application/grpc+proto"), ("grpc-status", code)]),
            )
        };
        assert!(says(true, StatusCode::OK, "16"));
        assert!(!says(false, StatusCode::OK, "16"), "a GET is no call");
        assert!(!says(true, StatusCode::OK, "7"));
        assert!(!says(true, StatusCode::OK, "0"));
        assert!(!says(true, StatusCode::CREATED, "16"));
        assert!(
            !policy().says_rejected("Bearer", true, StatusCode::OK, &headers(&[("grpc-status", "16")])),
            "not gRPC"
        );
    }

    #[test]
    fn the_user_may_know_better() {
        let mut policy = policy();
        policy.rejected_when = Some(std::sync::Arc::new(|status, headers| {
            status == StatusCode::FORBIDDEN && headers.contains_key("x-token-expired")
        }));
        assert!(policy.says_rejected("Bearer", false, StatusCode::FORBIDDEN, &headers(&[("x-token-expired", "1")])));
        assert!(!policy.says_rejected("Bearer", false, StatusCode::FORBIDDEN, &HeaderMap::new()));
        assert!(policy.says_rejected("Bearer", false, StatusCode::UNAUTHORIZED, &HeaderMap::new()));
    }
}

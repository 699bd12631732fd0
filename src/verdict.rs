//! What an API's response says about the token that was sent (pure).

use http::header::{CONTENT_TYPE, PROXY_AUTHENTICATE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::SecretString;

use crate::challenge::Challenge;
use crate::server_text::Masks;
use crate::token::AccessToken;

/// The errors of a challenge that are certainly not about the token: its scope is too narrow (RFC 6750 section 3.1), or
/// the proof was refused (RFC 9449 sections 7.1 and 9). Letters and digits only.
const NOT_THE_TOKEN: [&str; 3] = [INSUFFICIENT_SCOPE, "invaliddpopproof", "usedpopnonce"];

const INSUFFICIENT_SCOPE: &str = "insufficientscope";

/// Whether the token itself may have been rejected, according to the challenges in `header` of a response that refused
/// the request.
///
/// It may, unless challenges for our `schemes` name errors and each of them is certainly about something else. For an
/// expired token, real APIs send `expired_token`, `invalid_request` or nothing. A wrong result costs one of the few
/// forced refreshes.
pub(crate) fn is_about_token(schemes: &[&str], header: &HeaderName, headers: &HeaderMap) -> bool {
    let challenges = Challenge::in_header(headers, header);
    let ours = challenges.iter().filter(|challenge| schemes.iter().any(|scheme| challenge.is(scheme)));
    let mut errors = ours.flat_map(|challenge| challenge.all_params("error")).peekable();
    errors.peek().is_none() || errors.any(|error| !NOT_THE_TOKEN.contains(&&*letters(error)))
}

/// The challenge of these schemes that has an error, otherwise the first one.
pub(crate) fn about<'h>(schemes: &[&str], status: StatusCode, headers: &'h HeaderMap) -> Option<Challenge<'h>> {
    let header = match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => PROXY_AUTHENTICATE,
        _ => WWW_AUTHENTICATE,
    };
    let mut ours = Challenge::in_header(headers, &header);
    ours.retain(|challenge| schemes.iter().any(|scheme| challenge.is(scheme)));
    let with_error = ours.iter().position(|challenge| challenge.param("error").is_some());
    ours.into_iter().nth(with_error.unwrap_or_default())
}

/// Whether the error says that the scope is too narrow.
pub(crate) fn is_insufficient_scope(error: &str) -> bool {
    letters(error) == INSUFFICIENT_SCOPE
}

/// Servers differ in case, in quotes, and in the characters between words.
fn letters(error: &str) -> String {
    error.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// 401, and for a token in `Proxy-Authorization` also 407 (RFC 9110 section 11.7.1).
pub(crate) fn refuses(schemes: &[&str], of_proxy: bool, status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::UNAUTHORIZED => is_about_token(schemes, &WWW_AUTHENTICATE, headers),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED if of_proxy => is_about_token(schemes, &PROXY_AUTHENTICATE, headers),
        _ => false,
    }
}

/// UNAUTHENTICATED of gRPC, in the headers of a response without messages ("gRPC over HTTP2", Trailers-Only), which has
/// a content type.
pub(crate) fn is_grpc_unauthenticated(status: StatusCode, headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let is_type =
        |label: &HeaderValue| label.as_bytes().get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC));
    status == StatusCode::OK
        && headers.get("grpc-status").is_some_and(|code| code == "16")
        && headers.get(CONTENT_TYPE).is_some_and(is_type)
}

/// An API's statement that the token's scope is insufficient (RFC 6750 section 3.1): `insufficient_scope` in the challenge for
/// the token's scheme, with status 403 or 401.
///
/// The texts come from the API. Control characters, quotes and the token are removed from the description, and it is cut at
/// 1024 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InsufficientScope {
    /// The scope that the request needs, if the API names it. `None` also if it is no valid scope (RFC 6749 section 3.3), has
    /// the token in it, or is longer than 1024 characters: a part of it would be another scope.
    pub scope: Option<String>,
    /// The API's explanation for people, `error_description`.
    pub description: Option<String>,
}

/// # The response of an API
///
/// For requests sent without an integration. `BearerAuth` calls these methods itself.
///
/// ```no_run
/// # use client_credentials::ClientCredentials;
/// # async fn run(tokens: ClientCredentials, http: reqwest::Client)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let url = "https://api.example.com/invoices";
/// let token = tokens.token().await?;
/// let request = http.get(url).header("authorization", token.authorization());
/// let response = request.send().await?;
/// if token.is_rejected_by(response.status(), response.headers()) {
///     tokens.reject(&token);
///     // Send it once more, with another token.
/// }
/// # Ok(()) }
/// ```
impl AccessToken {
    /// Returns whether an API rejected this token. If so, call [`reject`](crate::TokenSource::reject) and repeat the request
    /// with a new token.
    ///
    /// A 401 rejects the token, unless challenges for its scheme name only `insufficient_scope` (RFC 6750 section 3.1) or
    /// errors of a DPoP proof (RFC 9449 section 7.1). `grpc-status: 16` in the headers of a gRPC response rejects it, too. No
    /// other response does.
    ///
    /// ```
    /// # use client_credentials::AccessToken;
    /// # use http::{HeaderMap, StatusCode};
    /// # let token = AccessToken::builder("abc").build()?;
    /// let headers = HeaderMap::new();
    /// assert!(token.is_rejected_by(StatusCode::UNAUTHORIZED, &headers));
    /// assert!(!token.is_rejected_by(StatusCode::FORBIDDEN, &headers));
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    pub fn is_rejected_by(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        refuses(&[self.scheme()], false, status, headers) || is_grpc_unauthenticated(status, headers)
    }

    /// Returns the scope that the API requires; `None` if the response does not report an insufficient scope.
    ///
    /// A new token of the same source has the same scope, unless the source has
    /// [`step_up`](crate::ClientCredentialsBuilder::step_up), so repeating the request with it is useless. To get a token with the
    /// required scope, see [`BearerAuth`](crate::BearerAuth#insufficient-scope).
    pub fn insufficient_scope(&self, headers: &HeaderMap) -> Option<InsufficientScope> {
        let masks = Masks::new(vec![SecretString::from(self.expose_secret())]);
        let challenge = self.scope_challenge(headers)?;
        let scope = challenge.scope().filter(|scope| scope.len() <= LONGEST && !masks.hide(scope));
        let description = challenge.param("error_description").map(|text| masks.clean(text, LONGEST));
        Some(InsufficientScope {
            scope: scope.map(Into::into),
            description: description.filter(|text| !text.is_empty()),
        })
    }

    /// The scope that an API requires, if the source of this token may request it in addition.
    pub(crate) fn demanded(&self, headers: &HeaderMap) -> Option<String> {
        let asked = self.on_demand()?;
        let challenge = self.scope_challenge(headers)?;
        let scope = challenge.scope().filter(|scope| scope.len() <= LONGEST)?;
        // A token that is sent back does not become a parameter.
        let is_ours = !scope.contains(self.expose_secret()) && asked.demands.concerns(&asked.scope, scope);
        is_ours.then(|| scope.to_owned())
    }

    fn scope_challenge<'h>(&self, headers: &'h HeaderMap) -> Option<Challenge<'h>> {
        let says_so = |challenge: &Challenge<'_>| {
            challenge.is(self.scheme()) && challenge.all_params("error").any(is_insufficient_scope)
        };
        Challenge::in_header(headers, &WWW_AUTHENTICATE).into_iter().find(says_so)
    }
}

/// 1024: scopes of real APIs have tens of names.
pub(crate) const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(value: &str) -> HeaderMap {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        [(WWW_AUTHENTICATE, value)].into_iter().collect()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn token() -> AccessToken {
        AccessToken::builder("secret-token").build().unwrap()
    }

    #[test]
    fn a_scope_is_demanded_if_it_is_short_missing_and_not_the_token() {
        use crate::step_up::Demands;
        use crate::token::{OnDemand, Terms};
        use std::sync::Arc;
        let demands = Some(Box::new(OnDemand { scope: "read".into(), demands: Arc::new(Demands::new(None)) }));
        let (now, clock) = (crate::clock::manual::clock().0.now(), crate::clock::Clock::System);
        let terms = Terms { demands, ..Terms::default() };
        let token = AccessToken::issued(&"secret-token".into(), terms, now, &clock).unwrap();
        let (longest, longer) = ("x".repeat(LONGEST), "x".repeat(LONGEST + 1));
        for (scope, demanded) in [
            ("write", true),
            ("read write", true),
            ("read", false),
            ("secret-token", false),
            ("write secret-token", false),
            (&longest, true),
            (&longer, false),
        ] {
            let headers = challenge(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""));
            assert_eq!(token.demanded(&headers).as_deref(), demanded.then_some(scope), "{scope}");
        }
    }

    #[test]
    fn a_401_rejects_the_token_unless_its_challenge_is_clearly_about_something_else() {
        // FD1
        for (value, rejected) in [
            (r#"Bearer error="invalid_token""#, true),
            (r#"Bearer error="expired_token""#, true),
            (r#"Bearer error="token_expired""#, true),
            (r#"Bearer error="invalid_request""#, true),
            (r#"Bearer error="The access token expired""#, true),
            (r#"Bearer error="""#, true),
            (r#"Bearer realm="x""#, true),
            ("Bearer", true),
            ("Basic realm=\"x\"", true),
            ("\u{fc}", true),
            (r#"Basic error="insufficient_scope""#, true),
            (r#"DPoP error="use_dpop_nonce""#, true),
            (r#"Bearer error_description="insufficient_scope""#, true),
            (r#"Bearer error="insufficient_scope", Bearer error="invalid_token""#, true),
            (r#"Bearer error="insufficient_scope", error="invalid_token""#, true),
            (r#"Bearer error="no_insufficient_scope""#, true),
            (r#"Bearer error="insufficient_scope""#, false),
            (r#"Bearer error="invalid_dpop_proof""#, false),
            (r#"Bearer error="use_dpop_nonce""#, false),
            (r#"Basic realm="x", Bearer error="insufficient_scope""#, false),
            (r#"Bearer realm="x", Bearer error="insufficient_scope""#, false),
            // As servers write it.
            ("bearer ERROR=Insufficient_Scope", false),
            ("Bearer error=insufficient_scope; scope=a", false),
            (r#"Bearer realm="x"; error="insufficient_scope""#, false),
            (r#"Bearer; error="insufficient_scope""#, false),
            (r#"Bearer, error="insufficient_scope""#, false),
            (r#"Bearer error = "insufficient_scope""#, false),
            (r#"Bearer error="insufficient scope""#, false),
            (r#"Bearer error=" insufficient-scope.""#, false),
            ("Bearer error='insufficient_scope', scope='a b'", false),
            ("Bearer error='insufficient scope'", false),
            (r#"Bearer error=\"insufficient_scope\""#, false),
            ("Bearer error=\u{201c}insufficient_scope\u{201d}", false),
            (r#"Bearer realm="x" error="insufficient_scope""#, false),
            (r#"Bearer error="insufficient_scope"#, false),
        ] {
            assert_eq!(token().is_rejected_by(StatusCode::UNAUTHORIZED, &challenge(value)), rejected, "{value}");
        }
        assert!(token().is_rejected_by(StatusCode::UNAUTHORIZED, &HeaderMap::new()));
    }

    #[test]
    fn other_statuses_than_401_do_not_reject_the_token() {
        // R08, R09, R18
        let invalid_token = challenge(r#"Bearer error="invalid_token""#);
        for status in [200, 400, 403, 407, 419, 429, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(!token().is_rejected_by(status, &invalid_token), "{status}");
        }
    }

    #[test]
    fn a_token_for_a_proxy_is_refused_by_a_407_too() {
        // FD2
        let headers = headers(&[("proxy-authenticate", r#"Bearer error="insufficient_scope""#)]);
        let status = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        assert!(refuses(&["Bearer"], true, status, &HeaderMap::new()));
        assert!(!refuses(&["Bearer"], true, status, &headers));
        assert!(!refuses(&["Bearer"], false, status, &HeaderMap::new()));
    }

    #[test]
    fn the_grpc_status_unauthenticated_rejects_the_token() {
        let says = |status, label, code| {
            token().is_rejected_by(status, &headers(&[("content-type", label), ("grpc-status", code)]))
        };
        // FD9
        for label in ["application/grpc+proto", "Application/gRPC", "APPLICATION/GRPC+proto; x=y"] {
            assert!(says(StatusCode::OK, label, "16"), "{label}");
        }
        assert!(!says(StatusCode::OK, "application/grpc", "7"));
        assert!(!says(StatusCode::OK, "application/grpc", "0"));
        assert!(!says(StatusCode::CREATED, "application/grpc", "16"));
        assert!(!says(StatusCode::OK, "text/html", "16"), "not gRPC");
        for part in [("content-type", "application/grpc"), ("grpc-status", "16")] {
            assert!(!token().is_rejected_by(StatusCode::OK, &headers(&[part])), "{part:?} alone");
        }
    }

    #[test]
    fn the_scope_in_a_challenge_is_read_and_cleaned() {
        let said = |value: &str| token().insufficient_scope(&challenge(value));
        assert_eq!(said(r#"Bearer error="invalid_token", scope="a""#), None);
        assert_eq!(said(r#"Basic error="insufficient_scope", scope="a""#), None);
        // As servers write it: these responses are about the scope, not the token.
        for value in [
            "Bearer error=insufficient_scope",
            "bearer ERROR=Insufficient_Scope",
            r#"Bearer error="insufficient scope""#,
            r#"Bearer error=" insufficient-scope.""#,
            r#"Bearer error=\"insufficient_scope\""#,
            r#"Basic realm="x", Bearer realm="y", error="insufficient_scope""#,
        ] {
            assert_eq!(said(value), Some(InsufficientScope::default()), "{value}");
        }
        assert_eq!(said("Bearer error=no_insufficient_scope"), None);
        let found = said(
            r#"Bearer realm="x", error="insufficient_scope"; scope="a:read b", error_description="secret-token \"needs\" more""#,
        );
        let found = found.unwrap();
        assert_eq!(found.scope.as_deref(), Some("a:read b"));
        assert_eq!(found.description.as_deref(), Some("*** needs more"));
        // FD8: no part of it becomes another scope.
        let long = "x".repeat(LONGEST + 1);
        for scope in ["a\u{e9} b", "a\tb", "a\\\"b", "a secret-token", &long, "", " "] {
            let found = said(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""));
            assert_eq!(found, Some(InsufficientScope::default()), "{scope}");
        }
    }

    #[test]
    fn a_scope_and_its_description_have_at_most_1024_characters() {
        let said = |scope: usize, description: usize| {
            let (scope, description) = ("x".repeat(scope), "y".repeat(description));
            let value = format!("Bearer error=insufficient_scope, scope={scope}, error_description={description}");
            let found = token().insufficient_scope(&challenge(&value)).unwrap();
            (found.scope == Some(scope), found.description == Some(description))
        };
        assert_eq!(LONGEST, 1024);
        assert_eq!(said(LONGEST, LONGEST), (true, true));
        assert_eq!(said(LONGEST + 1, LONGEST + 1), (false, false));
        let empty = r#"Bearer error="insufficient_scope", error_description="""#;
        assert_eq!(token().insufficient_scope(&challenge(empty)), Some(InsufficientScope::default()));
    }

    #[test]
    fn of_several_challenges_the_first_one_with_an_error_counts() {
        for (value, error, scope) in [
            ("Bearer scope=a, Bearer error=x, scope=b, Bearer error=y", Some("x"), Some("b")),
            ("Basic error=z, Bearer scope=a, Bearer scope=b", None, Some("a")),
        ] {
            let headers = challenge(value);
            let found = about(&["Bearer"], StatusCode::UNAUTHORIZED, &headers).unwrap();
            assert_eq!((found.param("error"), found.scope()), (error, scope), "{value}");
        }
        let scope = |value: &str| token().insufficient_scope(&challenge(value)).and_then(|found| found.scope);
        let twice = "Bearer error=insufficient_scope, error=other, scope=a, Bearer error=insufficient_scope, scope=b";
        assert_eq!(scope(twice).as_deref(), Some("a"));
    }

    #[test]
    fn a_realm_that_is_not_ascii_hides_nothing_behind_it() {
        // FD8
        for realm in [&b"caf\xe9"[..], b"caf\xc3\xa9", b"\xff\xfe"] {
            let value = [b"Bearer realm=\"", realm, b"\", error=\"insufficient_scope\", scope=\"a\""].concat();
            let headers = [(WWW_AUTHENTICATE, HeaderValue::from_bytes(&value).unwrap())].into_iter().collect();
            assert_eq!(token().insufficient_scope(&headers).unwrap().scope.as_deref(), Some("a"));
            assert!(!token().is_rejected_by(StatusCode::UNAUTHORIZED, &headers));
        }
    }
}

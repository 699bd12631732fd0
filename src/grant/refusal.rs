//! What kind of failure a refusal of the token endpoint is (RFC 6749 section 5.2; pure).

use http::StatusCode;

use crate::error::{Error, ErrorKind, OAuthError};

/// Classed by code first, then by status.
pub(super) fn refusal(status: StatusCode, oauth: Option<OAuthError>) -> Error {
    let Some(oauth) = oauth else {
        // A 401 or 403 without an OAuth error comes from a proxy as well as from the server: no verdict.
        let text = format!("the token endpoint answered with status {}{}", status.as_u16(), hint(status));
        return match status {
            StatusCode::TOO_MANY_REQUESTS => Error::of(ErrorKind::Throttled, text).transient(),
            _ if is_passing(status) || status.is_informational() => Error::of(ErrorKind::Response, text).transient(),
            _ => Error::of(ErrorKind::Response, text),
        };
    };
    let error = match oauth.code() {
        _ if status == StatusCode::TOO_MANY_REQUESTS => {
            Error::of(ErrorKind::Throttled, format!("the authorization server asks for fewer requests: {oauth}"))
                .transient()
        }
        // RFC 6749 sections 5.2 and 4.1.2.1, RFC 8707 section 2, RFC 9396 section 14.5, RFC 9449 sections 5 and 8.
        "invalid_client"
        | "invalid_request"
        | "invalid_scope"
        | "invalid_grant"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "access_denied"
        | "invalid_target"
        | "invalid_authorization_details"
        | "invalid_dpop_proof"
        | "use_dpop_nonce" => {
            Error::of(ErrorKind::Denied, format!("the authorization server refused the token request: {oauth}"))
        }
        "temporarily_unavailable" | "server_error" | "slow_down" => {
            Error::of(ErrorKind::Response, format!("the authorization server cannot answer now: {oauth}")).transient()
        }
        _ => {
            let error =
                Error::of(ErrorKind::Other, format!("the authorization server answered with an error: {oauth}"));
            if is_passing(status) { error.transient() } else { error }
        }
    };
    error.with_oauth(oauth)
}

/// RFC 9110 sections 15.5.9 and 15.6, RFC 8470 section 5.2.
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY) || status.is_server_error()
}

fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "; redirects are not followed, give the address that it redirects to",
        404 | 405 | 410 | 415 => "; is the address of the token endpoint right?",
        401 | 403 => " and no OAuth error; a proxy before it, or a server that does not say more",
        _ => "",
    }
}

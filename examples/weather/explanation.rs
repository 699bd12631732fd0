//! What to tell a person when there is no token.

use std::error::Error as _;
use std::fmt::Write as _;

use client_credentials::{Error, ErrorKind};

/// The error with its causes, the server's own code, and where to look. None of it contains a secret.
pub(crate) fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    let code = error.oauth().map(|oauth| oauth.code());
    if let Some(code) = code {
        let _ = write!(text, "\nOAuth error code: {code}");
    }
    let _ = write!(text, "\nhint: {}", hint(error.kind(), code));
    text
}

fn hint(kind: ErrorKind, code: Option<&str>) -> &'static str {
    match (kind, code) {
        (_, Some("invalid_client")) => {
            "compare WEATHER_AUTH_CLIENT_ID and the secret with what is registered there; the client must be confidential and \
             allowed to use client_secret_basic"
        }
        (_, Some("invalid_scope")) => "WEATHER_SCOPES has a scope that this client may not have",
        (_, Some("unauthorized_client" | "unsupported_grant_type")) => {
            "allow this client the grant client_credentials at the authorization server"
        }
        (ErrorKind::Configuration, _) => {
            "each path has a variable: auth.client_id is WEATHER_AUTH_CLIENT_ID; the origin of the API is that of WEATHER_URL"
        }
        (ErrorKind::Credential, _) => "put the secret where the text says",
        (ErrorKind::Transport, _) => "is WEATHER_TOKEN_ENDPOINT (or WEATHER_ISSUER) right, and reachable from here?",
        (ErrorKind::Tls, _) => "is the certificate's authority known to this system?",
        (ErrorKind::Response, _) => "is WEATHER_TOKEN_ENDPOINT the token endpoint, and not the issuer?",
        (ErrorKind::Throttled, _) => "wait a little, and ask for a larger quota",
        _ => "see the text above",
    }
}

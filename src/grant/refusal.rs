//! Classifies a refusal of the token endpoint (RFC 6749 section 5.2; pure).

use http::StatusCode;

use super::code::{as_known, is_known, is_known_exactly};
use super::said::Said;
use crate::error::{Error, ErrorKind};

/// Classifies by a 401 first, then by the code, then by the status. `line` is the OAuth error as it is shown.
pub(super) fn refusal(status: StatusCode, said: Said, line: &str) -> Error {
    let Verdict(kind, is_transient, what) = verdict(status, &said);
    let what = match (&said.oauth, what) {
        (Some(_), Some(what)) => format!("the authorization server {what}: {line}"),
        (oauth, _) => {
            let words = match oauth {
                Some(_) => line,
                None => &said.words,
            };
            let joint = if words.is_empty() { "" } else { ": " };
            let page = if said.is_page { " and a page" } else { "" };
            let hint = hint(status, &said);
            format!("the token endpoint answered with status {}{page}{joint}{words}{hint}", status.as_u16())
        }
    };
    let error = Error::of(kind, what).with_oauth(said.oauth);
    if is_transient { error.transient() } else { error }
}

/// The kind of the error, whether it is transient, and what a server that sent an OAuth error did.
struct Verdict(ErrorKind, bool, Option<&'static str>);

/// The client or its request was refused.
const REFUSED: Verdict = Verdict(ErrorKind::Denied, false, Some("refused the token request"));
const THROTTLED: Verdict = Verdict(ErrorKind::Throttled, true, Some("asks for fewer requests"));
/// The server reports a temporary error.
const BUSY: Verdict = Verdict(ErrorKind::Response, true, Some("cannot answer now"));
/// The status is temporary, or another party responded.
const PASSING: Verdict = Verdict(ErrorKind::Response, true, None);
/// The URL is not a token endpoint, or the response has no usable message.
const NO_ENDPOINT: Verdict = Verdict(ErrorKind::Response, false, None);
/// An unknown code.
const STRANGE: Verdict = Verdict(ErrorKind::Other, false, Some("answered with an error"));
const STRANGE_NOW: Verdict = Verdict(ErrorKind::Other, true, Some("answered with an error"));

fn verdict(status: StatusCode, said: &Said) -> Verdict {
    let code = said.oauth.as_ref().map(|oauth| as_known(oauth.code()));
    match (status.as_u16(), code) {
        (429, _) => THROTTLED,
        // From a firewall or proxy. A challenge comes from the server that authenticates the client (RFC 9110 section 15.5.2).
        (400..=499, None) if said.is_page && !is_no_endpoint(status) && !(status == 401 && said.challenges) => PASSING,
        // RFC 6749 section 5.2, whatever the code: ServiceNow's is `server_error`.
        (401, _) => REFUSED,
        (_, Some("temporarily_unavailable" | "server_error" | "slow_down")) => BUSY,
        // Another party may have responded, in words of its own.
        (_, Some(code)) if is_passing(status) && (said.is_aside || !is_meant(said, code)) => STRANGE_NOW,
        (_, Some(code)) if is_known(code) || is_about_client_or_scope(code) => REFUSED,
        _ if is_passing(status) || status.is_informational() => PASSING,
        (403, None) => REFUSED,
        (_, Some(_)) if is_no_endpoint(status) => NO_ENDPOINT,
        (_, Some(_)) => STRANGE,
        (_, None) => NO_ENDPOINT,
    }
}

/// Whether a code was written as a server of OAuth does. `known` is the code that it stands for.
fn is_meant(said: &Said, known: &str) -> bool {
    is_about_the_client(known) || said.oauth.as_ref().is_some_and(|oauth| is_known_exactly(oauth.code()))
}

/// Whether the server returned this code, in any spelling.
pub(super) fn says(error: &Error, code: &str) -> bool {
    error.oauth().is_some_and(|oauth| as_known(oauth.code()) == code)
}

/// Whether the credential was refused, so that another one may be accepted; follows the rule of [`ErrorKind::Denied`].
pub(super) fn is_of_the_credential(error: &Error) -> bool {
    let code = error.oauth().map(|oauth| as_known(oauth.code()));
    error.kind() == ErrorKind::Denied
        && match (error.status().map(|status| status.as_u16()), code) {
            // RFC 9449: these concern the proof of possession, which is made with another key.
            (_, Some("use_dpop_nonce" | "invalid_dpop_proof")) => false,
            (Some(401), _) | (Some(403), None) => true,
            // The client is known, and may not use this grant (RFC 6749 section 5.2). Older versions of Keycloak use it
            // for wrong secrets.
            (_, Some("unauthorized_client")) => {
                let description = error.oauth().and_then(|oauth| oauth.description()).unwrap_or_default();
                let description = description.to_ascii_lowercase();
                description.contains("secret") || description.contains("credential")
            }
            (_, Some(code)) => is_about_the_client(code),
            (_, None) => false,
        }
}

/// `invalid_client` and variants of it: `bad_client_secret` (Slack), `incorrect_client_credentials` (GitHub),
/// `invalid_client_id` (Salesforce).
fn is_about_the_client(code: &str) -> bool {
    ["client", "credential", "secret"].iter().any(|word| code.to_ascii_lowercase().contains(word))
}

/// `invalid_scope` and variants of it: `invalid_scopes`, `insufficient_scope`, `scope_not_allowed`.
pub(super) fn is_about_the_scope(code: &str) -> bool {
    code.to_ascii_lowercase().contains("scope")
}

pub(super) fn is_about_client_or_scope(code: &str) -> bool {
    is_about_the_client(code) || is_about_the_scope(code)
}

/// RFC 9110 sections 15.5.9 and 15.6, RFC 8470 section 5.2.
fn is_passing(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY) || status.is_server_error()
}

fn is_no_endpoint(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 405 | 410 | 415)
}

fn hint(status: StatusCode, said: &Said) -> &'static str {
    match status.as_u16() {
        300..=399 => "; redirects are not followed, give the address that it redirects to",
        404 | 405 | 410 => "; is the address of the token endpoint right?",
        415 => "; is the address of the token endpoint right, and does it take forms (json_body(true) sends JSON)?",
        407 => "; the proxy requires credentials",
        400..=499 if said.is_page && !(status == 401 && said.challenges) => {
            "; is there a firewall or proxy in front of the authorization server?"
        }
        401 => "; it did not accept the client's credentials",
        403 => "; it refused the client, or a firewall or address allow list did",
        _ => "",
    }
}

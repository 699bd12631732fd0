//! Error codes: those of OAuth, in the spellings of servers, and what else counts as one.

use http::StatusCode;
use serde_json::Value;

/// Codes are words; real ones have at most 30 characters.
pub(super) const LONGEST_CODE: usize = 128;

/// RFC 6749 sections 5.2 and 4.1.2.1, RFC 8707 section 2, RFC 9396 section 14.5, RFC 9449 sections 5 and 8; `scope_invalid` and
/// `invalid_credentials` are spellings of some servers.
pub(super) const KNOWN: [&str; 16] = [
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "scope_invalid",
    "invalid_grant",
    "invalid_credentials",
    "unauthorized_client",
    "unsupported_grant_type",
    "access_denied",
    "invalid_target",
    "invalid_authorization_details",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "temporarily_unavailable",
    "server_error",
    "slow_down",
];

/// Whether it is an OAuth code, in any case and with any separators (`INVALID_SCOPE`, `invalid-scope`).
pub(super) fn is_known(code: &str) -> bool {
    is_known_exactly(as_known(code))
}

/// Whether it is an OAuth code as the RFCs write it.
pub(super) fn is_known_exactly(code: &str) -> bool {
    KNOWN.contains(&code)
}

/// The OAuth code as the RFCs write it; any other text as it is.
pub(crate) fn as_known(code: &str) -> &str {
    KNOWN.into_iter().find(|known| bare(known).eq(bare(code))).unwrap_or(code)
}

/// The letters and digits, in lower case.
pub(super) fn bare(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_lowercase())
}

/// Whether a value is an OAuth code and nothing else, wherever it is. People write "Access denied" as well.
fn is_known_as_written(text: &str) -> bool {
    let text = text.trim();
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(text))
}

/// Whether `error` is a code, also of the server's own: not a number, and not a reason phrase of HTTP, which some
/// frameworks send (Spring, Rails: `Not Found`, `not_found`).
pub(super) fn is_code(text: &str) -> bool {
    let is_phrase = || {
        let mut errors = (400..600).filter_map(|code| StatusCode::from_u16(code).ok()?.canonical_reason());
        errors.any(|phrase| bare(phrase).eq(bare(text)))
    };
    let empty = ["true", "false", "null", "none", "error", "fail", "failed", "failure"];
    let says_nothing = empty.iter().any(|word| bare(text).eq(word.bytes()));
    is_known(text) || text.contains(|c: char| c.is_ascii_alphabetic()) && !says_nothing && !is_phrase()
}

/// An OAuth code among the values.
pub(super) fn known_in(value: &Value, depth: usize) -> Option<&str> {
    match value {
        Value::String(text) => Some(text.trim()).filter(|text| is_known_as_written(text)),
        Value::Array(values) if depth > 0 => values.iter().find_map(|value| known_in(value, depth - 1)),
        Value::Object(members) if depth > 0 => members.values().find_map(|value| known_in(value, depth - 1)),
        _ => None,
    }
}

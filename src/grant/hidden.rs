//! What is not shown of a response (pure): a server may send a token, of this client or of another, under any name. It is known by
//! the name of its member, and by its shape.

use std::borrow::Cow;

use super::code::{LONGEST_CODE, bare};
use crate::server_text::{MASK, is_mark, is_of_a_script};

/// What the name of a member says about its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Named {
    /// It is what the server says of itself.
    Other,
    /// The id of a client, a tenant, an error.
    Id,
    /// The id of a request, which the server's support asks for.
    Trace,
    /// It is about a secret, as `token_error` and `tokenType` are.
    About,
    /// A secret: only a sentence is shown.
    Secret,
}

impl Named {
    pub(super) fn of(name: &str) -> Self {
        let words = words(name);
        let Some(last) = words.iter().rposition(|word| is_secret(word)) else {
            return Named::of_no_secret(name, &words);
        };
        let is_any = |words: Option<&[String]>, of: &[&str]| {
            words.unwrap_or_default().iter().any(|word| of.contains(&word.as_str()))
        };
        let is_key = words.get(last).is_some_and(|word| word.starts_with("key"));
        match is_any(words.get(last + 1..), &ABOUT) || is_key && is_any(words.get(..last), &OF_TEXTS) {
            true => Named::About,
            false => Named::Secret,
        }
    }

    fn of_no_secret(name: &str, words: &[String]) -> Self {
        let bare: String = bare(name).map(char::from).collect();
        let of_what = || IDS.iter().filter_map(|end| bare.strip_suffix(end));
        if TRACES.contains(&&*bare) || of_what().any(|head| TRACED.iter().any(|traced| head.ends_with(traced))) {
            Named::Trace
        } else if words.last().is_some_and(|word| IDS.contains(&word.as_str())) && !bare.contains("session") {
            Named::Id
        } else {
            Named::Other
        }
    }

    /// What is said of the values below a member, which may have names of their own.
    pub(super) fn within(self, name: &str) -> Self {
        if self == Named::Secret { self } else { Named::of(name) }
    }
}

/// The words of a name in camel case, snake case or with hyphens, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut rest = name.chars().filter(|c| !is_mark(*c)).peekable();
    while let Some(c) = rest.next() {
        let is_upper_case_over = before.is_uppercase() && rest.peek().is_some_and(|next| next.is_lowercase());
        if !c.is_alphanumeric() || c.is_uppercase() && (!before.is_uppercase() || is_upper_case_over) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `key` is a part of other words: `monkey`, `keycloak`.
fn is_secret(word: &str) -> bool {
    ["key", "keys", "pwd"].contains(&word) || SECRETS.iter().any(|secret| word.contains(secret))
}

/// Whether a value must not be shown. Outside of a success a server issues no token, and more is shown.
pub(super) fn is_hidden(text: &str, named: Named, of_success: bool) -> bool {
    let text = text.trim();
    match named {
        Named::Secret => !is_sentence(text),
        // An id of the request is a UUID, digits of a hash, or what the server makes of them.
        Named::Trace if !has_jwt(text) => {
            let is_digits = text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            may_be_token(text, of_success) && (text.len() > LONGEST_ID || of_success && !is_digits)
        }
        Named::Id if !of_success && is_uuid(text) => false,
        Named::Trace | Named::Id | Named::Other => may_be_token(text, of_success),
        Named::About => may_be_token(text, true),
    }
}

/// The form of traces with most characters in use, that of W3C Trace Context, has 55.
const LONGEST_ID: usize = 64;

/// Whether it is a single value, which may be a token (RFC 6749 appendix A.12: ASCII): longer than the words of error messages,
/// and no words. `is_strict`: it is in a place where tokens are expected.
pub(super) fn may_be_token(text: &str, is_strict: bool) -> bool {
    // What is not shown between its characters, and marks on them, do not make words of it.
    let text: String = text.chars().filter(|c| is_seen(*c) && !is_mark(*c) && !matches!(c, '"' | '\\')).collect();
    let text = text.trim();
    // 8: the shortest minimum length of passwords. 16: longer than the words of error messages.
    let most = if is_strict { 8 } else { 16 };
    let ascii = || text.chars().filter(char::is_ascii);
    let is_word = |c: char| c.is_ascii_alphabetic() || c == '_';
    ascii().count() > most
        && !text.contains(char::is_whitespace)
        && (has_jwt(text) || !is_words(text) && !is_time(text) && (is_strict || !ascii().all(is_word)))
}

/// Whether it is shown, or part of a format.
fn is_seen(c: char) -> bool {
    c.is_whitespace() || c.is_ascii() && !c.is_ascii_control() || is_of_a_script(c)
}

/// Whether it contains a JWT (RFC 7519 section 3). Each begins with `{"` in base64url.
fn has_jwt(word: &str) -> bool {
    word.find("eyJ")
        .and_then(|start| word.get(start..))
        .is_some_and(|jwt| jwt.matches('.').count() >= 2 && jwt.len() > SHORTEST_JWT)
}

/// 20: `{"alg":"none"}` alone has 19 characters in base64url.
const SHORTEST_JWT: usize = 20;

/// Whether it consists of words and short numbers, with punctuation between them, as names of errors and addresses do.
fn is_words(text: &str) -> bool {
    let pieces = || text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty());
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    letters >= digits && pieces().all(is_word)
}

/// A number, or a word as programs write it: `policy`, `SCOPE`, `InvalidClient`, `oauth2`.
fn is_word(piece: &str) -> bool {
    let letters = piece.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = piece.len() - letters.len();
    // Codes of errors and years have four digits, the numbers of versions and algorithms (`oauth2`, `HS256`) three.
    if letters.is_empty() {
        return digits <= 4;
    }
    // Each begins with its capitals. Of random letters, most parts have several.
    let mut acronyms = 0;
    let mut length = 0;
    let mut capitals = 0;
    let mut before = ' ';
    for c in letters.chars() {
        if !c.is_alphabetic() {
            return false;
        }
        match (before.is_uppercase(), c.is_uppercase()) {
            (false, true) => (length, capitals) = (0, 1),
            (true, true) => capitals += 1,
            // The last capital is that of a word: `SAMLResponse`.
            (true, false) if capitals > 1 => (acronyms, length) = (acronyms + 1, 1),
            _ => {}
        }
        length += 1;
        before = c;
        if acronyms > 1 || length > LONGEST_WORD {
            return false;
        }
    }
    digits <= 3
}

/// 20: the longest words of error messages; tokens of letters have more.
const LONGEST_WORD: usize = 20;

/// RFC 3339, and similar ones.
fn is_time(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let mut separators = text.bytes().filter(|byte| !byte.is_ascii_digit()).peekable();
    text.starts_with(|c: char| c.is_ascii_digit())
        // From a day to nanoseconds and an offset: 2027-01-15T08:00:00.123456789+00:00.
        && (8..=27).contains(&digits)
        && text.len() <= 35
        && separators.peek().is_some_and(|first| *first == b'-')
        && text.contains(':')
        && separators.all(|byte| b"-:.TZ+,".contains(&byte))
}

/// RFC 9562 section 4.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Whether it is text for people. A token has no blanks (RFC 6750 section 2.1), and its scheme may be before it.
fn is_sentence(text: &str) -> bool {
    let words = || text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
    words().nth(1).is_some() && !words().any(is_scheme) && words().all(is_plain)
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "dpop", "digest", "negotiate", "mac"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// A word of a sentence, or a short number, with punctuation.
fn is_plain(word: &str) -> bool {
    let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
    let is_letter = |c: char| c.is_ascii_alphabetic() || !c.is_ascii() || "'_-/.,:;()".contains(c);
    let is_number = word.len() <= 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    is_number || word.chars().filter(char::is_ascii).count() <= LONGEST_WORD && word.chars().all(is_letter)
}

/// The text of a server, with a mask for what must not be shown.
///
/// `of_values`: it has single values besides its sentences, as what was to be a token response, or JSON.
pub(super) fn redacted(text: &str, of_values: bool, is_strict: bool) -> String {
    let text: String = text.chars().filter(|c| is_seen(*c)).collect();
    let text = without_assigned(&text);
    let words = text.split_whitespace().map(|word| if has_jwt(word) { MASK } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    if of_values { without_values(&text, is_strict) } else { text }
}

/// Without what follows the name of a secret: `client_secret: x`, `'token' => 'x'`, `password=x`.
fn without_assigned(text: &str) -> Cow<'_, str> {
    let is_of_name = |c: char| c.is_alphanumeric() || is_mark(c) || c == '_' || c == '-';
    let mut shown = String::new();
    let (mut done, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let start = at + rest.find(is_of_name).unwrap_or(rest.len());
        let name = text.get(start..).unwrap_or_default();
        let name = name.get(..name.find(|c| !is_of_name(c)).unwrap_or(name.len())).unwrap_or_default();
        at = start + name.len();
        if name.len() > LONGEST_CODE || Named::of(name) != Named::Secret {
            continue;
        }
        if let Some((before, value)) = text.get(at..).and_then(|after| assigned(name, after)) {
            shown.push_str(text.get(done..at + before).unwrap_or_default());
            shown.push_str(MASK);
            at += before + value;
            done = at;
        }
    }
    match done {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(shown + text.get(done..).unwrap_or_default()),
    }
}

/// How many bytes of `after` are before the value that is assigned to `name` there, and in it, unless it may be shown.
fn assigned(name: &str, after: &str) -> Option<(usize, usize)> {
    let closed = after.trim_start_matches(['\\', '"', '\'', ']', ')', ' ', '\t']);
    let behind = closed.trim_start_matches([':', '=', '>']);
    if behind.len() == closed.len() {
        return None;
    }
    let is_in_prose = closed.len() == after.len() && !closed.starts_with('=');
    let is_apart = behind.starts_with(char::is_whitespace) || closed.starts_with('>');
    let value = behind.trim_start_matches(['\\', ' ', '\t', '\r', '\n']);
    let before = after.len() - value.len();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let first = value.split_whitespace().next()?;
    // "Invalid token: expired".
    if is_in_prose && TALKED_OF.contains(&&*name.to_ascii_lowercase()) && is_plain(first) && !is_scheme(first) {
        return None;
    }
    let (content, length) = match quote {
        // With its opening quote.
        Some(quote) => {
            let inner = value.get(1..).unwrap_or_default();
            let end = inner.find(quote).filter(|end| !inner.get(..*end).unwrap_or_default().ends_with('\\'));
            (inner.get(..end.unwrap_or(inner.len())).unwrap_or_default(), end.map_or(value.len(), |end| end + 2))
        }
        None if value.starts_with(['[', '{', '(', '<']) => return Some((before, value.len())),
        None => {
            let end = value.find([',', ';', '&', '<', '>', '{', '}', '[', ']', '|', '"', '\n']).unwrap_or(value.len());
            let word = value.find(char::is_whitespace).unwrap_or(value.len());
            (value.get(..end).unwrap_or_default(), end.max(word))
        }
    };
    let length = match quote.is_some() || is_apart || is_scheme(first) {
        true => length,
        false => value.find(char::is_whitespace).unwrap_or(value.len()),
    };
    // What is shown is read again, behind the next name.
    let is_shown = content.len() <= LONGEST_SENTENCE && (quote.is_some() || is_apart) && is_sentence(content);
    (!is_shown).then_some((before, length))
}

/// 1024: the longest text of an error by default.
const LONGEST_SENTENCE: usize = 1024;

/// Without single values that may be tokens.
fn without_values(text: &str, is_strict: bool) -> String {
    // RFC 6750 section 2.1, and what else occurs in tokens.
    let is_of_token = |c: char| c.is_alphanumeric() || is_mark(c) || "-._~+/=!@$%:\"\\".contains(c);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_of_token) {
        let (before, from) = rest.split_at(start);
        let (run, behind) = from.split_at(from.find(|c| !is_of_token(c)).unwrap_or(from.len()));
        shown.push_str(before);
        // A point ends a sentence, a colon what is said of the value behind it.
        let (value, end) = run.split_at(run.trim_end_matches(['.', ':', '"']).len());
        let before: String = shown.chars().rev().take(LONGEST_ID).collect();
        let name = before.trim_start_matches([':', ' ', '=', '#']).split(' ').take(2).collect::<Vec<_>>().join("_");
        let name = Named::of(&name.chars().rev().collect::<String>());
        let named = if name == Named::Trace { name } else { Named::Other };
        shown.push_str(if is_hidden(value, named, is_strict) { MASK } else { value });
        shown.push_str(end);
        rest = behind;
    }
    shown + rest
}

/// What words for secrets contain.
const SECRETS: [&str; 15] = [
    "token",
    "secret",
    "passw",
    "passphrase",
    "assertion",
    "credential",
    "authorization",
    "authorisation",
    "cookie",
    "jwt",
    "apikey",
    "accesskey",
    "privatekey",
    "authkey",
    "signingkey",
];

/// The names of secrets that are words of sentences, too. A password may be such a word itself.
const TALKED_OF: [&str; 8] =
    ["token", "secret", "key", "jwt", "credential", "credentials", "authorization", "assertion"];

/// Behind a word for a secret: it is about the secret.
const ABOUT: [&str; 20] = [
    "error",
    "errors",
    "message",
    "messages",
    "msg",
    "status",
    "reason",
    "description",
    "type",
    "types",
    "details",
    "hint",
    "policy",
    "problem",
    "failure",
    "endpoint",
    "expires",
    "expired",
    "expiry",
    "method",
];

/// Before `key`: it is the name of a text.
const OF_TEXTS: [&str; 6] = ["error", "message", "msg", "text", "translation", "i18n"];

/// Ends of the names of ids.
const IDS: [&str; 5] = ["id", "ids", "uuid", "guid", "number"];

/// What has an id for the server's support.
const TRACED: [&str; 13] = [
    "trace",
    "correlation",
    "request",
    "support",
    "incident",
    "activity",
    "error",
    "log",
    "event",
    "span",
    "transaction",
    "operation",
    "ray",
];

/// The names of such ids that do not end like one, and of times.
const TRACES: [&str; 8] = ["traceparent", "logref", "requestref", "cfray", "timestamp", "time", "date", "xamzntraceid"];

#[cfg(test)]
#[path = "hidden_tests.rs"]
mod tests;

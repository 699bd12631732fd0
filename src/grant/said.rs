//! Reads the message of a refusal in any format (pure): RFC 6749 section 5.2, problem documents (RFC 9457), other JSON
//! objects, forms, plain text, HTML pages, `WWW-Authenticate`.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Map, Value};

use super::code::{LONGEST_CODE, bare, is_code, is_known, known_in};
use super::page::{unescaped, without_tags};
use super::response::Reading;
use crate::challenge::Challenge;
use crate::error::OAuthError;
use crate::exchange::{Response, foreign_encoding, is_page};
use crate::json::{Members, Text};
use crate::server_text::MASK;

/// The message, safe to show.
#[derive(Default)]
pub(super) struct Said {
    pub(super) oauth: Option<OAuthError>,
    /// The rest of the message; may be empty.
    pub(super) words: String,
    /// The code stands at a place where no server writes its errors.
    pub(super) is_aside: bool,
    /// An HTML page.
    pub(super) is_page: bool,
    /// It requires authentication.
    pub(super) challenges: bool,
}

/// Whether it is a single value, which may be a token (RFC 6749 appendix A.12: ASCII): longer than the words of error
/// messages, and not only letters.
fn is_opaque(text: &str) -> bool {
    let text = text.trim();
    let is_word = |c: char| c.is_ascii_alphabetic() || c == '_';
    let ascii = || text.chars().filter(char::is_ascii);
    ascii().count() > 16 && !text.contains(char::is_whitespace) && !ascii().all(is_word)
}

/// Whether it contains a JWT (RFC 7519 section 3). Each begins with `{"` in base64url.
fn has_jwt(word: &str) -> bool {
    word.find("eyJ")
        .and_then(|start| word.get(start..))
        .is_some_and(|jwt| jwt.matches('.').count() >= 2 && jwt.len() > 20)
}

/// Whether it has a token or a secret under its name, in a format that is not read.
fn shows_secret(body: &str) -> bool {
    let body = body.to_ascii_lowercase();
    let names = [
        "access_token",
        "accesstoken",
        "refresh_token",
        "refreshtoken",
        "id_token",
        "client_secret",
        "client_assertion",
    ];
    names.iter().any(|name| is_assigned(&body, name, |_| false))
}

/// Whether something follows a name of `body` that begins like this: `name: x`, `'name' = x`, `<name>x`.
fn is_assigned(body: &str, name: &str, more: fn(char) -> bool) -> bool {
    body.match_indices(name).any(|(at, _)| {
        let after = body.get(at + name.len()..).unwrap_or_default().trim_start_matches(more);
        let after = after.trim_start_matches('\\').trim_start_matches(['"', '\'']).trim_start_matches(' ');
        after.starts_with([':', '=', '>'])
    })
}

/// Whether it is a form without a content type: `name=value`, and no space.
fn is_form(body: &str) -> bool {
    let name = body.split('=').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    name.len() < body.len() && is_name && !body.contains(char::is_whitespace)
}

impl Reading<'_> {
    pub(super) fn said(&self, response: &Response) -> Said {
        if response.status.is_redirection() {
            // The body of a redirect, if any, is a page about the other address.
            return Said::default();
        }
        let mut said = match foreign_encoding(&response.headers) {
            Some(encoding) => Said {
                words: format!(
                    "its body is encoded ({}), which was not asked for and is not read here",
                    self.masks.clean(encoding, 32)
                ),
                ..Said::default()
            },
            None => self.body(&response.headers, &Text::marked(&response.body)),
        };
        said.challenges = response.headers.contains_key(WWW_AUTHENTICATE);
        if said.oauth.is_none() {
            let challenges = Challenge::all(&response.headers);
            said.oauth = challenges.iter().find_map(|challenge| self.oauth(|name| challenge.param(name)));
        }
        if said.words.is_empty() && said.oauth.is_none() {
            let challenge = response.headers.get(WWW_AUTHENTICATE).map(|value| Text::of(value.as_bytes()));
            said.words = challenge.map(|text| format!("it asks for {}", self.text(&text))).unwrap_or_default();
        }
        said
    }

    fn body(&self, headers: &HeaderMap, body: &str) -> Said {
        let body = body.trim();
        let label = headers.get(CONTENT_TYPE).map(|label| label.as_bytes().to_ascii_lowercase()).unwrap_or_default();
        let labelled = |kind: &str| String::from_utf8_lossy(&label).contains(kind);
        match body.chars().next() {
            // A break inside a string is not JSON, but some servers send it.
            Some('{') => self.json(&body.replace(['\n', '\r', '\t'], " ")),
            Some('[') => self.array(body),
            _ if is_page(headers, body.as_bytes()) => Said { is_page: true, ..self.prose(&without_tags(body)) },
            Some('<') if shows_secret(body) => self.prose(body),
            Some('<') => self.prose(&format!("{} {}", self.attributes(body), without_tags(body))),
            Some('"') => self.prose(serde_json::from_str::<String>(body).as_deref().unwrap_or(body)),
            _ if labelled("form-urlencoded") || is_form(body) => {
                let pairs = form_urlencoded::parse(body.as_bytes()).into_owned();
                self.object(pairs.map(|(name, value)| (name, value.into())).collect())
            }
            _ => self.prose(body),
        }
    }

    /// An object, or what begins like one.
    fn json(&self, body: &str) -> Said {
        match (self.object(Members::salvage(body).rest()), Members::parse(body.as_bytes())) {
            // It is not JSON, or is cut before its code.
            (Said { oauth: None, words, .. }, Err(_)) => {
                let lower = body.to_ascii_lowercase();
                let more = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if SECRETS.iter().any(|name| is_assigned(&lower, name, more)) {
                    return Said { words, ..Said::default() };
                }
                let rest = self.prose(body);
                let words = if words.is_empty() { rest.words } else { words };
                Said { words, oauth: rest.oauth, ..Said::default() }
            }
            (said, _) => said,
        }
    }

    fn object(&self, members: Map<String, Value>) -> Said {
        if let Some(oauth) = self.oauth_error(&members).or_else(|| self.foreign_error(&members)) {
            return Said { oauth: Some(oauth), ..Said::default() };
        }
        let words = self.text(&self.leaves(&members).join(", "));
        match members.values().find_map(|value| known_in(value, 8)) {
            // An OAuth code that is a value at another place, with all that is said.
            Some(code) => {
                let oauth = OAuthError::new(self.code(code), Some(words), None);
                Said { oauth: Some(oauth), is_aside: true, ..Said::default() }
            }
            None => Said { words, ..Said::default() },
        }
    }

    /// `name: value` for the attributes of an XML document, which may have nothing else.
    fn attributes(&self, document: &str) -> String {
        let mut found = Vec::new();
        for tag in document.split('<').filter(|tag| tag.starts_with(|c: char| c.is_alphabetic())) {
            let mut rest = tag.split('>').next().unwrap_or_default();
            if !self.is_fit(rest.split(char::is_whitespace).next().unwrap_or_default()) {
                continue;
            }
            while let Some((before, after)) = rest.split_once('=') {
                let name = before.rsplit(char::is_whitespace).next().unwrap_or_default();
                let value = ['"', '\''].iter().find_map(|quote| after.strip_prefix(*quote)?.split_once(*quote));
                let Some((value, next)) = value else { break };
                if !name.contains("xmlns") && !name.contains(':') && self.is_fit(name) {
                    found.push(format!("{name}: {}", unescaped(value)));
                }
                rest = next;
            }
        }
        found.join(", ")
    }

    /// The first error of several (JSON:API, Salesforce).
    fn array(&self, body: &str) -> Said {
        match serde_json::from_str::<Vec<Value>>(body).map(|all| all.into_iter().next()) {
            Ok(Some(Value::Object(first))) => self.object(first),
            _ => self.prose(body),
        }
    }

    /// RFC 6749 section 5.2, RFC 6750 section 3. `param` returns a member, or a parameter of a challenge.
    fn oauth<'t>(&self, param: impl Fn(&'static str) -> Option<&'t str>) -> Option<OAuthError> {
        let code = param("error").filter(|code| is_code(code))?;
        let description = param("error_description").map(|text| self.text(text));
        let uri = param("error_uri").map(|uri| self.masks.clean(uri, self.rules.limits.max_error_text));
        Some(OAuthError::new(self.code(code), description, uri))
    }

    /// The error of an object. GitHub and Slack send it in a successful response.
    pub(super) fn oauth_error(&self, members: &Map<String, Value>) -> Option<OAuthError> {
        let oauth = self.oauth(|name| members.get(name).and_then(Value::as_str))?;
        Some(oauth.with_extra(self.extra(members, &["error", "error_description", "error_uri"])))
    }

    /// An OAuth code under another name, or one level deeper: Okta's `errorCode`, `{"error":{"code":..}}`.
    fn foreign_error(&self, members: &Map<String, Value>) -> Option<OAuthError> {
        const CODES: [&str; 6] = ["errorCode", "error_code", "errorcode", "code", "type", "error"];
        const TEXTS: [&str; 9] = [
            "error_description",
            "errorSummary",
            "message",
            "detail",
            "description",
            "errorMessage",
            "error_message",
            "title",
            "msg",
        ];
        let code =
            CODES.iter().find_map(|name| Some((*name, members.get(*name)?.as_str().filter(|code| is_known(code))?)));
        if let Some((code_name, code)) = code {
            let said = TEXTS.iter().find_map(|name| Some((*name, members.get(*name)?.as_str()?)));
            let text_name = said.map_or("", |(name, _)| name);
            let oauth = OAuthError::new(self.code(code), said.map(|(_, text)| self.text(text)), None);
            return Some(oauth.with_extra(self.extra(members, &[code_name, text_name])));
        }
        ["error", "errors", "fault", "detail"].iter().find_map(|name| {
            let inner = match members.get(*name)? {
                Value::Array(all) => all.first()?,
                other => other,
            };
            let inner = inner.as_object()?;
            self.oauth_error(inner).filter(|oauth| is_known(oauth.code())).or_else(|| self.foreign_error(inner))
        })
    }

    /// Unstructured text. An OAuth code in it counts.
    fn prose(&self, text: &str) -> Said {
        let words = if is_opaque(text) || shows_secret(text) { String::new() } else { self.text(text) };
        let mut tokens = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        match tokens.find(|token| token.contains('_') && token.len() <= LONGEST_CODE && is_known(token)) {
            Some(code) => {
                let description = Some(words).filter(|words| !words.is_empty() && words != code);
                Said { oauth: Some(OAuthError::new(code.to_owned(), description, None)), ..Said::default() }
            }
            None => Said { words, ..Said::default() },
        }
    }

    fn text(&self, text: &str) -> String {
        let words = text.split_whitespace().map(|word| if has_jwt(word) { MASK } else { word });
        self.masks.clean_words(&words.collect::<Vec<_>>().join(" "), self.rules.limits.max_error_text)
    }

    fn code(&self, code: &str) -> String {
        self.masks.clean(code, LONGEST_CODE)
    }

    /// The members without these, safe for the application.
    fn extra(&self, members: &Map<String, Value>, without: &[&str]) -> Map<String, Value> {
        let rest = members.iter().filter(|(name, _)| !without.contains(&name.as_str()) && self.is_fit(name));
        rest.take(MOST_MEMBERS).map(|(name, value)| (name.clone(), self.cleaned(value, 4))).collect()
    }

    fn cleaned(&self, value: &Value, depth: usize) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(values) if self.spell_a_secret(values) => MASK.into(),
            Value::Array(_) | Value::Object(_) if depth == 0 => Value::Null,
            Value::Array(values) => values.iter().take(MOST_MEMBERS).map(|one| self.cleaned(one, depth - 1)).collect(),
            Value::Object(members) => {
                let members = members.iter().filter(|(name, _)| self.is_fit(name)).take(MOST_MEMBERS);
                Value::Object(members.map(|(name, value)| (name.clone(), self.cleaned(value, depth - 1))).collect())
            }
            Value::Number(number) if self.masks.hide(&number.to_string()) => MASK.into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Whether the values together are a secret: pieces of a text, or its bytes (`Buffer` of Node.js).
    fn spell_a_secret(&self, values: &[Value]) -> bool {
        let mut text = Vec::new();
        for value in values {
            match (value, value.as_u64().map(u8::try_from)) {
                (Value::String(piece), _) => text.extend_from_slice(piece.as_bytes()),
                (_, Some(Ok(byte))) => text.push(byte),
                _ => {}
            }
        }
        self.masks.hide(&String::from_utf8_lossy(&text))
    }

    /// Whether a member may be shown: short, printable, no echo of our secrets, and not the name of a possible secret,
    /// since a server may return a token with an error.
    fn is_fit(&self, name: &str) -> bool {
        let bare: String = bare(name).map(char::from).collect();
        self.masks.clean_words(name, LONGEST_CODE) == name && !SECRETS.iter().any(|secret| bare.contains(secret))
    }

    /// `name: value` for each text and number, at any depth.
    fn leaves<'m>(&self, members: impl IntoIterator<Item = (&'m String, &'m Value)>) -> Vec<String> {
        let mut leaves = Vec::new();
        members.into_iter().for_each(|(name, value)| self.add_leaves(name, value, 4, &mut leaves));
        leaves
    }

    fn add_leaves(&self, name: &str, value: &Value, depth: usize, leaves: &mut Vec<String>) {
        // Once for all values of an array, since the name may be as long as the array.
        if leaves.len() < MOST_MEMBERS && self.is_fit(name) {
            self.add_values(name, value, depth, leaves);
        }
    }

    fn add_values(&self, name: &str, value: &Value, depth: usize, leaves: &mut Vec<String>) {
        match value {
            _ if leaves.len() == MOST_MEMBERS => {}
            Value::String(text) if !text.trim().is_empty() => leaves.push(format!("{name}: {}", text.trim())),
            Value::Number(_) | Value::Bool(_) => leaves.push(format!("{name}: {value}")),
            Value::Array(values) if self.spell_a_secret(values) => leaves.push(format!("{name}: {MASK}")),
            Value::Array(values) if depth > 0 => {
                values.iter().for_each(|value| self.add_values(name, value, depth - 1, leaves));
            }
            Value::Object(members) if depth > 0 => {
                members.iter().for_each(|(name, value)| self.add_leaves(name, value, depth - 1, leaves));
            }
            _ => {}
        }
    }

    /// The error in one line, with those of its further members that its description does not repeat.
    pub(super) fn line(&self, oauth: &OAuthError) -> String {
        let line = oauth.to_string();
        let mut leaves = self.leaves(oauth.extras());
        let is_new = |leaf: &String| leaf.split_once(": ").is_some_and(|(_, value)| !line.contains(value));
        leaves.retain(is_new);
        let most = self.rules.limits.max_error_text.saturating_sub(line.chars().count());
        let beside = self.masks.clean_words(&leaves.join(", "), most);
        if beside.is_empty() { line } else { format!("{line} ({beside})") }
    }
}

/// The beginnings of words for what must not be shown.
const SECRETS: [&str; 9] =
    ["token", "secret", "passw", "assertion", "credential", "authorization", "cookie", "jwt", "key"];

/// 32: real errors have up to a dozen members.
const MOST_MEMBERS: usize = 32;

#[cfg(test)]
#[path = "said_tests.rs"]
mod tests;

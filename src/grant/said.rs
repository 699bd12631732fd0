//! Reads the message of a refusal in any format (pure): RFC 6749 section 5.2, problem documents (RFC 9457), other JSON
//! objects, forms, plain text, HTML pages, `WWW-Authenticate`.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Map, Value};

use super::code::{LONGEST_CODE, is_code, is_known, known_in};
use super::hidden::{Named, may_be_token, redacted};
use super::page::{unescaped, without_secrets, without_tags};
use super::quoting::{DEEPEST, MOST_MEMBERS, Quoting};
use super::response::Reading;
use crate::challenge::Challenge;
use crate::error::OAuthError;
use crate::exchange::{Response, foreign_encoding, is_page};
use crate::json::{Members, Text};

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

/// Whether it is a form without a content type: `name=value`, and no space.
fn is_form(body: &str) -> bool {
    let name = body.split('=').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    name.len() < body.len() && is_name && !body.contains(char::is_whitespace)
}

/// The value with those of the JSON documents in its strings: AWS Lambda sends a response as the `body` of another one.
fn opened(value: Value, depth: usize) -> Value {
    match value {
        Value::String(text) => {
            let document = match text.trim().chars().next() {
                Some('{') => Members::parse(text.trim().as_bytes()).ok().map(|members| Value::Object(members.rest())),
                Some('[') => serde_json::from_str(&text).ok(),
                _ => None,
            };
            document.unwrap_or_else(|| text.into())
        }
        Value::Array(values) if depth > 0 => values.into_iter().map(|value| opened(value, depth - 1)).collect(),
        Value::Object(members) if depth > 0 => {
            Value::Object(members.into_iter().map(|(name, value)| (name, opened(value, depth - 1))).collect())
        }
        other => other,
    }
}

impl Reading<'_> {
    pub(super) fn said(&self, response: &Response) -> Said {
        self.quoting(response).said(response)
    }
}

impl Quoting<'_> {
    fn said(&self, response: &Response) -> Said {
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
            if let Some(oauth) = said.oauth.take_if(|oauth| oauth.description().is_none() && !said.words.is_empty()) {
                said.oauth = Some(OAuthError::new(
                    oauth.code().to_owned(),
                    Some(said.words.clone()),
                    oauth.uri().map(Into::into),
                ));
            }
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
            _ if is_page(headers, body.as_bytes()) => {
                Said { is_page: true, ..self.prose(&without_tags(body, str::to_owned)) }
            }
            Some('<') => {
                let body = without_secrets(body);
                let texts = without_tags(&body, |text| self.leaf(Named::Other, text).unwrap_or_default());
                self.prose(&format!("{} {texts}", self.attributes(&body)))
            }
            Some('"') => {
                let text = serde_json::from_str::<String>(body);
                let text = text.as_deref().unwrap_or(body).trim();
                match text.chars().next() {
                    Some('{') => self.json(text),
                    Some('[') => self.array(text),
                    _ => self.prose(text),
                }
            }
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
                let rest = self.values(body);
                match words.is_empty() || rest.oauth.is_some() {
                    true => rest,
                    false => Said { words, ..Said::default() },
                }
            }
            (said, _) => said,
        }
    }

    fn object(&self, members: Map<String, Value>) -> Said {
        let members = members.into_iter().map(|(name, value)| (name, opened(value, DEEPEST))).collect();
        self.with_hidden_of(&members, |quoting| quoting.object_of(&members))
    }

    fn object_of(&self, members: &Map<String, Value>) -> Said {
        if let Some(oauth) = self.oauth_error(members).or_else(|| self.foreign_error(members)) {
            return Said { oauth: Some(oauth), ..Said::default() };
        }
        let words = self.masks.clean_words(&self.leaves(members).join(", "), self.most);
        match members.values().find_map(|value| known_in(value, DEEPEST)) {
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
            let element = rest.split(char::is_whitespace).next().unwrap_or_default();
            if !self.is_fit(element) || Named::of(element) == Named::Secret {
                continue;
            }
            while let Some((before, after)) = rest.split_once('=') {
                let name = before.rsplit(char::is_whitespace).next().unwrap_or_default();
                let value = ['"', '\''].iter().find_map(|quote| after.strip_prefix(*quote)?.split_once(*quote));
                let Some((value, next)) = value else { break };
                let is_told = !name.contains("xmlns") && !name.contains(':') && self.is_fit(name);
                if let Some(value) = is_told.then(|| self.leaf(Named::of(name), &unescaped(value))).flatten() {
                    found.push(format!("{name}: {value}"));
                }
                rest = next;
            }
        }
        found.join(", ")
    }

    /// The first error of several (JSON:API, Salesforce).
    fn array(&self, body: &str) -> Said {
        let Ok(values) = serde_json::from_str::<Vec<Value>>(body) else {
            return self.values(body);
        };
        let objects = values.iter().filter_map(Value::as_object).take(MOST_MEMBERS);
        let mut said = objects.map(|one| self.object(one.clone())).collect::<Vec<_>>().into_iter();
        if let Some(first) = said.next() {
            return match first.oauth.is_some() {
                true => first,
                false => said.find(|said| said.oauth.is_some()).unwrap_or(first),
            };
        }
        let mut leaves = Vec::new();
        self.add_values("", Named::Other, &Value::Array(values), 4, &mut leaves);
        self.prose(&leaves.join(", "))
    }

    /// What is nearly JSON, with single values in it.
    fn values(&self, body: &str) -> Said {
        self.prose(&match may_be_token(body, self.of_success) {
            true => Cow::Borrowed(body),
            false => redacted(&self.unmasked(body), true, self.of_success).into(),
        })
    }

    /// RFC 6749 section 5.2, RFC 6750 section 3. `param` returns a member, or a parameter of a challenge.
    fn oauth<'t>(&self, param: impl Fn(&'static str) -> Option<&'t str>) -> Option<OAuthError> {
        let code = param("error").filter(|code| is_code(code))?;
        let description = param("error_description").map(|text| self.value(Named::Other, text));
        let uri = param("error_uri").map(|uri| self.masks.clean(&self.value(Named::Other, uri), self.most));
        Some(OAuthError::new(self.code(code), description, uri))
    }

    /// The error of an object.
    fn oauth_error(&self, members: &Map<String, Value>) -> Option<OAuthError> {
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
            let oauth = OAuthError::new(self.code(code), said.map(|(_, text)| self.value(Named::Other, text)), None);
            return Some(oauth.with_extra(self.extra(members, &[code_name, text_name])));
        }
        ["error", "errors", "fault", "detail", "body", "message"].iter().find_map(|name| {
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
        // JSON in another format has values.
        let values = || redacted(&self.unmasked(text), true, self.of_success);
        let words = match may_be_token(text, self.of_success) {
            true => String::new(),
            false if text.contains('{') => self.masks.clean_words(&values(), self.most),
            false => self.text(text),
        };
        let mut tokens = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        match tokens.find(|token| token.contains('_') && token.len() <= LONGEST_CODE && is_known(token)) {
            Some(code) => {
                let description = Some(words).filter(|words| !words.is_empty() && words != code);
                Said { oauth: Some(OAuthError::new(code.to_owned(), description, None)), ..Said::default() }
            }
            None => Said { words, ..Said::default() },
        }
    }
}

#[cfg(test)]
#[path = "said_tests.rs"]
mod tests;

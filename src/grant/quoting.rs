//! The texts of a response as an error shows them: cleaned, masked, cut, and without what may be a token (pure).

use std::borrow::Cow;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::code::{LONGEST_CODE, is_known};
use super::hidden::{Named, is_hidden, may_be_token, redacted};
use super::refusal::is_about_client_or_scope;
use super::response::Reading;
use crate::error::OAuthError;
use crate::exchange::{Limits, Response};
use crate::server_text::{MASK, Masks};

/// How a response is quoted.
#[derive(Clone, Copy)]
pub(super) struct Quoting<'a> {
    pub(super) masks: &'a Masks,
    /// The longest text.
    pub(super) most: usize,
    max_token_bytes: usize,
    /// A success was to have a token, which may be anywhere.
    pub(super) of_success: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn quoting(&self, response: &Response) -> Quoting<'a> {
        let Limits { max_error_text: most, max_token_bytes, .. } = self.rules.limits;
        Quoting { masks: self.masks, most, max_token_bytes, of_success: response.status.is_success() }
    }
}

impl Quoting<'_> {
    /// Calls `quote` with masks for what is hidden in these members, since it may be in their texts, too.
    pub(super) fn with_hidden_of<T>(&self, members: &Map<String, Value>, quote: impl FnOnce(Quoting<'_>) -> T) -> T {
        let mut hidden = Vec::new();
        members.iter().for_each(|(name, value)| self.add_hidden(Named::of(name), value, DEEPEST, &mut hidden));
        match hidden.is_empty() {
            true => quote(*self),
            false => quote(Quoting { masks: &self.masks.and(&hidden), ..*self }),
        }
    }

    fn add_hidden(&self, named: Named, value: &Value, depth: usize, hidden: &mut Vec<SecretString>) {
        match value {
            _ if hidden.len() == MOST_MEMBERS => {}
            Value::String(text) => {
                let text = text.trim();
                // Others may be words, and another encoding would not be recognised.
                let is_value = (8..=self.max_token_bytes).contains(&text.len()) && text.is_ascii();
                let is_word = || text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                if is_value && !is_word() && is_hidden(text, named, self.of_success) {
                    hidden.push(text.into());
                }
            }
            Value::Array(values) if depth > 0 => {
                values.iter().for_each(|value| self.add_hidden(named, value, depth - 1, hidden));
            }
            Value::Object(members) if depth > 0 => {
                members.iter().for_each(|(name, value)| self.add_hidden(named.within(name), value, depth - 1, hidden));
            }
            _ => {}
        }
    }

    pub(super) fn text(&self, text: &str) -> String {
        self.masks.clean_words(&redacted(&self.unmasked(text), self.of_success, self.of_success), self.most)
    }

    /// The text without our secrets, which it would be harder to recognise in parts.
    pub(super) fn unmasked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.masks.hide(text) { self.masks.clean(text, usize::MAX).into() } else { text.into() }
    }

    /// The text of a member, unless it must not be shown.
    pub(super) fn leaf(&self, named: Named, text: &str) -> Option<String> {
        match (is_hidden(text, named, self.of_success), named) {
            (true, Named::Secret) => None,
            (true, _) => Some(self.mask()),
            // A single value has been judged by its name.
            (false, _) if !text.trim().contains(char::is_whitespace) => {
                Some(self.masks.clean_words(&redacted(&self.unmasked(text), false, false), self.most))
            }
            (false, _) => Some(self.text(text)),
        }
    }

    pub(super) fn value(&self, named: Named, text: &str) -> String {
        self.leaf(named, text).unwrap_or_else(|| self.mask())
    }

    fn mask(&self) -> String {
        self.masks.clean(MASK, self.most)
    }

    pub(super) fn code(&self, code: &str) -> String {
        // What is classified by its words stays as it is.
        let is_told = is_known(code) || is_about_client_or_scope(code) || !may_be_token(code, self.of_success);
        self.masks.clean(if is_told { code } else { MASK }, LONGEST_CODE)
    }

    /// The members without these texts, safe for the application.
    pub(super) fn extra(&self, members: &Map<String, Value>, without: &[&str]) -> Map<String, Value> {
        let rest = members.iter().filter(|(name, value)| !(without.contains(&name.as_str()) && value.is_string()));
        self.cleaned_members(Named::Other, rest, 4)
    }

    fn cleaned_members<'m>(
        &self,
        named: Named,
        members: impl Iterator<Item = (&'m String, &'m Value)>,
        depth: usize,
    ) -> Map<String, Value> {
        let members = members.filter(|(name, _)| self.is_fit(name));
        let cleaned =
            members.filter_map(|(name, value)| Some((name.clone(), self.cleaned(named.within(name), value, depth)?)));
        cleaned.take(MOST_MEMBERS).collect()
    }

    /// `None`: it must not be shown.
    fn cleaned(&self, named: Named, value: &Value, depth: usize) -> Option<Value> {
        let is_secret = named == Named::Secret;
        Some(match value {
            Value::String(text) => self.leaf(named, text)?.into(),
            Value::Array(values) if self.spell_a_secret(values) => MASK.into(),
            Value::Array(_) | Value::Object(_) if depth == 0 => Value::Null,
            Value::Array(values) => {
                let cleaned: Vec<_> =
                    values.iter().filter_map(|one| self.cleaned(named, one, depth - 1)).take(MOST_MEMBERS).collect();
                (!is_secret || !cleaned.is_empty()).then_some(cleaned)?.into()
            }
            Value::Object(members) => {
                let cleaned = self.cleaned_members(named, members.iter(), depth - 1);
                (!is_secret || !cleaned.is_empty()).then_some(cleaned)?.into()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) if is_secret => return None,
            Value::Number(number) if self.is_hidden_number(named, &number.to_string()) => MASK.into(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn is_hidden_number(&self, named: Named, number: &str) -> bool {
        // 16: the numbers of errors and the times have fewer digits.
        self.masks.hide(number) || number.len() > 16 && is_hidden(number, named, self.of_success)
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

    /// Whether the name of a member may be shown: short, printable, no echo of our secrets, and no token itself.
    pub(super) fn is_fit(&self, name: &str) -> bool {
        self.masks.clean_words(name, LONGEST_CODE) == name && !may_be_token(name, self.of_success)
    }

    /// `name: value` for each text and number, at any depth.
    pub(super) fn leaves<'m>(&self, members: impl IntoIterator<Item = (&'m String, &'m Value)>) -> Vec<String> {
        let mut leaves = Vec::new();
        members.into_iter().for_each(|(name, value)| self.add_leaves(Named::Other, name, value, 4, &mut leaves));
        leaves
    }

    fn add_leaves(&self, named: Named, name: &str, value: &Value, depth: usize, leaves: &mut Vec<String>) {
        // Once for all values of an array, since the name may be as long as the array.
        if leaves.len() < MOST_MEMBERS && self.is_fit(name) {
            self.add_values(name, named.within(name), value, depth, leaves);
        }
    }

    pub(super) fn add_values(&self, name: &str, named: Named, value: &Value, depth: usize, leaves: &mut Vec<String>) {
        let joint = if name.is_empty() { "" } else { ": " };
        match value {
            _ if leaves.len() == MOST_MEMBERS => {}
            Value::String(text) if !text.trim().is_empty() => {
                leaves.extend(self.leaf(named, text).map(|text| format!("{name}{joint}{text}")));
            }
            Value::Array(values) if self.spell_a_secret(values) => leaves.push(format!("{name}{joint}{MASK}")),
            Value::Array(values) if depth > 0 => {
                values.iter().for_each(|value| self.add_values(name, named, value, depth - 1, leaves));
            }
            Value::Object(members) if depth > 0 => {
                members.iter().for_each(|(name, value)| self.add_leaves(named, name, value, depth - 1, leaves));
            }
            Value::Number(_) | Value::Bool(_) if named != Named::Secret => {
                let number = value.to_string();
                let shown = if self.is_hidden_number(named, &number) { MASK } else { &number };
                leaves.push(format!("{name}{joint}{shown}"));
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
        let most = self.most.saturating_sub(line.chars().count());
        let beside = self.masks.clean_words(&leaves.join(", "), most);
        if beside.is_empty() { line } else { format!("{line} ({beside})") }
    }
}

/// 8: real errors have their code at most four levels deep.
pub(super) const DEEPEST: usize = 8;

/// 32: real errors have up to a dozen members.
pub(super) const MOST_MEMBERS: usize = 32;

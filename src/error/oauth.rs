//! What a server says when it refuses a token request.

use serde_json::{Map, Value};

/// An error response of the token endpoint (RFC 6749 section 5.2).
///
/// All texts come from the server. They are cut and reduced to the characters that the RFC allows, and echoes of the client's
/// secret are replaced with `***`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.line())]
pub struct OAuthError {
    code: Box<str>,
    description: Option<Box<str>>,
    uri: Option<Box<str>>,
    extra: Map<String, Value>,
}

impl OAuthError {
    /// Returns `error`, for example `invalid_client`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns `error_description`, which is for developers, not for end users.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns `error_uri`, a page about the error. This crate never fetches it.
    pub fn uri(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// Returns another member of the response, for example Entra's `correlation_id`, which Microsoft's support asks for.
    pub fn extra(&self, member: &str) -> Option<&Value> {
        self.extra.get(member)
    }

    pub(crate) fn extras(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.extra.iter()
    }

    /// The arguments are sanitised already.
    pub(crate) fn new(code: String, description: Option<String>, uri: Option<String>) -> Self {
        let boxed = |text: String| (!text.is_empty()).then(|| text.into_boxed_str());
        OAuthError {
            code: code.into(),
            description: description.and_then(boxed),
            uri: uri.and_then(boxed),
            extra: Map::new(),
        }
    }

    /// Sanitised too.
    pub(crate) fn with_extra(mut self, extra: Map<String, Value>) -> Self {
        self.extra = extra;
        self
    }

    pub(super) fn line(&self) -> String {
        match &self.description {
            Some(description) => format!("{}: {description}", self.code),
            None => self.code.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oauth_error_has_what_the_server_said() {
        let oauth = OAuthError::new("invalid_client".to_owned(), Some("no".to_owned()), Some("https://x".to_owned()));
        assert_eq!((oauth.code(), oauth.description(), oauth.uri()), ("invalid_client", Some("no"), Some("https://x")));
    }
}

//! Requests and replies of the scripted server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

/// A request and its connection.
pub(super) struct Incoming {
    pub(super) head: Parts,
    pub(super) body: Bytes,
    /// The client certificate, in DER, if there is one.
    pub(super) certificate: Option<Vec<u8>>,
}

impl Incoming {
    /// The value of a header that may occur once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The credentials of `Authorization` if they are of this scheme, whose name is case-insensitive (RFC 9110 section 11.1).
    pub(super) fn credentials(&self, scheme: &str) -> Option<&str> {
        let (name, rest) = self.header(AUTHORIZATION.as_str())?.split_once(' ')?;
        name.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }
}

/// The parameters of a token request.
#[derive(Default)]
pub(super) struct Form(pub(super) Vec<(String, String)>);

impl Form {
    /// Reads a form (RFC 6749 section 4.4.2), or a JSON object, which some servers expect. The error states what is
    /// wrong.
    pub(super) fn read(request: &Incoming) -> Result<Self, &'static str> {
        let label = request.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let essence = label.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let params = match essence.as_str() {
            "application/x-www-form-urlencoded" => {
                let pairs = form_urlencoded::parse(&request.body);
                pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
            }
            "application/json" => {
                let members: Map<String, Value> =
                    serde_json::from_slice(&request.body).map_err(|_| "the body is not a JSON object")?;
                let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                members.into_iter().map(|(name, value)| (name, text(value))).collect()
            }
            _ => return Err("the content type is not application/x-www-form-urlencoded"),
        };
        Ok(Form(params))
    }

    /// A parameter without a value is treated as if it were omitted (RFC 6749 section 3.1).
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values(name).into_iter().next()
    }

    pub(super) fn values(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(n, value)| n == name && !value.is_empty());
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a parameter occurs several times, which only `resource` and `audience` may (RFC 6749 section 3.2, RFC 8707
    /// section 2, RFC 8693 section 2.1).
    pub(super) fn repeats(&self) -> bool {
        let mut names = self.0.iter().map(|(name, _)| name.as_str());
        names.any(|name| !matches!(name, "resource" | "audience") && self.values(name).len() > 1)
    }
}

/// User and password of `Basic`, not decoded further.
pub(super) fn basic(request: &Incoming) -> Option<(String, String)> {
    let pair = STANDARD.decode(request.credentials("Basic")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// The ways in which servers decode user and password of Basic: as a form (RFC 6749 section 2.3.1), by percent-decoding
/// only, or not at all.
pub(super) fn readings(text: &str) -> [String; 3] {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    [decoded(&text.replace('+', " ")), decoded(text), text.to_owned()]
}

/// The characters that a quoted-string may have (RFC 9110 section 5.6.4).
fn quotable(text: &str) -> String {
    let printable = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' });
    printable.flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])).collect()
}

/// An object with these changes (RFC 7396): null removes a member, or leaves it out.
pub(super) fn merged(mut object: Map<String, Value>, changes: Value) -> Map<String, Value> {
    if let Value::Object(changes) = changes {
        object.extend(changes);
    }
    object.retain(|_, value| !value.is_null());
    object
}

/// A response, and a note about it for the story.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// In a box, since a reply is also the error of functions.
    pub(super) headers: Box<HeaderMap>,
    pub(super) body: String,
    pub(super) torn: bool,
    /// The number of the token that was issued or presented.
    pub(super) token: Option<u32>,
    pub(super) note: String,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &str, body: String) -> Self {
        let reply = Reply { status, headers: Box::default(), body, torn: false, token: None, note: String::new() };
        reply.header("content-type", content_type)
    }

    /// Neither tokens nor errors may be stored (RFC 6749 section 5.1).
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Reply::new(status, "application/json", body.to_string()).header("cache-control", "no-store")
    }

    /// RFC 6749 section 5.2.
    pub(super) fn oauth(status: u16, code: &str, description: &str) -> Self {
        Reply::json(status, &json!({"error": code, "error_description": description}))
            .noted(format!("{code}: {description}"))
    }

    /// RFC 6750 section 3, RFC 9449 section 7.1.
    pub(super) fn challenge(status: u16, scheme: &str, params: &[(&str, &str)]) -> Self {
        let params: Vec<_> = params.iter().map(|(name, value)| format!("{name}=\"{}\"", quotable(value))).collect();
        let value = format!("{scheme} {}", params.join(", ")).trim_end().to_owned();
        Reply::new(status, "text/plain", "refused\n".to_owned()).header("www-authenticate", &value).noted(value)
    }

    /// `value` is printable ASCII.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// The nonce for the next proof (RFC 9449 section 8).
    #[cfg(feature = "dpop")]
    pub(super) fn with_nonce(self, nonce: Option<String>) -> Self {
        match nonce {
            Some(nonce) => self.header("dpop-nonce", &nonce),
            None => self,
        }
    }

    pub(super) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// `error` of a JSON body.
    pub(super) fn error_code(&self) -> Option<&str> {
        // The notes of `oauth` begin with the code.
        self.note.split_once(':').map(|(code, _)| code)
    }

    /// The same members as a form.
    pub(super) fn into_form(self) -> Self {
        let members: Map<String, Value> = serde_json::from_str(&self.body).unwrap_or_default();
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &members {
            form.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
        }
        let body = form.finish();
        let form = Reply::new(self.status, "application/x-www-form-urlencoded", body);
        Reply { token: self.token, note: self.note, ..form }
    }
}

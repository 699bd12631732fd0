//! Parser for `WWW-Authenticate` (RFC 9110 section 11.6.1), which accepts any input and is bounded.

use std::borrow::Cow;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName};

use crate::json::Text;
use crate::step_up::is_scope;

/// One challenge: a scheme and its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) params: Vec<(&'a str, Cow<'a, str>)>,
}

/// The rest is not parsed. Real headers have a few challenges, in less than a kilobyte.
pub(crate) const MOST_CHALLENGES: usize = 16;
pub(crate) const MOST_PARAMS: usize = 32;
const LONGEST_HEADER: usize = 8 * 1024;

impl<'a> Challenge<'a> {
    /// All challenges of a response, in all its `WWW-Authenticate` headers.
    pub(crate) fn all(headers: &'a HeaderMap) -> Vec<Challenge<'a>> {
        Challenge::in_header(headers, &WWW_AUTHENTICATE)
    }

    /// Like [`all`](Self::all), for the headers of this name.
    pub(crate) fn in_header(headers: &'a HeaderMap, name: &HeaderName) -> Vec<Challenge<'a>> {
        let mut challenges = Vec::new();
        for value in headers.get_all(name) {
            let bytes = value.as_bytes();
            parse(bytes.get(..LONGEST_HEADER).unwrap_or(bytes), &mut challenges);
        }
        challenges
    }

    /// Scheme and names of parameters are compared without case (RFC 9110 sections 11.1 and 11.2).
    pub(crate) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.all_params(name).next()
    }

    /// The scope, if it is valid (RFC 6749 section 3.3). What is left of another one could be a scope that was not meant.
    pub(crate) fn scope(&self) -> Option<&str> {
        let scope = self.param("scope")?;
        let mut names = scope.split(' ').filter(|name| !name.is_empty()).peekable();
        (names.peek().is_some() && names.all(is_scope)).then_some(scope)
    }

    /// All values of a parameter, which some servers repeat in violation of the RFC.
    pub(crate) fn all_params(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(n, _): &&(&'a str, Cow<'a, str>)| n.eq_ignore_ascii_case(name);
        self.params.iter().filter(named).map(|(_, value)| value.as_ref())
    }
}

/// A list of challenges, each `scheme [ SP ( token68 / params ) ]`. The comma separates both challenges and parameters:
/// a token before `=` is a parameter, any other one begins a challenge. Semicolons instead of commas, and single
/// quotes, are accepted, since some servers send them. All of these are ASCII; a quoted string may have other bytes
/// (RFC 9110 section 5.6.4), such as UTF-8 or Latin-1.
pub(crate) fn parse<'a>(header: &'a [u8], challenges: &mut Vec<Challenge<'a>>) {
    let mut rest = Cursor(header);
    while challenges.len() <= MOST_CHALLENGES {
        rest.skip(|c| is_space(c) || is_separator(c));
        if rest.0.is_empty() {
            return;
        }
        let before = rest;
        let name = rest.name();
        if name.is_empty() {
            rest.skip_to_comma();
            continue;
        }
        let after_name = rest;
        if let (Some(value), Some(challenge)) = (rest.value(), challenges.last_mut()) {
            if challenge.params.len() < MOST_PARAMS {
                challenge.params.push((name, value));
            }
            continue;
        }
        rest = after_name;
        if rest.0.first().copied().is_some_and(|c| !is_space(c) && !is_separator(c)) {
            // Neither a scheme nor a parameter.
            rest = before;
            rest.skip_to_comma();
            continue;
        }
        if challenges.len() == MOST_CHALLENGES {
            return;
        }
        challenges.push(Challenge { scheme: name, params: Vec::new() });
        rest.skip_token68();
    }
}

#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        self.take(which);
    }

    fn take(&mut self, which: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|c| !which(*c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or_default();
        self.0 = rest;
        taken
    }

    fn name(&mut self) -> &'a str {
        std::str::from_utf8(self.take(|c| is_token(c.into()))).unwrap_or_default()
    }

    /// `BWS "=" BWS ( token / quoted-string )`
    fn value(&mut self) -> Option<Cow<'a, str>> {
        self.skip(is_space);
        self.0 = self.0.strip_prefix(b"=")?;
        self.skip(is_space);
        if let Some(quoted) = self.0.strip_prefix(b"\"") {
            self.0 = quoted;
            return Some(self.quoted());
        }
        let mut quoted = Cursor(self.0.strip_prefix(b"'").unwrap_or_default());
        let value = quoted.take(|c| c != b'\'');
        if let Some(rest) = quoted.0.strip_prefix(b"'") {
            self.0 = rest;
            return Some(text(value));
        }
        Some(text(self.take(|c| !is_space(c) && !is_separator(c))))
    }

    /// The rest of a quoted string (RFC 9110 section 5.6.4), which ends with the input at the latest.
    fn quoted(&mut self) -> Cow<'a, str> {
        let plain = self.take(|c| !matches!(c, b'"' | b'\\'));
        if let Some(rest) = self.0.strip_prefix(b"\"") {
            self.0 = rest;
            return text(plain);
        }
        let mut value = plain.to_owned();
        let mut bytes = self.0.iter();
        while let Some(c) = bytes.next() {
            match c {
                b'"' => break,
                b'\\' => value.extend(bytes.next()),
                other => value.push(*other),
            }
        }
        self.0 = bytes.as_slice();
        Cow::Owned(text(&value).into_owned())
    }

    /// A token68 after a scheme, such as that of `Negotiate`, is ignored.
    fn skip_token68(&mut self) {
        let before = *self;
        self.skip(is_space);
        let token68 = self.take(|c| c.is_ascii_alphanumeric() || b"-._~+/".contains(&c));
        self.skip(|c| c == b'=');
        self.skip(is_space);
        if token68.is_empty() || !(self.0.is_empty() || self.0.first().copied().is_some_and(is_separator)) {
            *self = before;
        }
    }

    /// Skips what cannot be parsed, but not into a quoted string.
    fn skip_to_comma(&mut self) {
        while let Some((c, rest)) = self.0.split_first() {
            match c {
                c if is_separator(*c) => return,
                b'"' => {
                    self.0 = rest;
                    let _ = self.quoted();
                }
                _ => self.0 = rest,
            }
        }
    }
}

/// UTF-8; other bytes are Latin-1.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match Text::of(bytes) {
        Text::Borrowed(text) => Cow::Borrowed(text),
        Text::Owned(text) => Cow::Owned(text.to_string()),
    }
}

fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

fn is_separator(c: u8) -> bool {
    matches!(c, b',' | b';')
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    /// `scheme(name=value name=value)` for each challenge.
    fn shown(values: &[&str]) -> String {
        let headers = headers(&values.iter().map(|value| value.as_bytes()).collect::<Vec<_>>());
        let show = |challenge: &Challenge<'_>| {
            let params: Vec<_> = challenge.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}({})", challenge.scheme, params.join(" "))
        };
        Challenge::all(&headers).iter().map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_are_read_as_rfc_9110_and_6750_write_them() {
        for (header, expected) in [
            ("", ""),
            ("Bearer", "Bearer()"),
            // What is no challenge is skipped, with the commas in its text.
            (r#""a, DPoP error=x", Bearer error="y""#, "Bearer(error=y)"),
            (r#"="a, DPoP error=x", Bearer error="y""#, "Bearer(error=y)"),
            (r#"Bearer realm="example""#, "Bearer(realm=example)"),
            (
                r#"Bearer realm="example", error="invalid_token", error_description="The access token expired""#,
                "Bearer(realm=example error=invalid_token error_description=The access token expired)",
            ),
            (r#"bearer ERROR=invalid_token"#, "bearer(ERROR=invalid_token)"),
            (r#"Bearer error = "invalid_token" "#, "Bearer(error=invalid_token)"),
            (r#"Bearer realm="a, b=c, Basic", error="x\"y\\z""#, r#"Bearer(realm=a, b=c, Basic error=x"y\z)"#),
            (
                r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#,
                r#"Basic(realm=simple) Newauth(realm=apps type=1 title=Login to "apps")"#,
            ),
            ("Negotiate a87421000492aa874209af8bc028==, Bearer", "Negotiate() Bearer()"),
            ("Negotiate, Bearer error=invalid_token", "Negotiate() Bearer(error=invalid_token)"),
            ("Negotiate a-._~+b== ; Bearer", "Negotiate() Bearer()"),
            (r#"Bearer ="x", error=y"#, "Bearer(error=y)"),
            ("Negotiate a b=c, Bearer", "Negotiate() a(b=c) Bearer()"),
            ("Negotiate\ta/b=\t, Bearer\terror\t=\tx", "Negotiate() Bearer(error=x)"),
            ("Bearer a!#$%&'*+-.^_`|~z=x", "Bearer(a!#$%&'*+-.^_`|~z=x)"),
            (", ,Bearer ,, error=x,", "Bearer(error=x)"),
            (r#"Bearer realm="never ends, error=x"#, "Bearer(realm=never ends, error=x)"),
            ("@@@ , Bearer error=x", "Bearer(error=x)"),
            (r#""Bearer error=x", Basic"#, "Basic()"),
            ("error=x, Bearer", "Bearer()"),
            // FD1: violations of the RFC.
            (r#"Bearer; error="x"; scope=a;b=c"#, "Bearer(error=x scope=a b=c)"),
            ("Bearer error='a b', scope='c'", "Bearer(error=a b scope=c)"),
            ("Bearer error=it's, b=c", "Bearer(error=it's b=c)"),
        ] {
            assert_eq!(shown(&[header]), expected, "{header}");
        }
        assert_eq!(shown(&["Basic", r#"Bearer error="invalid_token""#]), "Basic() Bearer(error=invalid_token)");
    }

    #[test]
    fn a_quoted_string_may_have_bytes_that_are_not_ascii() {
        // FD8: RFC 9110 sections 5.5 and 5.6.4, Latin-1 and UTF-8
        for (header, error, realm, scope) in [
            (&b"Bearer realm=\"caf\xe9\", error=\"x\", scope=\"a\""[..], Some("x"), Some("caf\u{e9}"), Some("a")),
            (b"Bearer realm=\"caf\xc3\xa9\", error=\"x\", scope=\"a\"", Some("x"), Some("caf\u{e9}"), Some("a")),
            (b"Bearer realm=\"\\\xfc\\\"\xfc\", error=x", Some("x"), Some("\u{fc}\"\u{fc}"), None),
            (b"Bearer realm=\xe9, error=\"x\"", Some("x"), Some("\u{e9}"), None),
            (b"Bearer realm='\xe9, b', error=\"x\"", Some("x"), Some("\u{e9}, b"), None),
            (b"\xe9 Bearer error=y, Bearer error=x", Some("x"), None, None),
            (b"Bearer error=\"x\", realm=\"\xff", Some("x"), Some("\u{ff}"), None),
            // RFC 6749 section 3.3: no other scope than the one that is stated.
            (b"Bearer scope=\"a b:c\"", None, None, Some("a b:c")),
            (b"Bearer scope=\"a\xe9 b\"", None, None, None),
            (b"Bearer scope=\"a\tb\"", None, None, None),
            (b"Bearer scope=\"a\\\"b\"", None, None, None),
            (b"Bearer scope=\"\"", None, None, None),
            (b"Bearer scope=\"a  b \"", None, None, Some("a  b ")),
            (b"Bearer error=x, error=y", Some("x"), None, None),
            (b"Bearer scope=\" \"", None, None, None),
        ] {
            let (headers, shown) = (headers(&[header]), String::from_utf8_lossy(header));
            let challenges = Challenge::all(&headers);
            assert_eq!(challenges.len(), 1, "{shown}");
            let one = &challenges[0];
            assert_eq!((one.param("error"), one.param("realm"), one.scope()), (error, realm, scope), "{shown}");
        }
    }

    #[test]
    fn reading_a_header_is_bounded() {
        let many = "Bearer a=b, ".repeat(10_000);
        assert_eq!(Challenge::all(&headers(&[many.as_bytes()])).len(), MOST_CHALLENGES);
        // The last one is whole, and there is none after it, in whatever header.
        let last = "a, ".repeat(MOST_CHALLENGES - 1) + "Bearer error=x, Basic realm=y";
        for text in [&[last.as_str()][..], &[&last, "DPoP error=z"]] {
            let headers = headers(&text.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
            let read = Challenge::all(&headers);
            assert_eq!((read.len(), read[MOST_CHALLENGES - 1].param("error")), (MOST_CHALLENGES, Some("x")));
        }
        let late = |spaces: usize| headers(&[format!("{}Bearer", " ".repeat(spaces)).as_bytes()]);
        assert_eq!(Challenge::all(&late(LONGEST_HEADER - 6))[0].scheme, "Bearer");
        assert!(Challenge::all(&late(LONGEST_HEADER)).is_empty());
        assert_eq!(LONGEST_HEADER, 8192);
        let long = format!("Bearer {}", "a=b,".repeat(10_000));
        assert_eq!(Challenge::all(&headers(&[long.as_bytes()]))[0].params.len(), MOST_PARAMS);
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(value in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers: HeaderMap = [(WWW_AUTHENTICATE, value)].into_iter().collect();
                let _ = Challenge::all(&headers);
            }
        }

        #[test]
        fn text_that_looks_like_a_header_is_read_without_a_panic(text in "([A-Za-z]{0,6}[ ,=\"\\\\\t]{0,3}){0,20}") {
            let mut challenges = Vec::new();
            parse(text.as_bytes(), &mut challenges);
        }

        #[test]
        fn a_written_challenge_is_read_back_unchanged(
            challenges in prop::collection::vec(
                ("[A-Za-z][A-Za-z0-9-]{0,8}", prop::collection::vec(("[a-z_]{1,8}", "[ -~]{0,12}"), 1..4)), 1..4),
        ) {
            let quote = |value: &str| value.replace('\\', r"\\").replace('"', "\\\"");
            let text = challenges.iter().map(|(scheme, params)| {
                let params: Vec<_> = params.iter().map(|(n, v)| format!("{n}=\"{}\"", quote(v))).collect();
                format!("{scheme} {}", params.join(", "))
            }).collect::<Vec<_>>().join(", ");
            let mut read = Vec::new();
            parse(text.as_bytes(), &mut read);
            let read: Vec<_> = read.iter().map(|c| {
                (c.scheme.to_owned(), c.params.iter().map(|(n, v)| ((*n).to_owned(), v.to_string())).collect::<Vec<_>>())
            }).collect();
            prop_assert_eq!(read, challenges);
        }
    }
}

//! The members of a JSON object, in order and with duplicates, each parsed on demand (pure).
//!
//! The maps of `serde_json` keep the last of two members of a name, so that two parties could see different tokens.
//! They also parse members that are not needed, which may fail the whole object (a lone surrogate, a number out of
//! range, a member nested 200 deep). Its errors quote the input, which may be a token, so they are not shown.

use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

/// A member that is not taken is not parsed: it remains in the text.
#[derive(Clone)]
pub(crate) struct Members<'a>(Vec<(String, &'a RawValue)>);

/// Why a body is not a JSON object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Not JSON, or truncated, or followed by something.
    NotJson {
        line: usize,
        column: usize,
    },
    NotAnObject,
}

/// 32: real responses are nested 4 deep. Deeper values are left out.
const DEPTH: usize = 32;

impl<'a> Members<'a> {
    /// The members of a complete object.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Flaw> {
        serde_json::from_slice(text).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => Flaw::NotAnObject,
            _ => Flaw::NotJson { line: e.line(), column: e.column() },
        })
    }

    /// The members that can be read, of an object that may be truncated or followed by something.
    pub(crate) fn salvage(text: &'a str) -> Self {
        let mut members = Vec::new();
        let _ = serde_json::Deserializer::from_str(text).deserialize_map(InOrder(&mut members));
        Members(members)
    }

    /// Removes and returns the member `name`; an error if there are two.
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Option<Value>, Twice> {
        let taken = self.0.iter().position(|(n, _)| n == name).map(|at| self.0.remove(at).1);
        match self.count(name) {
            0 => Ok(taken.map(read)),
            _ => Err(Twice(name)),
        }
    }

    /// Removes the member `name` without parsing it; an error if there are two.
    pub(crate) fn skip(&mut self, name: &'static str) -> Result<(), Twice> {
        let before = self.0.len();
        self.0.retain(|(n, _)| n != name);
        if before - self.0.len() > 1 { Err(Twice(name)) } else { Ok(()) }
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, raw)| read(raw))
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(n, _)| n == name).count()
    }

    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.0.iter().any(|(n, raw)| n == name && raw.get().trim() == "null")
    }

    /// The remaining members.
    pub(crate) fn rest(self) -> serde_json::Map<String, Value> {
        self.0.into_iter().map(|(name, raw)| (name, read(raw))).collect()
    }
}

/// A member that occurs twice.
#[derive(Debug)]
pub(crate) struct Twice(pub(crate) &'static str);

/// Overwrites the strings in `value`.
pub(crate) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        // Nested at most `DEPTH` deep.
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text that may contain a token: borrowed, or wiped when dropped.
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Owned(Zeroizing<String>),
}

impl<'a> Text<'a> {
    /// Decodes UTF-8; other bytes are decoded as Latin-1.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Text::Borrowed(text);
        }
        // The largest size: growing would leave copies of the token in memory.
        let mut text = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(2)));
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
        }
        Text::Owned(text)
    }

    /// The same, for a text that may be UTF-16, or begin with a byte order mark, which determines the encoding and is dropped.
    pub(crate) fn marked(bytes: &'a [u8]) -> Self {
        let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
            let units = bytes.chunks_exact(2).filter_map(|pair| Some(unit(pair.try_into().ok()?)));
            let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
            Text::Owned(Zeroizing::new(text))
        };
        match bytes {
            [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
            [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
            // Without a mark (RFC 4627 section 3): the first two characters of JSON and XML are ASCII.
            [1..=0xff, 0, 1..=0xff, 0, ..] => utf16(bytes, u16::from_le_bytes),
            [0, 1..=0xff, 0, 1..=0xff, ..] => utf16(bytes, u16::from_be_bytes),
            _ => {
                // Servers that put files together have one before each.
                let mut rest = bytes;
                while let Some(behind) = rest.strip_prefix(b"\xef\xbb\xbf") {
                    rest = behind;
                }
                Text::of(rest)
            }
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Owned(text) => text,
        }
    }
}

fn read(raw: &RawValue) -> Value {
    read_to(raw, DEPTH)
}

/// The value, with corrections: a lone surrogate becomes U+FFFD, a number out of range the largest one.
fn read_to(raw: &RawValue, depth: usize) -> Value {
    let text = raw.get();
    match text.bytes().next() {
        Some(b'"') => Lossy::deserialize(&mut serde_json::Deserializer::from_str(text))
            .map_or(Value::Null, |Lossy(text)| text.into()),
        Some(b'[' | b'{') if depth == 0 => Value::Array(Vec::new()),
        Some(b'[') => {
            let values = serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default();
            values.into_iter().map(|raw| read_to(raw, depth - 1)).collect()
        }
        Some(b'{') => {
            let members = Members::salvage(text).0.into_iter();
            members.map(|(name, raw)| (name, read_to(raw, depth - 1))).collect::<serde_json::Map<_, _>>().into()
        }
        // A number, or one of three words, all of which can be parsed.
        _ => serde_json::from_str(text)
            .unwrap_or_else(|_| if text.starts_with('-') { f64::MIN.into() } else { f64::MAX.into() }),
    }
}

/// A string whose escapes need not be characters.
struct Lossy(String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Lossy;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Lossy, E> {
                Ok(Lossy(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Keeps the members before one that cannot be read.
struct InOrder<'m, 'a>(&'m mut Vec<(String, &'a RawValue)>);

impl<'de> Visitor<'de> for InOrder<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Lossy(name)) = map.next_key()? {
            let raw: &'de RawValue = map.next_value()?;
            self.0.push((name, raw));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Vec::new();
        deserializer.deserialize_map(InOrder(&mut members))?;
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_taken_once() {
        let mut members = Members::parse(br#"{"a":1,"b":"x","c":[{}]}"#).ok().unwrap();
        assert_eq!(members.take("b").unwrap(), Some(Value::from("x")));
        assert_eq!(members.take("b").unwrap(), None);
        assert_eq!(members.rest().keys().collect::<Vec<_>>(), ["a", "c"]);
    }

    #[test]
    fn a_text_in_utf_16_is_read_with_and_without_a_mark() {
        let units = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
        let text = r#"{"a":"Schlüssel"}"#;
        for encoded in [text.to_owned(), format!("\u{feff}{text}")] {
            for bytes in
                [units(&encoded, u16::to_le_bytes), units(&encoded, u16::to_be_bytes), encoded.clone().into_bytes()]
            {
                assert_eq!(&*Text::marked(&bytes), text, "{bytes:?}");
            }
        }
    }

    #[test]
    fn every_text_is_wiped_however_deep() {
        let mut value = serde_json::json!({"a": "x", "b": [{"c": ["x", 1]}, "x"], "d": null});
        wipe(&mut value);
        let wiped = serde_json::json!({"a": "", "b": [{"c": ["", 1]}, ""], "d": null});
        assert_eq!(value, wiped);
    }

    #[test]
    fn a_member_that_occurs_twice_is_an_error() {
        let mut members = Members::parse(br#"{"a":1,"a":1}"#).ok().unwrap();
        assert!(members.take("a").is_err());
    }

    #[test]
    fn a_member_that_is_not_taken_is_not_parsed() {
        // FB3
        for odd in [r#""\ud800""#, "1e400", r#""\udc00\ud800""#, &"[".repeat(300), r#"{"\ud800":{}}"#] {
            let odd = format!("{odd}{}", "]".repeat(odd.matches('[').count()));
            let body = format!(r#"{{"x":{odd},"error":"invalid_client","\ud800":0,"y":{odd}}}"#);
            let mut members = Members::parse(body.as_bytes()).expect(&odd);
            assert_eq!(members.take("error").unwrap(), Some("invalid_client".into()), "{odd}");
            assert_eq!(members.rest().len(), 3, "{odd}");
        }
    }

    #[test]
    fn unusual_values_are_read_as_far_as_possible() {
        let odd = r#"{"a":"x\ud800y","b":1e400,"c":[{"d":[-1e999]}],"e":"\ud83d\ude00"}"#;
        let members = Members::parse(odd.as_bytes()).ok().unwrap();
        let a = members.get("a").unwrap();
        assert!(a.as_str().unwrap().starts_with("x\u{fffd}") && a.as_str().unwrap().ends_with('y'), "{a}");
        assert_eq!(members.get("b"), Some(f64::MAX.into()));
        assert_eq!(members.get("c"), Some(serde_json::json!([{"d": [f64::MIN]}])));
        assert_eq!(members.get("e"), Some("\u{1f600}".into()));
    }

    #[test]
    fn members_before_the_cut_of_a_truncated_object_are_read() {
        for rest in [",", ",\"b\"", ",\"b\":", ",\"b\":[{", "}x", "} {}"] {
            let text = format!(r#"{{"a":1{rest}"#);
            assert_eq!(Members::salvage(&text).get("a"), Some(1.into()), "{text}");
        }
        assert!(Members::salvage("[]").rest().is_empty());
    }

    #[test]
    fn the_encoding_is_that_of_the_byte_order_mark_or_utf_8_or_latin_1() {
        let text = "{\"a\":\"\u{e9}\"}";
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [
            text.as_bytes(),
            b"{\"a\":\"\xe9\"}",
            &[b"\xef\xbb\xbf", text.as_bytes()].concat(),
            &[b"\xff\xfe".as_slice(), &utf16].concat(),
            &utf16,
            &utf16.chunks_exact(2).flat_map(|unit| [unit[1], unit[0]]).collect::<Vec<_>>(),
        ] {
            assert_eq!(&*Text::marked(bytes), text);
        }
    }

    #[test]
    fn a_body_that_is_not_an_object_is_distinguished_from_one_that_is_not_json() {
        for (body, flaw) in [
            (r#"{"a":1"#, Flaw::NotJson { line: 1, column: 6 }),
            (r#"{"a":1}x"#, Flaw::NotJson { line: 1, column: 8 }),
            ("", Flaw::NotJson { line: 1, column: 0 }),
            ("[]", Flaw::NotAnObject),
            (r#""token""#, Flaw::NotAnObject),
        ] {
            assert_eq!(Members::parse(body.as_bytes()).err(), Some(flaw), "{body}");
        }
        let deep = "[".repeat(10_000);
        assert!(Members::parse(format!(r#"{{"a":{deep}"#).as_bytes()).is_err(), "no stack overflow");
    }

    #[test]
    fn a_value_is_read_to_a_depth_and_cut_there() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for (levels, read) in [(10, 10), (DEPTH, DEPTH), (DEPTH + 5, DEPTH + 1)] {
                let text = format!(r#"{{"a":{}1{}}}"#, open.repeat(levels), close.repeat(levels));
                let mut value = Members::parse(text.as_bytes()).unwrap().get("a").unwrap();
                let mut depth = 0;
                while let Some(inner) = value.get_mut(0).map(Value::take) {
                    (depth, value) = (depth + 1, inner);
                }
                while let Some(inner) = value.get_mut("a").map(Value::take) {
                    (depth, value) = (depth + 1, inner);
                }
                // What is cut is an array without members.
                depth += usize::from(value == Value::Array(Vec::new()));
                assert_eq!(depth, read, "{levels} of {open}");
            }
        }
    }
}

//! The members of a JSON object, in order, duplicates kept (pure).
//!
//! `serde_json`'s own maps keep the last of two members of a name, which is how one party is made to see another
//! token than the next. Its errors quote what they find, which may be a token: they are not shown.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroize;

/// Wiped when dropped, as far as the members were not taken.
pub(crate) struct Members(Vec<(String, Value)>);

/// Why a body is no JSON object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Not JSON, or cut, or followed by something.
    NotJson {
        line: usize,
        column: usize,
    },
    NotAnObject,
}

impl Members {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Flaw> {
        serde_json::from_slice(body).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => Flaw::NotAnObject,
            _ => Flaw::NotJson { line: e.line(), column: e.column() },
        })
    }

    /// Takes the member `name` out; an error if it stands there twice.
    pub(crate) fn take(&mut self, name: &'static str) -> Result<Option<Value>, Twice> {
        let mut taken = self.0.iter().position(|(n, _)| n == name).map(|at| self.0.remove(at).1);
        if self.0.iter().any(|(n, _)| n == name) {
            taken.iter_mut().for_each(wipe);
            return Err(Twice(name));
        }
        Ok(taken)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// What is left.
    pub(crate) fn rest(mut self) -> serde_json::Map<String, Value> {
        std::mem::take(&mut self.0).into_iter().collect()
    }
}

/// A member that stands there twice.
#[derive(Debug)]
pub(crate) struct Twice(pub(crate) &'static str);

impl Drop for Members {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| wipe(value));
    }
}

/// Overwrites the strings in `value`.
pub(crate) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        // Nested at most 128 deep: `serde_json` refuses more.
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members(Vec::new());
                while let Some(member) = map.next_entry()? {
                    members.0.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder)
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
    fn every_text_is_wiped_however_deep() {
        let mut value = serde_json::json!({"a": "x", "b": [{"c": ["x", 1]}, "x"], "d": null});
        wipe(&mut value);
        let wiped = serde_json::json!({"a": "", "b": [{"c": ["", 1]}, ""], "d": null});
        assert_eq!(value, wiped);
    }

    #[test]
    fn a_member_that_stands_there_twice_is_an_error() {
        let mut members = Members::parse(br#"{"a":1,"a":1}"#).ok().unwrap();
        assert!(members.take("a").is_err());
    }

    #[test]
    fn what_is_no_object_is_told_apart_from_what_is_no_json() {
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
}

//! The members as they are written. Maps keep the last of two members of a name, and a reviewer may have read the first.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::reader::shown;

/// Reads a value at a path, and collects the paths of members that occur twice.
pub(super) struct Tree<'f> {
    path: String,
    twice: &'f mut Vec<String>,
}

/// The name of the only member of a number, in JSON, if any crate of the program enables `arbitrary_precision` of `serde_json`.
const NUMBER: &str = "$serde_json::private::Number";

type Members = (Map<String, Value>, Vec<String>);

/// The members, and the faults of those that occur twice.
pub(super) fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
    let mut twice = Vec::new();
    // A map is not asked for: the format's own error would quote what is there instead, which may be a secret.
    let members = match deserializer.deserialize_any(Tree { path: String::new(), twice: &mut twice })? {
        Value::Object(members) => members,
        // An empty document of YAML.
        Value::Null => Map::new(),
        _ => return Err(Error::custom("expected a map")),
    };
    Ok((members, twice.into_iter().map(|path| format!("{path} occurs twice")).collect()))
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "a map" } else { "a value" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let joint = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{joint}{}", self.path, shown(&name));
            if members.contains_key(&name) {
                self.twice.push(path.clone());
            }
            let value = map.next_value_seed(Tree { path, twice: &mut *self.twice })?;
            members.insert(name, value);
        }
        match members.get(NUMBER) {
            Some(Value::String(digits)) if members.len() == 1 => {
                digits.parse().map(Value::Number).map_err(Error::custom)
            }
            _ => Ok(members.into()),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Tree { path: self.path.clone(), twice: &mut *self.twice })? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        i64::try_from(value).map(Value::from).map_err(|_| Error::custom("a number is too large"))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        u64::try_from(value).map(Value::from).map_err(|_| Error::custom("a number is too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

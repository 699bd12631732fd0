//! Reads values from a tree by the list of members, and collects all faults.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::members::{MEMBERS, MemberKind, find};
use crate::credential::Credential;

pub(super) struct Reader<'a> {
    members: &'a Map<String, Value>,
    /// Instead of members `_file` and `_env`.
    pub(super) credentials: &'a BTreeMap<String, Credential>,
    pub(super) faults: Vec<String>,
}

/// Names of members that would contain a secret, and the members to use instead.
const PLAIN: [(&str, &str); 9] = [
    ("secret", "secret"),
    ("client_secret", "secret"),
    ("password", "secret"),
    ("key", "key"),
    ("private_key", "key"),
    ("assertion", "assertion"),
    ("seal_key", "seal_key"),
    ("subject_token", "subject_token"),
    ("actor_token", "actor_token"),
];

impl<'a> Reader<'a> {
    /// Reports members that do not exist, are of another type or are secrets.
    pub(super) fn new(members: &'a Map<String, Value>, credentials: &'a BTreeMap<String, Credential>) -> Self {
        let mut reader = Reader { members, credentials, faults: Vec::new() };
        for (name, value) in members {
            let prefix = format!("{name}.");
            let is_table = MEMBERS.iter().any(|member| member.path.starts_with(&prefix));
            match value {
                _ if name.contains('.') && find(name).is_some() => {
                    reader.fault(format!("{name} is one name with a dot: give a table, and the member in it"));
                }
                _ if !is_table => reader.judge("", name, value),
                Value::Object(table) => table.iter().for_each(|(inner, value)| reader.judge(&prefix, inner, value)),
                _ => reader.faults.push(format!("{name} is not a table")),
            }
        }
        reader
    }

    fn unknown(&mut self, table: &str, name: &str) {
        if let Some((_, instead)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            let table = if table.is_empty() { "auth." } else { table };
            self.faults.push(format!(
                "{table}{name} would be a secret in plain text, where it is copied, committed and logged: give {table}{instead}_file or {table}{instead}_env"
            ));
            return;
        }
        let known = MEMBERS.iter().filter_map(|member| member.path.strip_prefix(table)?.split('.').next());
        let hint = nearest(name, known).map(|near| format!(": is {table}{near} meant?")).unwrap_or_default();
        self.faults.push(format!("{table}{} does not exist{hint}", shown(name)));
    }

    fn judge(&mut self, table: &str, name: &str, value: &Value) {
        let path = format!("{table}{name}");
        let Some(member) = find(&path) else { return self.unknown(table, name) };
        let flaw = match (member.kind, value) {
            (MemberKind::Text, Value::String(_)) | (MemberKind::Flag, Value::Bool(_)) | (MemberKind::Json, _) => None,
            (MemberKind::Text, _) => Some("is not a text".to_owned()),
            (MemberKind::OneOf(all), Value::String(text)) if all.contains(&text.as_str()) => None,
            (MemberKind::OneOf(all), _) => Some(format!("is not one of {}", all.join(", "))),
            (MemberKind::List, Value::String(_)) => None,
            (MemberKind::List, Value::Array(all)) if all.iter().all(Value::is_string) => None,
            (MemberKind::List, _) => Some("is not a list of texts".to_owned()),
            (MemberKind::Table, Value::Object(all)) if all.values().all(Value::is_string) => None,
            (MemberKind::Table, _) => Some("is not a table of texts".to_owned()),
            (MemberKind::Flag, _) => Some("is neither true nor false".to_owned()),
            (MemberKind::Number, Value::Number(number)) if number.as_u64().is_some() => None,
            (MemberKind::Number, _) => Some("is not a whole number".to_owned()),
            (MemberKind::Duration, value) => duration(value).err().map(Into::into),
        };
        self.faults.extend(flaw.map(|flaw| format!("{path} {flaw}")));
    }

    pub(super) fn value(&self, path: &str) -> Option<&'a Value> {
        member(self.members, path)
    }

    /// Whether a credential is given in any way.
    pub(super) fn has_credential(&self, path: &str) -> bool {
        let has = |suffix| self.value(&format!("{path}{suffix}")).is_some();
        self.credentials.contains_key(path) || has("_file") || has("_env")
    }

    pub(super) fn text(&self, path: &str) -> Option<&'a str> {
        self.value(path)?.as_str()
    }

    /// The text of a member whose absence is this fault.
    pub(super) fn required(&mut self, path: &str, fault: &str) -> Option<&'a str> {
        if self.value(path).is_none() {
            self.fault(fault);
        }
        self.text(path)
    }

    pub(super) fn flag(&self, path: &str) -> bool {
        self.value(path).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn number<N: TryFrom<u64>>(&mut self, path: &str) -> Option<N> {
        let number = self.value(path)?.as_u64()?;
        let fits = N::try_from(number).ok();
        if fits.is_none() {
            self.faults.push(format!("{path} is too large"));
        }
        fits
    }

    pub(super) fn duration(&self, path: &str) -> Option<Duration> {
        duration(self.value(path)?).ok()
    }

    /// A text is the list of its words.
    pub(super) fn list(&self, path: &str) -> Vec<&'a str> {
        match self.value(path) {
            Some(Value::String(text)) => text.split_whitespace().collect(),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn table(&self, path: &str) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let table = self.value(path).and_then(Value::as_object);
        table.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    pub(super) fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }
}

/// The name of a member, as far as it cannot be a secret in the wrong place.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).filter(|c| c.is_ascii_graphic()).collect()
}

pub(super) fn member<'a>(members: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        Some((table, name)) => members.get(table)?.get(name),
        None => members.get(path),
    }
}

fn duration(value: &Value) -> Result<Duration, &'static str> {
    const FLAW: &str = "is not a duration: give \"250ms\", \"10s\", \"5m\", \"8h\", \"1d\" or a number of seconds";
    let text = match value {
        Value::Number(number) => {
            return number.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or(FLAW);
        }
        Value::String(text) => text.trim(),
        _ => return Err(FLAW),
    };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).ok_or(FLAW)?;
    let number: u64 = digits.parse().map_err(|_| FLAW)?;
    let factor = match unit.trim() {
        "ms" => return Ok(Duration::from_millis(number)),
        "s" | "" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(FLAW),
    };
    number.checked_mul(factor).map(Duration::from_secs).ok_or(FLAW)
}

/// The one of these that `name` may be a misspelling of.
pub(super) fn nearest<N: AsRef<str> + Ord>(name: &str, known: impl Iterator<Item = N>) -> Option<N> {
    let (distance, near) = known.map(|one| (distance(name, one.as_ref()), one)).min()?;
    (distance <= 1 + near.as_ref().len() / 4).then_some(near)
}

/// The edit distance: how many letters have to be changed, added or removed.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (n, a) in one.chars().take(64).enumerate() {
        let mut diagonal = n;
        let mut left = n + 1;
        let mut next = vec![left];
        for (b, above) in other.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(*above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

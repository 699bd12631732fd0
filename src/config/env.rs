//! Environment variables, by the names of the members.

use std::ffi::OsString;

use serde_json::{Map, Value};

use super::Config;
use super::members::{MEMBERS, MemberKind, find};
use super::reader::nearest;

pub(super) fn read(prefix: &str, vars: impl Iterator<Item = (OsString, OsString)>) -> Config {
    let mut config = Config::default();
    if prefix.is_empty() {
        config.faults.push("the prefix of the variables is empty: give one, such as \"BILLING_\"".to_owned());
        return config;
    }
    config.prefix = Some(prefix.to_owned());
    for (name, value) in vars {
        let Some((name, rest)) = name.to_str().and_then(|name| Some((name, name.strip_prefix(prefix)?))) else {
            continue;
        };
        let Some((path, is_secret)) = target(rest) else {
            let is_ours =
                |member: &str| member.split_once('.').is_some_and(|(table, _)| starts_with_table(rest, table));
            if MEMBERS.iter().any(|member| is_ours(member.path)) {
                let known = MEMBERS.iter().map(|member| variable("", member.path));
                let hint = nearest(rest, known).map(|near| format!(": is {prefix}{near} meant?")).unwrap_or_default();
                config.faults.push(format!("unknown variable: {name}{hint}"));
            }
            continue;
        };
        match value.to_str() {
            // The variable is read for each attempt.
            _ if is_secret => insert(&mut config.members, &path, name.to_owned()),
            Some(value) => insert(&mut config.members, &path, value.to_owned()),
            None => config.faults.push(format!("the variable {name} is not UTF-8")),
        }
    }
    config
}

/// The path of the member that a variable sets; and whether the variable has a secret, then the member gets its name.
fn target(rest: &str) -> Option<(String, bool)> {
    let found = MEMBERS.iter().find(|member| variable("", member.path) == rest);
    if let Some(member) = found.filter(|member| member.kind != MemberKind::Table) {
        return Some((member.path.to_owned(), false));
    }
    // `AUTH_SECRET` for `auth.secret_env`.
    let secret = MEMBERS.iter().find(|member| {
        member.path.ends_with("_env") && variable("", member.path).strip_suffix("_ENV").is_some_and(|name| name == rest)
    });
    if let Some(member) = secret {
        return Some((member.path.to_owned(), true));
    }
    let (table, name) = rest.split_once('_').filter(|(_, name)| !name.is_empty())?;
    match table {
        "PARAMS" => Some((format!("params.{}", name.to_ascii_lowercase()), false)),
        "HEADERS" => Some((format!("headers.{}", name.to_ascii_lowercase().replace('_', "-")), false)),
        _ => None,
    }
}

fn starts_with_table(rest: &str, table: &str) -> bool {
    rest.strip_prefix(&table.to_ascii_uppercase()).is_some_and(|rest| rest.starts_with('_'))
}

pub(super) fn variable(prefix: &str, path: &str) -> String {
    format!("{prefix}{}", path.replace('.', "_").to_ascii_uppercase())
}

/// Inserts the value in the member's kind. A text of another kind remains a text, which is refused later.
pub(super) fn insert(members: &mut Map<String, Value>, path: &str, text: String) {
    let value = match find(path).map(|member| member.kind) {
        Some(MemberKind::Flag) => match text.trim() {
            "true" | "1" => Value::Bool(true),
            "false" | "0" => Value::Bool(false),
            _ => Value::String(text),
        },
        Some(MemberKind::Number) => text.trim().parse::<u64>().map_or(Value::String(text), Value::from),
        Some(MemberKind::List) => text.split_whitespace().map(Value::from).collect(),
        Some(MemberKind::Json) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        _ => Value::String(text),
    };
    match path.split_once('.') {
        None => {
            members.insert(path.to_owned(), value);
        }
        Some((table, name)) => {
            let table = members.entry(table).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(table) = table {
                table.insert(name.to_owned(), value);
            }
        }
    }
}

//! What is printed: for people, or as JSON.

use std::io::{IsTerminal, Write};

use client_credentials::{AccessToken, Config, Diagnosis, Explanation};
use serde_json::json;

use crate::exit::Failure;

pub(crate) fn line(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{}", text.trim_end()).map_err(Failure::output)
}

pub(crate) fn token(token: &AccessToken, json: bool) -> Result<(), Failure> {
    match json {
        false => line(token.expose_secret()),
        true => line(
            &json!({
                "access_token": token.expose_secret(),
                "token_type": scheme(token),
                "expires_in": token.expires_in().map(|left| left.as_secs()),
                "scope": token.scope(),
            })
            .to_string(),
        ),
    }
}

pub(crate) fn header(token: &AccessToken, json: bool) -> Result<(), Failure> {
    if scheme(token) == "DPoP" {
        return Err(Failure::usage(
            "a DPoP token needs a proof for each request, which a header alone does not have: use request",
        ));
    }
    let value = format!("{} {}", scheme(token), token.expose_secret());
    match json {
        false => line(&format!("Authorization: {value}")),
        true => line(&json!({"Authorization": value}).to_string()),
    }
}

fn scheme(token: &AccessToken) -> &'static str {
    let is_bound = token.authorization().as_bytes().starts_with(b"DPoP ");
    if is_bound { "DPoP" } else { "Bearer" }
}

/// Which members are set; their values may be confidential.
pub(crate) fn members(config: &Config, json: bool) -> Result<(), Failure> {
    let set: Vec<_> =
        Config::MEMBERS.iter().map(|member| member.path).filter(|path| config.get(path).is_some()).collect();
    match json {
        true => as_json(&set),
        false => line(&set.join("\n")),
    }
}

pub(crate) fn shown(explanation: &Explanation, json: bool) -> Result<(), Failure> {
    match json {
        true => as_json(explanation),
        false => line(&explanation.to_string()),
    }
}

pub(crate) fn diagnosis(diagnosis: &Diagnosis, json: bool) -> Result<(), Failure> {
    if json {
        return as_json(diagnosis);
    }
    let text = diagnosis.to_string();
    let is_coloured =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match is_coloured {
        false => line(&text),
        true => line(&text.lines().map(coloured).collect::<Vec<_>>().join("\n")),
    }
}

fn coloured(line: &str) -> String {
    let paint =
        |word: &str, colour: u8| format!("\x1b[{colour}m{word}\x1b[0m{}", line.strip_prefix(word).unwrap_or_default());
    for (word, colour) in [("ok ", 32), ("look ", 33), ("failed ", 31), ("skipped ", 90)] {
        if line.starts_with(word) {
            return paint(word, colour);
        }
    }
    line.to_owned()
}

fn as_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::other(error.to_string()))?;
    line(&text)
}

//! File, variables and flags, and what is asked for on the terminal.

use std::io::IsTerminal;
use std::path::Path;

use client_credentials::Config;

use crate::args::{Arguments, DEFAULT_PREFIX, Members};
use crate::exit::Failure;
use crate::{keep, prompt};

/// The last one counts.
pub(crate) fn read(arguments: &Arguments) -> Result<Config, Failure> {
    for (path, flag, variable) in [
        (&arguments.config, "--config", "CLIENT_CREDENTIALS_CONFIG"),
        (&arguments.keep, "--keep", "CLIENT_CREDENTIALS_KEEP"),
    ] {
        if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(Failure::usage(format!(
                "{flag} (or the variable {variable}) is empty: give a path, or leave it out"
            )));
        }
    }
    let file = match &arguments.config {
        Some(path) => from_file(path)?,
        None => Config::new(),
    };
    let variables = with_unknown(Config::from_env(&arguments.env_prefix), &arguments.env_prefix);
    let mut config = file.overridden_by(variables).overridden_by(flags(&arguments.members)?);
    if config.get("auth.method").is_none() {
        config = config.set("auth.method", "client_secret_basic");
    }
    Ok(config)
}

/// A library ignores variables that it does not know, since a program may have others with its prefix. Those with the
/// prefix of this command are all meant for it: `CLIENT_CREDENTIALS_SCOPE` for `.._SCOPES` is a fault.
fn with_unknown(mut config: Config, prefix: &str) -> Config {
    if prefix != DEFAULT_PREFIX {
        return config;
    }
    let names = std::env::vars_os().filter_map(|(name, _)| name.to_str()?.strip_prefix(prefix).map(str::to_owned));
    for name in names.filter(|name| !is_known(name)) {
        // Without its value, which may be a secret.
        config = config.set(&name.to_ascii_lowercase(), "");
    }
    config
}

fn is_known(name: &str) -> bool {
    // Those of a table are checked by `Config::from_env`.
    let fits = |path: &str| match path.split_once('.') {
        Some((table, _)) => name.starts_with(&format!("{}_", table.to_ascii_uppercase())),
        None => path.to_ascii_uppercase() == name,
    };
    let of_a_table = ["PARAMS_", "HEADERS_"].iter().any(|table| name.starts_with(table));
    ["CONFIG", "KEEP"].contains(&name) || of_a_table || Config::MEMBERS.iter().any(|member| fits(member.path))
}

fn from_file(path: &Path) -> Result<Config, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("the configuration {shown} cannot be read: {error}")))?;
    let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let result = match is_json {
        true => serde_json::from_str(&text).map_err(|error| error.to_string()),
        // Its `Display` would quote the line, which may be a secret.
        false => toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().lines().count().max(1));
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            format!("{line}{}", error.message())
        }),
    };
    result.map_err(|flaw| Failure::usage(format!("the configuration {shown} is not usable: {flaw}")))
}

fn flags(members: &Members) -> Result<Config, Failure> {
    let mut config = Config::new();
    let single = [
        ("token_endpoint", &members.token_endpoint),
        ("issuer", &members.issuer),
        ("auth.method", &members.method),
        ("auth.client_id", &members.client_id),
        ("auth.secret_file", &members.secret_file),
        ("auth.secret_env", &members.secret_env),
        ("auth.key_file", &members.key_file),
        ("auth.certificate_file", &members.certificate_file),
        ("auth.assertion_file", &members.assertion_file),
        ("audience", &members.audience),
        ("http.ca_file", &members.ca_file),
    ];
    for (path, value) in single {
        if let Some(value) = value {
            config = config.set(path, value);
        }
    }
    for (path, values) in [("scopes", &members.scope), ("resources", &members.resource)] {
        if !values.is_empty() {
            config = config.set(path, values.join(" "));
        }
    }
    for pair in &members.set {
        match pair.split_once('=') {
            Some((path, value)) => config = config.set(path.trim(), value),
            // It may be a misplaced secret: not quoted.
            None => return Err(Failure::usage("--set wants PATH=VALUE: cache.max_age=8h")),
        }
    }
    Ok(config)
}

/// What a person has to give, and where the token is kept.
pub(crate) fn complete(mut config: Config, arguments: &Arguments) -> Result<Config, Failure> {
    let method = config.get("auth.method").and_then(|method| method.as_str()).unwrap_or_default();
    let has_secret = ["auth.secret_file", "auth.secret_env"].iter().any(|path| config.get(path).is_some());
    let needs_secret = method.starts_with("client_secret_");
    if needs_secret && (arguments.ask || !has_secret && std::io::stdin().is_terminal()) {
        let id = config.get("auth.client_id").and_then(|id| id.as_str()).unwrap_or("the client").to_owned();
        config = config.credential("auth.secret", prompt::secret(&id)?);
    }
    if let Some(directory) = &arguments.keep {
        config = keep::at(config, directory)?;
    }
    Ok(config)
}

//! Configuration from files and variables, by one list of members.

mod auth;
mod build;
mod env;
mod grant;
mod http;
mod members;
mod policies;
mod reader;
mod tree;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::client_credentials::{ClientCredentials, ClientCredentialsBuilder};
use crate::credential::Credential;
use crate::error::Error;
pub use members::{ConfigMember, MemberKind};
use reader::Reader;

/// The configuration of a token source in TOML, JSON or YAML, or in environment variables (feature `serde`).
///
/// ```toml
/// issuer = "https://auth.example.com/realms/demo" # or token_endpoint, or protected_resource
/// scopes = ["invoices:read"]
///
/// [auth]
/// method = "client_secret_basic"
/// client_id = "billing"
/// secret_file = "/run/secrets/client-secret" # or secret_env = "NAME"
///
/// [cache]
/// max_age = "8h"
/// ```
///
/// ```
/// use client_credentials::{ClientCredentials, Config};
///
/// let text = r#"{"token_endpoint": "https://auth.example.com/token",
///     "auth": {"method": "none", "client_id": "billing"}}"#;
/// let config: Config = serde_json::from_str(text)?;
/// let tokens = ClientCredentials::builder_from(config)?.build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Contract
///
/// - The members are listed in [`Config::MEMBERS`] and in the JSON schema `config.schema.json` in the repository. Unknown
///   members and values of the wrong type are refused. All faults are reported together, each with its path
///   (`auth.secret_file`).
/// - The configuration never contains secrets. It names the file (`*_file`) or variable (`*_env`) that they are read from for
///   each attempt. `secret = "..."` is refused.
/// - Durations are `"250ms"`, `"10s"`, `"5m"`, `"8h"`, `"1d"`, or a number of seconds.
/// - Missing members have the builder's defaults.
/// - `Debug` shows which members are set, not their values.
#[derive(Clone, Default)]
pub struct Config {
    members: Map<String, Value>,
    /// The faults of variables. Those of members are found when the configuration is used.
    faults: Vec<String>,
    /// Credentials set by the program, by the path without `_file`.
    credentials: BTreeMap<String, Credential>,
    /// Of the variables, if there are any.
    prefix: Option<String>,
}

impl Config {
    /// Creates an empty configuration.
    pub fn new() -> Self {
        Config::default()
    }

    /// All members.
    pub const MEMBERS: &'static [ConfigMember] = members::MEMBERS;

    /// Reads environment variables. Their names are a prefix and the member's path in upper case, with `_` for `.`: with
    /// `"BILLING_"`, `BILLING_ISSUER`, `BILLING_AUTH_METHOD`, `BILLING_AUTH_SECRET_FILE`, `BILLING_CACHE_MAX_AGE`.
    ///
    /// A variable can also contain the secret itself: `BILLING_AUTH_SECRET` is equivalent to
    /// `auth.secret_env = "BILLING_AUTH_SECRET"`. Items of a list are separated by spaces. Each parameter and header has its
    /// own variable: `BILLING_PARAMS_ACCOUNT_ID` sets the parameter `account_id`, `BILLING_HEADERS_USER_AGENT` the header
    /// `user-agent`. Other variables with the prefix are ignored, unless they begin with the name of a table, such as
    /// `BILLING_AUTH_`.
    ///
    /// [`ClientCredentials::builder_from`] reports all faults together, and how the variables are named.
    #[must_use]
    pub fn from_env(prefix: &str) -> Self {
        env::read(prefix, std::env::vars_os())
    }

    /// Sets a member by its path, as text, for example from a command line flag. [`ClientCredentials::builder_from`] reports
    /// an unknown path.
    ///
    /// ```
    /// let config = client_credentials::Config::new().set("auth.client_id", "billing");
    /// ```
    #[must_use = "it returns the configuration"]
    pub fn set(mut self, path: &str, value: impl Into<String>) -> Self {
        env::insert(&mut self.members, path, value.into());
        self
    }

    /// Sets a credential that is neither in a file nor in a variable, for example from a vault or a terminal prompt. `path` is
    /// that of the member without its suffix: `auth.secret`, `auth.key`, `auth.certificate`, `auth.assertion`,
    /// `grant.subject_token`, `grant.actor_token`, `grant.assertion`, `dpop.key`, `store.seal_key`. It replaces the members
    /// `_file` and `_env`.
    ///
    /// ```
    /// use client_credentials::{Config, Credential};
    ///
    /// let vault = Credential::from_fn(|| async { Ok::<_, std::io::Error>("..") });
    /// let config = Config::new().credential("auth.secret", vault);
    /// ```
    #[must_use = "it returns the configuration"]
    pub fn credential(mut self, path: &str, credential: impl Into<Credential>) -> Self {
        let all: Vec<_> = members::MEMBERS.iter().filter_map(|member| member.path.strip_suffix("_env")).collect();
        if !all.contains(&path) {
            self.faults.push(format!("{path:?} is not a credential: use one of {}", all.join(", ")));
        }
        self.credentials.insert(path.to_owned(), credential.into());
        self
    }

    /// Returns whether no member is set.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.credentials.is_empty() && self.faults.is_empty()
    }

    /// Returns the value of a member by its path, as it was set.
    pub fn get(&self, path: &str) -> Option<&Value> {
        reader::member(&self.members, path)
    }

    /// Returns these members, with those of `other` taking precedence.
    ///
    /// Members of `other` also remove members that they exclude: a `token_endpoint` removes an `issuer`, a `secret_file` a
    /// `secret_env`.
    #[must_use = "it returns the configuration"]
    pub fn overridden_by(mut self, other: Config) -> Self {
        merge(&mut self.members, other.members);
        self.faults.extend(other.faults);
        self.prefix = other.prefix.or(self.prefix);
        self.credentials.extend(other.credentials);
        self
    }
}

fn merge(mine: &mut Map<String, Value>, theirs: Map<String, Value>) {
    const EXCLUSIVE: [&[&str]; 7] = [
        &["token_endpoint", "issuer", "protected_resource"],
        &["secret_file", "secret_env"],
        &["key_file", "key_env"],
        &["certificate_file", "certificate_env"],
        &["assertion_file", "assertion_env", "subject_token_file", "subject_token_env"],
        &["actor_token_file", "actor_token_env"],
        &["seal_key_file", "seal_key_env"],
    ];
    // What excludes each other in `theirs` alone stays, to be refused.
    mine.retain(|name, _| {
        let mut groups = EXCLUSIVE.iter().filter(|group| group.contains(&name.as_str()));
        theirs.contains_key(name) || !groups.any(|group| group.iter().any(|other| theirs.contains_key(*other)))
    });
    for (name, value) in theirs {
        match (mine.get_mut(&name), value) {
            (Some(Value::Object(mine)), Value::Object(theirs)) => merge(mine, theirs),
            (_, value) => {
                mine.insert(name, value);
            }
        }
    }
}

impl ClientCredentials {
    /// Returns a builder with the settings of `config`, for further settings in code (feature `serde`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration). The text lists all faults with their paths.
    pub fn builder_from(config: Config) -> Result<ClientCredentialsBuilder, Error> {
        build::builder(&config)
    }

    /// Builds a source from environment variables whose names begin with `prefix`; see [`Config::from_env`] (feature `serde`).
    ///
    /// ```no_run
    /// // BILLING_ISSUER, BILLING_AUTH_METHOD, BILLING_AUTH_CLIENT_ID, ..
    /// let tokens = client_credentials::ClientCredentials::from_env("BILLING_")?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration). The text lists all faults.
    pub fn from_env(prefix: &str) -> Result<Self, Error> {
        ClientCredentials::builder_from(Config::from_env(prefix))?.build()
    }
}

impl<'de> serde::Deserialize<'de> for Config {
    /// Refuses unknown members, members that occur twice, values of the wrong type and secrets in plain text, all together.
    /// Missing members may be set later; [`ClientCredentials::builder_from`] reports them.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (members, mut faults) = tree::members(deserializer)?;
        faults.extend(Reader::new(&members, &BTreeMap::new()).faults);
        match faults.is_empty() {
            true => Ok(Config { members, ..Config::default() }),
            false => Err(serde::de::Error::custom(faults.join("; "))),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config ")?;
        let mut paths = Vec::new();
        for (name, value) in &self.members {
            match value {
                Value::Object(table) => paths.extend(table.keys().map(|member| format!("{name}.{member}"))),
                _ => paths.push(name.clone()),
            }
        }
        f.debug_set().entries(paths).finish()
    }
}

#[cfg(test)]
mod tests;

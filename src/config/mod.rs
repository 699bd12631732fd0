//! Configuration from files and variables, by one list of members.

mod build;
mod env;
mod members;
mod reader;

use std::fmt;

use serde_json::{Map, Value};

use crate::client_credentials::{ClientCredentials, ClientCredentialsBuilder};
use crate::credential::Credential;
use crate::error::Error;
pub use members::{ConfigMember, MemberKind};
use reader::Reader;

/// A source of tokens as operators write it down: in TOML, JSON or YAML, or in environment variables (feature `serde`).
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
/// - The members are those of [`Config::MEMBERS`], which the JSON schema `config.schema.json` in the repository has as well. A member
///   that does not exist is refused, and so is a value of another type. All faults are reported at once, each with its path
///   (`auth.secret_file`).
/// - Secrets are never in the configuration: it has the file (`*_file`) or the name of the variable (`*_env`) that they are read from
///   for each attempt. `secret = "..."` is refused.
/// - Durations are `"250ms"`, `"10s"`, `"5m"`, `"8h"`, `"1d"`, or a number of seconds.
/// - A member that is not given has the builder's default.
/// - `Debug` shows which members are set, not their values.
#[derive(Clone, Default)]
pub struct Config {
    members: Map<String, Value>,
    /// Of the variables; those of the members are found when it is used.
    faults: Vec<String>,
    /// Those that the program gives, by the path without `_file`.
    credentials: Vec<(String, Credential)>,
}

impl Config {
    /// An empty configuration.
    pub fn new() -> Self {
        Config::default()
    }

    /// All members that there are.
    pub const MEMBERS: &'static [ConfigMember] = members::MEMBERS;

    /// Reads variables whose names are those of the members in capitals, with `_` for `.`, behind a prefix: with `"BILLING_"`
    /// `BILLING_ISSUER`, `BILLING_AUTH_METHOD`, `BILLING_AUTH_SECRET_FILE`, `BILLING_CACHE_MAX_AGE`.
    ///
    /// A variable can also be the secret itself: `BILLING_AUTH_SECRET` stands for `auth.secret_env = "BILLING_AUTH_SECRET"`. Lists are
    /// separated by blanks. Parameters and headers have a variable each: `BILLING_PARAMS_ACCOUNT_ID` is the parameter `account_id`,
    /// `BILLING_HEADERS_USER_AGENT` the header `user-agent`. Other variables with the prefix are left alone, unless they begin with the
    /// name of a table, such as `BILLING_AUTH_`.
    ///
    /// What is wrong is told by [`ClientCredentials::builder_from`], all at once.
    #[must_use]
    pub fn from_env(prefix: &str) -> Self {
        env::read(prefix, std::env::vars_os())
    }

    /// Sets one member by its path, as text: for flags of a command line. An unknown path is found by
    /// [`ClientCredentials::builder_from`].
    ///
    /// ```
    /// let config = client_credentials::Config::new().set("auth.client_id", "billing");
    /// ```
    #[must_use = "it returns the configuration"]
    pub fn set(mut self, path: &str, value: impl Into<String>) -> Self {
        env::insert(&mut self.members, path, value.into());
        self
    }

    /// Gives a credential that is in no file and no variable: from a vault, or asked for on a terminal. `path` is that of the member
    /// without its end: `auth.secret`, `auth.key`, `auth.certificate`, `auth.assertion`, `dpop.key`, `store.seal_key`. It is used
    /// instead of the members `_file` and `_env`.
    ///
    /// ```
    /// use client_credentials::{Config, Credential};
    ///
    /// let vault = Credential::from_fn(|| async { Ok::<_, std::io::Error>("..") });
    /// let config = Config::new().credential("auth.secret", vault);
    /// ```
    #[must_use = "it returns the configuration"]
    pub fn credential(mut self, path: &str, credential: impl Into<Credential>) -> Self {
        const PATHS: [&str; 6] =
            ["auth.secret", "auth.key", "auth.certificate", "auth.assertion", "dpop.key", "store.seal_key"];
        if !PATHS.contains(&path) {
            self.faults.push(format!("{path:?} is no credential: it is one of {}", PATHS.join(", ")));
        }
        self.credentials.retain(|(known, _)| known != path);
        self.credentials.push((path.to_owned(), credential.into()));
        self
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.credentials.is_empty() && self.faults.is_empty()
    }

    /// The value of a member by its path, as it was given.
    pub fn get(&self, path: &str) -> Option<&Value> {
        match path.split_once('.') {
            Some((table, name)) => self.members.get(table)?.get(name),
            None => self.members.get(path),
        }
    }

    /// These members, and `other`'s in place of those that both have.
    ///
    /// What excludes each other is replaced as well: a `token_endpoint` of `other` removes an `issuer`, a `secret_file` a `secret_env`.
    #[must_use = "it returns the configuration"]
    pub fn overridden_by(mut self, other: Config) -> Self {
        merge(&mut self.members, other.members);
        self.faults.extend(other.faults);
        self.credentials.retain(|(path, _)| other.credentials.iter().all(|(theirs, _)| theirs != path));
        self.credentials.extend(other.credentials);
        self
    }
}

fn merge(mine: &mut Map<String, Value>, theirs: Map<String, Value>) {
    const EXCLUSIVE: [&[&str]; 5] = [
        &["token_endpoint", "issuer", "protected_resource"],
        &["secret_file", "secret_env"],
        &["key_file", "key_env"],
        &["certificate_file", "certificate_env"],
        &["assertion_file", "assertion_env"],
    ];
    for (name, value) in theirs {
        for group in EXCLUSIVE.iter().filter(|group| group.contains(&name.as_str())) {
            mine.retain(|other, _| *other == name || !group.contains(&other.as_str()));
        }
        match (mine.get_mut(&name), value) {
            (Some(Value::Object(mine)), Value::Object(theirs)) => merge(mine, theirs),
            (_, value) => {
                mine.insert(name, value);
            }
        }
    }
}

impl ClientCredentials {
    /// A builder with everything that the configuration says; what it cannot say is set on the builder (feature `serde`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), with every fault and its path.
    pub fn builder_from(config: Config) -> Result<ClientCredentialsBuilder, Error> {
        build::builder(&config)
    }

    /// A source by environment variables whose names begin with `prefix`: see [`Config::from_env`] (feature `serde`).
    ///
    /// ```no_run
    /// // BILLING_ISSUER, BILLING_AUTH_METHOD, BILLING_AUTH_CLIENT_ID, ..
    /// let tokens = client_credentials::ClientCredentials::from_env("BILLING_")?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), with every fault.
    pub fn from_env(prefix: &str) -> Result<Self, Error> {
        ClientCredentials::builder_from(Config::from_env(prefix))?.build()
    }
}

impl<'de> serde::Deserialize<'de> for Config {
    /// Refuses members that do not exist, values of another type and secrets in plain text: all at once. What is missing may be set
    /// later, and is told by [`ClientCredentials::builder_from`].
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Map::deserialize(deserializer)?;
        let faults = Reader::new(&members, &[]).faults;
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

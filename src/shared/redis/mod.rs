//! Redis or Valkey as a store: a single node, a cluster, or the master that sentinels name.

mod address;
mod capped;
mod connection;
mod nodes;
mod sentinel;
mod tls;

use std::fmt;
use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use zeroize::Zeroizing;

use super::store::{Store, StoreFuture};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind};
use address::Address;
use nodes::Nodes;
use sentinel::Sentinels;

/// Redis or Valkey as a [`Store`] (feature `redis`): a single node, any node of a cluster, or the master that
/// [sentinels](Self::sentinels) name.
///
/// The URL is `redis://host:port/db`, `rediss://` for TLS, or `redis+unix:///path` for a socket. The connection is
/// established within a fetch and closed a second after the last operation. All names begin with
/// `{client-credentials}:`, so that they are on one node of a cluster. An ACL needs the following (and `+select` for a
/// `db` other than 0):
///
/// ```text
/// ACL SETUSER tokens on >password ~{client-credentials}:* +get +getrange +set +del +eval +asking
/// ```
///
/// ```
/// use client_credentials::{
///     ClientAuth, ClientCredentials, Credential, RedisStore, SealedStore,
/// };
///
/// let redis = RedisStore::new("rediss://tokens@cache.example.com")?
///     .password(Credential::file("/run/secrets/redis"));
/// let store = SealedStore::new(redis, Credential::file("/run/secrets/seal-key"));
/// let auth = ClientAuth::client_secret_basic(
///     "billing",
///     Credential::file("/run/secrets/client-secret"),
/// );
/// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth)
///     .shared(store)
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
pub struct RedisStore(Nodes);

impl RedisStore {
    /// Creates a store at `url`. Does no I/O.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if `url` is not a Redis URL. The error does not contain it, since it may have a
    /// password.
    pub fn new(url: impl Into<String>) -> Result<Self, Error> {
        // It may have a password.
        let url = Zeroizing::new(url.into());
        Ok(RedisStore(Nodes::new(Address::parse(&url).ok_or_else(|| {
            let text = "the address of the store is not usable: give redis://host:port/db, rediss:// for TLS (and no #insecure)";
            Error::of(ErrorKind::Configuration, text)
        })?)))
    }

    /// Sets the password, instead of the one in the URL. It is read for each connection; if there are several
    /// ([`Credential::or`]), they are tried in order.
    #[must_use = "it returns the store"]
    pub fn password(mut self, password: impl Into<Credential>) -> Self {
        self.0.password = Some(password.into());
        self
    }

    /// Sets the root certificates (PEM) that are trusted for the server's certificate. Default: those of the system.
    #[must_use = "it returns the store"]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.0.roots = Some(pem.into());
        self
    }
}

/// # Client certificates and Sentinel
impl RedisStore {
    /// Sets the client certificate for servers with `tls-auth-clients yes`, and its private key (PEM). Sentinels get
    /// the same.
    ///
    /// Both are read for each new connection, so a rotated pair needs no restart. While the new pair is not usable, for
    /// example because the key was not written yet, the previous one stays in use. If there are several pairs
    /// ([`Credential::or`]), the first usable one is presented.
    #[must_use = "it returns the store"]
    pub fn client_certificate(mut self, certificate: impl Into<Credential>, key: impl Into<Credential>) -> Self {
        self.0.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Asks Redis Sentinel which node is the master. The host in the URL of [`new`](Self::new) is then the name of the
    /// master, and the port is not used; user, database and `rediss://` apply to the master.
    ///
    /// `urls` are those of the sentinels, usually at port 26379; each may have its own user. They are asked in order
    /// within the [`timeout`](crate::SealedStore::timeout) of the store, and again when the master cannot be reached or
    /// has become a replica. During a failover the store counts as unavailable. The ACL also needs `+role`.
    ///
    /// ```
    /// use client_credentials::{Credential, RedisStore};
    ///
    /// let redis = RedisStore::new("rediss://tokens@mymaster")?
    ///     .sentinels(["rediss://10.0.0.1:26379", "rediss://10.0.0.2:26379"])?
    ///     .password(Credential::file("/run/secrets/redis"));
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if there is no URL, if one is not a Redis URL, or if the store was created for a
    /// socket.
    pub fn sentinels(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        let sentinels =
            Sentinels::new(urls.into_iter().map(|url| Zeroizing::new(url.into()))).filter(|_| self.0.has_host());
        self.0.sentinels = Some(sentinels.ok_or_else(|| {
            let text = "the addresses of the sentinels are not usable: give redis://host:26379 for each, rediss:// for TLS, \
                 and redis://user@NAME-OF-THE-MASTER/db to RedisStore::new";
            Error::of(ErrorKind::Configuration, text)
        })?);
        Ok(self)
    }

    /// Sets the password of the sentinels, which is read for each connection. Default: the one in the URL, if any.
    #[must_use = "it returns the store"]
    pub fn sentinel_password(mut self, password: impl Into<Credential>) -> Self {
        self.0.sentinel_password = Some(password.into());
        self
    }
}

/// The part in braces determines the node of a cluster, which is the same for all names.
const PREFIX: &str = "{client-credentials}:";

/// Sets the lease if it is free, or if this owner has it: the response may have been lost, and the command repeated.
const LEASE: &str = "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end \
     if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end return 0";

/// Deletes the value if it is unchanged.
const DELETE_IF_EQUAL: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

impl RedisStore {
    fn run<T: FromRedisValue>(&self, command: Cmd) -> StoreFuture<'_, T> {
        Box::pin(async move { self.0.run(&command).await })
    }
}

fn value_of(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn lease_of(name: &str) -> String {
    format!("{PREFIX}{name}:lease")
}

fn millis(time: Duration) -> u64 {
    // Redis accepts no longer times, and none is intended.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 1 << 40)
}

fn script(text: &str, name: &str, value: &[u8]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(text).arg(1).arg(name).arg(value);
    command
}

impl Store for RedisStore {
    fn get<'a>(&'a self, name: &'a str, most: usize) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut command = redis::cmd("GETRANGE");
            command.arg(value_of(name)).arg(0).arg(most);
            let value: Vec<u8> = self.run(command).await?;
            // A missing value is read as an empty one, which no record is.
            Ok((!value.is_empty()).then_some(value))
        })
    }

    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
        let mut command = redis::cmd("SET");
        command.arg(value_of(name)).arg(value);
        command.arg("PX").arg(millis(expiry));
        self.run(command)
    }

    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
        self.run(script(DELETE_IF_EQUAL, &value_of(name), value))
    }

    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
        let mut command = script(LEASE, &lease_of(name), owner.as_bytes());
        command.arg(millis(time));
        self.run(command)
    }

    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()> {
        self.run(script(DELETE_IF_EQUAL, &lease_of(name), owner.as_bytes()))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the address: the URL may have a password.
        write!(f, "RedisStore({})", self.0.shown())
    }
}

//! Redis or Valkey as a store: a single node, a cluster, or the master that sentinels name.

mod capped;
mod connection;
mod sentinel;
mod tls;

use std::fmt;
use std::time::Duration;

use redis::{Cmd, FromRedisValue};

use super::store::{Store, StoreFuture};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind};
use connection::Connections;
use sentinel::{Sentinels, parsed};

/// Redis or Valkey as a [`Store`] (feature `redis`): a single node, any node of a cluster, or the master that
/// [sentinels](Self::sentinels) name.
///
/// `redis://host:port/db` or `rediss://` for TLS; `redis+unix:///path` for a socket. The connection is made within the
/// first fetch and closed a second after the last one. All names begin with `{client-credentials}:`, which keeps them
/// on one node of a cluster and is what an ACL needs (with `+select` for a `db` other than 0):
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
pub struct RedisStore(Connections);

impl RedisStore {
    /// The store behind `url`. No I/O.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if `url` is none of Redis. It is not shown, since it may have a password.
    pub fn new(url: &str) -> Result<Self, Error> {
        let (info, tls) = parsed(url).ok_or_else(unusable)?;
        Ok(RedisStore(Connections::new(info, tls)))
    }

    /// The password, read anew for each connection; of two ([`Credential::or`]) the one that is accepted. Instead of the
    /// one in the URL.
    pub fn password(mut self, password: impl Into<Credential>) -> Self {
        self.0.password = Some(password.into());
        self
    }

    /// The certificates (PEM) of the authorities that the server's certificate may come from. Default: those of the
    /// system.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.0.roots = Some(pem.into());
        self
    }
}

/// # Client certificates and Sentinel
impl RedisStore {
    /// The certificate that this client shows to servers with `tls-auth-clients yes`, and its private key (PEM).
    ///
    /// Both are read for each new connection, so a rotated pair needs no restart.
    /// While the new texts are not usable, such as a certificate whose key is not there yet, the previous pair stays in use.
    /// Of two pairs ([`Credential::or`]) the first usable one is shown. The same is shown to sentinels.
    pub fn client_certificate(mut self, certificate: impl Into<Credential>, key: impl Into<Credential>) -> Self {
        self.0.certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Asks Redis Sentinel which node is the master: the host in the URL of [`new`](Self::new) is the name of the master,
    /// and its port is not used. User, database and `rediss://` of that URL are for the master.
    ///
    /// `urls` are those of the sentinels, usually at port 26379; a URL may have a user of its own. They are asked one after the other
    /// within the [`timeout`](crate::SealedStore::timeout) of the store, and again when the master cannot be reached or
    /// has become a replica. During a failover the store counts as being down. The ACL needs `+role` besides.
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
    /// [`ErrorKind::Configuration`] if there is no URL, if one is not that of a Redis, or if the store was created for a socket.
    pub fn sentinels(mut self, urls: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, Error> {
        let sentinels = Sentinels::new(urls).filter(|_| self.0.has_host());
        self.0.sentinels = Some(sentinels.ok_or_else(|| {
            let text = "the addresses of the sentinels are not usable: give redis://host:26379 for each, rediss:// for TLS, \
                 and redis://user@NAME-OF-THE-MASTER/db to RedisStore::new";
            Error::of(ErrorKind::Configuration, text)
        })?);
        Ok(self)
    }

    /// The password of the sentinels, read for each connection to one. Default: none, or the one in its URL.
    pub fn sentinel_password(mut self, password: impl Into<Credential>) -> Self {
        self.0.sentinel_password = Some(password.into());
        self
    }
}

fn unusable() -> Error {
    Error::of(
        ErrorKind::Configuration,
        "the address of the store is not usable: give redis://host:port/db, rediss:// for TLS (and no #insecure)",
    )
}

/// The part in braces decides on the node of a cluster: one for all of ours.
const PREFIX: &str = "{client-credentials}:";

/// Sets what is not there. What was set by this very owner is his: the answer may have been lost on its way back, and the command repeated.
const LEASE: &str = "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end \
     if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end return 0";

/// Deletes what is as it was.
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
    // More than Redis takes is more than anybody means.
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
            // What is not there reads as empty; no value of ours is.
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
        // The address alone: the URL may have a password.
        write!(f, "RedisStore({})", self.0.address())
    }
}

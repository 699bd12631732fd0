//! The connection to the store: established on demand, shared by all fetches of a runtime, closed soon after.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind as Kind, FromRedisValue, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind,
};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, join, split};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::capped::{Allowance, Capped};
use super::sentinel::Sentinels;
use super::tls;
use crate::credential::{Credential, LastGood};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;
use crate::shared::record::LARGEST;

/// The settings of connections, and the current one.
pub(super) struct Connections {
    address: Address,
    pub(super) password: Option<Credential>,
    pub(super) roots: Option<Vec<u8>>,
    /// The client certificate and its key.
    pub(super) certificate: Option<(Credential, Credential)>,
    pub(super) sentinels: Option<Sentinels>,
    pub(super) sentinel_password: Option<Credential>,
    connector: Arc<OnceLock<TlsConnector>>,
    showing: Arc<LastGood<TlsConnector>>,
    /// The node that was found: in a cluster the one with our names, with sentinels the master.
    node: Lock<Option<ConnectionAddr>>,
    kept: Lock<Option<Arc<Connection>>>,
    /// Lets concurrent fetches make one connection.
    turn: tokio::sync::Mutex<()>,
}

/// What a URL says. TLS is separate: this crate implements it itself, so that the system's roots are read once and no option
/// in the URL can disable the verification.
pub(super) struct Address {
    info: ConnectionInfo,
    tls: bool,
}

pub(super) struct Connection {
    pub(super) multiplexed: MultiplexedConnection,
    node: ConnectionAddr,
    /// The runtime that drives it. Other runtimes make their own, since this one may stop.
    runtime: Id,
    allowance: Allowance,
    /// The number of commands in progress.
    under_way: watch::Sender<usize>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// 1 s: the operations of one fetch share a connection, which is not kept until the next fetch.
const IDLE: Duration = Duration::from_secs(1);
/// 50 ms, half the store timeout: a fetch that waits for another one's connection makes its own after that.
const TURN: Duration = Duration::from_millis(50);
/// The length of a response, an error, or the handshake.
const SMALL_TALK: usize = 4096;
/// Two redirections and a lost connection. A cluster that redirects more often is inconsistent.
const MOST_TRIES: u32 = 4;

impl Connections {
    pub(super) fn new(address: Address) -> Self {
        Connections {
            address,
            password: None,
            roots: None,
            certificate: None,
            sentinels: None,
            sentinel_password: None,
            connector: Arc::default(),
            showing: Arc::default(),
            node: Lock::default(),
            kept: Lock::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Runs a command, in a cluster at the node that has the name.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let mut ask: Option<ConnectionAddr> = None;
        for tries in 1.. {
            let found = self.node.lock().clone();
            let (node, asking) = match (ask.take(), &found) {
                (Some(node), _) => (node, true),
                (None, Some(node)) => (node.clone(), false),
                (None, None) => (self.first().await?, false),
            };
            let error = match self.connection(&node).await {
                Ok((connection, is_new)) => {
                    match self.query(&connection, command, asking).await {
                        Ok(value) => return Ok(value),
                        // The server may have closed a kept connection.
                        Err(error) if error.is_io_error() => {
                            self.forget(&connection);
                            if !is_new && tries < MOST_TRIES {
                                continue;
                            }
                            said(&error)
                        }
                        // The node is no longer the master.
                        Err(error) if error.code() == Some("READONLY") => {
                            self.forget(&connection);
                            said(&error)
                        }
                        Err(error) => match redirection(&error, &node) {
                            Some((node, moved)) if tries < MOST_TRIES => {
                                match moved {
                                    true => *self.node.lock() = Some(node),
                                    false => ask = Some(node),
                                }
                                continue;
                            }
                            _ => return Err(said(&error)),
                        },
                    }
                }
                Err(error) => error,
            };
            // The node that was found may be gone. The first one knows its successor.
            let was_found = self.node.lock().take_if(|found| *found == node).is_some();
            if !was_found || tries >= MOST_TRIES {
                return Err(error);
            }
        }
        Err(refused("it redirects in circles"))
    }

    async fn query<T: FromRedisValue>(
        &self,
        connection: &Arc<Connection>,
        command: &Cmd,
        asking: bool,
    ) -> RedisResult<T> {
        let mut using = Using::begin(self, connection);
        let mut multiplexed = connection.multiplexed.clone();
        let result = match asking {
            false => command.query_async(&mut multiplexed).await,
            true => {
                let mut both = redis::pipe();
                both.cmd("ASKING").ignore().add_command(command.clone());
                let answer: RedisResult<(T,)> = both.query_async(&mut multiplexed).await;
                answer.map(|(value,)| value)
            }
        };
        using.answered = true;
        result
    }

    /// The kept connection, or a new one; `true`: it is new.
    async fn connection(&self, node: &ConnectionAddr) -> Result<(Arc<Connection>, bool), Error> {
        let here = Handle::try_current().map_err(Error::other)?.id();
        let kept = || {
            self.kept
                .lock()
                .as_ref()
                .filter(|kept| kept.runtime == here && kept.node == *node && !kept.task.is_finished())
                .cloned()
        };
        if let Some(kept) = kept() {
            return Ok((kept, false));
        }
        let _turn = tokio::time::timeout(TURN, self.turn.lock()).await;
        if let Some(kept) = kept() {
            return Ok((kept, false));
        }
        let connection = self.connect(&self.address, self.password.as_ref(), node).await?;
        if self.sentinels.is_some() {
            self.is_master(&connection).await?;
        }
        let connection = Arc::new(connection);
        *self.kept.lock() = Some(Arc::clone(&connection));
        Ok((connection, true))
    }

    /// Tries the passwords in order while they are refused.
    pub(super) async fn connect(
        &self,
        address: &Address,
        password: Option<&Credential>,
        node: &ConnectionAddr,
    ) -> Result<Connection, Error> {
        // Otherwise an ACL would have to allow another command.
        let settings = address.info.redis_settings().clone().set_skip_set_lib_name();
        let Some(credential) = password else {
            return self.connect_as(&settings, address.tls, node).await;
        };
        let mut last = None;
        for place in credential.places() {
            let connected = match credential.read(place).await {
                Ok(password) => {
                    let settings = settings.clone().set_password(password.expose_secret());
                    self.connect_as(&settings, address.tls, node).await
                }
                Err(error) => Err(error),
            };
            match connected {
                Ok(connection) => {
                    credential.accept(place, None);
                    return Ok(connection);
                }
                // Another password would not help.
                Err(error) if error.kind() == ErrorKind::Transport => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| refused("there is no password")))
    }

    async fn connect_as(
        &self,
        settings: &RedisConnectionInfo,
        tls: bool,
        node: &ConnectionAddr,
    ) -> Result<Connection, Error> {
        let unreachable = |e: std::io::Error| Error::of(ErrorKind::Transport, "it could not be reached").because(e);
        match node {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                if !tls {
                    return talk(stream, settings, node).await;
                }
                let name = rustls::pki_types::ServerName::try_from(host.clone())
                    .map_err(|_| refused("its name is none that a certificate can have"))?;
                let stream = self.connector().await?.connect(name, stream);
                talk(stream.await.map_err(unreachable)?, settings, node).await
            }
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await.map_err(unreachable)?;
                talk(stream, settings, node).await
            }
            _ => Err(refused("its address is of an unknown kind")),
        }
    }

    async fn connector(&self) -> Result<TlsConnector, Error> {
        let roots = self.roots.clone();
        let Some((certificate, key)) = &self.certificate else {
            if let Some(connector) = self.connector.get() {
                return Ok(connector.clone());
            }
            let kept = Arc::clone(&self.connector);
            // If this fetch is dropped, the next one finds the connector. A failure is not kept: the system's roots may
            // become available.
            let made = tokio::task::spawn_blocking(move || {
                let connector = tls::connector(roots.as_deref(), None)?;
                Ok(kept.get_or_init(|| connector).clone())
            });
            let made: Result<TlsConnector, String> = made.await.map_err(Error::other)?;
            return made.map_err(|flaw| Error::of(ErrorKind::Configuration, flaw));
        };
        let mut last = None;
        for (place, of_key) in certificate.places().zip(key.places()) {
            let texts = async { Ok([certificate.read_text(place).await?, key.read_text(of_key).await?]) };
            let made = match texts.await {
                Ok(texts) => {
                    let (showing, roots) = (Arc::clone(&self.showing), roots.clone());
                    let make = move |pair: &_| tls::connector(roots.as_deref(), Some(pair));
                    let made = tokio::task::spawn_blocking(move || showing.made_of(texts, place, make));
                    made.await.map_err(Error::other)?
                }
                Err(error) => Err(error),
            };
            match made {
                Ok(connector) => return Ok(TlsConnector::clone(&connector)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| refused("there is no client certificate")))
    }

    fn forget(&self, connection: &Arc<Connection>) {
        self.kept.lock().take_if(|kept| Arc::ptr_eq(kept, connection));
    }

    async fn first(&self) -> Result<ConnectionAddr, Error> {
        let (Some(sentinels), ConnectionAddr::Tcp(name, _)) = (&self.sentinels, self.address.node()) else {
            return Ok(self.address.node().clone());
        };
        let master = self.master(sentinels, name).await?;
        *self.node.lock() = Some(master.clone());
        Ok(master)
    }

    /// Without user and password.
    pub(super) fn shown(&self) -> String {
        match (&self.sentinels, self.address.node()) {
            (Some(sentinels), ConnectionAddr::Tcp(name, _)) => {
                format!("the master {name} of the sentinels {}", sentinels.addresses())
            }
            _ => self.address.to_string(),
        }
    }

    /// Whether the address can be the name of a master.
    pub(super) fn has_host(&self) -> bool {
        matches!(self.address.node(), ConnectionAddr::Tcp(..))
    }
}

impl Address {
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (tls, plain) = match url.split_once("://") {
            _ if url.contains('#') => return None,
            Some(("rediss" | "valkeys", rest)) => (true, format!("redis://{rest}")),
            _ => (false, url.to_owned()),
        };
        Some(Address { info: plain.into_connection_info().ok()?, tls })
    }

    pub(super) fn node(&self) -> &ConnectionAddr {
        self.info.addr()
    }
}

/// Without user and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.node() {
            ConnectionAddr::Unix(_) => "redis+unix",
            _ if self.tls => "rediss",
            _ => "redis",
        };
        write!(f, "{scheme}://{}", self.node())
    }
}

/// Authenticates, and lets this runtime drive the connection until it is idle.
async fn talk<S>(stream: S, settings: &RedisConnectionInfo, node: &ConnectionAddr) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let runtime = Handle::try_current().map_err(Error::other)?.id();
    let allowance = Allowance::default();
    allowance.set(SMALL_TALK);
    let (reads, writes) = split(stream);
    let stream = join(Capped { stream: reads, allowance: allowance.clone() }, writes);
    // The caller has its own timeout.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (multiplexed, driver) =
        MultiplexedConnection::new_with_config(settings, stream, config).await.map_err(|e| said(&e))?;
    let (under_way, mut watched) = watch::channel(0);
    let task = tokio::spawn(async move {
        let mut driver = pin!(driver);
        loop {
            let ended = tokio::time::timeout(IDLE, &mut driver).await.is_ok();
            let used = watched.has_changed().unwrap_or_default();
            // A command in progress may take longer.
            if ended || (*watched.borrow_and_update() == 0 && !used) {
                return;
            }
        }
    });
    let task = task.abort_handle();
    Ok(Connection { multiplexed, node: node.clone(), runtime, allowance, under_way, task })
}

/// A command in progress. If it is dropped before the response, the connection is dropped, too: it may be the cause.
struct Using<'a> {
    connections: &'a Connections,
    connection: &'a Arc<Connection>,
    answered: bool,
}

impl<'a> Using<'a> {
    fn begin(connections: &'a Connections, connection: &'a Arc<Connection>) -> Self {
        connection.under_way.send_modify(|count| {
            *count += 1;
            connection.allowance.set((LARGEST + SMALL_TALK).saturating_mul(*count));
        });
        Using { connections, connection, answered: false }
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.connection.under_way.send_modify(|count| *count -= 1);
        if !self.answered {
            self.connections.forget(self.connection);
        }
    }
}

/// The node to ask instead, and whether permanently. An empty host means the node that responded.
fn redirection(error: &RedisError, node: &ConnectionAddr) -> Option<(ConnectionAddr, bool)> {
    let (address, _slot) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let host = match (host.trim_matches(['[', ']']), node) {
        ("", ConnectionAddr::Tcp(same, _)) => same.clone(),
        ("", _) => return None,
        (host, _) => host.to_owned(),
    };
    let moved = error.kind() == Kind::Server(ServerErrorKind::Moved);
    Some((ConnectionAddr::Tcp(host, port.parse().ok()?), moved))
}

/// An error with the kind of this one, without its text, in which servers repeat the command.
pub(super) fn said(error: &RedisError) -> Error {
    let code: String = error.code().unwrap_or_default().chars().filter(char::is_ascii_uppercase).take(24).collect();
    match code.as_str() {
        "" => refused(error.category().to_owned()),
        code => refused(format!("it answered {code}")),
    }
}

pub(super) fn refused(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::of(ErrorKind::Other, what)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_command_that_takes_longer_than_the_idle_limit_of_connections_is_answered() {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            let mut piece = [0; 1024];
            while theirs.read(&mut piece).await.unwrap() > 0 {
                tokio::time::sleep(5 * IDLE).await;
                theirs.write_all(b"+OK\r\n").await.unwrap();
            }
        });
        let connections = Connections::new(Address::parse("redis://x").unwrap());
        let settings = connections.address.info.redis_settings().clone().set_skip_set_lib_name();
        let connection = talk(ours, &settings, connections.address.node()).await;
        let connection = Arc::new(connection.unwrap());
        let ping = redis::cmd("PING");
        let answer: String = connections.query(&connection, &ping, false).await.unwrap();
        assert_eq!(answer, "OK");
        // And is closed when it is idle.
        tokio::time::sleep(3 * IDLE).await;
        assert!(connection.task.is_finished());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_while_it_is_used_and_closed_when_it_is_not() {
        for is_used in [true, false] {
            let (ours, mut theirs) = tokio::io::duplex(1024);
            tokio::spawn(async move {
                let mut piece = [0; 1024];
                while theirs.read(&mut piece).await.unwrap_or_default() > 0 {
                    theirs.write_all(b"+OK\r\n").await.unwrap();
                }
            });
            let connections = Connections::new(Address::parse("redis://x").unwrap());
            let settings = connections.address.info.redis_settings().clone().set_skip_set_lib_name();
            let connection = Arc::new(talk(ours, &settings, connections.address.node()).await.unwrap());
            for _ in 0..10 {
                if is_used {
                    let _: String = connections.query(&connection, &redis::cmd("PING"), false).await.unwrap();
                }
                tokio::time::sleep(IDLE / 2).await;
            }
            assert_eq!(connection.task.is_finished(), !is_used);
            let task = connection.task.clone();
            drop((connection, connections));
            tokio::task::yield_now().await;
            assert!(task.is_finished(), "with its last user");
        }
    }

    #[test]
    fn an_address_is_shown_with_its_scheme_and_without_the_password() {
        for (url, shown) in [
            ("redis://me:hush@host:1", "redis://host:1"),
            ("rediss://me:hush@host", "rediss://host:6379"),
            ("redis+unix:///run/redis.sock?pass=hush", "redis+unix:///run/redis.sock"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert!(matches!(address.node(), ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_)), "{url}");
        }
    }

    #[test]
    fn an_error_is_told_by_its_code_or_else_by_its_kind() {
        let coded = redis::parse_redis_value(b"-WRONGPASS the password hush is wrong\r\n").unwrap();
        let coded = coded.extract_error().unwrap_err();
        assert_eq!(said(&coded).to_string(), "it answered WRONGPASS");
        let other = said(&RedisError::from((Kind::Parse, "hush"))).to_string();
        assert!(!other.contains("it answered") && !other.contains("hush") && !other.is_empty(), "{other}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_command_that_was_given_up_ends_with_its_last_user() {
        let (ours, theirs) = tokio::io::duplex(1024);
        let connections = Connections::new(Address::parse("redis://x").unwrap());
        let settings = connections.address.info.redis_settings().clone().set_skip_set_lib_name();
        let connection = Arc::new(talk(ours, &settings, connections.address.node()).await.unwrap());
        let ping = redis::cmd("PING");
        let mut asked = Box::pin(connections.query::<String>(&connection, &ping, false));
        for _ in 0..10 {
            let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
            assert!(asked.as_mut().poll(cx).is_pending());
            tokio::task::yield_now().await;
        }
        let task = connection.task.clone();
        drop(asked);
        drop((connection, connections));
        tokio::task::yield_now().await;
        assert!(task.is_finished(), "no time has passed");
        drop(theirs);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_read_than_a_record_and_what_is_around_it() {
        for (size, is_read) in [(LARGEST, true), (LARGEST + SMALL_TALK, false)] {
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            let answer = [format!("${size}\r\n").as_bytes(), &vec![7; size], b"\r\n"].concat();
            tokio::spawn(async move {
                let _ = theirs.read(&mut [0; 1024]).await.unwrap();
                theirs.write_all(&answer).await.unwrap();
                std::future::pending::<()>().await;
            });
            let connections = Connections::new(Address::parse("redis://x").unwrap());
            let settings = connections.address.info.redis_settings().clone().set_skip_set_lib_name();
            let connection = Arc::new(talk(ours, &settings, connections.address.node()).await.unwrap());
            let read = connections.query::<Vec<u8>>(&connection, &redis::cmd("GET"), false).await;
            assert_eq!(read.is_ok(), is_read, "{size}");
        }
    }
}

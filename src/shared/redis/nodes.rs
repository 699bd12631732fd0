//! Which node is asked, how a connection to it is established, and the one that is kept.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::{
    Cmd, ConnectionAddr, ErrorKind as Kind, FromRedisValue, RedisConnectionInfo, RedisError, RedisResult,
    ServerErrorKind,
};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::connection::{Connection, refused, said};
use super::sentinel::Sentinels;
use super::tls;
use crate::credential::{Credential, LastGood};
use crate::error::{Error, ErrorKind};
use crate::lock::Lock;

/// The settings of connections, and the current one.
pub(super) struct Nodes {
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

/// 50 ms, half the store timeout: a fetch that waits for another one's connection makes its own after that.
const TURN: Duration = Duration::from_millis(50);
/// Two redirections and a lost connection. A cluster that redirects more often is inconsistent.
const MOST_TRIES: u32 = 4;

impl Nodes {
    pub(super) fn new(address: Address) -> Self {
        Nodes {
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
        Err(refused("there are too many redirections"))
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
        let settings = address.settings().clone().set_skip_set_lib_name();
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
                    return Connection::open(stream, settings, node).await;
                }
                let name = rustls::pki_types::ServerName::try_from(host.clone())
                    .map_err(|_| refused("its host name is not valid in a certificate"))?;
                let stream = self.connector().await?.connect(name, stream);
                Connection::open(stream.await.map_err(unreachable)?, settings, node).await
            }
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await.map_err(unreachable)?;
                Connection::open(stream, settings, node).await
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

/// A command in progress. If it is dropped before the response, the connection is dropped, too: it may be the cause.
struct Using<'a> {
    connections: &'a Nodes,
    connection: &'a Arc<Connection>,
    answered: bool,
}

impl<'a> Using<'a> {
    fn begin(connections: &'a Nodes, connection: &'a Arc<Connection>) -> Self {
        connection.begin();
        Using { connections, connection, answered: false }
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.connection.end();
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::connection::{IDLE, SMALL_TALK};
    use super::*;
    use crate::shared::record::LARGEST;

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
        let connections = Nodes::new(Address::parse("redis://x").unwrap());
        let settings = connections.address.settings().clone().set_skip_set_lib_name();
        let connection = Connection::open(ours, &settings, connections.address.node()).await;
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
            let connections = Nodes::new(Address::parse("redis://x").unwrap());
            let settings = connections.address.settings().clone().set_skip_set_lib_name();
            let connection = Arc::new(Connection::open(ours, &settings, connections.address.node()).await.unwrap());
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

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_command_that_was_given_up_ends_with_its_last_user() {
        let (ours, theirs) = tokio::io::duplex(1024);
        let connections = Nodes::new(Address::parse("redis://x").unwrap());
        let settings = connections.address.settings().clone().set_skip_set_lib_name();
        let connection = Arc::new(Connection::open(ours, &settings, connections.address.node()).await.unwrap());
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
            let connections = Nodes::new(Address::parse("redis://x").unwrap());
            let settings = connections.address.settings().clone().set_skip_set_lib_name();
            let connection = Arc::new(Connection::open(ours, &settings, connections.address.node()).await.unwrap());
            let read = connections.query::<Vec<u8>>(&connection, &redis::cmd("GET"), false).await;
            assert_eq!(read.is_ok(), is_read, "{size}");
        }
    }
}

//! The current master, according to Redis Sentinel
//! ([Guidelines for Redis clients](https://redis.io/docs/latest/develop/reference/sentinel-clients/)).

use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{ConnectionInfo, IntoConnectionInfo, Value};
use tokio::runtime::Id;

use super::connection::{Connection, Connections, Node, node_of, refused, said};
use crate::error::{Error, ErrorKind};

/// The processes that monitor a master.
pub(super) struct Sentinels {
    all: Vec<Sentinel>,
    /// The one to ask first. While one is asked, this is the next one, so that a caller after a timeout begins with
    /// another.
    first: AtomicUsize,
}

struct Sentinel {
    info: ConnectionInfo,
    tls: bool,
}

impl Sentinels {
    /// `None` if a URL is invalid, or there is none.
    pub(super) fn new(urls: impl IntoIterator<Item = impl AsRef<str>>) -> Option<Self> {
        let all: Option<Vec<_>> = urls
            .into_iter()
            .map(|url| {
                let (info, tls) = parsed(url.as_ref())?;
                Some(Sentinel { info, tls })
            })
            .collect();
        let all = all.filter(|all| !all.is_empty())?;
        Some(Sentinels { all, first: AtomicUsize::new(0) })
    }

    /// Without user and password.
    pub(super) fn addresses(&self) -> String {
        let all: Vec<_> = self.all.iter().map(|one| super::connection::address(&one.info, one.tls)).collect();
        all.join(", ")
    }
}

/// A URL, with `true` for TLS. This crate implements TLS itself, so that the system's roots are read once and no option
/// in the URL can disable the verification.
pub(super) fn parsed(url: &str) -> Option<(ConnectionInfo, bool)> {
    let (tls, plain) = match url.split_once("://") {
        _ if url.contains('#') => return None,
        Some(("rediss" | "valkeys", rest)) => (true, format!("redis://{rest}")),
        _ => (false, url.to_owned()),
    };
    Some((plain.into_connection_info().ok()?, tls))
}

impl Connections {
    /// Asks the sentinels in order for the current master.
    pub(super) async fn master(&self, sentinels: &Sentinels, name: &str, here: Id) -> Result<Node, Error> {
        let count = sentinels.all.len();
        let start = sentinels.first.load(Ordering::Relaxed);
        let mut last = None;
        for number in (0..count).map(|n| (start + n) % count) {
            sentinels.first.store((number + 1) % count, Ordering::Relaxed);
            let Some(sentinel) = sentinels.all.get(number) else { continue };
            match self.ask(sentinel, name, here).await {
                Ok(Some(master)) => {
                    sentinels.first.store(number, Ordering::Relaxed);
                    return Ok(master);
                }
                Ok(None) => last = Some(refused("the sentinel knows no master of this name")),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| refused("there is no sentinel")))
    }

    async fn ask(&self, sentinel: &Sentinel, name: &str, here: Id) -> Result<Option<Node>, Error> {
        let node = node_of(&sentinel.info)?;
        let connection =
            self.connect(&sentinel.info, sentinel.tls, self.sentinel_password.as_ref(), &node, here).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(name);
        let answer: Option<(String, u16)> =
            command.query_async(&mut connection.multiplexed.clone()).await.map_err(|e| said(&e))?;
        Ok(answer.map(|(host, port)| Node::Tcp(host, port)))
    }

    /// Checks the role of a node: a sentinel may not know yet that the master has changed.
    pub(super) async fn is_master(&self, connection: &Connection) -> Result<(), Error> {
        let role: Vec<Value> =
            redis::cmd("ROLE").query_async(&mut connection.multiplexed.clone()).await.map_err(|e| said(&e))?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(()),
            Some(Value::SimpleString(role)) if role == "master" => Ok(()),
            _ => Err(Error::of(ErrorKind::Transport, "the node that the sentinel named is not the master")),
        }
    }
}

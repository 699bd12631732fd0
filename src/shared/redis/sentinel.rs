//! The current master, according to Redis Sentinel
//! ([Guidelines for Redis clients](https://redis.io/docs/latest/develop/reference/sentinel-clients/)).

use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{ConnectionAddr, Value};
use zeroize::Zeroizing;

use super::address::Address;
use super::connection::{Connection, refused, said};
use super::nodes::Nodes;
use crate::error::{Error, ErrorKind};

/// The processes that monitor a master.
pub(super) struct Sentinels {
    all: Vec<Address>,
    /// The one to ask first. While one is asked, this is the next one, so that a caller after a timeout begins with
    /// another.
    first: AtomicUsize,
}

impl Sentinels {
    /// `None` if a URL is invalid, or there is none.
    pub(super) fn new(urls: impl Iterator<Item = Zeroizing<String>>) -> Option<Self> {
        let all: Option<Vec<_>> = urls.map(|url| Address::parse(&url)).collect();
        let all = all.filter(|all| !all.is_empty())?;
        Some(Sentinels { all, first: AtomicUsize::new(0) })
    }

    /// Without user and password.
    pub(super) fn addresses(&self) -> String {
        self.all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Nodes {
    /// Asks the sentinels in order for the current master.
    pub(super) async fn master(&self, sentinels: &Sentinels, name: &str) -> Result<ConnectionAddr, Error> {
        let count = sentinels.all.len();
        let start = sentinels.first.load(Ordering::Relaxed);
        let mut last = None;
        for number in (0..count).map(|n| (start + n) % count) {
            sentinels.first.store((number + 1) % count, Ordering::Relaxed);
            let Some(sentinel) = sentinels.all.get(number) else { continue };
            match self.ask(sentinel, name).await {
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

    async fn ask(&self, sentinel: &Address, name: &str) -> Result<Option<ConnectionAddr>, Error> {
        let connection = self.connect(sentinel, self.sentinel_password.as_ref(), sentinel.node()).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(name);
        let answer: Option<(String, u16)> =
            command.query_async(&mut connection.multiplexed.clone()).await.map_err(|e| said(&e))?;
        Ok(answer.map(|(host, port)| ConnectionAddr::Tcp(host, port)))
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

//! One connection to a Redis server: opened on demand, shared by all fetches of a runtime, closed soon after.

use std::pin::pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, RedisConnectionInfo, RedisError};
use tokio::io::{AsyncRead, AsyncWrite, join, split};
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::capped::{Budget, Capped};
use crate::error::{Error, ErrorKind};
use crate::shared::record::LARGEST;

pub(super) struct Connection {
    pub(super) multiplexed: MultiplexedConnection,
    pub(super) node: ConnectionAddr,
    /// The runtime that drives it. Other runtimes make their own, since this one may stop.
    pub(super) runtime: Id,
    budget: Budget,
    /// The number of commands in progress.
    under_way: watch::Sender<usize>,
    pub(super) task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// 1 s: the operations of one fetch share a connection, which is not kept until the next fetch.
pub(super) const IDLE: Duration = Duration::from_secs(1);
/// The length of a response, an error, or the handshake.
pub(super) const SMALL_TALK: usize = 4096;

impl Connection {
    /// Authenticates, and lets this runtime drive the connection until it is idle.
    pub(super) async fn open<S>(stream: S, settings: &RedisConnectionInfo, node: &ConnectionAddr) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = Handle::try_current().map_err(Error::other)?.id();
        let budget = Budget::default();
        budget.set(SMALL_TALK);
        let (reads, writes) = split(stream);
        let stream = join(Capped { stream: reads, budget: budget.clone() }, writes);
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
        Ok(Connection { multiplexed, node: node.clone(), runtime, budget, under_way, task })
    }

    /// One more command is in progress, whose response has to be read.
    pub(super) fn begin(&self) {
        self.under_way.send_modify(|count| {
            *count += 1;
            self.budget.set((LARGEST + SMALL_TALK).saturating_mul(*count));
        });
    }

    pub(super) fn end(&self) {
        self.under_way.send_modify(|count| *count -= 1);
    }
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
    use redis::ErrorKind as Kind;

    use super::*;

    #[test]
    fn an_error_is_told_by_its_code_or_else_by_its_kind() {
        let coded = redis::parse_redis_value(b"-WRONGPASS the password hush is wrong\r\n").unwrap();
        let coded = coded.extract_error().unwrap_err();
        assert_eq!(said(&coded).to_string(), "it answered WRONGPASS");
        let other = said(&RedisError::from((Kind::Parse, "hush"))).to_string();
        assert!(!other.contains("it answered") && !other.contains("hush") && !other.is_empty(), "{other}");
    }
}

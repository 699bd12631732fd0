//! The crate `redis`, for servers whose passwords are tokens (Azure Cache for Redis): it authenticates again with each new one.

use std::pin::Pin;

use client_credentials::ClientCredentials;
use futures_util::{Stream, stream};
use redis::RedisResult;
use redis::auth::{BasicAuth, StreamingCredentialsProvider};

pub struct Passwords(pub ClientCredentials);

impl StreamingCredentialsProvider for Passwords {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send + 'static>> {
        Box::pin(stream::unfold(self.0.changes(), async |mut changes| {
            let token = changes.next().await.ok()?;
            Some((Ok(BasicAuth::new("billing".to_owned(), token.expose_secret().to_owned())), changes))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Daemon, MINUTE, free_port, next_after, start};

    #[tokio::test]
    async fn a_connection_authenticates_again_with_a_new_token() {
        let (_server, tokens) = start();
        let port = free_port();
        let arguments = ["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1"];
        let Some(_redis) = Daemon::start("redis-server", &arguments, port) else { return };
        let admin = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let mut admin = admin.get_multiplexed_async_connection().await.unwrap();
        let accept = async |admin: &mut redis::aio::MultiplexedConnection, token: &str| {
            let mut command = redis::cmd("ACL");
            command.arg(&["SETUSER", "billing", "on", "resetpass", "~*", "+@all"]).arg(format!(">{token}"));
            command.query_async::<()>(admin).await.unwrap();
        };
        let first = tokens.token().await.unwrap();
        accept(&mut admin, first.expose_secret()).await;
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_credentials_provider(Passwords(tokens.clone()));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
        let who: String = redis::cmd("ACL").arg("WHOAMI").query_async(&mut connection).await.unwrap();
        assert_eq!(who, "billing");

        let auths = async |admin: &mut redis::aio::MultiplexedConnection| {
            let stats: String = redis::cmd("INFO").arg("commandstats").query_async(admin).await.unwrap();
            let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_auth:calls=")).unwrap_or("0");
            let calls: u32 = line.split(',').next().unwrap().parse().unwrap();
            calls
        };
        let before = auths(&mut admin).await;
        next_after(&tokens, &first).await;
        let again = async {
            while auths(&mut admin).await == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(MINUTE, again).await.unwrap();
    }
}

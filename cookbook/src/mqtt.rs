//! rumqttc: the token is the password of each connection; a new connection gets a new token.

use client_credentials::{Changes, ClientCredentials, Error};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions};

/// The first token, for the options of the client.
pub async fn connect(tokens: &ClientCredentials, mut options: MqttOptions) -> Result<(AsyncClient, EventLoop), Error> {
    options.set_credentials("billing", tokens.token().await?.expose_secret());
    Ok(AsyncClient::new(options, 10))
}

/// Polls in place of `events.poll()`: a reconnection has the latest token. The broker ends connections whose token has expired.
pub async fn poll(events: &mut EventLoop, changes: &mut Changes) -> Result<Event, rumqttc::ConnectionError> {
    loop {
        tokio::select! {
            event = events.poll() => return event,
            Ok(token) = changes.next() => {
                events.mqtt_options.set_credentials("billing", token.expose_secret());
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rumqttc::Packet;

    use super::*;
    use crate::support::{Daemon, MINUTE, free_port, next_after, start, text};

    #[tokio::test]
    async fn a_broker_that_requires_another_token_gets_it_when_the_client_reconnects() {
        let (_server, tokens) = start();
        let folder = tempfile::tempdir().unwrap();
        let (file, passwords, port) = (folder.path().join("conf"), folder.path().join("passwords"), free_port());
        let accept = |token: &str| {
            let made = Command::new("mosquitto_passwd").args(["-c", "-b", text(&passwords), "billing", token]).status();
            made.is_ok_and(|status| status.success())
        };
        let first = tokens.token().await.unwrap();
        if !accept(first.expose_secret()) {
            eprintln!("mosquitto is not installed: skipped");
            return;
        }
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let config = format!("listener {port} 127.0.0.1\nuser {user}\npassword_file {}\n", text(&passwords));
        std::fs::write(&file, config).unwrap();
        let Some(broker) = Daemon::start("mosquitto", &["-c", text(&file)], port) else { return };

        let (_client, mut events) = connect(&tokens, MqttOptions::new("id", "127.0.0.1", port)).await.unwrap();
        let mut changes = tokens.changes();
        let mut connected = async || {
            let connected = async {
                while !matches!(poll(&mut events, &mut changes).await, Ok(Event::Incoming(Packet::ConnAck(_)))) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(MINUTE, connected).await.unwrap();
        };
        connected().await;
        assert!(accept(next_after(&tokens, &first).await.expose_secret()));
        broker.reload();
        connected().await;
    }
}

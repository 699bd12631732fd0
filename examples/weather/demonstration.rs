//! Both servers in this process, and a client for them.

use std::error::Error;
use std::time::Duration;

use client_credentials::{Backoff, CachePolicy, ClientAuth, ClientCredentials, RetryPolicy};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::authorization_server::{AuthorizationServer, Client, Outage};
use crate::issued_tokens::IssuedTokens;
use crate::news::News;
use crate::weather_api::{Revocation, WeatherApi};
use crate::weather_client::WeatherClient;

pub(crate) struct Demonstration {
    authorization_server: AuthorizationServer,
    weather_api: WeatherApi,
    news: UnboundedReceiver<News>,
}

/// Short, so that a few seconds show what otherwise takes hours.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3);

/// Early, so that time is left for the outage after it.
const REVOCATION: Revocation = Revocation { at_request: 4 };

/// The first token after the revocation replaces the revoked one; the second is a refresh. With that one in hand:
/// more than the attempts of one refresh: a whole refresh fails, and the one after it has to try twice. Fewer than the
/// attempts of two: whatever the timing, the second one brings a token.
const OUTAGE: Outage = Outage { after_tokens: 2, refused_requests: 4 };

impl Demonstration {
    pub(crate) async fn start() -> Result<(Self, WeatherClient), Box<dyn Error>> {
        let client = Client {
            id: "weather table".to_owned(),
            // Not a secret, but with characters that must survive the way (RFC 6749 section 2.3.1).
            secret: "for demonstration: 100% /+&=".to_owned(),
            scopes: vec!["weather:read".to_owned()],
        };
        let tokens = IssuedTokens::default();
        let (sender, news) = unbounded_channel();
        let authorization_server =
            AuthorizationServer::new(client.clone(), LIFETIME, Some(OUTAGE), tokens.clone(), sender.clone());
        let weather_api = WeatherApi::new(tokens, Some(REVOCATION), sender);
        let token_url = format!("http://{}/token", authorization_server.start().await?);
        let weather_url = format!("http://{}/weather", weather_api.start().await?);

        let auth = ClientAuth::client_secret_basic(client.id, client.secret);
        let tokens = ClientCredentials::builder(&token_url, auth)
            .scope("weather:read")
            // Tokens last an hour as a rule, and then the defaults are right. These last 3 s: they are refreshed after
            // one of them, which leaves the other two for an outage, and its waits shrink in proportion.
            .retry(RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(200), Duration::from_millis(200))))
            .cache(
                CachePolicy::new()
                    .max_age(Duration::from_secs(1))
                    .due_backoff(Backoff::new(Duration::from_millis(500), Duration::from_millis(500))),
            )
            .build()?;
        // A proxy that the environment names would not find our loopback ports.
        let http = reqwest::Client::builder().no_proxy().build()?;
        let client = WeatherClient::new(http, weather_url.parse()?, tokens)?;
        let servers = Demonstration { authorization_server, weather_api, news };
        Ok((servers, client))
    }

    /// What happened at the servers since the last call.
    pub(crate) fn news(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(news) = self.news.try_recv() {
            lines.push(match news {
                News::TokenRevoked => "the weather API revoked the token".to_owned(),
                News::Down => "the authorization server is down: it answers 503".to_owned(),
                News::Back { refused_requests } => {
                    format!("the authorization server is back, after {refused_requests} refused token requests")
                }
            });
        }
        lines
    }

    /// As the servers counted them.
    pub(crate) fn summary(&self, failed: usize) -> String {
        format!(
            "token requests: {}, weather requests: {}, failed: {failed}",
            self.authorization_server.requests(),
            self.weather_api.requests()
        )
    }
}

//! An authorization server and a weather API in this process, and what happens to them.
//!
//! Both come from the feature `test-util`, which serves tests of your own as well: `client_credentials::testing`.

use std::error::Error;
use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{Backoff, CachePolicy, ClientAuth, ClientCredentials, RetryPolicy};
use reqwest::Url;
use serde_json::json;

use crate::weather_client::{WeatherClient, city_url};

pub(crate) struct Demonstration {
    server: AuthorizationServer,
    /// How many token requests had been made when the token was revoked.
    before_revocation: Option<usize>,
    /// How many lines of the story were printed.
    told: usize,
}

/// Short, so that a few seconds show what otherwise takes hours.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3);

/// The weather request before which the token is revoked: early, so that time is left for the outage.
const REVOCATION: usize = 4;

/// The outage starts after two more token requests, of which the first replaces the revoked token and the second is a
/// refresh. It is counted and not timed, so the story is the same on a slow machine.
const BEFORE_OUTAGE: usize = 2;

/// One refresh makes up to three attempts: a whole refresh fails, and the next one succeeds with its second attempt, before
/// the token expires.
const OUTAGE: usize = 4;

/// Sample data: city, degrees Celsius, conditions.
const READINGS: [(&str, f64, &str); 8] = [
    ("Amsterdam", 11.4, "light rain"),
    ("Cairo", 31.0, "clear sky"),
    ("Lima", 18.7, "fog"),
    ("Nairobi", 22.3, "broken clouds"),
    ("Oslo", -3.5, "snow"),
    ("Tokyo", 16.2, "overcast"),
    ("New York", 8.9, "windy"),
    ("São Paulo", 24.6, "thunderstorm"),
];

impl Demonstration {
    pub(crate) fn start<'a>(cities: impl Iterator<Item = &'a String>) -> Result<(Self, WeatherClient), Box<dyn Error>> {
        // Not a secret, but with characters that have to be encoded (RFC 6749 section 2.3.1).
        let (id, secret) = ("weather table", "for demonstration: 100% /+&=");
        let server = AuthorizationServer::start().client(id, secret).scopes(["weather:read"]).lifetime(LIFETIME);
        let url = Url::parse(&format!("{}/weather", server.api_origin()))?;
        let server = serve_weather(server.api_scope("weather:read"), &url, cities)?;

        let auth = ClientAuth::client_secret_basic(id, secret);
        let tokens = ClientCredentials::builder(server.token_url(), auth)
            .scope("weather:read")
            // Most tokens last an hour, for which the defaults are right. These last 3 s: they are refreshed after one
            // second, which leaves two for an outage, and waits are shorter in proportion.
            .retry(RetryPolicy::new().backoff(Backoff::new(Duration::from_millis(200), Duration::from_millis(200))))
            .cache(
                CachePolicy::new()
                    .max_age(Duration::from_secs(1))
                    .due_backoff(Backoff::new(Duration::from_millis(500), Duration::from_millis(500))),
            )
            .build()?;
        // A proxy of the environment could not reach a port of this process.
        let http = reqwest::Client::builder().no_proxy().build()?;
        let client = WeatherClient::new(http, url, tokens)?;
        Ok((Demonstration { server, before_revocation: None, told: 0 }, client))
    }

    /// What happens to the servers before the weather request with this number.
    pub(crate) fn before(&mut self, request: usize) {
        if request == REVOCATION {
            self.before_revocation = Some(self.server.token_requests());
            self.server.revoke_all();
            for _ in 0..BEFORE_OUTAGE {
                self.server.next(Answer::Token);
            }
            for _ in 0..OUTAGE {
                self.server.next(Answer::Status(503));
            }
        }
    }

    /// What happened since the last call.
    pub(crate) fn news(&mut self) -> Vec<String> {
        let since = self.before_revocation.map(|before| self.server.token_requests() - before);
        let story = [
            (0, "the weather API revoked the token".to_owned()),
            (BEFORE_OUTAGE + 1, "the authorization server is down: it answers 503".to_owned()),
            (
                BEFORE_OUTAGE + OUTAGE + 1,
                format!("the authorization server is back, after {OUTAGE} refused token requests"),
            ),
        ];
        let happened = story.into_iter().take_while(|(requests, _)| since >= Some(*requests));
        let news: Vec<_> = happened.skip(self.told).map(|(_, line)| line).collect();
        self.told += news.len();
        news
    }

    /// As the servers counted them.
    pub(crate) fn summary(&self, failed: usize) -> String {
        let (tokens, weather) = (self.server.token_requests(), self.server.api_requests());
        format!("token requests: {tokens}, weather requests: {weather}, failed: {failed}")
    }
}

/// Lets the API return the readings of these cities to requests with a token, and 404 for all others.
fn serve_weather<'a>(
    mut server: AuthorizationServer,
    url: &Url,
    cities: impl Iterator<Item = &'a String>,
) -> Result<AuthorizationServer, Box<dyn Error>> {
    let mut known = Vec::new();
    for asked in cities {
        let reading = READINGS.iter().find(|(city, ..)| city.to_lowercase() == asked.to_lowercase());
        if let Some((city, temperature, conditions)) = reading {
            let path = city_url(url, asked)?.path().to_owned();
            let reading = json!({ "city": city, "temperature": temperature, "conditions": conditions });
            server = server.serve_at(&path, reading.to_string());
            known.push(path);
        }
    }
    let message = format!("no such city; known cities: {}", READINGS.map(|(city, ..)| city).join(", "));
    let unknown = http::Response::builder().status(404).body(json!({ "message": message }).to_string())?;
    server.answer_by(Endpoint::Api, move |request| match known.iter().any(|path| path == request.path()) {
        true => Answer::Token,
        false => Answer::Response(unknown.clone()),
    });
    Ok(server)
}

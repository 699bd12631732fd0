//! The part that a program of yours would have: requests the weather, with a token on each request.

use std::error::Error;
use std::time::SystemTime;

use client_credentials::{BearerAuth, ClientCredentials, FetchCause};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{StatusCode, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::Value;

pub(crate) struct WeatherClient {
    http: ClientWithMiddleware,
    url: Url,
    /// Only for the column `token`.
    tokens: ClientCredentials,
    last_expiry: Option<Option<SystemTime>>,
}

/// What the API said about a city.
pub(crate) enum Answer {
    Reading { temperature: String, conditions: String },
    UnknownCity(String),
}

impl WeatherClient {
    pub(crate) fn new(
        http: reqwest::Client,
        url: Url,
        tokens: ClientCredentials,
    ) -> Result<Self, client_credentials::Error> {
        // The tokens are sent to the origin of the weather API only.
        let bearer = BearerAuth::for_origin(url.as_str(), tokens.clone())?;
        let http = ClientBuilder::new(http).with(bearer).build();
        Ok(WeatherClient { http, url, tokens, last_expiry: None })
    }

    /// Requests the weather in `city`.
    pub(crate) async fn ask(&self, city: &str) -> Result<Answer, Box<dyn Error>> {
        let url = city_url(&self.url, city)?;
        // Without the URL, which could have a key in its query.
        let without_url = reqwest_middleware::Error::without_url;
        let response = self.http.get(url).send().await.map_err(without_url)?;
        let (status, challenge) = (response.status(), challenge(&response));
        let text = response.text().await.map_err(reqwest::Error::without_url)?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        match status {
            StatusCode::NOT_FOUND => Ok(Answer::UnknownCity(message(&json, &text))),
            status if status.is_success() => Ok(reading(&json, &text)),
            status => Err(format!("the weather API answered {status} {challenge}").into()),
        }
    }

    /// Where the current token came from: fetched while this request waited for it, or before.
    pub(crate) fn token_origin(&mut self) -> &'static str {
        let status = self.tokens.status();
        let last = self.last_expiry.replace(status.expires_at);
        match status.cause {
            _ if last == Some(status.expires_at) => "cached",
            Some(FetchCause::Refresh) => "refreshed early",
            Some(FetchCause::Rejection) => "after 401",
            _ => "fetched",
        }
    }
}

/// The city is a segment of the path, and not text: it may contain a space or a slash.
pub(crate) fn city_url(url: &Url, city: &str) -> Result<Url, &'static str> {
    let mut url = url.clone();
    let segments = url.path_segments_mut();
    segments.map_err(|()| "the URL of the weather API cannot have a path")?.pop_if_empty().push(city);
    Ok(url)
}

fn reading(json: &Value, text: &str) -> Answer {
    let temperature = json.get("temperature").and_then(Value::as_f64);
    let conditions = json.get("conditions").and_then(Value::as_str);
    let shown = match (temperature, conditions) {
        // An unknown API: its response as it is.
        (None, None) => first_line(text),
        _ => first_line(conditions.unwrap_or("-")),
    };
    Answer::Reading { temperature: temperature.map_or("-".to_owned(), |t| format!("{t:.1} °C")), conditions: shown }
}

fn message(json: &Value, text: &str) -> String {
    let said = json.get("message").and_then(Value::as_str).unwrap_or(text);
    match first_line(said) {
        empty if empty.is_empty() => "no such city (404, without an explanation)".to_owned(),
        said => said,
    }
}

/// What the API requires instead (RFC 9110 section 11.6.1).
fn challenge(response: &reqwest::Response) -> String {
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let text = challenge.and_then(|value| value.to_str().ok());
    text.map_or(String::new(), |text| format!("({})", first_line(text)))
}

/// Enough for a line of a terminal, without what would steer it.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 120;
    let line = text.trim().lines().next().unwrap_or_default();
    let shown = line.chars().filter(|c| !c.is_control()).take(LONGEST);
    shown.collect()
}

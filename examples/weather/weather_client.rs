//! The part that a program of yours would have: asks the weather API, with a token on each request.

use std::error::Error;
use std::fmt;

use client_credentials::{ClientCredentials, TokenSource};
use reqwest::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde_json::Value;

pub(crate) struct WeatherClient {
    http: reqwest::Client,
    url: Url,
    tokens: ClientCredentials,
    /// Only to tell where the next token came from.
    last: Option<HeaderValue>,
}

/// What the API said about a city.
pub(crate) enum Answer {
    Reading {
        temperature: String,
        conditions: String,
    },
    UnknownCity(String),
}

/// Where the token of a request came from.
pub(crate) enum Origin {
    /// It was fetched while the request waited.
    Fetched,
    /// It was at hand, the same as for the request before.
    Cached,
    /// It is a new one, and was at hand all the same: no request waited for it.
    RenewedEarly,
}

impl WeatherClient {
    pub(crate) fn new(http: reqwest::Client, url: Url, tokens: ClientCredentials) -> Self {
        WeatherClient {
            http,
            url,
            tokens,
            last: None,
        }
    }

    /// Asks for the weather in `city`.
    pub(crate) async fn ask(&mut self, city: &str) -> Result<(Answer, Origin), Box<dyn Error>> {
        let mut url = self.url.clone();
        // A segment, not text: a city may have a space, or a slash.
        url.path_segments_mut()
            .map_err(|()| "the URL of the weather API cannot have a path")?
            .pop_if_empty()
            .push(city);
        let (authorization, origin) = self.authorization().await?;
        let request = self.http.get(url).header(AUTHORIZATION, authorization);
        // Without the URL, which could have a key in its query.
        let response = request.send().await.map_err(reqwest::Error::without_url)?;

        let (status, challenge) = (response.status(), challenge(&response));
        let text = response.text().await.map_err(reqwest::Error::without_url)?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        match status {
            StatusCode::NOT_FOUND => Ok((Answer::UnknownCity(message(&json, &text)), origin)),
            status if status.is_success() => Ok((reading(&json, &text), origin)),
            status => Err(format!("the weather API answered {status} {challenge}").into()),
        }
    }

    /// All there is to do about tokens: `self.tokens.token().await?.authorization()`. The rest of this function only
    /// finds out where the token came from.
    async fn authorization(&mut self) -> Result<(HeaderValue, Origin), client_credentials::Error> {
        let (token, waited) = match self.tokens.token().now_or_never() {
            Some(at_hand) => (at_hand?, false),
            None => (self.tokens.token().await?, true),
        };
        let authorization = token.authorization();
        let origin = match self.last.replace(authorization.clone()) {
            _ if waited => Origin::Fetched,
            Some(last) if last == authorization => Origin::Cached,
            _ => Origin::RenewedEarly,
        };
        Ok((authorization, origin))
    }
}

fn reading(json: &Value, text: &str) -> Answer {
    let temperature = json.get("temperature").and_then(Value::as_f64);
    let conditions = json.get("conditions").and_then(Value::as_str);
    let shown = match (temperature, conditions) {
        // Not an API that we know: what it says, as it says it.
        (None, None) => first_line(text),
        _ => first_line(conditions.unwrap_or("-")),
    };
    Answer::Reading {
        temperature: temperature.map_or("-".to_owned(), |t| format!("{t:.1} °C")),
        conditions: shown,
    }
}

fn message(json: &Value, text: &str) -> String {
    let said = json.get("message").and_then(Value::as_str).unwrap_or(text);
    match first_line(said) {
        empty if empty.is_empty() => "no such city (404, without an explanation)".to_owned(),
        said => said,
    }
}

/// What the API demands instead (RFC 9110 section 11.6.1).
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

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Origin::Fetched => "fetched",
            Origin::Cached => "cached",
            Origin::RenewedEarly => "renewed early",
        })
    }
}

//! The part that a program of yours would have: asks the weather API, with a token on each request.

use std::error::Error;

use client_credentials::{BearerAuth, ClientCredentials};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{StatusCode, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::Value;

use crate::watched::{Origin, Watched};

pub(crate) struct WeatherClient {
    http: ClientWithMiddleware,
    url: Url,
    /// Only to tell where a token came from.
    watched: Watched<ClientCredentials>,
}

/// What the API said about a city.
pub(crate) enum Answer {
    Reading { temperature: String, conditions: String },
    UnknownCity(String),
}

impl WeatherClient {
    /// All there is to do about tokens. A program that need not tell where they came from gives `tokens` itself to
    /// `for_origin`.
    pub(crate) fn new(
        http: reqwest::Client,
        url: Url,
        tokens: ClientCredentials,
    ) -> Result<Self, client_credentials::Error> {
        let watched = Watched::new(tokens);
        // The tokens are for the weather API, and go nowhere else.
        let origin = url.origin().ascii_serialization();
        let bearer = BearerAuth::for_origin(&origin, watched.clone())?;
        let http = ClientBuilder::new(http).with(bearer).build();
        Ok(WeatherClient { http, url, watched })
    }

    /// Asks for the weather in `city`.
    pub(crate) async fn ask(&self, city: &str) -> Result<(Answer, Origin), Box<dyn Error>> {
        let mut url = self.url.clone();
        // A segment, not text: a city may have a space, or a slash.
        url.path_segments_mut()
            .map_err(|()| "the URL of the weather API cannot have a path")?
            .pop_if_empty()
            .push(city);
        // Without the URL, which could have a key in its query.
        let without_url = reqwest_middleware::Error::without_url;
        let response = self.http.get(url).send().await.map_err(without_url)?;
        let origin = self.watched.origin();

        let (status, challenge) = (response.status(), challenge(&response));
        let text = response.text().await.map_err(reqwest::Error::without_url)?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        match status {
            StatusCode::NOT_FOUND => Ok((Answer::UnknownCity(message(&json, &text)), origin)),
            status if status.is_success() => Ok((reading(&json, &text), origin)),
            status => Err(format!("the weather API answered {status} {challenge}").into()),
        }
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
    Answer::Reading { temperature: temperature.map_or("-".to_owned(), |t| format!("{t:.1} °C")), conditions: shown }
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

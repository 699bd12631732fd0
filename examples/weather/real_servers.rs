//! Servers of yours, named by environment variables.

use std::env::{self, VarError};
use std::error::Error;
use std::time::Duration;

use client_credentials::{ClientAuth, ClientCredentials, Credential};
use reqwest::Url;

use crate::weather_client::WeatherClient;

/// `None`: no variable is set, and nobody wants real servers.
pub(crate) fn from_env() -> Result<Option<WeatherClient>, Box<dyn Error>> {
    let [secret, secret_file] = ["CLIENT_SECRET", "CLIENT_SECRET_FILE"].map(is_set);
    let others = ["TOKEN_URL", "CLIENT_ID", "SCOPE", "WEATHER_URL"];
    let mut missing: Vec<_> = others.into_iter().filter(|name| !is_set(name)).collect();
    if missing.len() == others.len() && !secret && !secret_file {
        return Ok(None);
    }
    let credential = match (secret, secret_file) {
        (true, false) => Credential::env("CLIENT_SECRET"),
        (false, true) => Credential::file(text("CLIENT_SECRET_FILE")?),
        (true, true) => return Err("set CLIENT_SECRET or CLIENT_SECRET_FILE, not both".into()),
        (false, false) => {
            missing.push("CLIENT_SECRET (or CLIENT_SECRET_FILE)");
            Credential::from("")
        }
    };
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(format!(
            "not set: {missing}\nReal servers need TOKEN_URL, CLIENT_ID, CLIENT_SECRET or CLIENT_SECRET_FILE, SCOPE \
             (may be empty) and WEATHER_URL; without any of them the demonstration starts its own."
        )
        .into());
    }
    let auth = ClientAuth::client_secret_basic(text("CLIENT_ID")?, credential);
    let tokens = ClientCredentials::builder(&text("TOKEN_URL")?, auth).scope(text("SCOPE")?).build()?;
    let url = Url::parse(&text("WEATHER_URL")?).map_err(|e| format!("WEATHER_URL is not a URL ({e})"))?;
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10));
    Ok(Some(WeatherClient::new(http.build()?, url, tokens)?))
}

/// `SCOPE=` says "no scope"; any other empty variable is as good as none.
fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| name == "SCOPE" || !value.is_empty())
}

fn text(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| match e {
        VarError::NotPresent => format!("{name} is not set"),
        // Its `Display` would show the value.
        VarError::NotUnicode(_) => format!("{name} is not UTF-8"),
    })
}

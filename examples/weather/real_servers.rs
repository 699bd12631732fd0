//! Your own servers, named by environment variables.

use std::error::Error;

use crate::weather_client::WeatherClient;

/// `None`: no variable is set, so real servers are not wanted.
#[cfg(feature = "serde")]
pub(crate) fn from_env() -> Result<Option<WeatherClient>, Box<dyn Error>> {
    use client_credentials::{ClientCredentials, Config};

    let config = Config::from_env("WEATHER_");
    let url = std::env::var("WEATHER_URL").ok().filter(|url| !url.is_empty());
    if config.is_empty() && url.is_none() {
        return Ok(None);
    }
    let method = Config::new().set("auth.method", "client_secret_basic");
    let tokens = ClientCredentials::builder_from(method.overridden_by(config))?.build()?;
    let url = url.ok_or("not set: WEATHER_URL, where the weather is asked for")?;
    let url = reqwest::Url::parse(&url).map_err(|e| format!("WEATHER_URL is not a URL ({e})"))?;
    let http = reqwest::Client::builder().timeout(std::time::Duration::from_secs(10));
    Ok(Some(WeatherClient::new(http.build()?, url, tokens)?))
}

#[cfg(not(feature = "serde"))]
pub(crate) fn from_env() -> Result<Option<WeatherClient>, Box<dyn Error>> {
    match std::env::var_os("WEATHER_URL") {
        None => Ok(None),
        Some(_) => Err("real servers need the feature serde: cargo run --example weather --features serde".into()),
    }
}

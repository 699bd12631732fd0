//! The weather example, run as a user runs it.

#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../examples/weather/authorization_server.rs"]
mod authorization_server;
#[path = "../examples/weather/issued_tokens.rs"]
mod issued_tokens;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../examples/weather/news.rs"]
mod news;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../examples/weather/weather_api.rs"]
mod weather_api;

use std::error::Error;
use std::process::Output;
use std::time::Duration;

use authorization_server::{AuthorizationServer, Client};
use issued_tokens::IssuedTokens;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use tokio::process::Command;
use weather_api::WeatherApi;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

#[tokio::test]
async fn no_weather_request_fails_though_a_token_is_revoked_and_the_authorization_server_is_down() -> Result {
    let run = weather(&[], &[]).await?;
    assert!(run.succeeded, "{run:?}");
    assert!(run.out.contains("the authorization server is down"), "{run:?}");
    assert!(run.out.contains("is back, after 4 refused token requests"), "{run:?}");
    assert!(run.out.contains("-- the weather API revoked the token --"), "{run:?}");
    // One request was repeated: the fourth.
    let refused: Vec<_> = run.out.lines().filter(|l| l.ends_with("after 401")).collect();
    assert!(matches!(refused[..], [row] if row.contains("Nairobi")), "{run:?}");
    for origin in ["fetched", "cached", "refreshed early"] {
        assert!(run.out.contains(origin), "{origin} in {run:?}");
    }
    let last = run.last_line();
    assert!(last.starts_with("token requests: "), "{last}");
    assert!(last.ends_with(", weather requests: 25, failed: 0"), "{last}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_city_is_answered_with_the_known_ones() -> Result {
    let run = weather(&["Atlantis"], &[]).await?;
    assert!(run.succeeded, "{run:?}");
    assert!(run.out.contains("Atlantis: no such city; known cities: Amsterdam, Cairo,"), "{run:?}");
    assert_eq!(run.last_line(), "token requests: 1, weather requests: 1, failed: 0");
    Ok(())
}

#[tokio::test]
async fn a_missing_variable_is_named() -> Result {
    let servers = Servers::start().await?;
    let env = servers.env(SECRET, "");
    let run = weather(&[], env.get(..4).unwrap_or_default()).await?;
    assert!(!run.succeeded, "{run:?}");
    assert!(run.err.contains("error: not set: WEATHER_URL"), "{run:?}");
    let run = weather(&[], env.get(..1).unwrap_or_default()).await?;
    for missing in ["auth.client_id is missing", "auth.secret_file or auth.secret_env is missing"] {
        assert!(!run.succeeded && run.err.contains(missing), "{run:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_not_sent_over_a_network_in_the_clear() -> Result {
    let servers = Servers::start().await?;
    let mut env = servers.env(SECRET, "weather:read");
    env.push(("WEATHER_URL", "http://weather.example.com/"));
    let run = weather(&["Oslo"], &env).await?;
    assert!(!run.succeeded && run.err.contains("use https"), "{run:?}");
    Ok(())
}

#[tokio::test]
async fn real_servers_are_asked_when_the_environment_names_them() -> Result {
    let servers = Servers::start().await?;
    let run = weather(&["são paulo", "Atlantis"], &servers.env(SECRET, "")).await?;
    assert!(run.succeeded, "{run:?}");
    assert!(run.out.contains("24.6 °C  thunderstorm    fetched"), "{run:?}");
    assert!(run.out.contains("Atlantis: no such city"), "{run:?}");
    assert_eq!(run.last_line(), "readings: 23, failed: 0");
    assert_eq!(servers.authorization_server.requests(), 1);
    Ok(())
}

#[tokio::test]
async fn a_refused_client_is_told_why() -> Result {
    let servers = Servers::start().await?;
    let run = weather(&["Oslo"], &servers.env("a wrong secret", "weather:read")).await?;
    assert!(!run.succeeded, "{run:?}");
    assert!(run.err.contains("OAuth error code: invalid_client\nhint: "), "{run:?}");
    assert!(!run.err.contains("a wrong secret"), "{run:?}");
    let run = weather(&["Oslo"], &servers.env(SECRET, "weather:make")).await?;
    assert!(!run.succeeded && run.err.contains("code: invalid_scope"), "{run:?}");
    Ok(())
}

#[tokio::test]
async fn an_insufficient_scope_is_a_failure() -> Result {
    let servers = Servers::start().await?;
    let run = weather(&["Oslo"], &servers.env(SECRET, "stations:read")).await?;
    assert!(!run.succeeded, "{run:?}");
    assert!(run.out.contains("FAILED: the weather API answered 403 Forbidden (Bearer"), "{run:?}");
    assert!(run.out.contains("error=\"insufficient_scope\", scope=\"weather:read\""), "{run:?}");
    assert_eq!(run.last_line(), "readings: 0, failed: 24");
    Ok(())
}

#[tokio::test]
async fn the_authorization_server_answers_as_rfc_6749_says() -> Result {
    let servers = Servers::start().await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let ask = |user: &str, form: &'static str| {
        let request = http.post(&servers.token_url).basic_auth(user, Some("100%25+sure%2F%2B"));
        request.body(form)
    };
    for (user, form, status, error) in [
        ("nobody", "grant_type=client_credentials", 401, "invalid_client"),
        ("a%20client", "", 400, "invalid_request"),
        ("a%20client", "grant_type=password", 400, "unsupported_grant_type"),
        ("a+client", "grant_type=client_credentials&scope=x&scope=x", 400, "invalid_request"),
        ("a+client", "grant_type=client_credentials&scope=x", 400, "invalid_scope"),
    ] {
        let response = ask(user, form).send().await?;
        assert_eq!(response.status(), status, "{form}");
        assert_eq!(response.headers().contains_key(WWW_AUTHENTICATE), status == 401, "{form}");
        let json: serde_json::Value = response.json().await?;
        assert_eq!(json.get("error"), Some(&error.into()), "{form}");
    }
    let response = ask("a+client", "grant_type=client_credentials").send().await?;
    let json: serde_json::Value = response.error_for_status()?.json().await?;
    assert_eq!(json.get("expires_in"), Some(&3600.into()));
    assert_eq!(json.get("scope"), Some(&"weather:read stations:read".into()));
    Ok(())
}

#[tokio::test]
async fn the_weather_api_answers_as_rfc_6750_says() -> Result {
    let servers = Servers::start().await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let issue = |scope, lifetime| format!("bearer {}", servers.tokens.issue(scope, lifetime));
    let hour = Duration::from_secs(3600);
    for (authorization, city, status, challenge) in [
        (None, "Oslo", 401, Some("Bearer realm=\"weather\"")),
        (Some("Bearer x".to_owned()), "Oslo", 401, Some(INVALID_UNKNOWN)),
        (Some(issue("weather:read", Duration::ZERO)), "Oslo", 401, Some(INVALID_EXPIRED)),
        (Some(issue("stations:read", hour)), "Oslo", 403, Some(INSUFFICIENT)),
        (Some(issue("weather:read", hour)), "Atlantis", 404, None),
        (Some(issue("stations:read weather:read", hour)), "oslo", 200, None),
    ] {
        let mut request = http.get(format!("{}/{city}", servers.weather_url));
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let response = request.send().await?;
        assert_eq!(response.status(), status, "{challenge:?}");
        let sent = response.headers().get(WWW_AUTHENTICATE);
        assert_eq!(sent.map(|value| value.as_bytes()), challenge.map(str::as_bytes));
    }
    Ok(())
}

const INVALID_UNKNOWN: &str =
    "Bearer realm=\"weather\", error=\"invalid_token\", error_description=\"the token is unknown\"";
const INVALID_EXPIRED: &str =
    "Bearer realm=\"weather\", error=\"invalid_token\", error_description=\"the token expired\"";
const INSUFFICIENT: &str = "Bearer realm=\"weather\", error=\"insufficient_scope\", scope=\"weather:read\"";

const SECRET: &str = "100% sure/+";

/// Servers of the test, which are real ones to the example.
struct Servers {
    authorization_server: AuthorizationServer,
    tokens: IssuedTokens,
    token_url: String,
    weather_url: String,
}

impl Servers {
    async fn start() -> Result<Self> {
        let tokens = IssuedTokens::default();
        let client = Client {
            id: "a client".to_owned(),
            secret: SECRET.to_owned(),
            scopes: vec!["weather:read".to_owned(), "stations:read".to_owned()],
        };
        let lifetime = Duration::from_secs(3600);
        let (news, _) = tokio::sync::mpsc::unbounded_channel();
        let authorization_server = AuthorizationServer::new(client, lifetime, None, tokens.clone(), news.clone());
        let weather_api = WeatherApi::new(tokens.clone(), None, news);
        Ok(Servers {
            token_url: format!("http://{}/token", authorization_server.start().await?),
            weather_url: format!("http://{}/weather", weather_api.start().await?),
            authorization_server,
            tokens,
        })
    }

    fn env<'a>(&'a self, secret: &'a str, scope: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("WEATHER_TOKEN_ENDPOINT", &self.token_url),
            ("WEATHER_AUTH_CLIENT_ID", "a client"),
            ("WEATHER_AUTH_SECRET", secret),
            ("WEATHER_SCOPES", scope),
            ("WEATHER_URL", &self.weather_url),
        ]
    }
}

/// What a run of the example left behind.
#[derive(Debug)]
struct Run {
    succeeded: bool,
    out: String,
    err: String,
}

impl Run {
    fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }
}

async fn weather(cities: &[&str], env: &[(&str, &str)]) -> Result<Run> {
    // With the features of this test, so that nothing is built anew.
    let features: Vec<_> = [
        ("rustls", cfg!(feature = "rustls")),
        ("reqwest-middleware", cfg!(feature = "reqwest-middleware")),
        ("tracing", cfg!(feature = "tracing")),
        ("tower", cfg!(feature = "tower")),
        ("serde", cfg!(feature = "serde")),
    ]
    .into_iter()
    .filter_map(|(name, enabled)| enabled.then_some(name))
    .collect();
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["run", "--quiet", "--example", "weather", "--no-default-features", "--features"]);
    command.arg(features.join(",")).arg("--").args(cities);
    // The environment of whoever runs the tests is of no concern, nor is a proxy in it.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEATHER_")) {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1");
    for (name, value) in env {
        command.env(name, value);
    }
    let Output { status, stdout, stderr } = command.output().await?;
    Ok(Run { succeeded: status.success(), out: String::from_utf8(stdout)?, err: String::from_utf8(stderr)? })
}

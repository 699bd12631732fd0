//! The weather example, run as a user runs it.

use std::error::Error;
use std::process::Output;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use tokio::process::Command;

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
    let servers = Servers::start();
    let env = servers.env(SECRET, "");
    let run = weather(&[], env.get(..4).unwrap_or_default()).await?;
    assert!(!run.succeeded, "{run:?}");
    assert!(run.err.contains("error: not set: WEATHER_URL"), "{run:?}");
    let run = weather(&[], env.get(..1).unwrap_or_default()).await?;
    for missing in
        ["auth.client_id is missing", "auth.secret_file or auth.secret_env is missing", "WEATHER_AUTH_CLIENT_ID"]
    {
        assert!(!run.succeeded && run.err.contains(missing), "{run:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_not_sent_over_a_network_in_the_clear() -> Result {
    let servers = Servers::start();
    let mut env = servers.env(SECRET, "weather:read");
    env.push(("WEATHER_URL", "http://weather.example.com/"));
    let run = weather(&["Oslo"], &env).await?;
    assert!(!run.succeeded && run.err.contains("use https"), "{run:?}");
    Ok(())
}

#[tokio::test]
async fn real_servers_are_called_when_the_environment_names_them() -> Result {
    let servers = Servers::start();
    let run = weather(&["são paulo", "Atlantis"], &servers.env(SECRET, "")).await?;
    assert!(run.succeeded, "{run:?}");
    assert!(run.out.contains("24.6 °C  thunderstorm    fetched"), "{run:?}");
    assert!(run.out.contains("Atlantis: no such city"), "{run:?}");
    assert_eq!(run.last_line(), "readings: 23, failed: 0");
    assert_eq!(servers.server.token_requests(), 1);
    Ok(())
}

#[tokio::test]
async fn a_refused_client_is_told_why() -> Result {
    let servers = Servers::start();
    let run = weather(&["Oslo"], &servers.env("a wrong secret", "weather:read")).await?;
    assert!(!run.succeeded, "{run:?}");
    for told in
        ["invalid_client: the secret is wrong", "client_secret_basic_raw", "Credential(env WEATHER_AUTH_SECRET)"]
    {
        assert!(run.err.contains(told), "{run:?}");
    }
    assert!(!run.err.contains("a wrong secret"), "{run:?}");
    let run = weather(&["Oslo"], &servers.env(SECRET, "weather:make")).await?;
    assert!(!run.succeeded && run.err.contains("invalid_scope"), "{run:?}");
    Ok(())
}

#[tokio::test]
async fn an_insufficient_scope_is_a_failure() -> Result {
    let servers = Servers::start();
    let run = weather(&["Oslo"], &servers.env(SECRET, "stations:read")).await?;
    assert!(!run.succeeded, "{run:?}");
    assert!(run.out.contains("FAILED: the weather API answered 403 Forbidden (Bearer"), "{run:?}");
    assert!(run.out.contains("error=\"insufficient_scope\", scope=\"weather:read\""), "{run:?}");
    assert_eq!(run.last_line(), "readings: 0, failed: 24");
    Ok(())
}

const SECRET: &str = "100% sure/+";

/// The servers of the test are real ones to the example.
struct Servers {
    server: AuthorizationServer,
    weather_url: String,
}

impl Servers {
    fn start() -> Self {
        let server = AuthorizationServer::start()
            .client("a client", SECRET)
            .scopes(["weather:read", "stations:read"])
            .api_scope("weather:read")
            .serve_at("/weather/Oslo", r#"{"temperature": -3.5, "conditions": "snow"}"#)
            .serve_at("/weather/s%C3%A3o%20paulo", r#"{"temperature": 24.6, "conditions": "thunderstorm"}"#);
        let unknown = http::Response::builder().status(404).body(r#"{"message": "no such city"}"#.to_owned());
        if let Ok(unknown) = unknown {
            server.answer_by(Endpoint::Api, move |request| match request.path() {
                "/weather/Atlantis" => Answer::Response(unknown.clone()),
                _ => Answer::Token,
            });
        }
        let weather_url = format!("{}/weather", server.api_origin());
        Servers { server, weather_url }
    }

    fn env<'a>(&'a self, secret: &'a str, scope: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("WEATHER_TOKEN_ENDPOINT", self.server.token_url()),
            ("WEATHER_AUTH_CLIENT_ID", "a client"),
            ("WEATHER_AUTH_SECRET", secret),
            ("WEATHER_SCOPES", scope),
            ("WEATHER_URL", &self.weather_url),
        ]
    }
}

/// The outcome of a run of the example.
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
    // With the features of this test, so that nothing is built again.
    macro_rules! enabled {
        ($($name:literal)*) => { [$(($name, cfg!(feature = $name))),*] };
    }
    let features = enabled!("blocking" "dpop" "jwt" "metrics" "mtls" "pool" "redis" "reqwest-middleware" "rustls" "serde"
        "shared" "test-util" "tower" "tracing");
    let features: Vec<_> = features.into_iter().filter_map(|(name, enabled)| enabled.then_some(name)).collect();
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["run", "--quiet", "--example", "weather", "--no-default-features", "--features"]);
    command.arg(features.join(",")).arg("--").args(cities);
    // The environment of the person who runs the tests is ignored, and so is a proxy in it.
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

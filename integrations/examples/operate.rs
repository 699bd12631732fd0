//! A service as its operators see it: `/healthz` and `/metrics` during an outage, and the log. It serves `/weather`.
//!
//! `cargo run --package integrations --example operate`. It starts its own authorization server, moves its own clock, and ends by
//! itself. With the argument `metrics` it prints the last metrics alone, with `picture` three hours with an outage as
//! SVG (the guide `docs::operating` shows it). With `alerts` it prints its address, and goes on until its input ends: a
//! minute of its time takes a second, and each line of the input says what goes wrong from then on (`.ci/prometheus`).

#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, SystemTimeError, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router, routing::get};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{
    BearerAuth, CachePolicy, ClientAuth, ClientCredentials, Credential, ManualClock, Readiness, Status, TokenState,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use reqwest_middleware::ClientWithMiddleware;
use tokio::io::{AsyncBufReadExt, BufReader};

type Error = Box<dyn std::error::Error>;

/// Not ready while there is no token: a load balancer sends the requests elsewhere. A degraded service still serves.
async fn healthz(State(tokens): State<ClientCredentials>) -> (StatusCode, Json<Status>) {
    let status = tokens.status();
    let code = match status.readiness() {
        // Without requests nothing else would fetch the token that ends this. `status()` starts no fetch, this does.
        Readiness::Down => {
            let _ = tokens.token().now_or_never();
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::OK,
    };
    (code, Json(status))
}

/// The weather from the API, to which the token is sent.
#[derive(Clone)]
struct Weather {
    api: ClientWithMiddleware,
    url: String,
}

async fn weather(State(weather): State<Weather>) -> (StatusCode, String) {
    match weather.api.get(&weather.url).send().await {
        Ok(response) if response.status().is_success() => (StatusCode::OK, response.text().await.unwrap_or_default()),
        Ok(response) => (StatusCode::BAD_GATEWAY, format!("the API answers {}\n", response.status())),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "no weather at present\n".to_owned()),
    }
}

/// A second source, whose credential is a JWT that a platform issues.
struct Partner {
    _server: AuthorizationServer,
    tokens: ClientCredentials,
    /// For how many days the platform's next JWTs are valid.
    days: Arc<AtomicU64>,
}

impl Partner {
    fn new() -> Result<Self, Error> {
        let server = AuthorizationServer::start();
        let days = Arc::new(AtomicU64::new(90));
        let platform = Arc::clone(&days);
        let jwt = Credential::from_fn(move || {
            let end = SystemTime::now() + Duration::from_secs(86_400 * platform.load(Ordering::Relaxed));
            async move {
                let exp = end.duration_since(UNIX_EPOCH)?.as_secs();
                let part = |json: String| URL_SAFE_NO_PAD.encode(json);
                let (header, claims) = (part(r#"{"alg":"none"}"#.to_owned()), part(format!(r#"{{"exp":{exp}}}"#)));
                Ok::<_, SystemTimeError>(format!("{header}.{claims}.c2lnbmF0dXJl"))
            }
        });
        let tokens = ClientCredentials::builder(server.token_url(), ClientAuth::client_assertion(jwt));
        Ok(Partner { tokens: tokens.name("partner").build()?, _server: server, days })
    }

    /// From now on the platform issues JWTs for so many days; fetches a token with one if that is a change.
    async fn jwts_for(&self, days: u64) -> Result<(), Error> {
        if self.days.swap(days, Ordering::Relaxed) != days {
            self.tokens.reject(&self.tokens.token().await?);
            self.tokens.token().await?;
        }
        Ok(())
    }
}

/// The service, and the world around it.
struct World {
    clock: ManualClock,
    server: AuthorizationServer,
    tokens: ClientCredentials,
    partner: Partner,
    http: reqwest::Client,
    url: String,
}

impl World {
    async fn start(metrics: PrometheusHandle) -> Result<Self, Error> {
        let clock = ManualClock::new();
        let server = AuthorizationServer::start().client("billing", "only-for-examples").clock(&clock);
        let server = server.lifetime(Duration::from_secs(7200)).serve_at("/weather", r#"{"celsius": 21}"#);
        let auth = ClientAuth::client_secret_basic("billing", "only-for-examples");
        let tokens = ClientCredentials::builder(server.token_url(), auth)
            .name("billing")
            // A token is refreshed 10 to 20 min before it expires: an outage of that length costs nothing.
            .cache(CachePolicy::new().refresh_window(Duration::from_secs(1200)))
            .clock(&clock)
            .build()?;
        // Before the first request comes in; not fatal, since the server may come up later.
        tokens.ready(Duration::from_secs(10)).await?;
        let partner = Partner::new()?;
        partner.tokens.ready(Duration::from_secs(10)).await?;

        let http = reqwest::Client::builder().no_proxy().build()?;
        let bearer = BearerAuth::for_origin(server.api_origin(), tokens.clone())?;
        let api = reqwest_middleware::ClientBuilder::new(http.clone()).with(bearer).build();
        let backend = Weather { api, url: format!("{}/weather", server.api_origin()) };
        let app = Router::new()
            .route("/healthz", get(healthz).with_state(tokens.clone()))
            .route("/weather", get(weather).with_state(backend))
            .route("/metrics", get(move || async move { metrics.render() }));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(World { clock, server, tokens, partner, http, url })
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, String), Error> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok((response.status(), response.text().await?))
    }

    /// The API takes tokens for another audience only, as after a change at the authorization server.
    fn api_refuses(&self) -> Result<(), Error> {
        let challenge = r#"Bearer error="invalid_token", error_description="The audience is invalid""#;
        let response = http::Response::builder().status(401).header("www-authenticate", challenge);
        self.server.until_changed_at(Endpoint::Api, Answer::Response(response.body(String::new())?));
        Ok(())
    }

    /// Advances to the time when the token is due.
    fn until_due(&self) {
        while self.tokens.status().state == TokenState::Fresh {
            self.clock.advance(Duration::from_secs(60));
        }
    }

    /// What the log and `/healthz` say in an outage that outlasts the token, and when an API refuses tokens.
    async fn story(&self, quiet: bool) -> Result<(), Error> {
        let show = async |what: &str| -> Result<(), Error> {
            let (code, body) = self.get("/healthz").await?;
            if !quiet {
                println!("{what}: /healthz {code}: {body}");
            }
            Ok(())
        };
        let (code, _) = self.get("/weather").await?;
        show(&format!("a token, and the weather ({code})")).await?;

        self.server.until_changed(Answer::Status(503));
        self.until_due();
        let (code, _) = self.get("/weather").await?;
        self.tokens.settled().await;
        show(&format!("an outage, and a token that is still good ({code})")).await?;
        self.clock.advance(Duration::from_secs(1200));
        let (code, _) = self.get("/weather").await?;
        show(&format!("longer than the token ({code})")).await?;

        self.server.until_changed(Answer::Token);
        self.clock.advance(Duration::from_secs(60));
        let (code, _) = self.get("/weather").await?;
        show(&format!("after the outage ({code})")).await?;

        self.api_refuses()?;
        let (code, _) = self.get("/weather").await?;
        show(&format!("a wrong audience ({code})")).await
    }

    /// A minute in a second, with `requests` in it.
    async fn minute(&self, requests: u32) -> Result<(), Error> {
        self.clock.advance(Duration::from_secs(60));
        for _ in 0..requests {
            self.get("/weather").await?;
        }
        // If the clock advanced, a fetch in progress would look like one that nobody drives.
        self.tokens.settled().await;
        Ok(())
    }

    /// What goes wrong from now on.
    async fn change(&self, what: &str) -> Result<(), Error> {
        self.server.until_changed(Answer::Token).until_changed_at(Endpoint::Api, Answer::Token);
        match what {
            "nothing" => return self.partner.jwts_for(90).await,
            "the credential" => return self.partner.jwts_for(3).await,
            "the API" => return self.api_refuses(),
            "an outage" => self.server.until_changed(Answer::Status(503)),
            "the client" => self.server.until_changed(Answer::Refuse("invalid_client")),
            "the quota" => self.server.until_changed(Answer::Status(429)),
            "the speed" => self.server.until_changed(Answer::Delay(Duration::from_secs(6))),
            other => return Err(format!("{other:?} is nothing that goes wrong here").into()),
        };
        self.until_due();
        Ok(())
    }

    /// Three hours with an outage of an hour in them, minute by minute, as SVG.
    async fn picture(&self) -> Result<String, Error> {
        const FROM: u64 = 80;
        const UNTIL: u64 = 140;
        const END: u64 = 180;
        let start = self.tokens.status().expires_at.ok_or("there is no token")? - Duration::from_secs(7200);
        let (x, bottom) = (|minute: u64| 90 + 3 * minute, 220);
        let (mut states, mut remaining, mut failures) = (String::new(), String::new(), String::new());
        for minute in 0..END {
            match minute {
                FROM => drop(self.server.until_changed(Answer::Status(503))),
                UNTIL => drop(self.server.until_changed(Answer::Token)),
                _ => {}
            }
            self.minute(1).await?;
            let status = self.tokens.status();
            let color = match status.state {
                TokenState::Fresh => "#9ecae1",
                TokenState::Failing => "#fdae6b",
                TokenState::Empty | TokenState::Expired => "#d94801",
                _ => "#3182bd",
            };
            states += &format!(r#"<rect x="{}" y="40" width="3" height="14" fill="{color}"/>"#, x(minute));
            let now = start + Duration::from_secs(60 * (minute + 1));
            let left =
                status.expires_at.and_then(|end| end.duration_since(now).ok()).unwrap_or_default().as_secs() / 60;
            remaining += &format!("{},{} ", x(minute), bottom - left);
            failures += &format!("{},{} ", x(minute), bottom - 3 * u64::from(status.consecutive_failures).min(40));
        }
        let hours: String = (0..=3)
            .map(|hour| format!(r#"<text x="{}" y="240" text-anchor="middle">{hour} h</text>"#, x(60 * hour)))
            .collect();
        let legend = [
            ("#9ecae1", "fresh"),
            ("#fdae6b", "failing, usable"),
            ("#d94801", "expired"),
            ("black", "minutes left"),
            ("#a63603", "failures in a row (dashed)"),
        ];
        let mut at = 90;
        let mut legends = String::new();
        for (color, text) in legend {
            legends += &format!(
                r#"<rect x="{at}" y="254" width="12" height="12" fill="{color}"/><text x="{}" y="265">{text}</text>"#,
                at + 16
            );
            at += 34 + 6 * text.len();
        }
        Ok(format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 280" style="min-width:40rem" font-family="sans-serif" font-size="12"><rect width="720" height="280" fill="white"/><text x="90" y="24">the authorization server is down in the grey hour</text><rect x="{}" y="34" width="{}" height="{}" fill="#eee"/><text x="84" y="52" text-anchor="end">state</text>{states}<text x="84" y="104" text-anchor="end">120 min, 40</text><text x="84" y="{bottom}" text-anchor="end">0</text><polyline fill="none" stroke="black" stroke-width="1.5" points="{}"/><polyline fill="none" stroke="#a63603" stroke-width="1.5" stroke-dasharray="4 2" points="{}"/>{hours}{legends}</svg>"##,
            x(FROM),
            3 * (UNTIL - FROM),
            bottom - 34,
            remaining.trim_end(),
            failures.trim_end()
        ))
    }

    async fn until_input_ends(&self) -> Result<(), Error> {
        println!("{}", self.url);
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let mut minutes = tokio::time::interval(Duration::from_secs(1));
        minutes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                line = lines.next_line() => match line? {
                    Some(what) => self.change(&what).await?,
                    None => return Ok(()),
                },
                _ = minutes.tick() => self.minute(2).await?,
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let quiet = argument == "metrics" || argument == "picture";
    if !quiet {
        let answers = argument == "alerts";
        let output = move || -> Box<dyn std::io::Write> {
            if answers { Box::new(std::io::stderr()) } else { Box::new(std::io::stdout()) }
        };
        tracing_subscriber::fmt().with_writer(output).without_time().with_max_level(tracing::Level::INFO).init();
    }
    let buckets = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
    let durations = Matcher::Prefix("oauth2.client.".to_owned());
    let metrics = PrometheusBuilder::new()
        // The names in the alert rules: with units, and `_total` at counters.
        .with_recommended_naming(true)
        // Without buckets histograms are exported as summaries.
        .set_buckets_for_metric(durations, &buckets)?
        .install_recorder()?;
    let world = World::start(metrics).await?;
    if argument == "alerts" {
        return world.until_input_ends().await;
    }
    if argument == "picture" {
        println!("{}", world.picture().await?);
        return Ok(());
    }
    world.story(quiet).await?;
    print!("{}", world.get("/metrics").await?.1);
    Ok(())
}

//! A service as its operators see it: `/healthz` and `/metrics` over an outage, and the log.
//!
//! `cargo run --package integrations --example operate`. It starts its own authorization server, moves its own clock, and ends by
//! itself. With the argument `metrics` it prints the last metrics alone.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Json, Router, routing::get};
use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{ClientAuth, ClientCredentials, ManualClock, Readiness, Status};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

type Error = Box<dyn std::error::Error>;

/// Not ready while there is no token: a load balancer sends the requests elsewhere. A degraded service still serves.
async fn healthz(State(tokens): State<ClientCredentials>) -> (StatusCode, Json<Status>) {
    let status = tokens.status();
    let code = match status.readiness() {
        Readiness::Down => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    (code, Json(status))
}

async fn serve(tokens: ClientCredentials, metrics: PrometheusHandle) -> Result<String, Error> {
    let app = Router::new()
        .route("/healthz", get(healthz).with_state(tokens))
        .route("/metrics", get(move || async move { metrics.render() }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let only_metrics = std::env::args().nth(1).is_some_and(|argument| argument == "metrics");
    if !only_metrics {
        tracing_subscriber::fmt().without_time().with_max_level(tracing::Level::INFO).init();
    }
    let buckets = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    let metrics = PrometheusBuilder::new()
        // The names in the alert rules: with units, and `_total` at counters.
        .with_recommended_naming(true)
        .set_buckets(&buckets)?
        .install_recorder()?;

    let clock = ManualClock::new();
    let server = AuthorizationServer::start().client("billing", "only-for-examples").clock(&clock);
    let auth = ClientAuth::client_secret_basic("billing", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth).name("billing").clock(&clock).build()?;
    // Before the first request comes in; not fatal, since the server may come up later.
    tokens.ready(Duration::from_secs(10)).await?;

    let url = serve(tokens.clone(), metrics).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let show = async |what: &str| -> Result<(), Error> {
        let response = http.get(format!("{url}/healthz")).send().await?;
        if !only_metrics {
            println!("{what}: /healthz {}: {}", response.status(), response.text().await?);
        }
        Ok(())
    };
    show("a token").await?;

    server.until_changed_at(Endpoint::Token, Answer::Status(503));
    clock.advance(Duration::from_secs(3000));
    tokens.token().await?;
    tokens.settled().await;
    show("an outage, and a token that is still good").await?;
    clock.advance(Duration::from_secs(600));
    if let Err(error) = tokens.token().await {
        show(&format!("longer than the token ({:?})", error.kind())).await?;
    }

    server.until_changed_at(Endpoint::Token, Answer::Token);
    clock.advance(Duration::from_secs(60));
    tokens.token().await?;
    show("after the outage").await?;
    // An API answers 401: what `BearerAuth` does then.
    tokens.reject(&tokens.token().await?);
    tokens.token().await?;
    show("after a 401").await?;
    let response = http.get(format!("{url}/metrics")).send().await?;
    print!("{}", response.text().await?);
    Ok(())
}

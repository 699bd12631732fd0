//! A service that can be operated: `/healthz`, `/metrics` and a log, while its authorization server is down and comes back.
//!
//! With a file name as its argument it leaves there what `/metrics` gave at the end.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, ManualClock, Readiness, RetryPolicy};
use metrics_exporter_prometheus::PrometheusBuilder;

/// Never waits. A degraded source has a usable token: the service can work, and must not be taken out of service.
fn healthz(tokens: &ClientCredentials) -> (StatusCode, String) {
    let status = tokens.status();
    let code = match status.readiness() {
        Readiness::Ready | Readiness::Degraded => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, format!("{:?}: {status}\n", status.readiness()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stdout).without_time().init();
    // `with_recommended_naming`: names with units, and `_total` for counters, as the alert rules expect them.
    let recorder = PrometheusBuilder::new().with_recommended_naming(true);
    let metrics = recorder.set_buckets(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])?.install_recorder()?;

    let server = AuthorizationServer::start().lifetime(Duration::from_secs(3600));
    let clock = ManualClock::new();
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth)
        .name("billing")
        // For the example alone: time passes when it says so, and a failed request is not repeated at once.
        .clock(&clock)
        .retry(RetryPolicy::new().attempts(1))
        .build()?;

    let health = tokens.clone();
    let app = Router::new()
        .route("/healthz", get(move || async move { healthz(&health) }))
        .route("/metrics", get(move || async move { metrics.render() }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let here = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let show = async |moment: &str| -> Result<(), Box<dyn Error>> {
        let response = reqwest::get(format!("{here}/healthz")).await?;
        print!("== {moment}: {} {}", response.status().as_u16(), response.text().await?);
        Ok(())
    };

    tokens.ready(Duration::from_secs(5)).await?;
    show("started").await?;

    server.until_changed(Answer::Status(503));
    clock.advance(Duration::from_secs(3500));
    tokens.token().await?;
    tokens.settled().await;
    show("outage, the token is still valid").await?;

    clock.advance(Duration::from_secs(100));
    let failed = tokens.token().await.is_err();
    show("outage, the token has expired").await?;

    server.until_changed(Answer::Token);
    clock.advance(Duration::from_secs(300));
    tokens.token().await?;
    show("recovered").await?;

    server.until_changed_at(Endpoint::Api, Answer::Refuse("invalid_token"));
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens.clone())?;
    let api = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    let refused = api.get(format!("{}/invoices", server.api_origin())).send().await?.status();
    println!("== an API that refuses every token: {refused}, a call without a token: {failed}");

    let exposition = reqwest::get(format!("{here}/metrics")).await?.text().await?;
    if let Some(file) = std::env::args().nth(1) {
        std::fs::write(file, &exposition)?;
    }
    println!("== /metrics has {} samples", exposition.lines().filter(|line| line.contains("billing")).count());
    Ok(())
}

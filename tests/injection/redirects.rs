//! reqwest follows redirects below the middleware: the token must not be sent elsewhere, and a 401 from there is not
//! about it.

use client_credentials::BearerAuth;
use http::{Response, StatusCode};
use reqwest_middleware::ClientBuilder;

use super::api::{Api, Body, Seen, status};
#[cfg(feature = "tracing")]
use super::harness::canary;
use super::*;

fn redirect(to: &str) -> Response<Body> {
    Response::builder().status(302).header("location", to).body(Body::default()).unwrap()
}

async fn get(api: &Api, issuer: &Issuer, path: &str) -> StatusCode {
    let bearer = BearerAuth::for_origin(&api.url, issuer.tokens()).unwrap();
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    client.get(format!("{}{path}", api.url)).send().await.unwrap().status()
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_token_and_its_401_costs_none() {
    // R10
    let evil = Api::start(|_| status(401)).await;
    let target = evil.url.clone();
    let api = Api::start(move |_| redirect(&target)).await;
    let issuer = Issuer::default();
    assert_eq!(get(&api, &issuer, "/").await, StatusCode::UNAUTHORIZED);
    assert_eq!(evil.tokens(), ["-"]);
    assert_eq!(api.seen().len(), 1, "not repeated");
    assert_eq!(issuer.issued(), 1);
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn a_redirect_that_takes_the_token_along_is_reported() {
    // FD7: reqwest removes `Authorization` only
    canary::watch();
    let reports = || canary::said().iter().filter(|(_, text)| text.contains("redirected to another origin")).count();
    let evil = Api::start(|_| status(200)).await;
    let target = evil.url.clone();
    let api = Api::start(move |seen: &Seen| if seen.path == "/stay" { status(200) } else { redirect(&target) }).await;
    for (header, path, expected) in [("authorization", "/", 0), ("x-token", "/stay", 0), ("x-token", "/", 1)] {
        let bearer =
            BearerAuth::builder(Issuer::default().tokens()).origin(&api.url).header(header, "").build().unwrap();
        let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
        for _ in 0..2 {
            assert_eq!(client.get(format!("{}{path}", api.url)).send().await.unwrap().status(), StatusCode::OK);
        }
        assert_eq!(reports(), expected, "{header} {path}");
    }
}

#[tokio::test]
async fn the_other_host_is_judged_by_its_origin_even_without_a_copy() {
    let evil = Api::start(|_| status(401)).await;
    let target = evil.url.clone();
    let api = Api::start(move |_| redirect(&target)).await;
    let issuer = Issuer::default();
    let bearer = BearerAuth::builder(issuer.tokens()).origin(&api.url).repeat(false).build().unwrap();
    let client = ClientBuilder::new(reqwest::Client::new()).with(bearer).build();
    client.get(&api.url).send().await.unwrap();
    client.get(&api.url).send().await.unwrap();
    assert_eq!(api.tokens(), ["t1", "t1"], "the token stays");
}

#[tokio::test]
async fn what_the_body_of_another_host_says_is_not_about_the_token() {
    let evil = Api::start(|_| status(200)).await;
    let target = evil.url.clone();
    let api = Api::start(move |seen: &Seen| if seen.path == "/away" { redirect(&target) } else { status(200) }).await;
    for (path, issued) in [("/away", 1), ("/", 2)] {
        let issuer = Issuer::default();
        let bearer = BearerAuth::builder(issuer.tokens()).origin(&api.url).rejected_when_body(1000, |_, _, _| true);
        let client = ClientBuilder::new(reqwest::Client::new()).with(bearer.build().unwrap()).build();
        assert_eq!(client.get(format!("{}{path}", api.url)).send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(issuer.issued(), issued, "{path}");
    }
}

#[tokio::test]
async fn a_redirect_away_and_back_shows_the_token_to_nobody_else() {
    // R12: A, B, A. Neither reqwest nor this crate adds the token again.
    let home: Arc<std::sync::OnceLock<String>> = Arc::default();
    let back = Arc::clone(&home);
    let away = Api::start(move |_| redirect(&format!("{}/back", back.get().unwrap()))).await;
    let target = away.url.clone();
    let api = Api::start(move |seen: &Seen| if seen.path == "/back" { status(200) } else { redirect(&target) }).await;
    home.set(api.url.clone()).unwrap();
    let issuer = Issuer::default();
    assert_eq!(get(&api, &issuer, "/out").await, StatusCode::OK);
    assert_eq!(away.tokens(), ["-"]);
    assert_eq!(api.tokens(), ["t1", "-"]);
    assert_eq!(issuer.issued(), 1);
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_the_token_and_its_recovery() {
    let api = Api::start(|seen: &Seen| match (seen.path.as_str(), seen.token().as_str()) {
        ("/old", _) => redirect("/new"),
        (_, "t1") => status(401),
        _ => status(200),
    })
    .await;
    let issuer = Issuer::default();
    assert_eq!(get(&api, &issuer, "/old").await, StatusCode::OK);
    assert_eq!(api.tokens(), ["t1", "t1", "t2", "t2"]);
}

//! Many sources in one process: what they share of an authorization server, and what they do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client_credentials::{
    Backoff, CachePolicy, ClientAuth, ClientCredentials, ClientCredentialsBuilder, ErrorKind, HttpClient, Issuer,
    Limits, RetryPolicy, TokenSource,
};
use futures_util::future::join_all;

use crate::harness::canary::SECRET;
use crate::harness::server::{Gate, Script, Server, Step, answer, json, ok};
use crate::story::{MOMENT, SOON, bare, basic};

/// The client of one tenant at the common issuer.
fn tenant(server: &Server, http: &HttpClient, n: usize) -> ClientCredentialsBuilder {
    tenant_of(Issuer::new(server.url("")), http, n)
}

fn tenant_of(issuer: Issuer, http: &HttpClient, n: usize) -> ClientCredentialsBuilder {
    let auth = ClientAuth::client_secret_basic(format!("tenant-{n}"), SECRET);
    ClientCredentials::builder(issuer, auth)
        .http_client(http.clone())
        .retry(RetryPolicy::new().attempts(1))
        .cache(CachePolicy::new().expired_backoff(Backoff::new(MOMENT, MOMENT)))
}

fn metadata(server: &Server) -> Script {
    let (issuer, endpoint) = (server.url(""), server.url("/token"));
    json(200, format!(r#"{{"issuer":"{issuer}","token_endpoint":"{endpoint}"}}"#))
}

fn fetches(server: &Server) -> usize {
    let requests = server.requests();
    requests.iter().filter(|request| request.line().starts_with("GET")).count()
}

/// Lets the fetches of this runtime go as far as they can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_thousand_sources_of_one_issuer_fetch_its_metadata_once() {
    let server = Server::start([]);
    server.now([metadata(&server), ok("t")]);
    let http = HttpClient::from_reqwest_0_13(bare);
    // A thousand requests at once take a while on a busy machine.
    let patient = |builder: ClientCredentialsBuilder| {
        let minutes = Duration::from_secs(600);
        builder.limits(Limits::new().attempt_timeout(minutes)).cache(CachePolicy::new().fetch_timeout(minutes))
    };
    let tenants: Vec<_> = (0..1000).map(|n| patient(tenant(&server, &http, n)).build().unwrap()).collect();
    for one in join_all(tenants.iter().map(TokenSource::token)).await {
        assert_eq!(one.unwrap().expose_secret(), "t");
    }
    assert_eq!(fetches(&server), 1);
    assert_eq!(server.hits(), 1 + 1000);
}

#[tokio::test]
async fn a_failed_fetch_of_metadata_is_one_failure_for_all_who_waited() {
    let server = Server::start([]);
    let gate = Gate::closed();
    let mut first = vec![Step::Pass(gate.clone())];
    first.extend(json(503, "{}"));
    server.now([first, json(503, "{}")]);
    let http = HttpClient::from_reqwest_0_13(bare);
    let tenants: Vec<_> = (0..50).map(|n| tenant(&server, &http, n).build().unwrap()).collect();
    let all = tokio::spawn(async move {
        let failed = join_all(tenants.iter().map(TokenSource::token)).await;
        (failed, tenants)
    });
    server.connected(1).await;
    settle().await;
    gate.open();
    let (failed, tenants) = all.await.unwrap();
    for one in failed {
        let error = one.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response);
        assert!(error.is_transient());
    }
    assert_eq!(server.hits(), 2, "one at each of the two places");

    server.now([metadata(&server), ok("t")]);
    for tenant in &tenants {
        // No failure is terminal; backoffs are read from a clock that ticks every 1 to 10 ms.
        while tenant.token().await.is_err() {
            tokio::time::sleep(MOMENT).await;
        }
    }
    assert_eq!(fetches(&server), 2 + 1);
}

#[tokio::test]
async fn a_source_that_is_dropped_while_it_fetches_metadata_leaves_it_to_the_next() {
    let server = Server::start([vec![Step::ReadReq, Step::Hang]]);
    let http = HttpClient::from_reqwest_0_13(bare);
    let (first, second) = (tenant(&server, &http, 1), tenant(&server, &http, 2));
    let (first, second) = (first.build().unwrap(), second.build().unwrap());
    let leads = tokio::spawn(async move { first.token().await });
    server.connected(1).await;
    server.now([metadata(&server), ok("t")]);
    let waits = tokio::spawn(async move { second.token().await });
    settle().await;
    assert_eq!(server.connections(), 1, "it waits for the first");
    leads.abort();
    assert_eq!(waits.await.unwrap().unwrap().expose_secret(), "t");
}

#[test]
fn metadata_is_fetched_by_another_runtime_when_one_is_blocked() {
    let server = Server::start([vec![Step::ReadReq, Step::Hang]]);
    let http = HttpClient::from_reqwest_0_13(bare);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let still = runtime();
    let first = tenant(&server, &http, 1).build().unwrap();
    still.block_on(async {
        let mut token = first.token();
        tokio::select! { _ = &mut token => {}, () = server.connected(1) => {} }
    });
    server.now([metadata(&server), ok("t")]);
    let second = tenant(&server, &http, 2).limits(Limits::new().attempt_timeout(SOON));
    let second = second.build().unwrap();
    let token = runtime().block_on(second.token());
    assert_eq!(token.unwrap().expose_secret(), "t");
}

#[tokio::test]
async fn sources_share_metadata_only_if_they_share_the_http_client_and_the_rules() {
    let server = Server::start([]);
    server.now([metadata(&server), ok("t"), metadata(&server), ok("t")]);
    let (one, other) = (HttpClient::from_reqwest_0_13(bare), HttpClient::from_reqwest_0_13(bare));
    let first = tenant(&server, &one, 1).build().unwrap();
    first.token().await.unwrap();
    let second = tenant(&server, &other, 1).build().unwrap();
    second.token().await.unwrap();
    assert_eq!(fetches(&server), 2, "another way to the server");

    server.now([metadata(&server), ok("t")]);
    let pinned = tenant_of(Issuer::new(server.url("")).pin_token_endpoint_origin(server.url("")), &one, 1);
    pinned.build().unwrap().token().await.unwrap();
    assert_eq!(fetches(&server), 3, "other rules");
}

#[test]
fn sources_that_share_an_http_client_build_one_client_for_each_use() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let http = HttpClient::from_reqwest_0_13(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        bare()
    });
    let at = |endpoint: &str| ClientCredentials::builder(endpoint, ClientAuth::none("x")).http_client(http.clone());
    let mut sources: Vec<_> = (0..100).map(|n| at(&format!("https://{n}.example/token")).build().unwrap()).collect();
    assert_eq!(made.load(Ordering::SeqCst), 1);
    sources.push(at("http://127.0.0.1/token").build().unwrap());
    assert_eq!(made.load(Ordering::SeqCst), 2, "without TLS");
    sources.push(at("https://x.example/").limits(Limits::new().connect_timeout(SOON)).build().unwrap());
    assert_eq!(made.load(Ordering::SeqCst), 3, "with another timeout");
    sources.push(at("https://y.example/").build().unwrap());
    assert_eq!(made.load(Ordering::SeqCst), 3);
}

#[test]
fn a_builder_and_its_clones_build_one_client() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let template = ClientCredentials::builder("https://auth.example/token", ClientAuth::none("x")).http_client(
        HttpClient::from_reqwest_0_13(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            bare()
        }),
    );
    let sources: Vec<_> = (0..100).map(|n| template.clone().scope(format!("s{n}")).build().unwrap()).collect();
    assert_eq!(made.load(Ordering::SeqCst), 1);
    drop(sources);
}

#[tokio::test]
async fn fetches_are_counted_by_their_cause_and_token_requests_as_they_are_sent() {
    let server = Server::start([json(503, "{}"), ok("t1"), ok("t2")]);
    let builder = |server: &Server| {
        ClientCredentials::builder(server.url("/token"), basic())
            .http_client(HttpClient::from_reqwest_0_13(bare))
            .retry(RetryPolicy::new().backoff(Backoff::new(MOMENT, MOMENT)))
            .cache(
                CachePolicy::new()
                    .denied_backoff(Backoff::new(MOMENT, MOMENT))
                    .due_backoff(Backoff::new(MOMENT, MOMENT)),
            )
    };
    let count = |tokens: &ClientCredentials| {
        let fetches = tokens.fetches();
        (fetches.cold, fetches.refresh, fetches.after_rejection, tokens.token_requests())
    };
    let tokens = builder(&server).build().unwrap();
    assert_eq!(count(&tokens), (0, 0, 0, 0));
    let first = tokens.token().await.unwrap();
    assert_eq!(count(&tokens), (1, 0, 0, 2), "the first attempt failed");
    tokens.reject(&first);
    assert_eq!(tokens.token().await.unwrap().expose_secret(), "t2");
    assert_eq!(count(&tokens), (1, 0, 1, 3));
    assert_eq!(tokens.token_requests(), server.hits() as u64);

    // Due at once, and usable for an hour.
    let server = Server::start([ok("t1"), json(429, "{}"), ok("t3")]);
    let tokens = builder(&server)
        .cache(CachePolicy::new().max_age(MOMENT).denied_backoff(Backoff::new(MOMENT, MOMENT)))
        .build()
        .unwrap();
    while server.hits() < 3 {
        tokens.token().await.unwrap();
        tokio::time::sleep(MOMENT).await;
    }
    let (cold, refresh, after_rejection, requests) = count(&tokens);
    assert_eq!((cold, after_rejection), (1, 0));
    assert!(refresh >= 2 && requests >= 3, "the one that was throttled counts too");
}

#[tokio::test]
async fn the_quota_of_the_server_is_readable_from_a_token_and_from_an_error() {
    let with = |status, remaining| {
        let limit = format!("b=per_hour;q=10;r={remaining};t=3540,b=per_day;q=50;r=47;t=43200");
        let body = r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#;
        answer(status, &[("Auth0-Client-Quota-Limit", &limit)], body)
    };
    let server = Server::start([with(429, 0), json(503, "{}"), with(200, 9)]);
    let tokens = ClientCredentials::builder(server.url("/token"), basic())
        .http_client(HttpClient::from_reqwest_0_13(bare))
        .retry(RetryPolicy::new().attempts(1))
        .cache(
            CachePolicy::new()
                .expired_backoff(Backoff::new(MOMENT, MOMENT))
                .denied_backoff(Backoff::new(MOMENT, MOMENT))
                .expired_retry_after_limit(MOMENT),
        )
        .build()
        .unwrap();
    assert_eq!((tokens.quota(), tokens.status().quota), (None, None));
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Throttled);
    assert_eq!(tokens.quota().unwrap().remaining(), Some(0));
    tokio::time::sleep(20 * MOMENT).await;
    assert!(tokens.token().await.is_err(), "a proxy, which says nothing");
    let quota = tokens.quota().unwrap();
    let limit = quota.header("auth0-client-quota-limit").unwrap();
    assert!(limit.starts_with("b=per_hour;q=10;r=0;t=3540,"), "{limit}");
    tokio::time::sleep(20 * MOMENT).await;
    tokens.token().await.unwrap();
    assert_eq!(tokens.quota().unwrap().remaining(), Some(9));

    // The status has it, too.
    let status = tokens.status();
    assert_eq!(status.quota, tokens.quota());
    assert!(status.to_string().ends_with("quota: 9 left"), "{status}");
    #[cfg(feature = "serde")]
    {
        let status = serde_json::to_value(status).unwrap();
        assert_eq!(status["quota"]["remaining"], 9);
        let limit = status["quota"]["headers"]["auth0-client-quota-limit"].as_str().unwrap();
        assert!(limit.starts_with("b=per_hour;q=10;r=9;"), "{limit}");
    }
}

//! From the start of a server to its end.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{ClientAuth, ClientCredentials, ManualClock, Readiness, RetryPolicy};

fn tokens(server: &AuthorizationServer) -> ClientCredentials {
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    ClientCredentials::builder(server.token_url(), auth).build().unwrap()
}

#[test]
fn it_serves_without_a_runtime_of_the_test_and_ends_with_its_last_handle() {
    let server = AuthorizationServer::start();
    let addresses = [server.issuer(), server.api_origin()].map(|url| url.strip_prefix("http://").unwrap().to_owned());
    assert_ne!(addresses[0], addresses[1], "two origins");
    for address in &addresses {
        TcpStream::connect(address).unwrap();
    }
    let clone = server.clone();
    drop(server);
    TcpStream::connect(&addresses[0]).unwrap();
    drop(clone);
    for address in &addresses {
        assert!(TcpStream::connect(address).is_err(), "the port is closed");
    }
}

#[test]
fn a_connection_that_hangs_does_not_keep_it_alive() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Hang);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let source = tokens(&server);
    let waiting = runtime.spawn(async move { source.token().await.is_err() });
    runtime.block_on(server.received(Endpoint::Token, 1));
    drop(server);
    runtime.shutdown_background();
    drop(waiting);
}

#[tokio::test(start_paused = true)]
async fn it_serves_under_a_paused_clock_while_nothing_waits_for_time() {
    let server = AuthorizationServer::start();
    server.received(Endpoint::Token, 0).await;
    // Blocking, so that tokio does not consider the runtime idle and advance the time, which a test with real sockets
    // must avoid.
    let url = server.token_url().to_owned();
    let address = url.strip_prefix("http://").unwrap().split_once('/').unwrap().0.to_owned();
    use std::io::{Read, Write};
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(b"GET /token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    server.answered(Endpoint::Token, 1).await;
}

#[tokio::test]
async fn a_refresh_in_the_background_is_awaited_without_a_sleep() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().clock(&clock);
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    let source = ClientCredentials::builder(server.token_url(), auth).clock(&clock).build().unwrap();
    let first = source.token().await.unwrap();
    clock.advance(Duration::from_secs(3500));
    assert_eq!(source.token().await.unwrap().expose_secret(), first.expose_secret(), "still good");
    source.settled().await;
    clock.advance(Duration::from_secs(200));
    assert_ne!(source.token().await.unwrap().expose_secret(), first.expose_secret());
    assert_eq!(server.token_requests(), 2);
}

#[tokio::test]
async fn times_are_those_of_the_clock_that_it_was_given() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().clock(&clock).lifetime(Duration::from_secs(60));
    let token = tokens(&server).token().await.unwrap();
    let headers = [("authorization".parse().unwrap(), token.authorization())].into_iter().collect();
    clock.advance(Duration::from_secs(59));
    assert!(server.accepts(&headers));
    clock.advance(Duration::from_secs(1));
    assert!(!server.accepts(&headers));
    let response = reqwest::get(server.issuer()).await.unwrap();
    let date = httpdate::parse_http_date(response.headers()["date"].to_str().unwrap()).unwrap();
    let start = std::time::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
    assert_eq!(date.duration_since(start).unwrap(), Duration::from_secs(60));
    assert_eq!(server.requests().last().unwrap().at(), Duration::from_secs(60));
    let endless = AuthorizationServer::start().clock(&clock).endless();
    assert_eq!(tokens(&endless).token().await.unwrap().expires_at(), None);
}

#[tokio::test]
async fn a_test_that_fails_prints_the_story() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "life::fails_in_a_child"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success());
    let line = "0.000 s  POST /token  client \"billing\" by client_secret_basic  ->  200, token 1 for 3600 s";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("a secret"), "{text}");
}

/// Set where the test below is to fail.
const CHILD: &str = "KIT_TEST_CHILD";

#[test]
fn fails_in_a_child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().client("billing", "a secret").clock(&clock);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokens(&server).token()).unwrap();
    panic!("as a test does");
}

#[test]
fn a_mistake_in_the_test_is_reported() {
    let server = AuthorizationServer::start();
    let told = catch_unwind(AssertUnwindSafe(|| server.rotate_secret("billing", "new"))).unwrap_err();
    assert_eq!(told.downcast_ref::<String>().unwrap(), "there is no client \"billing\" with a secret");
    let start = AuthorizationServer::start();
    assert_eq!(start.story().lines().nth(1), Some("  nothing"));
}

#[tokio::test]
async fn extreme_times_and_texts_cause_no_failure() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().clock(&clock).lifetime(Duration::MAX).api_scope("a \"b\\\u{e9}\n");
    let token = tokens(&server).token().await.unwrap();
    let request = reqwest::Client::new().get(server.api_origin()).header("authorization", token.authorization());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["www-authenticate"], r#"Bearer error="insufficient_scope", scope="a \"b\\??""#);
    clock.set_wall(|_| Duration::MAX);
    server.next(Answer::RetryAfter(Duration::MAX)).next(Answer::Status(0));
    for status in [Some(429), None] {
        let answer = reqwest::Client::new().post(server.token_url()).send().await;
        assert_eq!(answer.ok().map(|answer| answer.status().as_u16()), status);
    }
    assert_eq!(reqwest::get(server.token_url()).await.unwrap().status(), 405, "it lives on");
}

/// As in the guide `docs::operating`: nothing else calls while the service gets no traffic.
#[tokio::test]
async fn a_probe_brings_a_service_without_traffic_back() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().clock(&clock);
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    let builder = ClientCredentials::builder(server.token_url(), auth).clock(&clock);
    let tokens = builder.retry(RetryPolicy::new().attempts(1)).build().unwrap();
    let probe = || {
        let is_down = tokens.status().readiness() == Readiness::Down;
        if is_down {
            let _ = tokens.token().now_or_never();
        }
        !is_down
    };
    server.until_changed(Answer::Status(503));
    assert!(tokens.token().await.is_err());
    for _ in 0..100 {
        assert!(!probe());
    }
    assert_eq!(server.token_requests(), 1, "within the backoff a probe costs nothing");
    server.until_changed(Answer::Token);
    clock.advance(Duration::from_secs(30));
    assert!(!tokens.status().to_string().contains("fresh"), "status() starts nothing");
    assert!(!probe());
    tokens.settled().await;
    assert!(probe());
    assert_eq!(server.token_requests(), 2);
}

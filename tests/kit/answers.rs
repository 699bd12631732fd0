//! Each answer has the meaning of its name, for this crate and for another client.

use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, Gate};
use client_credentials::{
    ClientAuth, ClientCredentials, ClientCredentialsBuilder, ErrorKind, ManualClock, RetryPolicy,
};

fn builder(server: &AuthorizationServer) -> ClientCredentialsBuilder {
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    ClientCredentials::builder(server.token_url(), auth).retry(RetryPolicy::new().attempts(1))
}

/// Kind, status and whether it is transient, of the error that this answer leads to.
async fn verdict(answer: Answer) -> (ErrorKind, Option<u16>, bool) {
    let server = AuthorizationServer::start();
    server.next(answer);
    let error = builder(&server).build().unwrap().token().await.unwrap_err();
    (error.kind(), error.status().map(|status| status.as_u16()), error.is_transient())
}

#[tokio::test]
async fn each_answer_leads_to_its_kind_of_error() {
    use ErrorKind::*;
    let page =
        http::Response::builder().status(418).header("x-tea", "green").body("short and stout".to_owned()).unwrap();
    for (answer, kind, status, transient) in [
        (Answer::Refuse("invalid_client"), Denied, Some(401), false),
        (Answer::Refuse("invalid_scope"), Denied, Some(400), false),
        (Answer::Status(503), Response, Some(503), true),
        (Answer::RetryAfter(Duration::from_millis(29_001)), Throttled, Some(429), true),
        (Answer::Reset, Transport, None, true),
        (Answer::Torn, Transport, None, true),
        (Answer::Html, Response, Some(200), true),
        (Answer::Body("{}".to_owned()), Response, Some(200), false),
        (Answer::Response(page), Response, Some(418), false),
    ] {
        let told = format!("{answer:?}");
        assert_eq!(verdict(answer).await, (kind, status, transient), "{told}");
    }
}

#[tokio::test]
async fn retry_after_is_rounded_up() {
    let server = AuthorizationServer::start();
    server.next(Answer::RetryAfter(Duration::from_millis(29_001)));
    let error = builder(&server).build().unwrap().token().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_delay_takes_real_time_and_the_ordinary_answer_follows() {
    let clock = ManualClock::new();
    let server = AuthorizationServer::start().client("billing", "another secret").clock(&clock);
    let delay = Duration::from_millis(200);
    server.next(Answer::Delay(delay));
    let start = std::time::Instant::now();
    let error = builder(&server).build().unwrap().token().await.unwrap_err();
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
    assert_eq!(error.oauth().unwrap().code(), "invalid_client", "the request is checked");
}

#[tokio::test]
async fn a_server_that_hangs_is_abandoned_at_the_clients_timeout_and_the_story_shows_it() {
    let server = AuthorizationServer::start();
    server.next(Answer::Hang);
    let tokens = builder(&server).build().unwrap();
    let asked = tokio::spawn(async move { tokens.token().await });
    server.received(Endpoint::Token, 1).await;
    // The timeout passes at once, but only now.
    tokio::time::pause();
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::Transport);
    assert!(server.story().contains("no answer yet"), "{}", server.story());
    assert_eq!(server.requests()[0].status(), None);
}

#[tokio::test]
async fn a_gate_holds_a_token_until_it_is_opened() {
    let server = AuthorizationServer::start();
    let gate = Gate::new();
    server.next(Answer::Held(gate.clone()));
    let tokens = builder(&server).build().unwrap();
    let waiting = tokio::spawn(async move { tokens.token().await });
    server.received(Endpoint::Token, 1).await;
    assert!(!waiting.is_finished());
    assert_eq!(server.tokens_issued(), 0);
    gate.open();
    waiting.await.unwrap().unwrap();
    server.answered(Endpoint::Token, 1).await;
    assert_eq!(server.tokens_issued(), 1);
}

#[tokio::test]
async fn answers_come_in_order_and_then_the_standing_one() {
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Status(500));
    server.next(Answer::Status(502)).next(Answer::Token).next_at(Endpoint::Api, Answer::Status(501));
    let http = reqwest::Client::new();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let request = crate::post_form(server.token_url(), &[("grant_type", "client_credentials")]);
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [502, 200, 500, 500]);
    assert_eq!(http.get(server.api_origin()).send().await.unwrap().status(), 501);
    assert_eq!(http.get(server.api_origin()).send().await.unwrap().status(), 401);
    let answered: Vec<_> = server.requests().iter().map(|request| request.status().unwrap()).collect();
    assert_eq!(answered, [502, 200, 500, 500, 501, 401]);
}

#[tokio::test]
async fn a_truncated_body_arrives_in_part() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = AuthorizationServer::start();
    server.until_changed(Answer::Torn);
    let address = server.issuer().strip_prefix("http://").unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let form = "grant_type=client_credentials";
    let request = format!(
        "POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    socket.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(body.starts_with("{\"access_token\"") && body.len() < length.parse().unwrap(), "{response}");
}

#[tokio::test]
async fn a_reset_is_a_reset_and_not_an_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = AuthorizationServer::start();
    server.next(Answer::Reset);
    let mut socket = tokio::net::TcpStream::connect(server.issuer().strip_prefix("http://").unwrap()).await.unwrap();
    socket.write_all(b"POST /token HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_api_can_be_scripted_too() {
    let server = AuthorizationServer::start().serve_at("/invoices", r#"[{"id":1}]"#);
    let token = builder(&server).build().unwrap().token().await.unwrap();
    let http = reqwest::Client::new();
    let url = format!("{}/invoices", server.api_origin());
    let get = || http.get(&url).header("authorization", token.authorization()).send();
    assert_eq!(get().await.unwrap().text().await.unwrap(), r#"[{"id":1}]"#);
    server
        .next_at(Endpoint::Api, Answer::Refuse("insufficient_scope"))
        .next_at(Endpoint::Api, Answer::Refuse("invalid_token"));
    let refused = get().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["www-authenticate"], "Bearer error=\"insufficient_scope\"");
    assert_eq!(get().await.unwrap().status(), 401);
    assert_eq!(get().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_answer_may_depend_on_the_request() {
    let server = AuthorizationServer::start();
    let reads = std::sync::atomic::AtomicUsize::new(0);
    server.answer_by(Endpoint::Token, move |request| match request.param("scope") {
        Some("read") if reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => Answer::Token,
        Some("write") => panic!("the decision of a test"),
        _ => Answer::Status(503),
    });
    let ask = async |scope: &str| {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let answer = crate::post_form(server.token_url(), &form).send().await;
        answer.map(|answer| answer.status().as_u16()).ok()
    };
    assert_eq!((ask("read").await, ask("read").await, ask("write").await), (Some(200), Some(503), None));
    server.next(Answer::Token);
    assert_eq!((ask("read").await, ask("read").await), (Some(200), Some(503)), "what is next goes first");
}

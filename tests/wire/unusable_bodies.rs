//! Responses that are no success, and whose body is cut, damaged, too large or never ends (T31); responses whose head is
//! too large (T32).

use std::io::Write;
use std::time::Duration;

use client_credentials::{Backoff, ClientAuth, ClientCredentials, ErrorKind, Issuer, Limits, RetryPolicy};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::canary::SECRET;
use crate::harness::server::{Server, Step, raw};
use crate::story::{Failure, MOMENT, SOON, builder, expect_failure};

fn gzip(plain: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(plain.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// The end of a response whose body cannot be used, or only in part, and what an error says about it.
fn unusable_bodies() -> Vec<(&'static str, Step)> {
    let body = |headers: &str, body: &[u8]| Step::Write([headers.as_bytes(), b"\r\n\r\n", body].concat());
    let packed = gzip("busy");
    let labelled = |bytes: &[u8]| body(&format!("content-encoding: gzip\r\ncontent-length: {}", bytes.len()), bytes);
    let large = "x".repeat(300_000);
    vec![
        ("broke off", body("content-length: 100", b"bu")),
        ("broke off", body("transfer-encoding: chunked", b"2\r\nbu\r\n")),
        ("broke off", body("transfer-encoding: chunked", b"x\r\nbu\r\n")),
        ("is larger than 262144 bytes", body("content-length: 300000", large.as_bytes())),
        ("is larger than 262144 bytes", body("connection: close", large.as_bytes())),
        ("is damaged", labelled(b"busy")),
        ("is damaged", labelled(packed.get(..packed.len() - 9).unwrap())),
        ("is larger than 262144 bytes", labelled(&gzip(&large))),
        (
            "has both a length and a transfer encoding",
            body("content-length: 2\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
        ),
    ]
}

#[tokio::test]
async fn a_refusal_whose_body_is_unusable_keeps_its_status_and_headers() {
    // T31
    use ErrorKind::{Denied, Response, Throttled};
    for (flaw, end) in unusable_bodies() {
        for (status, wait, kind, transient, attempts) in [
            (429, Some(30), Throttled, true, 1),
            (429, None, Throttled, true, 1),
            (503, Some(30), Response, true, 1),
            (500, None, Response, true, 2),
            // Its code is lost, which may have been a temporary one.
            (400, None, Response, true, 2),
            (401, None, Denied, false, 1),
            (403, None, Denied, false, 1),
            (302, None, Response, false, 1),
        ] {
            let head = format!("HTTP/1.1 {status} No\r\n");
            let wanted = wait.map_or(String::new(), |wait| format!("retry-after: {wait}\r\n"));
            let server = Server::start([vec![Step::ReadReq, Step::write(head + &wanted), end.clone()]]);
            let tokens = builder(&server).retry(RetryPolicy::new().attempts(2).backoff(Backoff::new(MOMENT, MOMENT)));
            let failure = Failure { kind, transient, status: Some(status), attempts };
            let row = format!("{status}: {flaw}");
            let error = expect_failure(&row, &tokens.build().unwrap(), &failure).await;
            assert_eq!(error.retry_after().map(|wait| wait.as_secs()), wait, "{row}");
            assert_eq!(server.hits(), attempts, "{row}");
            for part in [format!("status {status}"), format!("the body of the response {flaw}")] {
                assert!(error.to_string().contains(&part), "{row}: {part}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_whose_body_does_not_end_keeps_its_status_and_headers() {
    // T31
    for (status, kind) in [(429, ErrorKind::Throttled), (401, ErrorKind::Denied), (503, ErrorKind::Response)] {
        let head = format!("HTTP/1.1 {status} No\r\nretry-after: 30\r\ncontent-length: 100\r\n\r\nbu");
        let server = Server::start([vec![Step::ReadReq, Step::write(head), Step::Hang]]);
        let tokens = builder(&server).limits(Limits::new().attempt_timeout(SOON)).retry(RetryPolicy::new().attempts(1));
        let tokens = tokens.build().unwrap();
        // As many attempts as a slow machine needs until the head arrives in time.
        let error = loop {
            match tokens.token().await {
                Err(error) if error.status().is_some() => break error,
                other => assert!(other.is_err()),
            }
        };
        assert_eq!((error.kind(), error.retry_after()), (kind, Some(Duration::from_secs(30))), "{error}");
        assert!(error.to_string().contains("the body of the response was not complete within 300ms"), "{error}");
    }
}

#[tokio::test]
async fn what_is_whole_of_a_broken_refusal_counts_and_the_rest_is_not_shown() {
    // T31: a code, a page; the text may end within an echo of the secret
    let half = SECRET.get(..12).unwrap();
    for (status, body, kind, code, transient) in [
        (
            400,
            format!(r#"{{"error":"invalid_client","error_description":"not {half}"#),
            ErrorKind::Denied,
            Some("invalid_client"),
            false,
        ),
        (400, format!("you sent {half}"), ErrorKind::Response, None, true),
        (403, format!("<!doctype html><title>Blocked: {half}"), ErrorKind::Response, None, true),
    ] {
        let cut = raw(format!("HTTP/1.1 {status} No\r\ncontent-length: 1000\r\n\r\n{body}"));
        let server = Server::start([cut]);
        let tokens = builder(&server).retry(RetryPolicy::new().attempts(1)).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error}");
        assert_eq!(error.oauth().map(|oauth| oauth.code()), code, "{error}");
        assert!(!format!("{error} {error:#} {error:?}").contains(half), "{error}");
    }
}

#[tokio::test]
async fn metadata_with_an_unusable_body_keeps_its_status_and_its_wait() {
    // T31
    for (status, kind) in [(429, ErrorKind::Throttled), (503, ErrorKind::Response)] {
        let cut = raw(format!("HTTP/1.1 {status} No\r\nretry-after: 30\r\ncontent-length: 100\r\n\r\nbu"));
        let server = Server::start([cut]);
        let auth = ClientAuth::client_secret_basic("billing", SECRET);
        let error = ClientCredentials::builder(Issuer::new(server.url("")), auth).build().unwrap();
        let error = error.token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, true), "{error}");
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(30), "{error}");
        assert!(error.to_string().contains(&format!("status {status}; the body of the response broke off")), "{error}");
    }
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_reported_as_one() {
    // T32
    for (head, said, is_https) in [
        (format!("200 OK\r\n{}", "x: y\r\n".repeat(200)), "sent too many headers, or too large ones", false),
        (format!("200 OK\r\nx: {}\r\n", "y".repeat(1 << 20)), "sent too many headers, or too large ones", false),
        ("200 OK\r\nx y\r\n".to_owned(), "gave no valid response (", false),
        ("200 OK\r\ncontent-length: x\r\n".to_owned(), "gave no valid response (", false),
        ("2x0 OK\r\n".to_owned(), "gave no valid response (", false),
        ("200 OK\r\nx: ".to_owned(), "is the port one for https?", true),
    ] {
        let ends = if is_https { "" } else { "content-length: 0\r\n\r\n" };
        let server = Server::start([raw(format!("HTTP/1.1 {head}{ends}"))]);
        let tokens = builder(&server).retry(RetryPolicy::new().attempts(1)).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, true), "{error}");
        let text = error.to_string();
        let shown = head.get(..20).unwrap_or(&head);
        assert!(text.contains(said) && text.contains("is the port one for https?") == is_https, "{shown}: {text}");
    }
}

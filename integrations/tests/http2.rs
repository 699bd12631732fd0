//! Token requests over HTTP/2, for users whose reqwest has the feature `http2` and who choose it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../../tests/harness/mod.rs"]
mod harness;
#[allow(dead_code, unexpected_cfgs, reason = "shared with the tests over HTTP/1.1")]
#[path = "../../tests/wire/story.rs"]
mod story;

use std::time::Duration;

use client_credentials::{ErrorKind, HttpClient, Limits, RetryPolicy};
use harness::canary::{self, TOKEN};
use harness::server::{Script, Server, Step, token_json};
use story::{Failure, SOON, bare, basic, builder, builder_with, expect_failure, post, recovers};

fn http2() -> HttpClient {
    HttpClient::from_reqwest_0_13(|| bare().http2_prior_knowledge())
}

/// An HTTP/2 frame on a stream.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, stream];
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn a_failure_of_the_connection_is_tried_again_and_counted() {
    // T26, T27: nothing is repeated without being counted
    let (data, headers, reset, settings, go_away) = (0, 1, 3, 4, 7);
    let greeting = || [frame(settings, 0, 0, &[]), frame(settings, 1, 0, &[])].concat();
    let status_200 = || frame(headers, 4, 1, &[0x88]);
    let after_request =
        |frames: Vec<Vec<u8>>| vec![Step::ReadH2Req, Step::Write(greeting()), Step::Write(frames.concat())];
    let body = token_json(TOKEN, 3600);
    let half = frame(data, 0, 1, &body.as_bytes()[..20]);
    let rows: Vec<(&str, Script)> = vec![
        (
            "T26 GOAWAY before the request",
            vec![Step::Write([greeting(), frame(go_away, 0, 0, &[0; 8])].concat()), Step::Hang],
        ),
        ("T26 GOAWAY", [after_request(vec![frame(go_away, 0, 0, &[0; 8])]), vec![Step::Hang]].concat()),
        ("T26 REFUSED_STREAM", [after_request(vec![frame(reset, 0, 1, &[0, 0, 0, 7])]), vec![Step::Hang]].concat()),
        (
            "T27 RST in the body",
            [after_request(vec![status_200(), half, frame(reset, 0, 1, &[0, 0, 0, 2])]), vec![Step::Hang]].concat(),
        ),
        (
            "T27 empty DATA without end",
            [
                after_request(vec![status_200()]),
                vec![Step::Repeat(vec![
                    Step::Write(frame(data, 0, 1, &[]).repeat(8)),
                    Step::Sleep(Duration::from_millis(2)),
                ])],
            ]
            .concat(),
        ),
    ];
    let failure = Failure { kind: ErrorKind::Transport, transient: true, status: None, attempts: 2 };
    for (row, script) in rows {
        let server = Server::start([script]);
        let tokens = builder(&server)
            .limits(Limits::new().attempt_timeout(SOON))
            .retry(RetryPolicy::new().attempts(2))
            .http_client(http2())
            .build()
            .unwrap();
        expect_failure(row, &tokens, &failure).await;
        server.connected(failure.attempts).await;
        assert_eq!(server.connections(), failure.attempts, "{row}");
        let whole = frame(data, 1, 1, body.as_bytes());
        server.now([[after_request(vec![status_200(), whole]), vec![Step::Hang]].concat()]);
        recovers(row, &tokens).await;
    }
}

#[tokio::test]
async fn nothing_that_is_logged_shows_a_secret() {
    // L01, L02: every target at TRACE, that of the HTTP/2 implementation too
    canary::watch();
    for auth in [basic(), post()] {
        let server = Server::start([vec![Step::ReadH2Req, Step::Write(vec![0; 9]), Step::Fin]]);
        let tokens = builder_with(&server.url("/token"), auth).http_client(http2()).build().unwrap();
        assert!(tokens.token().await.is_err());
        assert_eq!(server.connections(), 3, "one for each attempt");
    }
    let seen: Vec<_> = canary::said().into_iter().filter(|(_, text)| canary::found(text).is_some()).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

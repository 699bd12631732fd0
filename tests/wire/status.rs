//! Family S: the meaning of a response's status, and of an OAuth error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use client_credentials::{
    Backoff, CachePolicy, ClientAuth, ClientCredentialsBuilder, Credential, ErrorKind, HttpClient, RetryPolicy,
};

use crate::harness::canary::{OTHER, SECRET, TOKEN, assert_no_canary, found, render_all};
use crate::harness::server::{Gate, Server, Step, answer, json, ok, response, token_json};
use crate::story::{
    Failure, as_it_is, bare, basic, builder, builder_with, expect_failure, fails, mended, post, recovers,
};

fn response_failure(status: u16, transient: bool) -> Failure {
    Failure { kind: ErrorKind::Response, transient, status: Some(status), attempts: if transient { 3 } else { 1 } }
}

fn denied(status: u16) -> Failure {
    Failure { kind: ErrorKind::Denied, transient: false, status: Some(status), attempts: 1 }
}

fn oauth(code: &str) -> String {
    format!(r#"{{"error":"{code}","error_description":"says the server"}}"#)
}

#[tokio::test]
async fn a_transient_server_error_is_retried() {
    // S01, S05
    for status in [408, 425, 500, 502, 503, 504, 507, 599] {
        for body in ["", "<html>oh no</html>", r#"{"message":"internal"}"#] {
            let row = format!("{status} {body}");
            mended(&row, answer(status, &[], body), as_it_is).await;
        }
        fails("S01", answer(status, &[], ""), response_failure(status, true), as_it_is).await;
    }
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_inside_the_fetch() {
    // S02: zero, so that nothing has to wait
    mended("S02", answer(503, &[("retry-after", "0")], ""), as_it_is).await;
}

#[tokio::test]
async fn a_long_retry_after_ends_the_fetch_and_is_reported() {
    // S02: seconds, a date against the server's own clock, a date against ours, nonsense
    let now = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    for (headers, waits) in [
        (vec![("retry-after", "7")], 7..=7),
        (vec![("retry-after", " 7 ")], 7..=7),
        (vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:44 GMT")], 7..=7),
        (vec![("retry-after", "18446744073709551615")], 24 * 3600..=24 * 3600),
        (vec![("retry-after", &now)], 1..=3600),
    ] {
        let server = Server::start([answer(503, &headers, "")]);
        let tokens = builder(&server).build().unwrap();
        let failure = response_failure(503, true);
        let error = expect_failure("S02", &tokens, &failure).await;
        let told = error.retry_after().unwrap().as_secs();
        assert!(waits.contains(&told), "{headers:?}: {told}");
        assert_eq!(server.hits(), 1, "no attempt before its time: {headers:?}");
        // All others fail at once until then.
        for _ in 0..100 {
            let again = tokens.token().now_or_never().unwrap().unwrap_err();
            assert_eq!(again.retry_after(), error.retry_after());
        }
        assert_eq!(server.hits(), 1, "{headers:?}");
    }
    for nonsense in ["soon", "-1", "1e3", ""] {
        mended(nonsense, answer(503, &[("retry-after", nonsense)], ""), as_it_is).await;
    }
}

#[tokio::test]
async fn a_throttled_client_sends_one_request_for_all_its_callers() {
    // S04
    for (headers, wait) in [(vec![("retry-after", "60")], Some(60)), (vec![], None)] {
        for body in [String::new(), oauth("slow_down"), oauth("invalid_client")] {
            let gate = Gate::closed();
            let server = Server::start([vec![
                Step::ReadReq,
                Step::Pass(gate.clone()),
                Step::Write(response(429, &headers, &body)),
            ]]);
            let backoff = Duration::from_secs(3600);
            let tokens = builder(&server)
                .cache(CachePolicy::new().denied_backoff(Backoff::new(backoff, backoff)))
                .build()
                .unwrap();
            let callers: Vec<_> = (0..100)
                .map(|_| {
                    let tokens = tokens.clone();
                    tokio::spawn(async move { tokens.token().await.unwrap_err() })
                })
                .collect();
            server.hit(1).await;
            gate.open();
            for caller in callers {
                let error = caller.await.unwrap();
                assert_eq!(error.kind(), ErrorKind::Throttled);
                assert!(error.is_transient());
                assert_eq!(error.status().map(|s| s.as_u16()), Some(429));
                assert_eq!(error.retry_after().map(|wait| wait.as_secs()), wait);
            }
            assert!(tokens.token().now_or_never().is_some_and(|r| r.is_err()), "nor later");
            assert_eq!(server.hits(), 1);
        }
    }
}

#[tokio::test]
async fn a_quota_header_says_when_the_window_ends() {
    // S04: Auth0, Okta
    for name in ["x-ratelimit-reset", "x-rate-limit-reset"] {
        let headers = [("date", "Fri, 01 Jan 2027 00:00:00 GMT"), (name, "1798761630")];
        let server = Server::start([answer(429, &headers, "")]);
        let error = builder(&server).build().unwrap().token().await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)), "{name}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_error_and_its_target_gets_no_request() {
    // S06, S07, S08, F13: by each method, same and other origin, willing client or not
    let hostile: fn() -> reqwest::ClientBuilder =
        || bare().redirect(reqwest::redirect::Policy::limited(10)).referer(true);
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        for auth in [basic(), post()] {
            for client in [bare, hostile] {
                let evil = Server::start([ok(TOKEN)]);
                let there = evil.url(&format!("/collect?code={OTHER}"));
                let same = format!("/elsewhere?code={OTHER}");
                for target in [&*there, &same] {
                    let good = Server::start([answer(status, &[("location", target)], "")]);
                    let tokens = builder_with(&good.url("/token"), auth.clone())
                        .http_client(HttpClient::from_reqwest_0_13(client))
                        .build()
                        .unwrap();
                    let error = expect_failure("S06", &tokens, &response_failure(status, false)).await;
                    assert_no_canary([render_all(&error)]);
                    assert!(error.to_string().contains("redirects are not followed"), "{error}");
                    assert_eq!(good.connections(), 1, "{status} {auth:?}");
                    assert_eq!(good.requests()[0].line(), "POST /token HTTP/1.1");
                }
                assert_eq!(evil.connections(), 0, "{status} {auth:?}: no byte to the other origin");
            }
        }
    }
}

/// A secret that changes with each reading, for so many readings.
fn counted(secrets: &'static [&'static str]) -> (ClientAuth, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    let secret = Credential::from_fn(move || {
        let read = count.fetch_add(1, Ordering::SeqCst);
        let secret = secrets.get(read).or(secrets.last()).copied().unwrap();
        async move { Ok::<_, std::io::Error>(secret) }
    });
    (ClientAuth::client_secret_post("wire", secret), reads)
}

#[tokio::test]
async fn a_refused_client_reads_its_secret_once_more_and_does_not_repeat_the_request() {
    // S10: 400 and 401, whatever the code's wrapping
    for status in [400, 401, 403] {
        let (auth, reads) = counted(&[SECRET]);
        let refusal = answer(
            status,
            &[("www-authenticate", "Basic realm=\"x\""), ("content-type", "application/json")],
            oauth("invalid_client"),
        );
        let server = Server::start([refusal]);
        let tokens = builder_with(&server.url("/token"), auth).build().unwrap();
        let error = expect_failure("S10", &tokens, &denied(status)).await;
        assert_eq!(error.oauth().map(|oauth| oauth.code()), Some("invalid_client"));
        assert_eq!(error.oauth().and_then(|oauth| oauth.description()), Some("says the server"));
        assert_eq!(server.hits(), 1, "the same credential is not tried again");
        assert_eq!(reads.load(Ordering::SeqCst), 2, "it might have been rotated");
        server.now([ok(TOKEN)]);
        recovers("S10", &tokens).await;
    }
}

#[tokio::test]
async fn a_secret_that_changed_meanwhile_is_tried_at_once() {
    // S10, X02
    let (auth, reads) = counted(&["old", SECRET]);
    let server = Server::start([json(401, oauth("invalid_client")), ok(TOKEN)]);
    let tokens = builder_with(&server.url("/token"), auth).retry(RetryPolicy::new().attempts(1)).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().expose_secret(), TOKEN);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].body().ends_with("client_secret=old"));
    assert!(requests[1].body().ends_with(&format!("client_secret={SECRET}")));
    assert_eq!(reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_second_refusal_after_a_changed_secret_ends_the_fetch() {
    // S10: a credential that changes each time is not tried for ever
    let (auth, reads) = counted(&["one", "two", "three", "four"]);
    let server = Server::start([json(401, oauth("invalid_client"))]);
    let tokens = builder_with(&server.url("/token"), auth).build().unwrap();
    expect_failure("S10", &tokens, &denied(401)).await;
    assert_eq!(server.hits(), 2);
    assert_eq!(reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_oauth_error_about_the_request_is_not_repeated() {
    // S11, S15: with the status that the RFC says, with another, and with 200
    for code in [
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_grant",
        "invalid_target",
        "access_denied",
        "invalid_authorization_details",
        "invalid_client",
    ] {
        for status in [400, 401, 403, 500, 200] {
            let row = format!("S11 {code} {status}");
            let error = fails(&row, json(status, oauth(code)), denied(status), as_it_is).await;
            assert_eq!(error.oauth().map(|oauth| oauth.code()), Some(code), "{row}");
            assert!(error.to_string().contains(code), "{row}: {error}");
        }
    }
}

#[tokio::test]
async fn an_error_next_to_a_token_is_an_error() {
    // S15
    let both = format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","error":"invalid_client"}}"#);
    fails("S15", json(200, both), denied(200), as_it_is).await;
}

#[tokio::test]
async fn a_transient_oauth_error_is_retried() {
    // S12; with a 401 it is about the client (FB1)
    for code in ["temporarily_unavailable", "server_error", "slow_down"] {
        for status in [400, 503, 200] {
            let row = format!("S12 {code} {status}");
            mended(&row, json(status, oauth(code)), as_it_is).await;
            let error = fails(&row, json(status, oauth(code)), response_failure(status, true), as_it_is).await;
            assert_eq!(error.oauth().map(|oauth| oauth.code()), Some(code), "{row}");
        }
    }
}

#[tokio::test]
async fn an_unknown_code_is_other_and_kept() {
    // S13; with a 401 or 403 it is about the client (FB1)
    for (status, transient) in [(400, false), (500, true), (503, true)] {
        let failure = Failure {
            kind: ErrorKind::Other,
            transient,
            status: Some(status),
            attempts: if transient { 3 } else { 1 },
        };
        let error = fails("S13", json(status, oauth("AADSTS-7000215")), failure, as_it_is).await;
        assert_eq!(error.oauth().map(|oauth| oauth.code()), Some("AADSTS-7000215"));
    }
}

#[tokio::test]
async fn a_success_without_a_body_is_retried() {
    // S16
    for status in [200, 201, 202, 203, 205, 206] {
        mended("S16", answer(status, &[], ""), as_it_is).await;
        fails("S16", answer(status, &[], ""), response_failure(status, true), as_it_is).await;
    }
    let no_content = || vec![Step::ReadReq, Step::write("HTTP/1.1 204 No Content\r\n\r\n")];
    mended("S16", no_content(), as_it_is).await;
    fails("S16", no_content(), response_failure(204, true), as_it_is).await;
}

#[tokio::test]
async fn a_wrong_address_is_not_retried_within_the_call_but_is_later() {
    // S17
    for status in [400, 404, 405, 406, 410, 415, 418, 451, 499] {
        for body in ["", "<html>nothing here</html>", r#"{"error":{"code":7}}"#, r#"{"error":""}"#, r#"["error"]"#] {
            // A page from something in front of the server (FB9).
            if body.starts_with('<') && ![404, 405, 410, 415].contains(&status) {
                continue;
            }
            let row = format!("S17 {status} {body}");
            let is_page = body.starts_with("<html>") && !matches!(status, 404 | 405 | 410 | 415);
            let failure = match status {
                401 | 403 if !is_page => denied(status),
                _ => response_failure(status, is_page),
            };
            let error = fails(&row, answer(status, &[], body), failure, as_it_is).await;
            assert!(error.to_string().contains(&status.to_string()), "{row}: {error}");
            assert!(error.oauth().is_none(), "{row}");
        }
    }
}

#[tokio::test]
async fn any_2xx_with_a_token_is_a_success() {
    // S18
    for status in [200, 201, 202, 203, 206, 226, 299] {
        let server = Server::start([json(status, token_json(TOKEN, 3600))]);
        recovers("S18", &builder(&server).build().unwrap()).await;
        assert_eq!(server.hits(), 1, "{status}");
        let tokens = builder(&server).strict(true).build().unwrap();
        assert_eq!(tokens.token().await.is_ok(), status == 200, "{status}, strict");
    }
}

#[tokio::test]
async fn text_from_a_server_is_truncated_cleaned_and_masked() {
    // S20, L06: escapes, line breaks, bidi, long text, and an echo of the secret in every form in which it was sent
    let basic_pair = "d2lyZTpjYW5hcnk"; // how the pair begins in base64
    let echoes = [
        format!("wrong secret {SECRET}"),
        format!("{}{SECRET}", "x".repeat(240)),
        format!("{SECRET}{SECRET}"),
        format!("can\\u0000ary {}\\u0007{}", &SECRET[..9], &SECRET[9..]),
    ];
    for auth in [basic(), post()] {
        for text in &echoes {
            for field in ["error", "error_description", "error_uri"] {
                let body = format!(r#"{{"error":"invalid_client","{field}":"{text}"}}"#);
                // A second `error` member would make it invalid.
                let body = if field == "error" { format!(r#"{{"error":"{text}"}}"#) } else { body };
                let server = Server::start([json(400, body)]);
                let tokens = builder_with(&server.url("/token"), auth.clone()).build().unwrap();
                let error = tokens.token().await.unwrap_err();
                assert_no_canary([render_all(&error)]);
                // A sentence is not a code.
                assert!(error.oauth().is_some() || field == "error", "{}", render_all(&error));
            }
        }
        // The whole Authorization header.
        let server = Server::start([vec![Step::ReadReq]]);
        let _ = builder_with(&server.url("/token"), auth.clone())
            .retry(RetryPolicy::new().attempts(1))
            .build()
            .unwrap()
            .token()
            .await;
        if let [header] = server.requests()[0].header("authorization")[..] {
            assert!(header.contains(basic_pair) && found(header).is_some(), "the canary's eye sees base64");
            server.now([json(400, format!(r#"{{"error":"invalid_request","error_description":"got {header}"}}"#))]);
            let tokens = builder_with(&server.url("/token"), auth.clone()).build().unwrap();
            let error = tokens.token().await.unwrap_err();
            assert_no_canary([render_all(&error)]);
            assert!(!render_all(&error).contains(basic_pair));
        }
    }
    let loud = format!(
        r#"{{"error":"invalid_request","error_description":"\u001b[31mred\r\nX: y\u202e{}"}}"#,
        "z".repeat(100_000)
    );
    let server = Server::start([json(400, loud)]);
    let error = builder(&server).build().unwrap().token().await.unwrap_err();
    let description = error.oauth().unwrap().description().unwrap().to_owned();
    assert!(description.starts_with("[31mred X: yzzz"), "{description}");
    assert_eq!(description.chars().count(), 1024);
    assert!(render_all(&error).chars().all(|c| c == '\n' || !c.is_control()));
}

#[tokio::test]
async fn a_failed_fetch_is_shared_by_all_who_waited() {
    // C06: the side of the wire
    let gate = Gate::closed();
    let server = Server::start([
        vec![Step::ReadReq, Step::Pass(gate.clone()), Step::Write(response(503, &[], ""))],
        answer(503, &[], ""),
    ]);
    let long = Duration::from_secs(3600);
    let tokens = builder(&server).cache(CachePolicy::new().expired_backoff(Backoff::new(long, long))).build().unwrap();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await.unwrap_err() })
        })
        .collect();
    server.hit(1).await;
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap().status().map(|s| s.as_u16()), Some(503));
    }
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn a_request_has_the_shape_that_servers_expect() {
    // R24
    let cookie = [("set-cookie", "session=abc; Path=/")];
    let server = Server::start([answer(200, &cookie, token_json(TOKEN, 0))]);
    let auth = ClientAuth::client_secret_basic("s6BhdRkqt3", "gX1fBat3bV");
    let build = |builder: ClientCredentialsBuilder| builder.scopes(["a", "b"]).build().unwrap();
    let tokens = build(builder_with(&server.url("/token"), auth));
    // Without a lifetime each call is a request.
    for _ in 0..3 {
        tokens.token().await.unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        let mut headers = request.headers();
        headers.sort();
        let host = server.address().to_string();
        let expected = [
            ("accept", "application/json"),
            ("authorization", "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
            ("content-length", "39"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", &host),
            ("user-agent", concat!("client-credentials/", env!("CARGO_PKG_VERSION"))),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value)), "these, and no other");
        assert_eq!(request.line(), "POST /token HTTP/1.1");
        assert_eq!(request.body(), "grant_type=client_credentials&scope=a+b");
    }
}

//! Family B over the wire: bodies that are not tokens. `src/grant/response_tests.rs` tests them in detail.

use std::time::{Duration, SystemTime};

use client_credentials::{CachePolicy, ErrorKind, Limits};

use crate::harness::canary::{OTHER, TOKEN, assert_no_canary, render};
use crate::harness::server::{HANG_TIMEOUT, Server, answer, json, json_ok, raw, response, token_json};
use crate::story::{Failure, as_it_is, builder, fails, mended, recovers};

const UNUSABLE: Failure = Failure { kind: ErrorKind::Response, transient: false, status: Some(200), attempts: 1 };

#[tokio::test]
async fn a_page_instead_of_json_is_fetched_again() {
    // B01
    let page = "<!DOCTYPE html><title>Welcome to the hotel's network</title>";
    for label in ["text/html", "application/json"] {
        let portal = || answer(200, &[("content-type", label)], page);
        mended("B01", portal(), as_it_is).await;
        let lasting = Failure { transient: true, attempts: 3, ..UNUSABLE };
        fails("B01", portal(), lasting, as_it_is).await;
    }
}

#[tokio::test]
async fn a_body_cut_at_any_byte_is_never_a_token() {
    // B02: with the intended length, and with its own
    let whole = token_json(TOKEN, 3600);
    for end in 0..whole.len() {
        let row = format!("cut at {end}");
        mended(&row, answer(200, &[], &whole[..end]), as_it_is).await;
        let mut torn = response(200, &[], &whole);
        torn.truncate(torn.len() - whole.len() + end);
        mended(&row, raw(torn), as_it_is).await;
    }
}

#[tokio::test]
async fn a_response_that_a_retry_cannot_fix_is_not_fetched_again() {
    // B03, B04, B06, B13, B14, B15, B16, B17, B18, B20
    let big = "t".repeat(64 * 1024 + 1);
    for body in [
        format!(r#"{{"access_token":"a","access_token":"{TOKEN}"}}"#),
        format!(r#"{{"access_token":"{TOKEN}","expires_in":1,"expires_in":3600}}"#),
        format!(r#"{{"access_token":{{"value":"{TOKEN}"}}}}"#),
        format!(r#"{{"access_token":["{TOKEN}"]}}"#),
        format!(r#"{{"access_token":"{TOKEN}\r\nx-evil: 1"}}"#),
        format!(r#"{{"access_token":"{TOKEN}\u0000"}}"#),
        format!(r#"{{"access_token":" {TOKEN}"}}"#),
        format!(r#"{{"access_token":"{TOKEN}é"}}"#),
        r#"{"access_token":""}"#.to_owned(),
        format!(r#"{{"access_token":"{TOKEN}{big}"}}"#),
        format!(r#"{{"access_token":"{TOKEN}","token_type":"mac"}}"#),
        format!("\u{feff}{}", token_json(TOKEN, 3600)),
        format!("access_token={TOKEN}&token_type=bearer"),
        format!(r#"["{TOKEN}"]"#),
        r#"{"token_type":"Bearer"}"#.to_owned(),
    ] {
        let row = body.get(..60).unwrap_or(&body).to_owned();
        fails(&row, json(200, body), UNUSABLE, as_it_is).await;
    }
}

#[tokio::test]
async fn a_body_above_the_cap_is_not_kept() {
    // B16
    let huge = format!(r#"{{"access_token":"{}"}}"#, "t".repeat(1024 * 1024));
    fails("B16", json(200, huge), UNUSABLE, as_it_is).await;
    let long = "t".repeat(16 * 1024);
    let server = Server::start([json_ok(&long, 3600)]);
    let token = builder(&server).build().unwrap().token().await.unwrap();
    assert_eq!(token.expose_secret(), long);
    let tokens = builder(&server).limits(Limits::new().max_token_bytes(16 * 1024 - 1)).build().unwrap();
    assert!(tokens.token().await.is_err());
}

#[tokio::test]
async fn a_lifetime_in_a_string_is_a_lifetime() {
    // B07: between before and after the call, an hour later
    let body = format!(r#"{{"access_token":"{TOKEN}","expires_in":"3600"}}"#);
    let server = Server::start([json(200, body)]);
    // The coarse clock may lag by a tick.
    let hour = Duration::from_secs(3600);
    let before = SystemTime::now() - Duration::from_secs(1);
    let token = recovers("B07", &builder(&server).build().unwrap()).await;
    let expires = token.expires_at().unwrap();
    assert!(before + hour <= expires && expires <= SystemTime::now() + hour);
}

#[tokio::test]
async fn a_token_of_zero_lifetime_serves_its_own_waiters_only() {
    // B09
    for expires_in in ["0", "-1", "-0"] {
        let body = format!(r#"{{"access_token":"{TOKEN}","expires_in":{expires_in}}}"#);
        let server = Server::start([json(200, body)]);
        let tokens = builder(&server).build().unwrap();
        for call in 1..=3 {
            assert_eq!(tokens.token().await.unwrap().expose_secret(), TOKEN);
            assert_eq!(server.hits(), call, "{expires_in}: as many requests as fetches");
        }
    }
}

#[tokio::test]
async fn a_token_without_a_stated_lifetime_is_cached_but_not_for_ever() {
    // B10: it is refreshed by the default lifetime
    for member in [r#","expires_in":null"#, ""] {
        let body = format!(r#"{{"access_token":"{TOKEN}"{member}}}"#);
        let server = Server::start([json(200, body)]);
        let tokens = builder(&server).build().unwrap();
        for _ in 0..3 {
            let token = tokens.token().await.unwrap();
            assert_eq!(token.expires_at(), None, "nobody said");
        }
        assert_eq!(server.hits(), 1);
        let tokens =
            builder(&server).cache(CachePolicy::new().default_lifetime(Duration::from_nanos(1))).build().unwrap();
        let refreshed = async {
            while server.hits() < 3 {
                tokens.token().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANG_TIMEOUT, refreshed).await.unwrap();
    }
}

#[tokio::test]
async fn other_tokens_in_a_response_are_dropped() {
    // B23, I1
    let body = format!(
        r#"{{"access_token":"{TOKEN}","refresh_token":"{OTHER}","id_token":"{OTHER}","secret_member":"{OTHER}"}}"#
    );
    let server = Server::start([json(200, body)]);
    let tokens = builder(&server).build().unwrap();
    let token = recovers("B23", &tokens).await;
    assert_eq!(token.extra("refresh_token"), None);
    assert_eq!(token.extra("id_token"), None);
    assert_eq!(token.extra("secret_member").and_then(|v| v.as_str()), Some(OTHER));
    assert_no_canary([render(&token), render(&tokens)]);
}

#[tokio::test]
async fn the_requested_scope_applies_where_none_is_returned() {
    // B22
    let server = Server::start([json(200, token_json(TOKEN, 0))]);
    let tokens = builder(&server).scope("b a").scopes(["c"]).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().scope(), Some("b a c"));
    assert!(server.requests()[0].body().contains("scope=b+a+c"));
    server.now([json(200, format!(r#"{{"access_token":"{TOKEN}","scope":"a"}}"#))]);
    assert_eq!(tokens.token().await.unwrap().scope(), Some("a"));
    let tokens = builder(&server).scope("a b").refuse_narrower_scope(true).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert!(error.to_string().contains("scope b was not granted"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Response);
}

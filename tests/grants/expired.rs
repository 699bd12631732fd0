//! A JWT that has expired is not sent.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
use client_credentials::{
    ClientAuth, ClientCredentialsBuilder, Credential, CredentialKind, ErrorKind, Event, JwtBearer, ManualClock,
    RetryPolicy, TokenExchange,
};

use crate::harness::canary::{SECRET, Watched, assert_no_canary};
use crate::{JWT_TYPE, builder, rotating, server};

/// The wall clock of a new `ManualClock`, in seconds.
pub(crate) fn wall(clock: &ManualClock) -> u64 {
    let mut now = Duration::ZERO;
    clock.set_wall(|wall| {
        now = wall;
        wall
    });
    now.as_secs()
}

/// A JWT with a canary in it, which expires then.
pub(crate) fn jwt(exp: u64) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"sub":"{SECRET}","exp":{exp}}}"#);
    format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(&claims), part("signature"))
}

/// Every place for a token that was made elsewhere, by name.
fn places(server: &AuthorizationServer, token: &Credential) -> [(&'static str, ClientCredentialsBuilder); 5] {
    let token = || token.clone();
    let anonymous = || builder(server, ClientAuth::anonymous());
    [
        ("subject_token", anonymous().grant(TokenExchange::new(token()))),
        ("actor_token", anonymous().grant(TokenExchange::new("opaque").actor_token(token(), JWT_TYPE))),
        ("assertion", anonymous().grant(JwtBearer::new(token()))),
        ("client_assertion", builder(server, ClientAuth::client_assertion(token()))),
        ("assertion", anonymous().grant_type("urn:example:own").secret_param("assertion", token())),
    ]
}

#[tokio::test]
async fn an_expired_jwt_is_not_sent_and_the_error_says_when_it_expired_and_where_it_is_from() {
    let _watched = Watched::default();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("id.jwt");
    let clock = ManualClock::new();
    std::fs::write(&path, jwt(wall(&clock) - 35)).unwrap();
    let server = server();
    for (name, builder) in places(&server, &Credential::file(&path)) {
        let tokens = builder.clock(&clock).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credential, true), "{name}");
        let text = error.to_string();
        let path = path.display().to_string();
        for part in [name, "expired 35 s ago", &path, server.token_url()] {
            assert!(text.contains(part), "{name}: {part}: {text}");
        }
        assert_no_canary([text, format!("{error:?}"), format!("{error:#}"), format!("{tokens:?}")]);
    }
    assert_eq!(server.token_requests(), 0);
}

#[tokio::test]
async fn when_a_jwt_expires_is_an_event_wherever_it_is_sent() {
    let server = server();
    let clock = ManualClock::new();
    for (name, builder) in places(&server, &Credential::from(jwt(wall(&clock) + 60).as_str())) {
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let heard = Arc::clone(&seen);
        let builder = builder.observe(move |_: &str, event: &Event<'_>| {
            if let Event::CredentialRead { credential, expires_in, .. } = event {
                heard.lock().unwrap().push((*credential, expires_in.as_secs()));
            }
        });
        builder.clock(&clock).build().unwrap().token().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [(CredentialKind::Assertion, 60)], "{name}");
    }
}

#[tokio::test]
async fn an_expired_jwt_is_read_again_at_the_next_attempt_of_the_same_fetch() {
    let server = server();
    let clock = ManualClock::new();
    for place in 0..5 {
        let (token, reads) = rotating([jwt(wall(&clock)), jwt(wall(&clock) + 60)]);
        let before = server.token_requests();
        let [one] = places(&server, &token).into_iter().skip(place).take(1).collect::<Vec<_>>().try_into().unwrap();
        one.1.clock(&clock).build().unwrap().token().await.unwrap();
        assert_eq!((server.token_requests() - before, reads.load(Ordering::SeqCst)), (1, 2), "{}", one.0);
        let requests = server.requests();
        assert!(requests[before].sent(one.0, &jwt(wall(&clock) + 60)), "the new one: {}", one.0);
    }
}

#[tokio::test]
async fn a_jwt_that_expires_while_the_clock_advances_is_renewed_before_it_is_sent() {
    // A projected token of ten minutes, tokens of an hour.
    let server = server();
    let clock = ManualClock::new();
    let start = wall(&clock);
    let (token, _) = rotating([jwt(start + 600), jwt(start + 4_000)]);
    let tokens = builder(&server, ClientAuth::anonymous()).grant(JwtBearer::new(token)).clock(&clock).build().unwrap();
    tokens.token().await.unwrap();
    clock.advance(Duration::from_secs(3_600));
    tokens.token().await.unwrap();
    let requests = server.requests();
    assert!(requests[0].sent("assertion", &jwt(start + 600)) && requests[1].sent("assertion", &jwt(start + 4_000)));
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn of_two_origins_the_one_that_has_not_expired_is_sent() {
    let server = server();
    let clock = ManualClock::new();
    let (old, new) = (jwt(wall(&clock) - 1), jwt(wall(&clock) + 1));
    for (name, builder) in places(&server, &Credential::from(old.as_str()).or(new.as_str())) {
        let before = server.token_requests();
        builder.clock(&clock).build().unwrap().token().await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len() - before, 1, "{name}");
        assert!(requests[before].sent(name, &new), "{name}");
    }
}

#[tokio::test]
async fn an_expired_jwt_costs_no_token_that_is_still_valid() {
    let server = server();
    let clock = ManualClock::new();
    let start = wall(&clock);
    let (token, reads) = rotating([jwt(start + 60)]);
    let builder = builder(&server, ClientAuth::anonymous()).grant(JwtBearer::new(token)).clock(&clock);
    let tokens = builder.retry(RetryPolicy::new().attempts(1)).build().unwrap();
    let first = tokens.token().await.unwrap();
    // Due for a refresh, and not expired.
    clock.advance(Duration::from_secs(3_500));
    let second = tokens.token().await.unwrap();
    tokens.settled().await;
    assert_eq!(first.expose_secret(), second.expose_secret());
    assert_eq!(server.token_requests(), 1, "the assertion that has expired was not sent");
    assert_eq!(reads.load(Ordering::SeqCst), 2, "though it was read");
}

#[tokio::test]
async fn the_secret_of_a_client_is_never_read_as_a_jwt() {
    let server = server();
    let old = jwt(1);
    let auth = ClientAuth::client_secret_post("me", old.as_str());
    builder(&server, auth).clock(&ManualClock::new()).build().unwrap().token().await.unwrap();
    assert!(server.requests()[0].sent("client_secret", &old));
}

#[tokio::test]
async fn a_projected_token_that_rotates_every_ten_minutes_lasts_an_hour_of_short_tokens() {
    // Lifetime and interval of replacement: ten minutes, replaced at 80 % as the kubelet does; replaced every ten minutes, at
    // 80 % and at the second of expiry; replaced ten seconds too late.
    for (lifetime, every) in [(600, 480), (750, 600), (600, 600), (600, 610)] {
        an_hour(lifetime, every).await;
    }
}

/// API tokens of five minutes; ten concurrent calls every second.
async fn an_hour(lifetime: u64, every: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let clock = ManualClock::new();
    let start = wall(&clock);
    let server = AuthorizationServer::start().clock(&clock);
    server.answer_by(Endpoint::Token, |_| {
        Answer::Body(r#"{"access_token":"abc","token_type":"Bearer","expires_in":300}"#.to_owned())
    });
    let exchange = TokenExchange::new(Credential::file(&path));
    let tokens = builder(&server, ClientAuth::anonymous()).grant(exchange).clock(&clock).build().unwrap();
    // What was sent, against the time when it was sent.
    let mut written = Vec::new();
    let calls = std::sync::atomic::AtomicUsize::new(0);
    for second in 0..3_600_u64 {
        if second % every == 0 {
            let end = start + second + lifetime;
            std::fs::write(&path, jwt(end)).unwrap();
            written.push((second, end));
        }
        let calls = (0..10).map(|_| async { tokens.token().await.map(|_| calls.fetch_add(1, Ordering::Relaxed)) });
        futures_util::future::try_join_all(calls).await.unwrap();
        tokens.settled().await;
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(calls.into_inner(), 36_000, "and none failed");
    let requests = server.requests();
    assert!((12..=24).contains(&requests.len()), "one for each API token: {}", requests.len());
    for request in &requests {
        let at = request.at().as_secs();
        let (_, end) = written.iter().rev().find(|(since, _)| *since <= at).unwrap();
        assert!(request.sent("subject_token", &jwt(*end)), "the latest one, at {at} s");
        assert!(start + at < *end, "and it has not expired");
    }
}

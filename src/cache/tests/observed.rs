//! Events during an outage, and the status at each moment of it.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::cache::{Readiness, TokenState};
use crate::observer::{Event, FetchCause};

type Seen = Arc<Mutex<Vec<String>>>;

/// A cache around `server`, and a line for each important event.
fn observed(server: &Arc<Server>) -> (Cached<Arc<Server>>, Seen) {
    let seen: Seen = Arc::default();
    let heard = Arc::clone(&seen);
    let observer = move |source: &str, event: &Event<'_>| {
        let line = match event {
            Event::Failing { error, token_usable, failing_for } => {
                format!("{source} failing {:?} usable {token_usable} for {}", error.kind(), failing_for.as_secs())
            }
            Event::Recovered { failing_for, failed_fetches, failed_calls } => {
                format!("{source} recovered after {} {failed_fetches} {failed_calls}", failing_for.as_secs())
            }
            Event::Rejected { honored } => format!("{source} rejected {honored}"),
            Event::UnusualLifetime { assumed } => format!("{source} lifetime {assumed:?}"),
            _ => return,
        };
        heard.lock().unwrap().push(line);
    };
    (cached(server).observed("billing", observer), seen)
}

fn take(seen: &Seen) -> Vec<String> {
    std::mem::take(&mut *seen.lock().unwrap())
}

#[tokio::test]
async fn an_outage_that_outlasts_the_token_is_four_events() {
    let unauthorized = Reply::Fail(Error::of(ErrorKind::Denied, "invalid_client"));
    let mut script = vec![Reply::New(3600)];
    script.extend(std::iter::repeat_with(down).take(30));
    script.push(unauthorized);
    let server = Server::new(script, Reply::New(3600));
    let (tokens, seen) = observed(&server);
    tokens.token().await.unwrap();
    assert_eq!(take(&seen), [""; 0], "nothing to report");

    // Due, and the server is down: reported once, however long that lasts.
    server.advance(seconds(3400));
    while server.hits() < 5 {
        server.advance(seconds(1));
        assert!(tokens.token().await.is_ok());
        settle().await;
    }
    assert_eq!(take(&seen), ["billing failing Transport usable true for 0"]);
    let status = tokens.status();
    assert_eq!((status.state, status.readiness()), (TokenState::Failing, Readiness::Degraded));
    assert_eq!(status.consecutive_failures, 4);
    assert!(status.failing_since.is_some() && status.next_attempt > status.failing_since);

    // The token expires: reported once more.
    let mut failed = 0;
    server.advance(seconds(200));
    while server.hits() < 31 {
        server.advance(seconds(1));
        failed += u64::from(tokens.token().await.is_err());
        settle().await;
    }
    let events = take(&seen);
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].starts_with("billing failing Transport usable false for 2"), "{events:?}");
    let status = tokens.status();
    assert_eq!((status.state, status.readiness()), (TokenState::Expired, Readiness::Down));
    assert_eq!(status.last_error.as_ref().map(Error::kind), Some(ErrorKind::Transport));
    assert!(status.to_string().contains("billing: expired") && status.to_string().contains("connection refused"));

    // The server is up again, and refuses the client: another kind.
    while server.hits() < 32 {
        server.advance(seconds(1));
        failed += u64::from(tokens.token().await.is_err());
        settle().await;
    }
    let events = take(&seen);
    assert!(events.len() == 1 && events[0].starts_with("billing failing Denied usable false"), "{events:?}");

    // And the recovery, with the number of failed calls.
    while tokens.token().await.is_err() {
        failed += 1;
        server.advance(seconds(1));
    }
    let events = take(&seen);
    assert!(events.len() == 1 && events[0].starts_with("billing recovered after"), "{events:?}");
    assert!(events[0].ends_with(&format!(" {failed}")), "{events:?}: {failed} calls failed");
    let status = tokens.status();
    assert_eq!((status.state, status.readiness()), (TokenState::Fresh, Readiness::Ready));
    assert_eq!(status.cause, Some(FetchCause::Cold));
}

#[tokio::test]
async fn an_observer_may_ask_its_own_source_since_events_are_emitted_without_locks() {
    let server = Server::new([Reply::New(3600), down()], Reply::New(3600));
    let own: Arc<std::sync::OnceLock<Cached<Arc<Server>>>> = Arc::default();
    let (source, events, stuck) = (Arc::clone(&own), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counted, hung) = (Arc::clone(&events), Arc::clone(&stuck));
    let tokens = cached(&server).observed("billing", move |_: &str, _: &Event<'_>| {
        let Some(tokens) = source.get().cloned() else { return };
        counted.fetch_add(1, Ordering::Relaxed);
        // On another thread, which a lock held by this one would block for ever.
        let (done, answered) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = (tokens.status(), tokens.token().now_or_never());
            done.send(())
        });
        if answered.recv_timeout(seconds(10)).is_err() {
            hung.fetch_add(1, Ordering::Relaxed);
        }
    });
    own.set(tokens.clone()).unwrap();
    let token = tokens.token().await.unwrap();
    server.advance(seconds(3400));
    tokens.token().await.unwrap();
    settle().await;
    tokens.reject(&token);
    server.advance(seconds(1000));
    tokens.token().await.unwrap();
    assert!(events.load(Ordering::Relaxed) >= 5, "start, end, failure, rejection, recovery");
    assert_eq!(stuck.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_token_that_expires_between_two_attempts_is_reported_when_a_caller_gets_none() {
    // The last attempt failed while the token was usable, and asked to wait.
    let wait = Reply::Fail(Error::of(ErrorKind::Throttled, "429").with_retry_after(seconds(300)));
    let server = Server::new([Reply::New(100)], wait);
    let (tokens, seen) = observed(&server);
    tokens.token().await.unwrap();
    server.advance(seconds(86));
    assert!(tokens.token().await.is_ok());
    settle().await;
    assert_eq!(take(&seen), ["billing failing Throttled usable true for 0"]);
    server.advance(seconds(10));
    for _ in 0..3 {
        assert!(tokens.token().await.is_err());
    }
    assert_eq!(take(&seen), ["billing failing Throttled usable false for 10"]);
}

#[tokio::test]
async fn a_status_costs_no_request_and_follows_the_token() {
    let server = Server::new([], Reply::New(3600));
    let tokens = cached(&server);
    let state = || tokens.status().state;
    assert_eq!((state(), tokens.status().readiness()), (TokenState::Empty, Readiness::Ready), "never asked");
    let token = tokens.token().await.unwrap();
    assert_eq!(state(), TokenState::Fresh);
    let status = tokens.status();
    assert!(status.refresh_at < status.expires_at);
    server.close();
    server.advance(seconds(3400));
    assert_eq!(state(), TokenState::Due);
    value(&tokens);
    assert_eq!(state(), TokenState::Refreshing);
    server.open(1);
    settle().await;
    assert_eq!((state(), tokens.status().cause), (TokenState::Fresh, Some(FetchCause::Refresh)));
    tokens.reject(&token);
    assert_eq!(tokens.status().rejections, 0, "an older token");
    let token = tokens.token().await.unwrap();
    tokens.reject(&token);
    assert_eq!((state(), tokens.status().rejections), (TokenState::Empty, 1));
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn rejections_are_events() {
    let server = Server::new([], Reply::New(3600));
    let (tokens, seen) = observed(&server);
    for _ in 0..4 {
        let token = tokens.token().await.unwrap();
        tokens.reject(&token);
    }
    let honored = "billing rejected true".to_owned();
    assert_eq!(take(&seen), [honored.clone(), honored.clone(), honored, "billing rejected false".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_the_first_token_but_not_for_ever() {
    let server = Server::new([], Reply::Never);
    let tokens = cached(&server);
    let error = tokens.ready(seconds(3)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("no token within 3s"), "{error}");
    assert_eq!(server.hits(), 1);
    let server = Server::new([], Reply::New(60));
    assert!(cached(&server).ready(seconds(3)).await.is_ok());
}

#[tokio::test]
async fn a_status_is_one_line_with_times_of_the_clock_of_the_source() {
    let server = Server::new([Reply::New(3600)], down());
    let tokens = cached(&server);
    let unnamed = |status: String| status.split_once(": ").map(|(_, rest)| rest.to_owned()).unwrap();
    let line = || unnamed(tokens.status().to_string());
    assert_eq!(line(), "empty");
    tokens.token().await.unwrap();
    assert_eq!(line(), "fresh, expires in 3600s");
    server.advance(seconds(3400));
    value(&tokens);
    settle().await;
    assert_eq!(line(), "failing, expires in 200s, failing for 0s (1 in a row): connection refused");
    server.advance(seconds(60));
    // The wall clock is set: that does not count as time of failure.
    server.hands.set_wall(|wall| wall - seconds(1000));
    assert_eq!(line(), "failing, expires in 140s, failing for 60s (1 in a row): connection refused");
    server.advance(seconds(1140));
    assert_eq!(line(), "expired, failing for 1200s (1 in a row): connection refused");
}

#[tokio::test]
async fn each_call_that_waits_emits_an_event_and_a_cached_token_does_not() {
    let server = Server::new([], Reply::New(3600));
    type Waits = Arc<Mutex<Vec<(u64, Option<ErrorKind>)>>>;
    let waited = Waits::default();
    let heard = Arc::clone(&waited);
    let tokens = cached(&server).observed("billing", move |_: &str, event: &Event<'_>| {
        if let Event::Waited { duration, error } = event {
            heard.lock().unwrap().push((duration.as_secs(), error.map(Error::kind)));
        }
    });
    server.close();
    let both = async { tokio::join!(tokens.token(), tokens.token()) };
    let opened = async {
        settle().await;
        server.advance(seconds(2));
        server.open(1);
    };
    let ((one, other), ()) = tokio::join!(both, opened);
    assert!(one.is_ok() && other.is_ok());
    for _ in 0..3 {
        tokens.token().await.unwrap();
    }
    assert_eq!(std::mem::take(&mut *waited.lock().unwrap()), [(2, None), (2, None)]);

    let server = Server::new([], down());
    let heard = Arc::clone(&waited);
    let tokens = cached(&server).observed("billing", move |_: &str, event: &Event<'_>| {
        if let Event::Waited { duration, error } = event {
            heard.lock().unwrap().push((duration.as_secs(), error.map(Error::kind)));
        }
    });
    assert!(tokens.token().await.is_err());
    assert!(tokens.token().await.is_err(), "at once, with the error that is remembered");
    assert_eq!(*waited.lock().unwrap(), [(0, Some(ErrorKind::Transport))]);
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn name_and_observer_stay_when_the_clock_is_set_afterwards() {
    let server = Server::new([], Reply::New(3600));
    let names: Seen = Arc::default();
    let heard = Arc::clone(&names);
    let observer = move |source: &str, _: &Event<'_>| heard.lock().unwrap().push(source.to_owned());
    let tokens = Cached::new(Arc::clone(&server)).observed("billing", observer).clock(&ManualClock::new());
    tokens.token().await.unwrap();
    let names = take(&names);
    assert!(!names.is_empty() && names.iter().all(|name| name == "billing"), "{names:?}");
    assert_eq!(tokens.status().name, "billing");
}

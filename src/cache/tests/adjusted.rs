//! Each setter of `CachePolicy` sets its own number, and nothing else.

use super::*;

type Setter = fn(CachePolicy) -> CachePolicy;
type Change = fn(&mut CachePolicy);

const BACKOFF: Backoff = Backoff::new(Duration::from_secs(7), Duration::from_secs(8));

#[test]
fn each_setter_sets_its_own_number() {
    let setters: [(Setter, Change); 13] = [
        (|p| p.fetch_timeout(seconds(7)), |p| p.fetch_timeout = seconds(7)),
        (|p| p.takeover_after(seconds(7)), |p| p.takeover_after = Some(seconds(7))),
        (|p| p.refresh_window(seconds(7)), |p| p.refresh_window = Some(seconds(7))),
        (|p| p.max_age(seconds(7)), |p| p.max_age = seconds(7)),
        (|p| p.safety_margin(seconds(7)), |p| p.safety_margin = seconds(7)),
        (|p| p.default_lifetime(seconds(7)), |p| p.default_lifetime = seconds(7)),
        (|p| p.due_backoff(BACKOFF), |p| p.due_backoff = BACKOFF),
        (|p| p.expired_backoff(BACKOFF), |p| p.expired_backoff = BACKOFF),
        (|p| p.denied_backoff(BACKOFF), |p| p.denied_backoff = BACKOFF),
        (|p| p.due_retry_after_limit(seconds(7)), |p| p.due_retry_after_limit = seconds(7)),
        (|p| p.expired_retry_after_limit(seconds(7)), |p| p.expired_retry_after_limit = seconds(7)),
        (|p| p.forced_refreshes(7), |p| p.forced_refreshes = 7),
        (|p| p.forced_refresh_interval(seconds(7)), |p| p.forced_refresh_interval = seconds(7)),
    ];
    for (setter, change) in setters {
        let server = Server::new([], down());
        let mut expected = CachePolicy::new();
        change(&mut expected);
        let tokens = Cached::with_policy(Arc::clone(&server), setter(CachePolicy::new())).unwrap();
        let policy = format!("{:?}", tokens.0.state.lock().policy());
        assert_eq!(policy, format!("{expected:?}"));
    }
}

#[test]
fn an_invalid_value_is_refused_with_the_reason() {
    // F11
    let server = Server::new([], down());
    let zero = Backoff::new(Duration::ZERO, Duration::ZERO);
    let policy = CachePolicy::new()
        .fetch_timeout(Duration::ZERO)
        .takeover_after(Duration::ZERO)
        .refresh_window(Duration::ZERO)
        .max_age(Duration::ZERO)
        .default_lifetime(Duration::ZERO)
        .due_backoff(Backoff::new(seconds(2), seconds(1)))
        .expired_backoff(zero)
        .denied_backoff(zero)
        .forced_refresh_interval(Duration::ZERO);
    let error = Cached::with_policy(server, policy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    for setter in [
        "fetch_timeout",
        "takeover_after",
        "refresh_window",
        "max_age",
        "default_lifetime",
        "due_backoff",
        "expired_backoff",
        "denied_backoff",
        "forced_refresh_interval",
    ] {
        assert!(error.to_string().contains(setter), "{setter}: {error}");
    }
}

#[test]
fn a_takeover_is_never_sooner_than_the_clock_can_show() {
    assert_eq!(CachePolicy::new().takeover_after(millis(1)).takeover(), millis(100));
}

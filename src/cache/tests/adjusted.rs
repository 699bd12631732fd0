//! Each setter of `Cached` sets its own number, and nothing else.

use super::*;

type Setter = fn(Cached<Arc<Server>>) -> Cached<Arc<Server>>;
type Change = fn(&mut Settings);

#[test]
fn each_setter_sets_its_own_number() {
    let setters: [(Setter, Change); 11] = [
        (|c| c.fetch_timeout(seconds(7)), |s| s.fetch_timeout = seconds(7)),
        (|c| c.attempt_timeout(seconds(7)), |s| s.attempt_timeout = seconds(7)),
        (|c| c.refresh_window(seconds(7)), |s| s.refresh_window = Some(seconds(7))),
        (|c| c.max_age(seconds(7)), |s| s.max_age = seconds(7)),
        (|c| c.safety_margin(seconds(7)), |s| s.safety_margin = seconds(7)),
        (|c| c.default_lifetime(seconds(7)), |s| s.default_lifetime = seconds(7)),
        (|c| c.due_backoff(seconds(7), seconds(8)), |s| s.due_backoff = Backoff::new(seconds(7), seconds(8))),
        (|c| c.expired_backoff(seconds(7), seconds(8)), |s| s.expired_backoff = Backoff::new(seconds(7), seconds(8))),
        (|c| c.denied_backoff(seconds(7), seconds(8)), |s| s.denied_backoff = Backoff::new(seconds(7), seconds(8))),
        (
            |c| c.retry_after_limits(seconds(7), seconds(8)),
            |s| {
                (s.due_retry_after_limit, s.expired_retry_after_limit) = (seconds(7), seconds(8));
            },
        ),
        (
            |c| c.forced_refreshes(7, seconds(8)),
            |s| {
                (s.forced_refreshes, s.forced_refresh_every) = (7, seconds(8));
            },
        ),
    ];
    for (setter, change) in setters {
        let server = Server::new([], down());
        let mut expected = Settings::default();
        change(&mut expected);
        let changed = setter(cached(&server));
        let settings = format!("{:?}", changed.0.state.lock().settings());
        assert_eq!(settings, format!("{expected:?}"));
        assert_eq!(Arc::strong_count(&server), 2, "around the same source");
    }
}

#[test]
fn a_number_that_makes_no_sense_is_moved_to_the_nearest_that_does() {
    // F11
    let server = Server::new([], down());
    let tokens = cached(&server)
        .fetch_timeout(Duration::ZERO)
        .attempt_timeout(Duration::ZERO)
        .max_age(Duration::ZERO)
        .default_lifetime(Duration::ZERO)
        .due_backoff(seconds(2), seconds(1))
        .expired_backoff(Duration::ZERO, Duration::ZERO)
        .forced_refreshes(1, Duration::ZERO);
    let settings = tokens.0.state.lock().settings().clone();
    for number in [
        settings.fetch_timeout,
        settings.attempt_timeout,
        settings.max_age,
        settings.default_lifetime,
        settings.expired_backoff.first,
        settings.forced_refresh_every,
    ] {
        assert_eq!(number, millis(1));
    }
    assert_eq!(settings.due_backoff.most, seconds(2), "at least the first");
    assert_eq!(settings.patience(), millis(100));
}

//! Single steps of the state machine, for states that other tests reach by coincidence only.

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::super::fetch::{Completed, Fetch, Heartbeat, Outcome};
use super::super::report::Report;
use super::super::state::{Answer, State};
use super::*;
use crate::observer::{Event, FetchCause};

fn at(seconds: u64) -> Moment {
    let since = Duration::from_secs(seconds);
    Moment::new(since, Duration::from_secs(1_800_000_000) + since)
}

fn state() -> State {
    State::new(CachePolicy::new(), fastrand::Rng::with_seed(7))
}

fn token(value: &str, lifetime: Option<u64>) -> AccessToken {
    let terms = Terms { lifetime: lifetime.map(Duration::from_secs), ..Terms::default() };
    AccessToken::issued(&value.into(), terms, at(0), &Clock::System).unwrap()
}

/// A fetch that starts, with its task and the sender of its completion.
fn start(state: &mut State, started: bool) -> (u64, AbortHandle, watch::Sender<Completed>) {
    start_at(state, started, at(0))
}

fn start_at(state: &mut State, started: bool, now: Moment) -> (u64, AbortHandle, watch::Sender<Completed>) {
    let (complete, completion) = watch::channel(None);
    let task = tokio::spawn(std::future::pending::<()>()).abort_handle();
    let heartbeat = Arc::new(Heartbeat::new(now));
    if started {
        heartbeat.beat(now);
    }
    let mut started = 0;
    state.start(now, |number| {
        started = number;
        Fetch {
            number,
            completion,
            span: FetchSpan::default(),
            heartbeat,
            runtime: Handle::current().id(),
            task: task.clone(),
            beat_every: seconds(2),
            cause: FetchCause::Cold,
            started: now,
        }
    });
    (started, task, complete)
}

/// A fetch that starts and completes.
fn fetch(state: &mut State, outcome: Outcome, now: Moment) -> Completed {
    let (number, _, _complete) = start(state, true);
    state.complete(number, outcome, now)
}

fn down() -> Outcome {
    Outcome::Failed(Error::of(ErrorKind::Transport, "connection refused").transient())
}

fn is_under_way(state: &State, now: Moment) -> bool {
    matches!(state.ask(now, None), Answer::Wait(..))
}

#[tokio::test]
async fn a_fetch_knows_why_it_starts() {
    let mut state = state();
    assert_eq!(state.cause(at(0)), FetchCause::Cold);
    let first = token("a", Some(3600));
    fetch(&mut state, Outcome::Token(first.clone()), at(0));
    assert_eq!(state.cause(at(3500)), FetchCause::Refresh);
    assert_eq!(state.cause(at(3600)), FetchCause::Cold);
    assert!(state.reject(&first, at(1)));
    assert_eq!(state.cause(at(1)), FetchCause::Rejection);
}

#[tokio::test]
async fn a_fetch_that_has_not_started_is_cancelled_when_it_is_taken_over() {
    let mut state = state();
    let (_, idle, _one) = start(&mut state, false);
    let (_, driven, _two) = start(&mut state, true);
    let _three = start(&mut state, true);
    settle().await;
    assert!(idle.is_finished() && !driven.is_finished());
}

#[tokio::test]
async fn a_refresh_whose_task_does_not_run_is_driven_by_callers_in_the_second_half_of_the_window() {
    let mut state = state();
    fetch(&mut state, Outcome::Token(token("a", Some(3600))), at(0));
    let is_due = |second: &u64| matches!(state.ask(at(*second), None), Answer::UseAndRefresh(_));
    let due = (0..3600).find(is_due).unwrap();
    let over = (due..3700).find(|second| state.current(at(*second)).is_none()).unwrap();
    let middle = due + (over - due) / 2;
    let until = |state: &State, second| match state.ask(at(second), None) {
        Answer::Use(_, until) => Ok(until),
        Answer::Drive(_, limit) => Err(limit),
        other => panic!("{second}: {other:?}"),
    };
    // It beats every 2 s, and counts as driven until two heartbeats are missed.
    let _one = start_at(&mut state, true, at(due));
    assert_eq!(until(&state, due + 3), Ok(at(due + 5)));
    assert_eq!(until(&state, due + 4), Ok(at(due + 6)), "the first half");
    let _two = start_at(&mut state, true, at(middle + 2));
    assert_eq!(until(&state, middle + 5), Ok(at(middle + 7)));
    let limit = until(&state, middle + 6).unwrap_err();
    assert!(limit.abs_diff(seconds(over - middle - 6)) <= seconds(1), "{limit:?}");
    // Near the end, heartbeats are frequent enough to notice a missing one.
    let beat = state.beat_every(at(over - 8));
    assert!(beat.abs_diff(seconds(1)) <= Duration::from_millis(125), "{beat:?}");
}

#[tokio::test]
async fn the_duration_of_a_fetch_is_reported_with_either_result() {
    for outcome in [Outcome::Token(token("a", Some(3600))), down()] {
        let mut state = state();
        let (number, _, _complete) = start(&mut state, true);
        state.complete(number, outcome, at(7));
        let durations = state.take_reports().into_iter().filter_map(|report| match report {
            Report::Event(Event::Fetched { duration, .. }) | Report::FetchFailed { duration, .. } => Some(duration),
            _ => None,
        });
        assert_eq!(durations.collect::<Vec<_>>(), [seconds(7)]);
    }
}

#[tokio::test]
async fn a_token_from_the_store_is_reported_as_one() {
    for from_store in [true, false] {
        let mut state = state();
        let terms = Terms { lifetime: Some(seconds(3600)), from_store, ..Terms::default() };
        let token = AccessToken::issued(&"a".into(), terms, at(0), &Clock::System).unwrap();
        fetch(&mut state, Outcome::Token(token), at(0));
        let is_it = |report: &Report| matches!(report, Report::Event(Event::Fetched { from_store: it, .. }) if *it == from_store);
        assert_eq!(state.take_reports().iter().filter(|report| is_it(report)).count(), 1);
    }
}

#[tokio::test]
async fn after_a_failure_the_next_fetch_waits_for_the_backoff_and_no_longer() {
    let mut state = state();
    fetch(&mut state, down(), at(0));
    let here = Handle::current().id();
    let wait = state.delay(at(0));
    assert!(wait > Duration::ZERO && wait <= Duration::from_millis(250), "{wait:?}");
    assert_eq!(state.next_look(at(0), here).map(|end| end.since(at(0))), Some(wait));
    let end = at(0).plus(wait);
    assert_eq!((state.delay(end), state.next_look(end, here)), (Duration::ZERO, None));
}

#[tokio::test]
async fn taken_over_fetches_are_known_until_they_end() {
    let mut state = state();
    let (_, first, _one) = start(&mut state, true);
    let _two = start(&mut state, true);
    let _three = start(&mut state, true);
    assert_eq!(state.tasks().count(), 3);
    first.abort();
    settle().await;
    let _four = start(&mut state, true);
    assert_eq!(state.tasks().count(), 3);
}

#[tokio::test]
async fn a_late_completion_does_not_end_the_fetch_that_took_over() {
    let mut state = state();
    let (early, _, _one) = start(&mut state, true);
    let (current, _, _two) = start(&mut state, true);
    state.complete(early, down(), at(1));
    assert!(is_under_way(&state, at(1)));
    state.complete(current, down(), at(1));
    assert!(!is_under_way(&state, at(1)));
}

#[tokio::test]
async fn the_same_token_counts_as_new_if_it_is_valid_for_more_than_a_second_longer() {
    for (lifetime, is_news) in [(3599, false), (3601, false), (3602, true), (7200, true)] {
        let mut state = state();
        fetch(&mut state, Outcome::Token(token("a", Some(3600))), at(0));
        fetch(&mut state, Outcome::Token(token("a", Some(lifetime))), at(3560));
        // The token with the longest lifetime is fresh. After the others, a new value may be fetched again at once.
        match state.ask(at(3560), None) {
            Answer::Use(..) => assert!(!is_news || lifetime == 7200, "{lifetime}"),
            Answer::UseAndRefresh(..) => assert!(is_news, "{lifetime}"),
            other => panic!("{lifetime}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_unusual_lifetime_is_reported_once() {
    for (lifetime, is_it) in [
        (None, (|event| matches!(event, Event::UnusualLifetime { assumed: Some(_) })) as fn(&Event<'_>) -> bool),
        (Some(0), |event| matches!(event, Event::UnusualLifetime { assumed: None })),
    ] {
        let mut state = state();
        for value in ["a", "b", "c"] {
            fetch(&mut state, Outcome::Token(token(value, lifetime)), at(0));
        }
        let notes = state.take_reports();
        assert_eq!(notes.iter().filter(|note| matches!(note, Report::Event(event) if is_it(event))).count(), 1);
    }
}

#[tokio::test]
async fn a_response_without_a_new_token_ends_an_outage_too() {
    let mut state = state();
    for _ in 0..3 {
        fetch(&mut state, down(), at(0));
    }
    fetch(&mut state, Outcome::Token(token("a", Some(0))), at(0));
    let notes = state.take_reports();
    let failures = |note: &&Report| matches!(note, Report::Failing { .. });
    assert_eq!(notes.iter().filter(failures).count(), 1);
    assert!(notes.iter().any(|note| matches!(note, Report::Recovered { failed_fetches: 3, .. })));
}

//! FA4: whatever a source returns, it is called at a bounded rate. `Cached` over `Retrying` over a script, on tokio's
//! paused clock.

use proptest::prelude::*;

use super::*;
use crate::retry::{RetryPolicy, Retrying};

/// What the source does when it is called, after this time.
#[derive(Clone, Debug)]
struct Turn {
    after: Duration,
    brings: Brings,
}

#[derive(Clone, Debug)]
enum Brings {
    Token { lifetime: Option<Duration>, is_new: bool },
    Fails { kind: ErrorKind, transient: bool, retry_after: Option<Duration> },
    Panics,
}

/// What happens to the clocks and the token while callers request one.
#[derive(Clone, Copy, Debug)]
enum Incident {
    WallForward,
    WallBack,
    Reject,
    Nothing,
}

#[derive(Debug)]
struct Script {
    turns: Vec<Turn>,
    clock: Clock,
    asked: AtomicU64,
}

impl Script {
    async fn next(&self) -> Result<AccessToken, Error> {
        let received = self.clock.now();
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let turn = &self.turns[usize::try_from(number).unwrap() % self.turns.len()];
        tokio::time::sleep(turn.after).await;
        match turn.brings {
            Brings::Token { lifetime, is_new } => {
                let value = if is_new { format!("t{number}") } else { "t".to_owned() };
                let terms = Terms { lifetime, ..Terms::default() };
                AccessToken::issued(&value.into(), terms, received, &self.clock)
            }
            Brings::Fails { kind, transient, retry_after } => {
                let error = Error::of(kind, "no").asked_to_wait(retry_after);
                Err(if transient { error.transient() } else { error })
            }
            // Without a message on stderr for each.
            Brings::Panics => std::panic::resume_unwind(Box::new("the source panics")),
        }
    }
}

impl TokenSource for Script {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.next())
    }
    fn reject(&self, _: &AccessToken) {}
}

/// How often the source is called while a caller requests a token every 10 ms, whatever the result.
fn requests(turns: &[Turn], policy: &CachePolicy, retry: RetryPolicy, incidents: &[Incident], time: Duration) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let hands = ManualClock::along_tokio();
        let clock = Clock::Manual(hands.clone());
        let script = Script { turns: turns.to_vec(), clock: clock.clone(), asked: AtomicU64::new(0) };
        let retrying = Arc::new(Retrying { source: script, policy: retry, fetch_timeout: policy.fetch_timeout });
        let random = fastrand::Rng::with_seed(7);
        let tokens = Cached::assemble(Arc::clone(&retrying), policy.clone(), clock, random);
        let start = tokio::time::Instant::now();
        let mut calls = 0;
        while start.elapsed() < time {
            let token = tokens.token().await;
            calls += 1;
            if calls % 100 == 0 {
                match (incidents.get(calls / 100 - 1), token) {
                    (Some(Incident::WallForward), _) => hands.set_wall(|wall| wall + seconds(7200)),
                    (Some(Incident::WallBack), _) => hands.set_wall(|wall| wall.saturating_sub(seconds(7200))),
                    (Some(Incident::Reject), Ok(token)) => tokens.reject(&token),
                    _ => {}
                }
            }
            tokio::time::sleep(millis(10)).await;
        }
        retrying.source.asked.load(Ordering::Relaxed)
    })
}

fn turn() -> impl Strategy<Value = Turn> {
    use ErrorKind::{Credential, Denied, Other, Response, Throttled, Tls, Transport};
    let lifetime = prop::sample::select(vec![0, 1, 10, 100, 500, 1_000, 2_000, 3_600_000]).prop_map(millis);
    let lifetime = prop::option::weighted(0.9, lifetime);
    let kind = prop::sample::select(vec![Credential, Denied, Other, Response, Throttled, Tls, Transport]);
    let wait = prop::option::of(prop::sample::select(vec![0, 1, 50, 5_000, 90_000_000]).prop_map(millis));
    let brings = prop_oneof![
        4 => (lifetime, any::<bool>()).prop_map(|(lifetime, is_new)| Brings::Token { lifetime, is_new }),
        4 => (kind, any::<bool>(), wait)
            .prop_map(|(kind, transient, retry_after)| Brings::Fails { kind, transient, retry_after }),
        1 => Just(Brings::Panics),
    ];
    (prop::sample::select(vec![0, 0, 1, 30]).prop_map(millis), brings)
        .prop_map(|(after, brings)| Turn { after, brings })
}

fn backoff() -> impl Strategy<Value = Backoff> {
    (prop::sample::select(vec![50, 250, 1_000, 5_000]), prop::sample::select(vec![1, 4, 60]))
        .prop_map(|(first, times)| Backoff::new(millis(first), millis(first * times)))
}

/// For the settings that say when a token is refreshed.
fn span() -> impl Strategy<Value = Duration> {
    prop::sample::select(vec![Duration::from_nanos(1), millis(1), millis(100), seconds(1), seconds(3600)])
}

fn incident() -> impl Strategy<Value = Incident> {
    use Incident::{Nothing, Reject, WallBack, WallForward};
    prop::sample::select(vec![Nothing, Nothing, Nothing, Reject, WallBack, WallForward])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_request_rate_is_bounded_whatever_the_source_returns(
        turns in prop::collection::vec(turn(), 1..5), incidents in prop::collection::vec(incident(), 0..12),
        (due, expired, denied) in (backoff(), backoff(), backoff()), (attempts, between) in (1..6_u32, backoff()),
        (age, window, assumed) in (span(), span(), span()),
    ) {
        const TIME: u64 = 20;
        let policy = CachePolicy::new().due_backoff(due).expired_backoff(expired).denied_backoff(denied);
        let policy = policy.max_age(age).refresh_window(window).safety_margin(window).default_lifetime(assumed);
        let retry = RetryPolicy::new().attempts(attempts).backoff(between);
        let asked = requests(&turns, &policy, retry, &incidents, seconds(TIME));
        // After each fetch, whatever it brought, nothing is asked for the shortest of these, less the jitter of a tenth. A jump of
        // the wall clock ends one wait, and a rejection within its allowance one. A token that lasts is refreshed in the second half
        // of its lifetime.
        let waits = [due.first, expired.first, denied.first, seconds(1)].map(|wait| wait.mul_f64(0.9));
        let halves = turns.iter().filter_map(|turn| match turn.brings {
            Brings::Token { lifetime: Some(lifetime), .. } if lifetime >= millis(500) => Some(lifetime / 2),
            _ => None,
        });
        let assumed = Some(assumed / 2).filter(|half| *half >= millis(250));
        let shortest = waits.into_iter().chain(halves).chain(assumed).min().unwrap();
        let fetches = TIME * 1000 / u64::try_from(shortest.as_millis()).unwrap() + 2 + incidents.len() as u64;
        let bound = fetches * u64::from(attempts);
        prop_assert!(asked <= bound, "{asked} requests, at most {bound}");
    }
}

#[test]
fn without_a_token_to_cache_the_source_is_called_about_once_a_second() {
    let brings = |brings| vec![Turn { after: Duration::ZERO, brings }];
    let fails = |kind| Brings::Fails { kind, transient: true, retry_after: Some(Duration::ZERO) };
    for lifetime in [0, 1, 10, 50, 200, 500] {
        for is_new in [false, true] {
            let turns = brings(Brings::Token { lifetime: Some(millis(lifetime)), is_new });
            let asked = requests(&turns, &CachePolicy::new(), RetryPolicy::new(), &[], seconds(60));
            assert!((50..=68).contains(&asked), "lifetime of {lifetime} ms, new {is_new}: {asked} in a minute");
        }
    }
    for (what, turns) in [
        ("panic", brings(Brings::Panics)),
        ("Retry-After: 0", brings(fails(ErrorKind::Response))),
        ("429 with Retry-After: 0", brings(fails(ErrorKind::Throttled))),
        ("refused", brings(fails(ErrorKind::Denied))),
    ] {
        let retry = RetryPolicy::new().attempts(10);
        let asked = requests(&turns, &CachePolicy::new(), retry, &[], seconds(60));
        assert!(asked <= 60, "{what}: {asked} in a minute");
    }
}

#[test]
fn no_setting_causes_more_than_one_refresh_a_second() {
    let turns = [Turn { after: Duration::ZERO, brings: Brings::Token { lifetime: Some(seconds(3600)), is_new: true } }];
    for policy in [
        CachePolicy::new().max_age(Duration::from_nanos(1)),
        CachePolicy::new().max_age(millis(100)),
        CachePolicy::new().max_age(Duration::from_nanos(1)).due_backoff(Backoff::new(millis(1), millis(1))),
        CachePolicy::new().refresh_window(Duration::MAX).safety_margin(Duration::MAX),
    ] {
        let asked = requests(&turns, &policy, RetryPolicy::new(), &[], seconds(20));
        assert!(asked <= 24, "{asked} in 20 s: {policy:?}");
    }
}

#[test]
fn a_client_that_is_refused_sends_at_most_six_requests_in_twenty_seconds() {
    // FB1
    let refused = Brings::Fails { kind: ErrorKind::Denied, transient: false, retry_after: None };
    let turns = [Turn { after: Duration::ZERO, brings: refused }];
    let asked = requests(&turns, &CachePolicy::new(), RetryPolicy::new(), &[], seconds(20));
    assert!((4..=6).contains(&asked), "{asked}");
}

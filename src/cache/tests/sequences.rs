//! FAULTS C23: any sequence of events against the state machine, compared with the model of it in `model.rs`.

use proptest::prelude::*;
use tokio::runtime::{Builder, Id, Runtime as TokioRuntime};

use super::model::{Held, Model};
use super::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A caller requests a token: outside a runtime, or in one of two.
    Ask(Option<usize>),
    /// On both clocks, or on one of them.
    Pass(Duration, Hand),
    /// The fetch's task runs.
    Beat,
    /// The fetch of this turn completes: the current one, or one that was taken over.
    Complete(usize, Brings),
    /// Its runtime is gone.
    Vanish(usize),
    /// The token that was returned last is rejected, or an older one.
    Reject { current: bool },
}

#[derive(Clone, Copy, Debug)]
enum Hand {
    Both,
    Mono,
    Wall,
}

#[derive(Clone, Copy, Debug)]
enum Brings {
    New(u64),
    /// The value that was issued last, again.
    Same(u64),
    Down,
    Denied,
    /// `Retry-After`, in seconds.
    Throttled(u64),
    Panic,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let lifetime = || prop::sample::select(vec![0, 1, 2, 60, 300, 3600, 86_400 * 3650]);
    let brings = prop_oneof![
        4 => lifetime().prop_map(Brings::New),
        2 => lifetime().prop_map(Brings::Same),
        2 => Just(Brings::Down),
        1 => Just(Brings::Denied),
        1 => prop::sample::select(vec![0, 7, 100_000]).prop_map(Brings::Throttled),
        1 => Just(Brings::Panic),
    ];
    let hand = prop_oneof![6 => Just(Hand::Both), 1 => Just(Hand::Mono), 1 => Just(Hand::Wall)];
    let pass = prop_oneof![0..3_000_u64, 3_000..400_000_u64, 0..90_000_000_u64];
    let op = prop_oneof![
        6 => prop::option::of(0..2_usize).prop_map(Op::Ask),
        4 => (pass, hand).prop_map(|(wait, hand)| Op::Pass(millis(wait), hand)),
        1 => Just(Op::Beat),
        5 => (prop_oneof![5 => Just(0_usize), 1 => 1..3_usize], brings)
            .prop_map(|(turn, brings)| Op::Complete(turn, brings)),
        1 => (0..2_usize).prop_map(Op::Vanish),
        2 => any::<bool>().prop_map(|current| Op::Reject { current }),
    ];
    prop::collection::vec(op, 1..60)
}

/// A fetch in progress.
struct UnderWay {
    number: u64,
    since: Moment,
    beat: Moment,
    beat_every: Duration,
    started: bool,
    runtime: usize,
    heartbeat: Arc<Heartbeat>,
    /// `None`: the runtime is gone.
    complete: Option<watch::Sender<Completed>>,
}

/// The state machine, the model, and their environment.
struct Stage {
    state: State,
    model: Model,
    now: Moment,
    /// The newest fetch first.
    fetches: Vec<UnderWay>,
    /// The number of the last one that started.
    last: u64,
    runtimes: [Id; 2],
    task: AbortHandle,
    issued: u64,
    /// In the order in which they were returned.
    seen: Vec<AccessToken>,
}

impl Stage {
    /// The fetch that the state machine waits for.
    fn fetch(&self) -> Option<&UnderWay> {
        self.fetches.first().filter(|fetch| fetch.number == self.last)
    }

    fn ask(&mut self, here: Option<usize>) {
        let now = self.now;
        let answer = self.state.ask(now, here.map(|here| self.runtimes[here]));
        let takeover_after = CachePolicy::new().takeover();
        let mut driven = self.fetch().is_some_and(|fetch| {
            let silent = now.mono() >= fetch.beat.mono().saturating_add(takeover_after);
            fetch.complete.is_some() && (!silent || (here == Some(fetch.runtime) && !fetch.started))
        });
        let held = self.model.usable(now).cloned();
        let pause = self.model.pause(held.is_some());
        let surely_paused = pause.is_some_and(|(earliest, _)| !earliest.reached(now));
        let maybe_paused = pause.is_some_and(|(_, latest)| !latest.reached(now));
        let failed = matches!(&self.model.setback, Some((_, _, Some(_))));
        let starts = match answer {
            Answer::Use(token, until) => {
                let held = held.expect("a token that the model does not have");
                assert_eq!(token.expose_secret(), held.value);
                assert!(!until.reached(now), "a lease that has run out");
                assert!(until.earlier(held.unusable_at()) == until, "a lease beyond the end");
                let (_, late) = held.window();
                assert!(driven || maybe_paused || !late.reached(now), "it is not refreshed");
                self.seen.push(token);
                false
            }
            Answer::UseAndRefresh(token) => {
                let held = held.expect("a token that the model does not have");
                assert_eq!(token.expose_secret(), held.value);
                let (early, _) = held.window();
                assert!(early.reached(now), "it is refreshed while fresh");
                assert!(!surely_paused, "it does not wait after a failure");
                self.seen.push(token);
                true
            }
            Answer::Drive(token, left) => {
                let held = held.expect("a token that the model does not have");
                assert_eq!(token.expose_secret(), held.value);
                let fetch = self.fetch().expect("nothing to take over");
                let silent = fetch.beat.mono().saturating_add(2 * fetch.beat_every);
                assert!(fetch.complete.is_none() || now.mono() >= silent, "the fetch is driven");
                let (early, _) = held.window();
                assert!(early.reached(now), "it is refreshed while fresh");
                let end = held.unusable_at().since(now);
                assert!(left <= end.max(millis(1)), "no caller waits longer than the token lasts");
                self.seen.push(token);
                driven = false;
                true
            }
            Answer::Fetch => {
                assert!(held.is_none() && !(failed && surely_paused));
                true
            }
            Answer::Wait(..) => {
                assert!(held.is_none() && driven);
                false
            }
            Answer::Fail(error) => {
                assert!(held.is_none() && !driven && failed && maybe_paused);
                let (_, _, last) = self.model.setback.as_ref().unwrap();
                assert!(error.is_same_as(last.as_ref().unwrap()), "the last error");
                false
            }
        };
        assert!(!(starts && driven), "I2: two fetches");
        if let (true, Some(here)) = (starts, here) {
            self.start(here);
        }
    }

    fn start(&mut self, runtime: usize) {
        let (complete, completion) = watch::channel(None);
        let heartbeat = Arc::new(Heartbeat::new(self.now));
        let (beat_every, cause, started) = (self.state.beat_every(self.now), self.state.cause(self.now), self.now);
        let mut number = 0;
        let (id, task) = (self.runtimes[runtime], self.task.clone());
        self.state.start(self.now, |n| {
            number = n;
            Fetch {
                number,
                completion,
                span: FetchSpan::default(),
                heartbeat: Arc::clone(&heartbeat),
                runtime: id,
                task,
                beat_every,
                cause,
                started,
            }
        });
        self.last = number;
        // A fetch that never started was cancelled.
        self.fetches.retain(|fetch| fetch.started);
        let (since, beat) = (self.now, self.now);
        let fetch =
            UnderWay { number, since, beat, beat_every, started: false, runtime, heartbeat, complete: Some(complete) };
        self.fetches.insert(0, fetch);
    }

    fn complete(&mut self, turn: usize, brings: Brings) {
        if turn >= self.fetches.len() || self.fetches[turn].complete.is_none() {
            return;
        }
        let fetch = self.fetches.remove(turn);
        let late = fetch.number != self.last;
        let mut issue = |value: String, lifetime| {
            let held = Held { value, received: fetch.since, lifetime: seconds(lifetime), insisted: false };
            let terms = Terms { lifetime: Some(held.lifetime), ..Terms::default() };
            let token = AccessToken::issued(&held.value.as_str().into(), terms, held.received, &Clock::System).unwrap();
            self.model.complete(fetch.number, late, held, self.now);
            Outcome::Token(token)
        };
        let outcome = match brings {
            Brings::New(lifetime) => {
                self.issued += 1;
                issue(format!("t{}", self.issued), lifetime)
            }
            Brings::Same(lifetime) => issue(format!("t{}", self.issued), lifetime),
            failure => {
                let error = match failure {
                    Brings::Denied => Error::of(ErrorKind::Denied, "invalid_client"),
                    Brings::Throttled(wait) => Error::of(ErrorKind::Throttled, "429").with_retry_after(seconds(wait)),
                    Brings::Panic => Error::other("panic"),
                    _ => Error::of(ErrorKind::Transport, "down").transient(),
                };
                if !late {
                    self.model.set_back(self.now, Some(error.clone()));
                }
                Outcome::Failed(error)
            }
        };
        self.state.complete(fetch.number, outcome, self.now);
    }

    fn reject(&mut self, current: bool) {
        let index = if current { self.seen.len().checked_sub(1) } else { self.seen.len().checked_sub(2) };
        let Some(token) = index.map(|index| self.seen[index].clone()) else {
            return;
        };
        let is_it = |held: &&Held| held.value == token.expose_secret() && !held.insisted;
        let is_held = self.model.usable(self.now).filter(is_it).is_some();
        let expected = is_held && self.model.may_force(self.now);
        assert_eq!(self.state.reject(&token, self.now), expected, "a rejection");
        if expected {
            self.model.forced.push(self.now.mono());
            self.model.held = None;
            let during = self.fetch().map(|fetch| fetch.number);
            self.model.banned = Some((token.expose_secret().to_owned(), during));
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Ask(here) => self.ask(here),
            Op::Pass(wait, hand) => {
                let later = self.now.plus(wait);
                self.now = match hand {
                    Hand::Both => later,
                    Hand::Mono => Moment::new(later.mono(), self.now.wall()),
                    Hand::Wall => Moment::new(self.now.mono(), later.wall()),
                };
            }
            Op::Beat => {
                if let Some(fetch) = self.fetches.first_mut().filter(|fetch| fetch.complete.is_some()) {
                    fetch.heartbeat.beat(self.now);
                    (fetch.beat, fetch.started) = (self.now, true);
                }
            }
            Op::Complete(turn, brings) => self.complete(turn, brings),
            Op::Vanish(runtime) => {
                let there = self.fetches.iter_mut().filter(|fetch| fetch.runtime == runtime);
                there.for_each(|fetch| fetch.complete = None);
            }
            Op::Reject { current } => self.reject(current),
        }
        // I4, independently of the model.
        if let Answer::Use(token, _) | Answer::UseAndRefresh(token) = self.state.ask(self.now, None) {
            let expiry = token.received().plus(token.lifetime().unwrap());
            assert!(!expiry.reached(self.now), "an expired token");
        }
    }
}

fn runtime() -> TokioRuntime {
    Builder::new_current_thread().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_state_machine_agrees_with_the_model_whatever_happens(ops in ops(), seed: u64) {
        thread_local!(static RUNTIMES: [TokioRuntime; 2] = [runtime(), runtime()]);
        RUNTIMES.with(|[one, other]| {
            let mut stage = Stage {
                state: State::new(CachePolicy::new(), fastrand::Rng::with_seed(seed)),
                model: Model::default(),
                now: Moment::new(seconds(86_400), seconds(1_790_000_000)),
                fetches: Vec::new(),
                last: 0,
                runtimes: [one.handle().id(), other.handle().id()],
                task: one.spawn(std::future::pending::<()>()).abort_handle(),
                issued: 0,
                seen: Vec::new(),
            };
            for op in ops {
                stage.step(op);
            }
            // I5: an hour later the fault has ended, and a call returns a token after one fetch.
            stage.step(Op::Vanish(0));
            stage.step(Op::Vanish(1));
            stage.step(Op::Pass(seconds(3600), Hand::Both));
            stage.ask(Some(0));
            stage.step(Op::Beat);
            stage.complete(0, Brings::New(3600));
            stage.ask(None);
            prop_assert!(stage.model.usable(stage.now).is_some(), "no token");
            stage.task.abort();
            Ok(())
        })?;
    }
}

//! The state machine of the cache: synchronous, without I/O, every decision a function of its state and of `now`.

mod allowance;
mod setback;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Id;
use tokio::task::AbortHandle;

use super::fetch::{Completed, Completion, Fetch, Fetches, Outcome};
use super::policy::CachePolicy;
use super::report::Report;
use super::schedule::Schedule;
use crate::backoff::SHORTEST;
use crate::clock::Moment;
use crate::error::Error;
use crate::observer::{Event, FetchCause, FetchSpan};
use crate::once::Once;
use crate::token::AccessToken;
use allowance::Allowance;
use setback::Setback;

#[derive(Debug)]
pub(crate) struct State {
    policy: Arc<CachePolicy>,
    current: Option<Current>,
    /// The token that the API rejected, kept to recognise its value if the server issues it again.
    refused: Option<Refused>,
    fetch: Option<Fetch>,
    /// The tasks of fetches that were taken over and may still complete.
    taken_over: Vec<AbortHandle>,
    setback: Option<Setback>,
    allowance: Allowance,
    /// Counted separately: an API that requires ever more scope must not use up the forced refreshes of rejections.
    step_ups: Allowance,
    /// How many have started, which is the number of the last one.
    fetches: u64,
    counts: Fetches,
    rejections: u64,
    /// A runtime without timers, and when that was noticed.
    unfit: Option<(Id, &'static str, Moment)>,
    /// How many tokens in a row were expired on arrival.
    useless: u32,
    random: fastrand::Rng,
    warned: Warned,
    reports: Vec<Report>,
}

#[derive(Debug)]
struct Current {
    token: AccessToken,
    refresh_at: Moment,
    unusable_at: Moment,
    /// The server issued this value again after a rejection. It has no other, so the token is not rejected again.
    insisted: bool,
    /// Why it was fetched.
    cause: FetchCause,
}

#[derive(Debug)]
struct Refused {
    token: AccessToken,
    /// The fetch that was in progress at the rejection. If it brings the rejected value, the server may still have
    /// another one.
    during: Option<u64>,
}

impl Current {
    /// The middle of the time in which it is due.
    fn soon(&self) -> Moment {
        let window = self.unusable_at.since(self.refresh_at);
        self.refresh_at.plus(window / 2)
    }

    fn expires_soon(&self, now: Moment) -> bool {
        self.soon().reached(now)
    }

    fn left(&self, now: Moment) -> Duration {
        self.unusable_at.since(now).max(SHORTEST)
    }
}

/// What is reported once.
#[derive(Debug, Default)]
struct Warned {
    lifetime: Once,
    dead_on_arrival: Once,
}

/// What a caller has to do.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Use this token, until then without asking again.
    Use(AccessToken, Moment),
    /// Use this token, and start a fetch.
    UseAndRefresh(AccessToken),
    /// Start a fetch and wait for it at most this long: the one that was started is not driven, and the token expires
    /// soon.
    Drive(AccessToken, Duration),
    /// Start a fetch, and ask again.
    Fetch,
    /// Wait for the fetch; ask again after this long.
    Wait(Completion, Duration),
    Fail(Error),
}

impl State {
    pub(crate) fn new(policy: CachePolicy, random: fastrand::Rng) -> Self {
        State {
            allowance: Allowance::full(&policy),
            step_ups: Allowance::full(&policy),
            policy: policy.shared(),
            current: None,
            refused: None,
            fetch: None,
            taken_over: Vec::new(),
            setback: None,
            fetches: 0,
            counts: Fetches::default(),
            rejections: 0,
            unfit: None,
            useless: 0,
            random,
            warned: Warned::default(),
            reports: Vec::new(),
        }
    }

    pub(crate) fn policy(&self) -> &CachePolicy {
        &self.policy
    }

    /// What a caller has to do. `here` is its runtime, if it has one.
    pub(crate) fn ask(&self, now: Moment, here: Option<Id>) -> Answer {
        let takeover = self.policy.takeover();
        let fetch = self.fetch.as_ref().filter(|fetch| fetch.is_under_way(now, takeover, here));
        let overdue_in = |fetch: &Fetch| fetch.overdue_at(takeover).saturating_sub(now.mono()).max(SHORTEST);
        match self.usable(now) {
            Some(current) if !current.refresh_at.reached(now) => Answer::Use(current.token.clone(), current.refresh_at),
            Some(current) => {
                let until = match (fetch, self.pause(true).filter(|end| !end.reached(now))) {
                    (Some(fetch), _) if fetch.is_driven(now) => {
                        now.plus(overdue_in(fetch)).earlier(fetch.next_beat(now))
                    }
                    // No caller waits in the first half of the window: the runtime that started the fetch may still
                    // drive it.
                    (Some(fetch), _) if !current.expires_soon(now) => fetch.next_beat(now).earlier(current.soon()),
                    (Some(_), _) => return Answer::Drive(current.token.clone(), current.left(now)),
                    (None, Some(end)) => end,
                    // One was started and has ended with its runtime: the next one would, too.
                    (None, None) if self.fetch.is_some() && current.expires_soon(now) => {
                        return Answer::Drive(current.token.clone(), current.left(now));
                    }
                    (None, None) => return Answer::UseAndRefresh(current.token.clone()),
                };
                Answer::Use(current.token.clone(), until.earlier(current.unusable_at))
            }
            None => match (fetch, &self.setback) {
                (Some(fetch), _) => Answer::Wait(fetch.completion.clone(), overdue_in(fetch)),
                (None, Some(Setback { error: Some(error), .. })) => match self.pause(false) {
                    Some(end) if !end.reached(now) => Answer::Fail(error.remembered(end.since(now))),
                    _ => Answer::Fetch,
                },
                (None, _) => Answer::Fetch,
            },
        }
    }

    /// For the task that keeps the token fresh without callers: when to ask again, unless something happens before;
    /// `None`: a fetch has to start now.
    pub(crate) fn next_look(&self, now: Moment, here: Id) -> Option<Moment> {
        match self.ask(now, Some(here)) {
            Answer::Use(_, until) => Some(until),
            Answer::Wait(_, limit) => Some(now.plus(limit)),
            Answer::Fail(_) => self.pause(false).map(|end| self.next_sight().map_or(end, |sight| end.earlier(sight))),
            Answer::Fetch => self.useless_until().filter(|end| !end.reached(now)),
            Answer::UseAndRefresh(_) | Answer::Drive(..) => None,
        }
    }

    /// The token, if it is usable.
    pub(crate) fn current(&self, now: Moment) -> Option<AccessToken> {
        self.usable(now).map(|current| current.token.clone())
    }

    /// Whether there is a fetch of the runtime `here` that has not ended. If another one is due nevertheless, it is
    /// silent.
    pub(crate) fn has_silent_fetch(&self, here: Id) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.runtime == here && !fetch.is_gone())
    }

    /// The token whose rejection is passed on to the source.
    pub(crate) fn refused(&self) -> Option<&AccessToken> {
        self.refused.as_ref().map(|refused| &refused.token)
    }

    /// How long a fetch that starts now waits before it calls the source, because the last one brought nothing to
    /// cache.
    pub(crate) fn delay(&self, now: Moment) -> Duration {
        let pause = self.pause(self.usable(now).is_some()).filter(|end| !end.reached(now));
        pause.map_or(Duration::ZERO, |end| end.since(now))
    }

    /// The interval between heartbeats of a fetch that starts now, short enough that a missing one is noticed before
    /// the token expires.
    pub(crate) fn beat_every(&self, now: Moment) -> Duration {
        let usual = self.policy.takeover() / 4;
        let window = self.usable(now).map(|current| current.left(now) / 8);
        window.map_or(usual, |window| window.min(usual)).max(SHORTEST_BEAT)
    }

    /// Why a fetch starts now. A fetch that takes over has the cause of the previous one.
    pub(crate) fn cause(&self, now: Moment) -> FetchCause {
        match self.usable(now) {
            Some(_) => FetchCause::Refresh,
            None if self.refused.is_some() => FetchCause::Rejection,
            None => FetchCause::Cold,
        }
    }

    /// A fetch starts, and takes over from one in progress. If the task of that one runs, it may still complete, late;
    /// otherwise it is cancelled.
    pub(crate) fn start(&mut self, now: Moment, fetch: impl FnOnce(u64) -> Fetch) {
        let cause = self.cause(now);
        match cause {
            FetchCause::Cold => self.counts.cold += 1,
            FetchCause::Refresh => self.counts.refresh += 1,
            FetchCause::Rejection => self.counts.after_rejection += 1,
        }
        self.fetches += 1;
        let fetch = fetch(self.fetches);
        self.taken_over.retain(|task| !task.is_finished());
        if let Some(Fetch { task, heartbeat, span, .. }) = self.fetch.replace(fetch) {
            match heartbeat.has_started() {
                true => self.taken_over.push(task),
                false => task.abort(),
            }
            self.reports.push(Report::Unlinked(span));
        }
        self.reports.push(Report::Event(Event::FetchStarted { cause }));
    }

    /// The span of the fetch in progress.
    pub(crate) fn span(&self) -> Option<FetchSpan> {
        self.fetch.as_ref().map(|fetch| fetch.span.clone())
    }

    /// The completion of the fetch in progress.
    pub(crate) fn completion(&self) -> Option<Completion> {
        self.fetch.as_ref().map(|fetch| fetch.completion.clone())
    }

    /// The tasks to cancel when the last handle is dropped.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &AbortHandle> {
        self.taken_over.iter().chain(self.fetch.as_ref().map(|fetch| &fetch.task))
    }

    /// What has happened since the last call, to be reported without the lock.
    pub(crate) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// A fetch completes. Returns the result for the callers that waited; `None`: they ask again.
    pub(crate) fn complete(&mut self, number: u64, outcome: Outcome, now: Moment) -> Completed {
        // A late one was taken over.
        let fetch = self.fetch.take_if(|fetch| fetch.number == number);
        match (outcome, fetch) {
            (Outcome::Token(token), fetch) => self.arrived(number, token, fetch.as_ref(), now),
            // A newer fetch has taken over: its result counts.
            (Outcome::Failed(error), None) => {
                self.reports.push(Report::Forgotten(error));
                None
            }
            (Outcome::Failed(error), Some(fetch)) => {
                self.useless = 0;
                self.set_back(Some((error.clone(), &fetch)), now);
                // A late completion may have brought a token while they waited.
                self.usable(now).is_none().then_some(Err(error))
            }
        }
    }

    fn arrived(&mut self, number: u64, token: AccessToken, fetch: Option<&Fetch>, now: Moment) -> Completed {
        let late = fetch.is_none();
        let refused = self.refused.as_ref().filter(|refused| refused.token.same_value(&token));
        let (token, insisted) = match (refused, &self.current) {
            // It started before the rejection, so the server could not take that into account.
            (Some(refused), _) if late || refused.during == Some(number) => return None,
            (Some(refused), _) => (token.identified_as(&refused.token), true),
            (None, Some(current)) if current.token.same_value(&token) => {
                (token.identified_as(&current.token), current.insisted)
            }
            (None, _) => (token, false),
        };
        let cause = fetch.map_or(FetchCause::Cold, |fetch| fetch.cause);
        let arrival = self.schedule(token, insisted, cause);
        if late && (self.usable(now).is_some() || arrival.unusable_at.reached(now)) {
            return None;
        }
        if let Some(fetch) = fetch {
            let (duration, expires_in) = (fetch.duration(now), arrival.token.lifetime());
            let from_store = arrival.token.is_from_store();
            self.reports.push(Report::Event(Event::Fetched { cause, duration, expires_in, from_store }));
        }
        if arrival.unusable_at.reached(now) {
            // Only for the callers that waited (`expires_in: 0`).
            self.useless = self.useless.saturating_add(1);
            self.set_back(None, now);
            if self.warned.dead_on_arrival.first() {
                self.reports.push(Report::Event(Event::UnusualLifetime { assumed: None }));
            }
            return Some(Ok(arrival.token));
        }
        // The same value again, valid hardly longer than before: the server returns a token that it has cached itself
        // (WSO2, Marketo). It is used until it expires; another request now would bring it once more.
        let gained = self.current.as_ref().is_none_or(|old| {
            old.token.id() != arrival.token.id()
                || arrival.unusable_at.mono() > old.unusable_at.mono().saturating_add(SECOND)
        });
        // A token of a very short lifetime is used, but does not end the setback.
        let lasts = arrival.unusable_at.since(arrival.token.received()) >= BRIEF;
        self.current = Some(arrival);
        self.refused = None;
        self.useless = 0;
        if gained && lasts {
            self.recover(now);
        } else {
            self.set_back(None, now);
        }
        // They ask again: the token may be rejected or expire before they do.
        None
    }

    /// The API rejected this token. Returns whether it must no longer be returned.
    pub(crate) fn reject(&mut self, token: &AccessToken, now: Moment) -> bool {
        let current = self.usable(now).filter(|current| current.token.id() == token.id() && !current.insisted);
        if current.is_none() || !self.allowance.take(&self.policy, now) {
            self.reports.push(Report::Event(Event::Rejected { honored: false }));
            return false;
        }
        self.rejections += 1;
        let during = self.fetch.as_ref().map(|fetch| fetch.number);
        self.refused = self.current.take().map(|current| Refused { token: current.token, during });
        self.reports.push(Report::Event(Event::Rejected { honored: true }));
        true
    }

    /// A token with more scope is needed: makes the current one due, which stays in use. Returns whether it did.
    pub(crate) fn make_due(&mut self, id: u64, now: Moment) -> bool {
        let is_current = self.usable(now).is_some_and(|current| current.token.id() == id);
        let may_refresh = self.fetch.is_none() && self.pause(true).is_none_or(|end| end.reached(now));
        if !is_current || !may_refresh || !self.step_ups.take(&self.policy, now) {
            return false;
        }
        if let Some(current) = &mut self.current {
            current.refresh_at = now;
        }
        true
    }

    pub(crate) fn counts(&self) -> Fetches {
        self.counts
    }

    /// Why this runtime cannot drive a fetch, if that was noticed less than a second ago.
    pub(crate) fn unfit(&self, runtime: Id, now: Moment) -> Option<&'static str> {
        let (unfit, why, since) = self.unfit?;
        (unfit == runtime && !since.plus(SECOND).reached(now)).then_some(why)
    }

    pub(crate) fn note_unfit(&mut self, runtime: Id, why: &'static str, now: Moment) {
        self.unfit = Some((runtime, why, now));
    }

    fn usable(&self, now: Moment) -> Option<&Current> {
        self.current.as_ref().filter(|current| !current.unusable_at.reached(now))
    }

    fn schedule(&mut self, token: AccessToken, insisted: bool, cause: FetchCause) -> Current {
        let lifetime = token.lifetime().unwrap_or_else(|| {
            if self.warned.lifetime.first() {
                let assumed = Some(self.policy.default_lifetime);
                self.reports.push(Report::Event(Event::UnusualLifetime { assumed }));
            }
            self.policy.default_lifetime
        });
        let schedule = Schedule::of(lifetime, token.refresh_in(), &self.policy, self.random.f64());
        let received = token.received();
        Current {
            token,
            refresh_at: received.plus(schedule.refresh),
            unusable_at: received.plus(schedule.unusable),
            insisted,
            cause,
        }
    }
}

/// 1 s: servers that count down a lifetime round it.
const SECOND: Duration = Duration::from_secs(1);

/// 500 ms: refreshing tokens that last less would mean several requests a second, without end.
const BRIEF: Duration = Duration::from_millis(500);

/// 10 ms: the tick of a coarse clock.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

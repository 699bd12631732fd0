//! The state machine of the cache: synchronous, without I/O, every decision a function of its state and of `now`.

use std::time::Duration;

use tokio::runtime::Id;
use tokio::task::AbortHandle;

use super::fetch::{Completed, Completion, Fetch, Fetches, Outcome};
use super::policy::CachePolicy;
use super::report::Report;
use super::schedule::Schedule;
use super::status::{Status, TokenState};
use crate::backoff::{Backoff, SHORTEST, early};
use crate::clock::Moment;
use crate::error::{Error, Look};
use crate::observer::{FetchCause, FetchSpan};
use crate::token::AccessToken;

#[derive(Debug)]
pub(crate) struct State {
    policy: CachePolicy,
    current: Option<Current>,
    /// The token that the API refused, kept to recognise its value when the server brings it again.
    refused: Option<Refused>,
    fetch: Option<Fetch>,
    /// The tasks of fetches that were taken over and may still complete.
    taken_over: Vec<AbortHandle>,
    setback: Option<Setback>,
    allowance: Allowance,
    /// Apart from those of rejections: an API that demands ever more must not use up what expired tokens need.
    step_ups: Allowance,
    /// How many have started: the number of the last one.
    fetches: u64,
    counts: Fetches,
    rejections: u64,
    /// A runtime without timers, and when that was found.
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
    /// The server insisted on this value after a rejection: nothing better is to be had, and it is not rejected again.
    insisted: bool,
    /// Why it was fetched.
    cause: FetchCause,
}

#[derive(Debug)]
struct Refused {
    token: AccessToken,
    /// The fetch that was under way at the rejection: if it brings the refused value, that says nothing yet.
    during: Option<u64>,
}

impl Current {
    /// The middle of the time in which it is due.
    fn soon(&self) -> Moment {
        let window = self.unusable_at.mono().saturating_sub(self.refresh_at.mono());
        self.refresh_at.plus(window / 2)
    }

    fn expires_soon(&self, now: Moment) -> bool {
        self.soon().reached(now)
    }

    fn left(&self, now: Moment) -> Duration {
        self.unusable_at.mono().saturating_sub(now.mono()).max(SHORTEST)
    }
}

/// Since when, and how often in a row, a refresh has brought nothing.
#[derive(Debug)]
struct Setback {
    /// `None`: the server answered, with the token that we have (WSO2, Marketo).
    error: Option<Error>,
    count: u32,
    /// The last one.
    since: Moment,
    /// The first one in a row.
    first: Moment,
    /// It was reported that there is no usable token.
    reported_unusable: bool,
    /// When a caller last looked whether what led to the error has changed.
    looked: Moment,
    /// It has: nothing is waited for.
    changed: bool,
    draw: f64,
}

/// What is told once.
#[derive(Debug, Default)]
struct Warned {
    lifetime: bool,
    dead_on_arrival: bool,
}

/// What a caller is to do.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Use this token; no need to ask again until then.
    Use(AccessToken, Moment),
    /// Use this token, and see to it that a fetch starts.
    UseAndRefresh(AccessToken),
    /// Start a fetch, since the one that was started is not driven and the token expires soon; wait for it at most this long.
    Drive(AccessToken, Duration),
    /// See to it that a fetch starts, and ask again.
    Fetch,
    /// Wait for the fetch; ask again after this long.
    Wait(Completion, Duration),
    Fail(Error),
}

impl State {
    pub(crate) fn new(policy: CachePolicy, random: fastrand::Rng) -> Self {
        State {
            allowance: Allowance { left: policy.forced_refreshes, since: None },
            step_ups: Allowance { left: policy.forced_refreshes, since: None },
            policy,
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

    /// What is to be done with a fresh, due or expired token. `here` is the runtime of the caller, if he has one.
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
                    // Nobody waits in the first half of the window: whoever started the fetch may drive it yet.
                    (Some(fetch), _) if !current.expires_soon(now) => fetch.next_beat(now).earlier(current.soon()),
                    (Some(_), _) => return Answer::Drive(current.token.clone(), current.left(now)),
                    (None, Some(end)) => end,
                    // One was started and is gone with its runtime: the next one would go the same way.
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
                    Some(end) if !end.reached(now) => {
                        Answer::Fail(error.remembered(end.mono().saturating_sub(now.mono())))
                    }
                    _ => Answer::Fetch,
                },
                (None, _) => Answer::Fetch,
            },
        }
    }

    /// Whether a caller who is to fail may look first whether what led to the error has changed: one does each second. What
    /// the server asked to wait is waited.
    pub(crate) fn may_look(&self, now: Moment) -> bool {
        self.next_sight().is_some_and(|sight| sight.reached(now))
    }

    /// When the next caller may look.
    fn next_sight(&self) -> Option<Moment> {
        let setback = self.setback.as_ref()?;
        let error = setback.error.as_ref().filter(|error| error.retry_after().is_none() && error.look().is_some());
        error.map(|_| setback.looked.plus(SECOND))
    }

    /// This caller looks.
    pub(crate) fn looks(&mut self, now: Moment) -> Option<Look> {
        let may = self.may_look(now);
        let setback = self.setback.as_mut().filter(|_| may)?;
        setback.looked = now;
        setback.error.as_ref()?.look().cloned()
    }

    /// What led to this error has changed: the next fetch may start at once, if that has not failed since.
    pub(crate) fn has_changed(&mut self, error: &Error) {
        if let Some(setback) = &mut self.setback {
            setback.changed |= setback.error.as_ref().is_some_and(|last| last.is_same_as(error));
        }
    }

    /// For the task that keeps the token fresh without callers: the error that a caller would get now, and how to look whether
    /// its cause has changed, if it is time to.
    pub(crate) fn looks_for(&mut self, now: Moment, here: Id) -> Option<(Look, Error)> {
        match self.ask(now, Some(here)) {
            Answer::Fail(error) => Some((self.looks(now)?, error)),
            _ => None,
        }
    }

    /// For the task that keeps the token fresh without callers: when to look again, if nothing happens before; `None`: a fetch has
    /// to start now.
    pub(crate) fn next_look(&self, now: Moment, here: Id) -> Option<Moment> {
        match self.ask(now, Some(here)) {
            Answer::Use(_, until) => Some(until),
            Answer::Wait(_, limit) => Some(now.plus(limit)),
            Answer::Fail(_) => self.pause(false).map(|end| self.next_sight().map_or(end, |sight| end.earlier(sight))),
            Answer::Fetch => self.useless_until().filter(|end| !end.reached(now)),
            Answer::UseAndRefresh(_) | Answer::Drive(..) => None,
        }
    }

    /// Tokens that are expired on arrival serve a caller who waits for one, but nobody who wants to keep one.
    fn useless_until(&self) -> Option<Moment> {
        let setback = self.setback.as_ref().filter(|_| self.useless > 0)?;
        Some(setback.since.plus(early(USELESS.after(self.useless), setback.draw)))
    }

    /// The token that may be used now.
    pub(crate) fn current(&self, now: Moment) -> Option<AccessToken> {
        self.usable(now).map(|current| current.token.clone())
    }

    /// Whether a fetch of the runtime `here` has missed its beat, without being gone.
    pub(crate) fn has_silent_fetch(&self, here: Id) -> bool {
        self.fetch.as_ref().is_some_and(|fetch| fetch.runtime == here && !fetch.is_gone())
    }

    /// The token whose refusal the source is to hear of.
    pub(crate) fn refused(&self) -> Option<&AccessToken> {
        self.refused.as_ref().map(|refused| &refused.token)
    }

    /// How long a fetch that starts now has to wait before it asks the source: the last one brought nothing to cache.
    pub(crate) fn delay(&self, now: Moment) -> Duration {
        let pause = self.pause(self.usable(now).is_some()).filter(|end| !end.reached(now));
        pause.map_or(Duration::ZERO, |end| end.mono().saturating_sub(now.mono()))
    }

    /// The time of a heartbeat for a fetch that starts now: short enough that a fetch without one is noticed before the token
    /// expires.
    pub(crate) fn beat_every(&self, now: Moment) -> Duration {
        let usual = self.policy.takeover() / 4;
        let window = self.usable(now).map(|current| current.left(now) / 8);
        window.map_or(usual, |window| window.min(usual)).max(SHORTEST_BEAT)
    }

    /// Why a fetch starts now; for one that takes over, it is why the one before did.
    pub(crate) fn cause(&self, now: Moment) -> FetchCause {
        match self.usable(now) {
            Some(_) => FetchCause::Refresh,
            None if self.refused.is_some() => FetchCause::Rejection,
            None => FetchCause::Cold,
        }
    }

    /// A fetch started. One that was under way before is taken over: should it complete after all, it is late; if it
    /// has not even started, it never will.
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
        self.reports.push(Report::Started(cause));
    }

    /// Of the fetch under way.
    pub(crate) fn span(&self) -> Option<FetchSpan> {
        self.fetch.as_ref().map(|fetch| fetch.span.clone())
    }

    /// Of the fetch under way.
    pub(crate) fn completion(&self) -> Option<Completion> {
        self.fetch.as_ref().map(|fetch| fetch.completion.clone())
    }

    /// The tasks that serve nobody once the last handle is dropped.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &AbortHandle> {
        self.taken_over.iter().chain(self.fetch.as_ref().map(|fetch| &fetch.task))
    }

    /// What has happened since the last call, to be told without the lock.
    pub(crate) fn take_reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// A fetch completes. Returns what those who waited for it get; `None`: they ask again.
    pub(crate) fn complete(&mut self, number: u64, outcome: Outcome, now: Moment) -> Completed {
        // A late one was taken over.
        let fetch = self.fetch.take_if(|fetch| fetch.number == number);
        match (outcome, fetch) {
            (Outcome::Token(token), fetch) => self.arrived(number, token, fetch.as_ref(), now),
            // A newer fetch knows better.
            (Outcome::Failed(error), None) => {
                self.reports.push(Report::Forgotten(error));
                None
            }
            (Outcome::Failed(error), Some(fetch)) => {
                self.useless = 0;
                self.set_back(Some((error.clone(), &fetch)), now);
                // A late completion may have filled the slot while they waited.
                match self.usable(now) {
                    None => Some(Err(error)),
                    Some(_) => None,
                }
            }
        }
    }

    fn arrived(&mut self, number: u64, token: AccessToken, fetch: Option<&Fetch>, now: Moment) -> Completed {
        let late = fetch.is_none();
        let refused = self.refused.as_ref().filter(|refused| refused.token.same_value(&token));
        let (token, insisted) = match (refused, &self.current) {
            // It started before the rejection, so that it cannot be the server's answer to it.
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
            self.reports.push(Report::Fetched { cause, duration, expires_in, from_store });
        }
        if arrival.unusable_at.reached(now) {
            // For those who waited only (`expires_in: 0`).
            self.useless = self.useless.saturating_add(1);
            self.set_back(None, now);
            if !std::mem::replace(&mut self.warned.dead_on_arrival, true) {
                self.reports.push(Report::UnusualLifetime { assumed: None });
            }
            return Some(Ok(arrival.token));
        }
        // The same value again, hardly longer valid than before: the server hands out a cached token of its own
        // (WSO2, Marketo). It is used to its end; asking at once would bring it once more.
        let gained = self.current.as_ref().is_none_or(|old| {
            old.token.id() != arrival.token.id()
                || arrival.unusable_at.mono() > old.unusable_at.mono().saturating_add(SECOND)
        });
        // One that lasts no time to speak of is used, and gains as little.
        let lasts = arrival.unusable_at.mono().saturating_sub(arrival.token.received().mono()) >= BRIEF;
        self.current = Some(arrival);
        self.refused = None;
        self.useless = 0;
        if gained && lasts {
            self.recover(now);
        } else {
            self.set_back(None, now);
        }
        // From the cache, where it is not found any more should it be rejected, or expire, before they look.
        None
    }

    /// "The API refused this very token." Returns whether it must not be handed out any more.
    pub(crate) fn reject(&mut self, token: &AccessToken, now: Moment) -> bool {
        let current = self.usable(now).filter(|current| current.token.id() == token.id() && !current.insisted);
        if current.is_none() || !self.allowance.take(&self.policy, now) {
            self.reports.push(Report::Rejected { honored: false });
            return false;
        }
        self.rejections += 1;
        let during = self.fetch.as_ref().map(|fetch| fetch.number);
        self.refused = self.current.take().map(|current| Refused { token: current.token, during });
        self.reports.push(Report::Rejected { honored: true });
        true
    }

    /// "A token with more scope is wanted." The current one stays in use, and is due; whether it is.
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

    /// Why this runtime cannot drive a fetch, if that was found a moment ago.
    pub(crate) fn unfit(&self, runtime: Id, now: Moment) -> Option<&'static str> {
        let (unfit, why, since) = self.unfit?;
        (unfit == runtime && !since.plus(SECOND).reached(now)).then_some(why)
    }

    pub(crate) fn note_unfit(&mut self, runtime: Id, why: &'static str, now: Moment) {
        self.unfit = Some((runtime, why, now));
    }

    /// All there is to say, without its name.
    pub(crate) fn status(&self, now: Moment) -> Status {
        let usable = self.usable(now);
        let is_due = usable.is_some_and(|current| current.refresh_at.reached(now));
        let failure = self.setback.as_ref().filter(|setback| setback.error.is_some());
        let state = match (usable, &self.current) {
            (Some(_), _) if is_due && self.fetch.as_ref().is_some_and(|fetch| !fetch.is_gone()) => {
                TokenState::Refreshing
            }
            (Some(_), _) if failure.is_some() => TokenState::Failing,
            (Some(_), _) if is_due => TokenState::Due,
            (Some(_), _) => TokenState::Fresh,
            (None, Some(_)) => TokenState::Expired,
            (None, None) => TokenState::Empty,
        };
        let at = |moment: Moment| std::time::SystemTime::UNIX_EPOCH.checked_add(moment.wall());
        let current = self.current.as_ref();
        Status {
            name: String::new(),
            state,
            cause: current.map(|current| current.cause),
            from_store: current.is_some_and(|current| current.token.is_from_store()),
            expires_at: current.and_then(|current| current.token.expires_at()),
            refresh_at: current.and_then(|current| at(current.refresh_at)),
            failing_since: failure.and_then(|failure| at(failure.first)),
            consecutive_failures: failure.map_or(0, |failure| failure.count),
            last_error: failure.and_then(|failure| failure.error.clone()),
            next_attempt: failure.and_then(|_| at(self.pause(usable.is_some())?)),
            rejections: self.rejections,
            quota: None,
            expires_in: current
                .and_then(|current| Some(current.token.received().plus(current.token.lifetime()?).left(now))),
            failing_for: failure.map_or(Duration::ZERO, |failure| now.mono().saturating_sub(failure.first.mono())),
        }
    }

    /// fresh, due, expired or empty: for `Debug`.
    pub(crate) fn name(&self, now: Moment) -> &'static str {
        match (self.usable(now), &self.current) {
            (Some(current), _) if current.refresh_at.reached(now) => "due",
            (Some(_), _) => "fresh",
            (None, Some(_)) => "expired",
            (None, None) => "empty",
        }
    }

    fn usable(&self, now: Moment) -> Option<&Current> {
        self.current.as_ref().filter(|current| !current.unusable_at.reached(now))
    }

    fn schedule(&mut self, token: AccessToken, insisted: bool, cause: FetchCause) -> Current {
        let lifetime = token.lifetime().unwrap_or_else(|| {
            if !std::mem::replace(&mut self.warned.lifetime, true) {
                self.reports.push(Report::UnusualLifetime { assumed: Some(self.policy.default_lifetime) });
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

    /// A fetch failed, or (`None`) brought nothing new.
    fn set_back(&mut self, failure: Option<(Error, &Fetch)>, now: Moment) {
        // Failures, and answers that bring nothing new, are counted apart.
        let goes_on = self.setback.as_ref().is_some_and(|setback| setback.error.is_some() == failure.is_some());
        let before = self.setback.take();
        let (count, first, mut reported_unusable) = match &before {
            Some(before) if goes_on => (before.count.saturating_add(1), before.first, before.reported_unusable),
            _ => (1, now, false),
        };
        if let Some((error, fetch)) = &failure {
            let (cause, duration) = (fetch.cause, fetch.duration(now));
            self.reports.push(Report::FetchFailed { cause, duration, error: error.clone(), consecutive: count });
            let token_usable = self.usable(now).is_some();
            let kind_before =
                before.as_ref().filter(|_| goes_on).and_then(|before| before.error.as_ref()).map(Error::kind);
            let news = kind_before != Some(error.kind()) || !token_usable && !reported_unusable;
            if news {
                let failing_for = now.mono().saturating_sub(first.mono());
                self.reports.push(Report::Failing { error: error.clone(), token_usable, failing_for });
            }
            reported_unusable |= !token_usable;
        }
        match before {
            Some(before) if goes_on => self.reports.extend(before.error.map(Report::Forgotten)),
            before => self.recovered(before, now),
        }
        let error = failure.map(|(error, _)| error);
        self.setback = Some(Setback {
            error,
            count,
            since: now,
            first,
            reported_unusable,
            looked: now,
            changed: false,
            draw: self.random.f64(),
        });
    }

    /// A caller gets no token: that was not reported if the token expired during a pause.
    pub(crate) fn note_unusable(&mut self, now: Moment) {
        if let Some(Setback { error: Some(error), reported_unusable: reported @ false, first, .. }) = &mut self.setback
        {
            *reported = true;
            let failing_for = now.mono().saturating_sub(first.mono());
            self.reports.push(Report::Failing { error: error.clone(), token_usable: false, failing_for });
        }
    }

    /// The setback is over.
    fn recover(&mut self, now: Moment) {
        let before = self.setback.take();
        self.recovered(before, now);
    }

    fn recovered(&mut self, before: Option<Setback>, now: Moment) {
        if let Some(Setback { error: Some(error), count, first, .. }) = before {
            self.reports.push(Report::Forgotten(error));
            let failing_for = now.mono().saturating_sub(first.mono());
            self.reports.push(Report::Recovered { failing_for, failed_fetches: count });
        }
    }

    /// When the next fetch may start after a setback; how long that is depends on whether a token is usable.
    fn pause(&self, usable: bool) -> Option<Moment> {
        let setback = self.setback.as_ref().filter(|setback| !setback.changed)?;
        let wait = match &setback.error {
            None if !usable => early(ZERO_LIFETIME, setback.draw),
            error => self.policy.wait_after(error.as_ref(), setback.count, usable, setback.draw),
        };
        Some(setback.since.plus(wait))
    }
}

/// A second: servers that count a lifetime down round it.
const SECOND: Duration = Duration::from_secs(1);

/// 1 s: how often a server is asked that gives tokens which cannot be cached (`expires_in: 0`), however often callers ask.
const ZERO_LIFETIME: Duration = Duration::from_secs(1);

/// 1 s doubling to 60 s, as for a server that refuses: how often it is asked for the sake of keeping such a token.
const USELESS: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// 500 ms: below it, refreshing tokens as they expire would ask the server several times a second, without end.
const BRIEF: Duration = Duration::from_millis(500);

/// 10 ms: the tick of a coarse clock.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// How many refreshes rejections, or demands for more scope, may still force.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// On the monotonic clock, since when the next one is being earned; `None`: none is missing.
    since: Option<Duration>,
}

impl Allowance {
    fn take(&mut self, policy: &CachePolicy, now: Moment) -> bool {
        while let Some(since) = self.since {
            let earned = since.saturating_add(policy.forced_refresh_interval);
            if earned > now.mono() {
                break;
            }
            self.left += 1;
            self.since = Some(earned).filter(|_| self.left < policy.forced_refreshes);
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.since.get_or_insert(now.mono());
        true
    }
}

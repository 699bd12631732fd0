//! The state machine of the cache: synchronous, without I/O, every decision a function of its state and of `now`.

use std::time::Duration;

use tokio::runtime::Id;
use tokio::task::AbortHandle;

use super::clock::Moment;
use super::flight::{Cause, Flight, Landed, Landing, Outcome};
use super::note::Note;
use super::schedule::{Schedule, doubled, early};
use super::settings::{SHORTEST, Settings};
use crate::{AccessToken, Error, ErrorKind};

#[derive(Debug)]
pub(crate) struct State {
    settings: Settings,
    current: Option<Current>,
    /// The token that the API refused, kept to recognise its value when the server brings it again.
    refused: Option<Refused>,
    flight: Option<Flight>,
    /// The tasks of flights that were overtaken and may still land.
    overtaken: Vec<AbortHandle>,
    setback: Option<Setback>,
    allowance: Allowance,
    flights: u64,
    random: fastrand::Rng,
    warned: Warned,
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Current {
    token: AccessToken,
    refresh_at: Moment,
    unusable_at: Moment,
    /// The server insisted on this value after a rejection: nothing better is to be had, and it is not rejected again.
    insisted: bool,
}

#[derive(Debug)]
struct Refused {
    token: AccessToken,
    /// The flight that was under way at the rejection: if it brings the refused value, that says nothing yet.
    during: Option<u64>,
}

/// Since when, and how often in a row, a refresh has brought nothing.
#[derive(Debug)]
struct Setback {
    /// `None`: the server answered, with the token that we have (WSO2, Marketo).
    error: Option<Error>,
    count: u32,
    since: Moment,
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
    /// Use this token, which is usable until then, and see to it that a flight departs.
    UseAndDepart(AccessToken, Moment),
    /// See to it that a flight departs, and ask again.
    Depart,
    /// Wait for the flight; ask again after this long.
    Wait(Landing, Duration),
    Fail(Error),
}

impl State {
    pub(crate) fn new(settings: Settings, random: fastrand::Rng) -> Self {
        State {
            allowance: Allowance { left: settings.forced_refreshes, since: None },
            settings,
            current: None,
            refused: None,
            flight: None,
            overtaken: Vec::new(),
            setback: None,
            flights: 0,
            random,
            warned: Warned::default(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is to be done with a fresh, stale or expired token. `here` is the runtime of the caller, if he has one.
    pub(crate) fn ask(&self, now: Moment, here: Option<Id>) -> Answer {
        let patience = self.settings.patience();
        let flight = self.flight.as_ref().filter(|flight| flight.is_under_way(now, patience, here));
        let overdue_in = |flight: &Flight| flight.overdue_at(patience).saturating_sub(now.mono()).max(SHORTEST);
        match self.usable(now) {
            Some(current) if !current.refresh_at.reached(now) => Answer::Use(current.token.clone(), current.refresh_at),
            Some(current) => {
                let until = match (flight, self.pause(true).filter(|end| !end.reached(now))) {
                    (Some(flight), _) => now.plus(overdue_in(flight)),
                    (None, Some(end)) => end,
                    (None, None) => {
                        return Answer::UseAndDepart(current.token.clone(), current.unusable_at);
                    }
                };
                Answer::Use(current.token.clone(), until.earlier(current.unusable_at))
            }
            None => match (flight, &self.setback) {
                (Some(flight), _) => Answer::Wait(flight.landing.clone(), overdue_in(flight)),
                (None, Some(Setback { error: Some(error), .. }))
                    if self.pause(false).is_some_and(|end| !end.reached(now)) =>
                {
                    Answer::Fail(error.clone())
                }
                (None, _) => Answer::Depart,
            },
        }
    }

    /// Whether a flight of the runtime `here` has missed its beat, without being gone.
    pub(crate) fn has_silent_flight(&self, here: Id) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.runtime == here && !flight.is_gone())
    }

    /// The token whose refusal the source is to hear of.
    pub(crate) fn refused(&self) -> Option<&AccessToken> {
        self.refused.as_ref().map(|refused| &refused.token)
    }

    /// Why a flight departs now; for one that takes over, it is why the one before did.
    pub(crate) fn cause(&self, now: Moment) -> Cause {
        match self.usable(now) {
            Some(_) => Cause::Renewal,
            None if self.refused.is_some() => Cause::Rejection,
            None => Cause::Cold,
        }
    }

    /// A flight takes off. One that was under way before is overtaken: should it land after all, it is late; if it
    /// has not even started, it never will.
    pub(crate) fn depart(&mut self, flight: impl FnOnce(u64) -> Flight) {
        self.flights += 1;
        let flight = flight(self.flights);
        self.overtaken.retain(|task| !task.is_finished());
        match self.flight.replace(flight) {
            Some(old) if old.pulse.has_started() => self.overtaken.push(old.task),
            Some(old) => old.task.abort(),
            None => {}
        }
        self.notes.push(Note::Departed { flight: self.flights });
    }

    /// The tasks that serve nobody once the last handle is dropped.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &AbortHandle> {
        self.overtaken.iter().chain(self.flight.as_ref().map(|flight| &flight.task))
    }

    /// What has happened since the last call, to be told without the lock.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// A flight lands. Returns what those who waited for it get; `None`: they ask again.
    pub(crate) fn land(&mut self, number: u64, outcome: Outcome, now: Moment) -> Landed {
        let late = self.flight.as_ref().is_none_or(|flight| flight.number != number);
        if !late {
            self.flight = None;
        }
        match outcome {
            Outcome::Token(token) => self.arrived(number, token, late, now),
            Outcome::Panicked(error) => Some(Err(error)),
            // A newer flight knows better.
            Outcome::Failed(error) if late => {
                self.notes.push(Note::Forgotten(error));
                None
            }
            Outcome::Failed(error) => {
                self.set_back(Some(error.clone()), now);
                // A late landing may have filled the slot while they waited.
                match self.usable(now) {
                    None => Some(Err(error)),
                    Some(_) => None,
                }
            }
        }
    }

    fn arrived(&mut self, number: u64, token: AccessToken, late: bool, now: Moment) -> Landed {
        let refused = self.refused.as_ref().filter(|refused| refused.token.same_value(&token));
        let (token, insisted) = match (refused, &self.current) {
            // It took off before the rejection, so that it cannot be the server's answer to it.
            (Some(refused), _) if late || refused.during == Some(number) => return None,
            (Some(refused), _) => (token.identified_as(&refused.token), true),
            (None, Some(current)) if current.token.same_value(&token) => {
                (token.identified_as(&current.token), current.insisted)
            }
            (None, _) => (token, false),
        };
        let arrival = self.schedule(token, insisted);
        if late && (self.usable(now).is_some() || arrival.unusable_at.reached(now)) {
            return None;
        }
        if arrival.unusable_at.reached(now) {
            // For those who waited only (`expires_in: 0`).
            self.set_back(None, now);
            if !std::mem::replace(&mut self.warned.dead_on_arrival, true) {
                self.notes.push(Note::DeadOnArrival);
            }
            return Some(Ok(arrival.token));
        }
        // The same value again, hardly longer valid than before: the server hands out a cached token of its own
        // (WSO2, Marketo). It is used to its end; asking at once would bring it once more.
        let gained = self.current.as_ref().is_none_or(|old| {
            old.token.id() != arrival.token.id()
                || arrival.unusable_at.mono() > old.unusable_at.mono().saturating_add(SECOND)
        });
        self.current = Some(arrival);
        self.refused = None;
        if gained {
            self.recover();
        } else {
            self.set_back(None, now);
        }
        // From the cache, where it is not found any more should it be rejected, or expire, before they look.
        None
    }

    /// "The API refused this very token." Returns whether it must not be handed out any more.
    pub(crate) fn reject(&mut self, token: &AccessToken, now: Moment) -> bool {
        let current = self.usable(now).filter(|current| current.token.id() == token.id() && !current.insisted);
        if current.is_none() || !self.allowance.take(&self.settings, now) {
            return false;
        }
        let during = self.flight.as_ref().map(|flight| flight.number);
        self.refused = self.current.take().map(|current| Refused { token: current.token, during });
        self.notes.push(Note::Refused);
        true
    }

    /// fresh, stale, expired or empty: for `Debug`.
    pub(crate) fn name(&self, now: Moment) -> &'static str {
        match (self.usable(now), &self.current) {
            (Some(current), _) if current.refresh_at.reached(now) => "stale",
            (Some(_), _) => "fresh",
            (None, Some(_)) => "expired",
            (None, None) => "empty",
        }
    }

    fn usable(&self, now: Moment) -> Option<&Current> {
        self.current.as_ref().filter(|current| !current.unusable_at.reached(now))
    }

    fn schedule(&mut self, token: AccessToken, insisted: bool) -> Current {
        let lifetime = token.lifetime().unwrap_or_else(|| {
            if !std::mem::replace(&mut self.warned.lifetime, true) {
                self.notes.push(Note::NoLifetime { assumed: self.settings.default_lifetime });
            }
            self.settings.default_lifetime
        });
        let schedule = Schedule::of(lifetime, token.refresh_in(), &self.settings, self.random.f64());
        let received = token.received();
        Current {
            token,
            refresh_at: received.plus(schedule.refresh),
            unusable_at: received.plus(schedule.unusable),
            insisted,
        }
    }

    fn set_back(&mut self, error: Option<Error>, now: Moment) {
        let failed_before = self.setback.as_ref().is_some_and(|setback| setback.error.is_some());
        // Failures, and answers that bring nothing new, are counted apart.
        let count = match &self.setback {
            Some(setback) if failed_before == error.is_some() => setback.count.saturating_add(1),
            _ => 1,
        };
        self.recover_unless(failed_before && error.is_some());
        if let Some(error) = error.clone().filter(|_| !failed_before) {
            let usable = self.usable(now).is_some();
            self.notes.push(Note::Failed { error, usable });
        }
        self.setback = Some(Setback { error, count, since: now, draw: self.random.f64() });
    }

    /// The setback is over.
    fn recover(&mut self) {
        self.recover_unless(false);
    }

    fn recover_unless(&mut self, goes_on: bool) {
        if let Some(Setback { error: Some(error), count, .. }) = self.setback.take() {
            self.notes.push(Note::Forgotten(error));
            if !goes_on {
                self.notes.push(Note::Recovered { failed_flights: count });
            }
        }
    }

    /// When the next flight may depart after a setback; how long that is depends on whether a token is usable.
    fn pause(&self, usable: bool) -> Option<Moment> {
        let setback = self.setback.as_ref()?;
        let settings = &self.settings;
        let denied = |error: &Error| matches!(error.kind(), ErrorKind::Denied | ErrorKind::Throttled);
        let backoff = match &setback.error {
            Some(error) if denied(error) => settings.denied_backoff,
            _ if usable => settings.stale_backoff,
            _ => settings.expired_backoff,
        };
        let wait = early(doubled(backoff.first, setback.count.saturating_sub(1), backoff.most), setback.draw);
        let obeyed = if usable { settings.stale_retry_after } else { settings.expired_retry_after };
        let asked = setback.error.as_ref().and_then(Error::retry_after).unwrap_or_default().min(obeyed);
        Some(setback.since.plus(wait.max(asked)))
    }
}

/// A second: servers that count a lifetime down round it.
const SECOND: Duration = Duration::from_secs(1);

/// How many refreshes rejections may still force.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// On the monotonic clock, since when the next one is being earned; `None`: none is missing.
    since: Option<Duration>,
}

impl Allowance {
    fn take(&mut self, settings: &Settings, now: Moment) -> bool {
        while let Some(since) = self.since {
            let earned = since.saturating_add(settings.forced_refresh_every);
            if earned > now.mono() {
                break;
            }
            self.left += 1;
            self.since = Some(earned).filter(|_| self.left < settings.forced_refreshes);
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.since.get_or_insert(now.mono());
        true
    }
}

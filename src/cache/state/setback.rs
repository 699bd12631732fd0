//! After a fetch that failed, or brought nothing new: when the next one may start, and what is reported.

use std::time::Duration;

use tokio::runtime::Id;

use super::super::fetch::Fetch;
use super::super::report::Report;
use super::{Answer, SECOND, State};
use crate::backoff::{Backoff, early};
use crate::clock::Moment;
use crate::error::{Error, Look};

/// Fetches that failed, or brought nothing new, without one in between that did.
#[derive(Debug)]
pub(super) struct Setback {
    /// `None`: the server answered with the token that we have (WSO2, Marketo).
    pub(super) error: Option<Error>,
    /// In a row.
    pub(super) count: u32,
    /// The time of the last one.
    since: Moment,
    /// The time of the first one in a row.
    pub(super) first: Moment,
    /// It was reported that there is no usable token.
    reported_unusable: bool,
    /// When a caller last checked whether the cause of the error has changed.
    looked: Moment,
    /// The cause has changed: the next fetch need not wait.
    changed: bool,
    draw: f64,
}

impl State {
    /// Whether a caller that is to fail may first check whether the cause of the error has changed: one caller does
    /// each second. A wait that the server asked for is not cut short.
    pub(crate) fn may_look(&self, now: Moment) -> bool {
        self.next_sight().is_some_and(|sight| sight.reached(now))
    }

    /// When the next caller may check.
    pub(super) fn next_sight(&self) -> Option<Moment> {
        let setback = self.setback.as_ref()?;
        let error = setback.error.as_ref().filter(|error| error.retry_after().is_none() && error.look().is_some());
        error.map(|_| setback.looked.plus(SECOND))
    }

    /// How this caller checks, if it may.
    pub(crate) fn looks(&mut self, now: Moment) -> Option<Look> {
        let may = self.may_look(now);
        let setback = self.setback.as_mut().filter(|_| may)?;
        setback.looked = now;
        setback.error.as_ref()?.look().cloned()
    }

    /// The cause of this error has changed: the next fetch may start at once, unless another one has failed since.
    pub(crate) fn has_changed(&mut self, error: &Error) {
        if let Some(setback) = &mut self.setback {
            setback.changed |= setback.error.as_ref().is_some_and(|last| last.is_same_as(error));
        }
    }

    /// For the task that keeps the token fresh without callers: the error that a caller would get now, and how to check
    /// whether its cause has changed, once that is due.
    pub(crate) fn looks_for(&mut self, now: Moment, here: Id) -> Option<(Look, Error)> {
        match self.ask(now, Some(here)) {
            Answer::Fail(error) => Some((self.looks(now)?, error)),
            _ => None,
        }
    }

    /// When the next fetch may start; this depends on whether a token is usable. `None`: at once.
    pub(super) fn pause(&self, usable: bool) -> Option<Moment> {
        let setback = self.setback.as_ref().filter(|setback| !setback.changed)?;
        let wait = match &setback.error {
            None if !usable => early(ZERO_LIFETIME, setback.draw),
            error => self.policy.wait_after(error.as_ref(), setback.count, usable, setback.draw),
        };
        Some(setback.since.plus(wait))
    }

    /// When to fetch again for the sake of keeping a token, after tokens that were expired on arrival: these serve the
    /// callers that waited for them only.
    pub(super) fn useless_until(&self) -> Option<Moment> {
        let setback = self.setback.as_ref().filter(|_| self.useless > 0)?;
        Some(setback.since.plus(early(USELESS.after(self.useless), setback.draw)))
    }

    /// A fetch failed, or (`None`) brought nothing new.
    pub(super) fn set_back(&mut self, failure: Option<(Error, &Fetch)>, now: Moment) {
        // Failures, and answers that bring nothing new, are counted separately.
        let before = self.setback.take_if(|setback| setback.error.is_some() == failure.is_some());
        self.recover(now);
        let mut setback = Setback {
            error: None,
            count: before.as_ref().map_or(0, |before| before.count).saturating_add(1),
            since: now,
            first: before.as_ref().map_or(now, |before| before.first),
            reported_unusable: before.as_ref().is_some_and(|before| before.reported_unusable),
            looked: now,
            changed: false,
            draw: self.random.f64(),
        };
        let error_before = before.and_then(|before| before.error);
        if let Some((error, fetch)) = failure {
            let (cause, duration) = (fetch.cause, fetch.duration(now));
            let (error_again, consecutive) = (error.clone(), setback.count);
            self.reports.push(Report::FetchFailed { cause, duration, error: error_again, consecutive });
            let token_usable = self.usable(now).is_some();
            let is_other_kind = error_before.as_ref().map(Error::kind) != Some(error.kind());
            if is_other_kind || !token_usable && !setback.reported_unusable {
                let (error, failing_for) = (error.clone(), now.since(setback.first));
                self.reports.push(Report::Failing { error, token_usable, failing_for });
            }
            setback.reported_unusable |= !token_usable;
            setback.error = Some(error);
        }
        self.reports.extend(error_before.map(Report::Forgotten));
        self.setback = Some(setback);
    }

    /// A caller gets no token. If the token expired during a pause, that was not reported yet.
    pub(crate) fn note_unusable(&mut self, now: Moment) {
        if let Some(Setback { error: Some(error), reported_unusable: reported @ false, first, .. }) = &mut self.setback
        {
            *reported = true;
            let (error, failing_for) = (error.clone(), now.since(*first));
            self.reports.push(Report::Failing { error, token_usable: false, failing_for });
        }
    }

    /// The setback, if there is one, is over.
    pub(super) fn recover(&mut self, now: Moment) {
        if let Some(Setback { error: Some(error), count, first, .. }) = self.setback.take() {
            self.reports.push(Report::Forgotten(error));
            self.reports.push(Report::Recovered { failing_for: now.since(first), failed_fetches: count });
        }
    }
}

/// 1 s: the pause after a token that cannot be cached (`expires_in: 0`), however often callers ask.
const ZERO_LIFETIME: Duration = Duration::from_secs(1);

/// 1 s doubling to 60 s, as for a server that refuses: how often a server is asked for the sake of keeping such a
/// token.
const USELESS: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

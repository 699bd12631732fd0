//! The state as users see it.

use std::time::{Duration, SystemTime};

use super::super::status::{Status, TokenState};
use super::State;
use crate::clock::Moment;

impl State {
    /// The status, without the name of the source.
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
        let at = |moment: Moment| SystemTime::UNIX_EPOCH.checked_add(moment.wall());
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
            failing_for: failure.map_or(Duration::ZERO, |failure| now.since(failure.first)),
        }
    }
}

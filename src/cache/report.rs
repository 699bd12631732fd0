//! Events of the state machine: collected under its lock and emitted without it, since an observer is user code.

use std::time::Duration;

use crate::error::Error;
use crate::observer::{Event, FetchCause, FetchSpan, Observers};

#[derive(Debug)]
pub(crate) enum Report {
    /// An event that borrows nothing.
    Event(Event<'static>),
    FetchFailed {
        cause: FetchCause,
        duration: Duration,
        error: Error,
        consecutive: u32,
    },
    Failing {
        error: Error,
        token_usable: bool,
        failing_for: Duration,
    },
    Recovered {
        failing_for: Duration,
        failed_fetches: u32,
    },
    /// Nothing to report: it may hold spans of callers, and a subscriber is user code.
    Unlinked(#[cfg_attr(feature = "tracing", expect(dead_code, reason = "dropped with the report"))] FetchSpan),
    /// Nothing to report: an error may hold a value of the user, whose `Drop` is user code.
    Forgotten(#[expect(dead_code, reason = "dropped with the report")] Error),
}

impl Report {
    /// `failed_calls` returns the number of calls that have failed since the last recovery, and resets it.
    pub(crate) fn emit(self, observers: &Observers, failed_calls: impl FnOnce() -> u64) {
        match self {
            Report::Event(event) => observers.emit(&event),
            Report::FetchFailed { cause, duration, error, consecutive } => {
                observers.emit(&Event::FetchFailed { cause, duration, error: &error, consecutive });
            }
            Report::Failing { error, token_usable, failing_for } => {
                observers.emit(&Event::Failing { error: &error, token_usable, failing_for });
            }
            Report::Recovered { failing_for, failed_fetches } => {
                let failed_calls = failed_calls();
                observers.emit(&Event::Recovered { failing_for, failed_fetches, failed_calls });
            }
            Report::Unlinked(_) | Report::Forgotten(_) => {}
        }
    }
}

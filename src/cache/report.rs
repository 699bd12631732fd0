//! What the state machine has to tell an operator: collected under its lock, told outside of it, since a `tracing`
//! subscriber is code of the user.

use std::time::Duration;

use crate::error::Error;
use crate::event::event;

#[derive(Debug)]
pub(crate) enum Report {
    Started {
        fetch: u64,
    },
    /// The first failure in a row; those that follow say nothing new.
    Failed {
        error: Error,
        usable: bool,
    },
    Recovered {
        failed_fetches: u32,
    },
    Refused,
    NoLifetime {
        assumed: Duration,
    },
    DeadOnArrival,
    /// Nothing to tell: an error may have a value of the user inside, whose `Drop` is code of the user.
    Forgotten(#[expect(dead_code, reason = "dropped with the note")] Error),
}

impl Report {
    pub(crate) fn emit(self) {
        match self {
            Report::Started { fetch: _fetch } => {
                event!(debug, fetch = _fetch, "fetching an access token")
            }
            Report::Failed { error: _error, usable: _usable } => event!(
                warn,
                error = %format_args!("{_error:#}"),
                kind = ?_error.kind(),
                token_still_usable = _usable,
                "an access token could not be fetched"
            ),
            Report::Recovered { failed_fetches: _count } => {
                event!(info, failed_fetches = _count, "access tokens can be fetched again");
            }
            Report::Refused => {
                event!(debug, "the API refused an access token; another one is fetched when it is asked for")
            }
            Report::NoLifetime { assumed: _assumed } => {
                event!(warn, assumed = ?_assumed, "the authorization server states no lifetime of its tokens");
            }
            Report::Forgotten(_) => {}
            Report::DeadOnArrival => {
                event!(warn, "the authorization server issues tokens that are expired on arrival: they are not cached");
            }
        }
    }
}

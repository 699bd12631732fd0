//! What the state machine has to tell an operator: collected under its lock, told outside of it, since a `tracing`
//! subscriber is code of the user.

use std::time::Duration;

use crate::Error;
use crate::event::event;

#[derive(Debug)]
pub(crate) enum Note {
    Departed {
        flight: u64,
    },
    /// The first failure in a row; those that follow say nothing new.
    Failed {
        error: Error,
        usable: bool,
    },
    Recovered {
        failed_flights: u32,
    },
    Refused,
    NoLifetime {
        assumed: Duration,
    },
    DeadOnArrival,
    /// Nothing to tell: an error may have a value of the user inside, whose `Drop` is code of the user.
    Forgotten(#[expect(dead_code, reason = "dropped with the note")] Error),
}

impl Note {
    pub(crate) fn tell(self) {
        match self {
            Note::Departed { flight: _flight } => {
                event!(debug, flight = _flight, "fetching an access token")
            }
            Note::Failed { error: _error, usable: _usable } => event!(
                warn,
                error = %format_args!("{_error:#}"),
                kind = ?_error.kind(),
                token_still_usable = _usable,
                "an access token could not be fetched"
            ),
            Note::Recovered { failed_flights: _count } => {
                event!(info, failed_flights = _count, "access tokens can be fetched again");
            }
            Note::Refused => {
                event!(debug, "the API refused an access token; another one is fetched when it is asked for")
            }
            Note::NoLifetime { assumed: _assumed } => {
                event!(warn, assumed = ?_assumed, "the authorization server states no lifetime of its tokens");
            }
            Note::Forgotten(_) => {}
            Note::DeadOnArrival => {
                event!(warn, "the authorization server issues tokens that are expired on arrival: they are not cached");
            }
        }
    }
}

//! What a document told: asked for when it is needed first, kept for a while, and for longer when it cannot be had.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::document::Unusable;
use crate::cache::clock::{Clock, Moment};
use crate::exchange::{Exchange, Peer, Response, Shown};
use crate::grant::retry_after;
use crate::{Error, ErrorKind};

pub(super) struct Kept<T> {
    lifetime: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    known: Option<T>,
    /// When it was last asked for out of turn.
    hurried: Option<Moment>,
    /// When to ask again.
    due: Option<Moment>,
}

pub(super) enum Look<T> {
    /// Good for now.
    Known(T),
    /// To be asked for. Meanwhile, and if that fails, this is good.
    Due(Option<T>),
}

/// 1 h: an endpoint moves once in years, and its old place is served for days.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// 1 min after a failure: each further failure costs a flight its time.
const PAUSE: Duration = Duration::from_secs(60);

impl<T: Clone + PartialEq> Kept<T> {
    pub(super) fn new(lifetime: Duration) -> Self {
        let state = Mutex::new(State { known: None, hurried: None, due: None });
        Kept { lifetime, state }
    }

    /// Who is told to ask for another one is alone in that, until the pause is over; for a first one all are.
    pub(super) fn look(&self, now: Moment) -> Look<T> {
        let mut state = self.state();
        let due = state.due.is_none_or(|due| due.reached(now));
        match state.known.clone() {
            Some(known) if !due => Look::Known(known),
            known => {
                // Before the answer: it may take longer than the flight.
                state.due = known.as_ref().map(|_| now.plus(self.pause()));
                Look::Due(known)
            }
        }
    }

    pub(super) fn known(&self) -> Option<T> {
        self.state().known.clone()
    }

    /// Whether it was another one before.
    pub(super) fn adopt(&self, value: T, now: Moment) -> bool {
        let mut state = self.state();
        state.due = Some(now.plus(self.lifetime));
        let before = state.known.replace(value.clone());
        before.is_some_and(|before| before != value)
    }

    /// At once, but out of turn not more often than the pause allows.
    pub(super) fn ask_soon(&self, now: Moment) {
        let mut state = self.state();
        let rested = state.hurried.is_none_or(|last| last.plus(self.pause()).reached(now));
        if rested {
            state.hurried = Some(now);
            state.due = Some(now);
        }
    }

    fn pause(&self) -> Duration {
        PAUSE.min(self.lifetime)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // A panic cannot leave anything half done in there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks at one place after the other, until a document is of use. `whose` and `name` are for the error's text.
pub(super) async fn first_usable<D>(
    exchange: &Exchange,
    clock: &Clock,
    (whose, name): (String, &'static str),
    places: &[Url],
    decode: impl Fn(&Response) -> Result<D, Unusable>,
) -> Result<D, Error> {
    let mut text = format!("{whose} has no usable metadata");
    let (mut transient, mut throttled, mut status, mut wait) = (false, false, None, None);
    for (n, url) in places.iter().enumerate() {
        let peer = Peer { name, url, identity: None };
        let joint = if n == 0 { ":" } else { ";" };
        // A server that cannot be reached is not asked at another path.
        let response = match exchange.fetch(peer).await {
            Err(error) if error.kind() == ErrorKind::Response => {
                text.push_str(&format!("{joint} {error}"));
                continue;
            }
            other => other?,
        };
        let flaw = match decode(&response) {
            Ok(document) => return Ok(document),
            Err(flaw) => flaw,
        };
        text.push_str(&format!("{joint} at {}: {}", Shown(url), flaw.why));
        transient |= flaw.transient;
        throttled |= response.status == StatusCode::TOO_MANY_REQUESTS;
        status = Some(response.status);
        wait = retry_after(response.status, &response.headers, clock.now()).or(wait);
    }
    let kind = match throttled {
        true => ErrorKind::Throttled,
        false => ErrorKind::Response,
    };
    let mut error = Error::new(kind, text).with_retry_after(wait);
    if let Some(status) = status {
        error = error.with_status(status);
    }
    Err(if transient { error.transient() } else { error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::clock::manual;

    /// What is known, and whether it is to be asked for.
    fn look(kept: &Kept<u8>, now: Moment) -> (Option<u8>, bool) {
        match kept.look(now) {
            Look::Known(known) => (Some(known), false),
            Look::Due(known) => (known, true),
        }
    }

    #[test]
    fn what_is_known_is_good_for_its_lifetime_and_longer_when_asking_fails() {
        let (clock, hands) = manual::clock();
        let kept = Kept::new(LIFETIME);
        assert_eq!(look(&kept, clock.now()), (None, true));
        assert_eq!(look(&kept, clock.now()), (None, true), "at once, with nothing at hand");
        assert!(!kept.adopt(1, clock.now()), "the first is no other one");
        hands.advance(LIFETIME - Duration::from_nanos(1));
        assert_eq!(look(&kept, clock.now()), (Some(1), false));
        hands.advance(Duration::from_nanos(1));
        assert_eq!(look(&kept, clock.now()), (Some(1), true));
        // Nothing came of it: not again before the pause is over.
        assert_eq!(look(&kept, clock.now()), (Some(1), false));
        hands.advance(PAUSE);
        assert_eq!(look(&kept, clock.now()), (Some(1), true));
        assert!(!kept.adopt(1, clock.now()));
        assert!(kept.adopt(2, clock.now()), "another one");
        hands.advance(PAUSE);
        assert_eq!(look(&kept, clock.now()), (Some(2), false));
    }

    #[test]
    fn out_of_turn_it_is_asked_for_once_a_minute() {
        let (clock, hands) = manual::clock();
        let kept = Kept::new(LIFETIME);
        kept.adopt(1, clock.now());
        kept.ask_soon(clock.now());
        assert_eq!(look(&kept, clock.now()), (Some(1), true));
        kept.adopt(1, clock.now());
        kept.ask_soon(clock.now());
        assert_eq!(look(&kept, clock.now()), (Some(1), false), "too soon");
        hands.advance(PAUSE);
        kept.ask_soon(clock.now());
        assert_eq!(look(&kept, clock.now()), (Some(1), true));
    }
}

//! A document that a server publishes: fetched on demand, once for all callers, and kept for its lifetime, or longer
//! while it cannot be fetched again.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, Moment};
use crate::error::Error;
use crate::lock::Lock;
use crate::runtime::value_of;

pub(super) struct Memory<T> {
    lifetime: Duration,
    state: Lock<Remembered<T>>,
}

struct Remembered<T> {
    known: Option<T>,
    /// When to fetch it again.
    due: Option<Moment>,
    /// When it was last fetched early.
    fetched_early: Option<Moment>,
    /// The first fetch, which other callers wait for.
    first: Option<Report<T>>,
}

/// The result of the first fetch, for callers that wait. If the channel closes without one, the fetch was dropped.
type Report<T> = watch::Receiver<Option<Result<T, Error>>>;

/// What a caller has to do.
enum Step<T> {
    Use(T),
    /// Fetch the document; use the known one if that fails.
    Refresh(T),
    /// Fetch the document, and send the result to the waiting callers.
    Fetch(watch::Sender<Option<Result<T, Error>>>),
    Wait(Report<T>),
}

/// What a fetch has found out about a document.
pub(super) enum News {
    /// It has not changed, or is the first one.
    Same,
    Changed,
    /// It could not be fetched again: the previous one is used.
    Previous(Error),
}

/// 1 h: an endpoint moves once in years, and its old address works for days.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// 1 min after a failure, since each further failure delays a fetch.
const PAUSE: Duration = Duration::from_secs(60);

impl<T: Clone + PartialEq> Memory<T> {
    pub(super) fn new(lifetime: Duration) -> Self {
        Memory { lifetime, state: Lock::new(Remembered { known: None, due: None, fetched_early: None, first: None }) }
    }

    /// Returns the document. All callers share the first fetch, and its error. They wait at most `limit`, since its
    /// runtime may be blocked.
    pub(super) async fn get(
        &self,
        clock: &Clock,
        limit: Duration,
        fetch: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, News), Error> {
        let mut overdue = None;
        loop {
            match self.step(clock.now(), overdue.take()) {
                Step::Use(known) => return Ok((known, News::Same)),
                Step::Refresh(known) => {
                    return Ok(match fetch.await {
                        Ok(value) if self.adopt(value.clone(), clock.now()) => (value, News::Changed),
                        Ok(value) => (value, News::Same),
                        Err(error) => (known, News::Previous(error)),
                    });
                }
                Step::Fetch(report) => {
                    let result = fetch.await;
                    if let Ok(value) = &result {
                        self.adopt(value.clone(), clock.now());
                    }
                    report.send_replace(Some(result.clone()));
                    return Ok((result?, News::Same));
                }
                Step::Wait(report) => match value_of(report.clone(), limit).await {
                    Some(result) => return Ok((result?, News::Same)),
                    None => overdue = Some(report),
                },
            }
        }
    }

    /// The next caller fetches the document again, but early no more often than the pause allows.
    pub(super) fn fetch_early(&self, now: Moment) {
        let mut state = self.state.lock();
        if state.fetched_early.is_none_or(|last| last.plus(self.pause()).reached(now)) {
            state.fetched_early = Some(now);
            state.due = Some(now);
        }
    }

    fn step(&self, now: Moment, overdue: Option<Report<T>>) -> Step<T> {
        let mut state = self.state.lock();
        let due = state.due.is_none_or(|due| due.reached(now));
        if let Some(known) = state.known.clone() {
            if !due {
                return Step::Use(known);
            }
            // Set before the response, which may take longer than the fetch, so that only one caller refreshes it until
            // the pause ends.
            state.due = Some(now.plus(self.pause()));
            return Step::Refresh(known);
        }
        match &state.first {
            // It was not dropped, has not failed (the waiting callers got the error), and has not timed out.
            Some(fetch)
                if fetch.has_changed().is_ok()
                    && fetch.borrow().is_none()
                    && overdue.is_none_or(|overdue| !overdue.same_channel(fetch)) =>
            {
                Step::Wait(fetch.clone())
            }
            _ => {
                let (report, fetch) = watch::channel(None);
                state.first = Some(fetch);
                Step::Fetch(report)
            }
        }
    }

    /// Returns whether the document has changed.
    fn adopt(&self, value: T, now: Moment) -> bool {
        let mut state = self.state.lock();
        state.due = Some(now.plus(self.lifetime));
        state.known.replace(value.clone()).is_some_and(|before| before != value)
    }

    fn pause(&self) -> Duration {
        PAUSE.min(self.lifetime)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::clock::manual;
    use crate::error::ErrorKind;

    /// A document that is a number; `None`: it cannot be fetched.
    struct Server {
        memory: Memory<u8>,
        clock: Clock,
        answer: Cell<Option<u8>>,
        fetches: Cell<u32>,
    }

    impl Server {
        fn new(answer: Option<u8>) -> (Self, crate::clock::ManualClock) {
            let (clock, hands) = manual::clock();
            let memory = Memory::new(LIFETIME);
            (Server { memory, clock, answer: Cell::new(answer), fetches: Cell::new(0) }, hands)
        }

        async fn get(&self) -> Option<u8> {
            let fetch = async {
                self.fetches.set(self.fetches.get() + 1);
                self.answer.get().ok_or_else(|| Error::of(ErrorKind::Response, "none"))
            };
            self.memory.get(&self.clock, Duration::from_secs(60), fetch).await.ok().map(|(value, _)| value)
        }
    }

    #[tokio::test]
    async fn a_document_is_used_for_its_lifetime_and_longer_when_it_cannot_be_fetched() {
        let (server, hands) = Server::new(None);
        assert_eq!((server.get().await, server.get().await, server.fetches.get()), (None, None, 2), "nothing is known");
        server.answer.set(Some(1));
        assert_eq!((server.get().await, server.fetches.get()), (Some(1), 3));
        hands.advance(LIFETIME - Duration::from_nanos(1));
        assert_eq!((server.get().await, server.fetches.get()), (Some(1), 3));
        server.answer.set(None);
        hands.advance(Duration::from_nanos(1));
        assert_eq!((server.get().await, server.fetches.get()), (Some(1), 4));
        assert_eq!((server.get().await, server.fetches.get()), (Some(1), 4), "not again before the pause is over");
        server.answer.set(Some(2));
        hands.advance(PAUSE);
        assert_eq!((server.get().await, server.fetches.get()), (Some(2), 5));
        hands.advance(PAUSE);
        assert_eq!((server.get().await, server.fetches.get()), (Some(2), 5));
    }

    #[tokio::test]
    async fn an_early_fetch_happens_once_a_minute_at_most() {
        let (server, hands) = Server::new(Some(1));
        server.get().await;
        for expected in [2, 2] {
            server.memory.fetch_early(server.clock.now());
            server.get().await;
            assert_eq!(server.fetches.get(), expected);
        }
        hands.advance(PAUSE);
        server.memory.fetch_early(server.clock.now());
        server.get().await;
        assert_eq!(server.fetches.get(), 3);
    }
}

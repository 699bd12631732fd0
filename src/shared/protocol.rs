//! What a replica does next with the store: a step function without I/O. `Shared` carries out the steps; the model
//! checker of `tests/fleet` runs the same function through every order of events.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// 5 s, at most a quarter of the fetch timeout: a token request takes less, and this replica can still make one
/// afterwards.
pub(super) const WAIT: Duration = Duration::from_secs(5);

/// 8: an API is not expected to reject more tokens while a record of the first one is still in transit.
const REFUSED: usize = 8;

/// What a replica remembers of tokens, which it does not keep. `I` identifies a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Memory<I> {
    /// The token that was returned last. A caller that asks again has it already.
    pub(super) returned: Option<I>,
    /// The last rejected tokens. A record that was delayed or replayed may bring back any of them.
    pub(super) refused: VecDeque<I>,
    /// When the newest rejected token was received, by the wall clock of the replica that stored it. Older records are
    /// not used.
    pub(super) watermark: Option<Duration>,
    /// The last token that was fetched is of no use to other replicas (`expires_in: 0`), which do not wait for the next
    /// one.
    pub(super) unshareable: bool,
    /// This replica waits for another one's token. If that is still so when the next turn begins, a deadline that is
    /// not known here has ended the last one.
    pub(super) waiting: bool,
}

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Admission {
    Use,
    Ignore,
    Delete,
}

impl<I: PartialEq> Memory<I> {
    /// After a fetch: whether the token would be of use to other replicas.
    pub(super) fn note_worth(&mut self, worth: Option<Duration>) {
        self.unshareable = worth.is_none();
    }

    pub(super) fn note_returned(&mut self, token: I) {
        self.returned = Some(token);
    }

    /// `received` is when the token was received, on the wall clock.
    pub(super) fn refuse(&mut self, token: I, received: Duration) {
        // A token of another source does not concern the records.
        if self.returned.as_ref() == Some(&token) {
            self.watermark = self.watermark.max(Some(received));
        }
        self.refused.retain(|one| *one != token);
        self.refused.truncate(REFUSED - 1);
        self.refused.push_front(token);
    }

    pub(super) fn refuses(&self, token: &I) -> bool {
        self.refused.contains(token)
    }

    pub(super) fn admit(&self, token: &I, received: Duration) -> Admission {
        if self.refuses(token) {
            return Admission::Delete;
        }
        if self.watermark > Some(received) { Admission::Ignore } else { Admission::Use }
    }
}

/// A record that may be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Found<T, I> {
    pub(crate) token: T,
    pub(crate) id: I,
    /// When it was received, by the wall clock of the replica that stored it.
    pub(crate) received: Duration,
    /// When it expires, by the clocks of this replica.
    pub(crate) unusable: Moment,
    /// It is not due yet.
    pub(crate) fresh: bool,
}

/// The newer record; of two with the same time, the first.
pub(super) fn newer<T, I>(one: Option<Found<T, I>>, other: Option<Found<T, I>>) -> Option<Found<T, I>> {
    match (one, other) {
        (Some(one), Some(other)) if one.received < other.received => Some(other),
        (one, other) => one.or(other),
    }
}

/// The part of one fetch that concerns the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Turn<T, I> {
    found: Option<Found<T, I>>,
    holding: bool,
    pub(super) wait: Duration,
    fetched: FromSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum FromSource {
    NotYet,
    Token,
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event<T, I> {
    /// The records were read: the one that may be used, if any.
    Looked(Option<Found<T, I>>),
    Leased {
        granted: bool,
        /// How long the turn has lasted.
        waited: Duration,
    },
    Paused,
    Fetched {
        token: I,
        /// How long other replicas can use it.
        worth: Option<Duration>,
        /// It is a bearer token, or bound to the key or certificate that this replica has.
        ours: bool,
    },
    Refused {
        throttled: bool,
    },
    Put,
    Released,
    /// An operation of the store failed.
    Failed,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step<T> {
    /// Read the records.
    Look,
    /// Ask for the lease.
    Lease,
    /// Wait before the next step.
    Pause,
    /// Call the source.
    Fetch,
    /// Store the fetched token, for this long.
    Put(Duration),
    Release,
    /// End with the token of a record.
    Use(T),
    /// End with the result of the source.
    Fetched,
}

impl<T, I: PartialEq> Turn<T, I> {
    /// The first step is to look. `most` is the longest wait for a token of another replica.
    pub(super) fn new(memory: &mut Memory<I>, most: Duration) -> Self {
        let cut_short = std::mem::take(&mut memory.waiting);
        let wait = if cut_short { Duration::ZERO } else { WAIT.min(most) };
        Turn { found: None, holding: false, wait, fetched: FromSource::NotYet }
    }

    /// `failed`: the store has failed in this turn, and is not used again.
    pub(super) fn next(&mut self, event: Event<T, I>, failed: bool, memory: &mut Memory<I>, now: Moment) -> Step<T> {
        self.holding &= !failed;
        let stale = |found: &mut Found<T, I>| {
            found.unusable.reached(now) || memory.admit(&found.id, found.received) != Admission::Use
        };
        // It was usable when it was read. Since then time has passed, or a token was rejected.
        self.found.take_if(stale);
        match event {
            Event::Looked(found) => {
                self.found = found.or(self.found.take());
                if self.holding || failed || self.found.as_ref().is_some_and(|found| found.fresh) {
                    return self.settle(failed, memory);
                }
                Step::Lease
            }
            // The previous owner may have stored a token since the records were read.
            Event::Leased { granted: true, .. } => {
                self.holding = true;
                Step::Look
            }
            Event::Leased { waited, .. } if self.found.is_none() && waited < self.wait => {
                memory.waiting = true;
                Step::Pause
            }
            Event::Leased { .. } | Event::Failed => self.settle(failed, memory),
            Event::Paused => Step::Look,
            Event::Fetched { token, worth, ours } => {
                self.fetched = FromSource::Token;
                // The server insists on it, or it is bound to a key that was rotated meanwhile or that only the source
                // has.
                if !ours || memory.refuses(&token) {
                    return self.release(memory);
                }
                memory.note_worth(worth);
                match worth {
                    Some(worth) if !failed => Step::Put(worth),
                    _ => self.release(memory),
                }
            }
            Event::Refused { throttled } => {
                self.fetched = FromSource::Failed;
                // If the server asks for fewer requests, the other replicas make none, either, until the lease ends.
                self.holding &= !throttled;
                self.release(memory)
            }
            Event::Put => self.release(memory),
            Event::Released => {
                self.holding = false;
                self.end(memory)
            }
        }
    }

    /// Ends the wait: uses the record, or fetches a token.
    fn settle(&mut self, failed: bool, memory: &mut Memory<I>) -> Step<T> {
        memory.waiting = false;
        // A due token is used, unless this replica has to refresh it.
        let refresh = self.holding || failed;
        match &self.found {
            Some(found) if found.fresh || !refresh => self.release(memory),
            _ => Step::Fetch,
        }
    }

    fn release(&mut self, memory: &Memory<I>) -> Step<T> {
        if self.holding { Step::Release } else { self.end(memory) }
    }

    fn end(&mut self, memory: &Memory<I>) -> Step<T> {
        let found = self.found.take();
        let found = match self.fetched {
            FromSource::Token => None,
            // A caller that has this token already needs the error, to report it and to know how long to wait.
            FromSource::Failed => found.filter(|found| memory.returned.as_ref() != Some(&found.id)),
            FromSource::NotYet => found,
        };
        match (found, self.fetched) {
            (Some(found), _) => Step::Use(found.token),
            (None, FromSource::NotYet) => Step::Fetch,
            (None, _) => Step::Fetched,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rejected_tokens_are_remembered_each_once() {
        let mut memory = Memory::default();
        (0..=REFUSED).chain([REFUSED]).for_each(|token| memory.refuse(token, Duration::ZERO));
        assert!(!memory.refuses(&0) && (1..=REFUSED).all(|token| memory.refuses(&token)));
        assert_eq!(memory.refused.len(), REFUSED);
    }

    #[test]
    fn of_two_records_the_newer_counts_and_of_equals_the_first() {
        let unusable = crate::clock::manual::clock().0.now();
        let found = |id, received| {
            Some(Found { token: (), id, received: Duration::from_secs(received), unusable, fresh: true })
        };
        for (one, other, id) in [(1, 2, 'b'), (2, 1, 'a'), (1, 1, 'a')] {
            assert_eq!(newer(found('a', one), found('b', other)).unwrap().id, id);
        }
        assert!(newer(None, found('b', 1)).is_some() && newer(found('a', 1), None).is_some());
    }

    #[test]
    fn the_wait_for_another_replica_ends_when_its_time_has_passed() {
        let now = crate::clock::manual::clock().0.now();
        let most = WAIT / 2;
        for (waited, waits) in [(most - Duration::from_nanos(1), true), (most, false)] {
            let mut memory = Memory::<u8>::default();
            let mut turn = Turn::<(), u8>::new(&mut memory, most);
            let step = turn.next(Event::Leased { granted: false, waited }, false, &mut memory, now);
            assert_eq!(step, if waits { Step::Pause } else { Step::Fetch });
            assert_eq!(memory.waiting, waits);
        }
    }
}

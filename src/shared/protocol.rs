//! What one replica does next with the store (pure): a step function without I/O. `Shared` carries the steps out; the
//! model checker of `tests/fleet` runs the same function against every order of events.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;

/// 5 s, or a quarter of the fetch deadline: a token request takes less, and one of our own fits in behind it.
pub(super) const WAIT: Duration = Duration::from_secs(5);

/// 8: an API that refuses more tokens than that while a record of the first one is still under way is not expected.
const REFUSED: usize = 8;

/// What this replica remembers of tokens without remembering them. `I` identifies a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Memory<I> {
    /// What was handed out last: whoever asks again has it already.
    pub(super) handed: Option<I>,
    /// The latest ones: a record that was delayed or replayed may bring back any of them.
    pub(super) refused: VecDeque<I>,
    /// A record that is older than a refused one is not used, on the wall clocks of those who put them there.
    pub(super) watermark: Option<Duration>,
    /// The last token that was fetched is of no use to others (`expires_in: 0`): nobody waits for the next one.
    pub(super) unshareable: bool,
    /// Another replica's token is waited for. Still so when the next turn begins: the last one was cut short, by a
    /// deadline that we do not know.
    pub(super) waiting: bool,
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Admission {
    Use,
    Ignore,
    Delete,
}

impl<I> Default for Memory<I> {
    fn default() -> Self {
        Memory { handed: None, refused: VecDeque::new(), watermark: None, unshareable: false, waiting: false }
    }
}

impl<I: PartialEq> Memory<I> {
    pub(super) fn is_unshareable(&self) -> bool {
        self.unshareable
    }

    /// Without the store: whether the token that was fetched would be of use to others.
    pub(super) fn note_worth(&mut self, worth: Option<Duration>) {
        self.unshareable = worth.is_none();
    }

    pub(super) fn hand_out(&mut self, token: I) {
        self.handed = Some(token);
    }

    /// `received` is when the token was received, on the wall clock.
    pub(super) fn refuse(&mut self, token: I, received: Duration) {
        // A token of another source says nothing about our records.
        if self.handed.as_ref() == Some(&token) {
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
    /// When it was received, on the wall clock of whoever put it there.
    pub(crate) received: Duration,
    /// Expired from here on, on our clocks.
    pub(crate) unusable: Moment,
    /// Nobody needs to refresh it yet.
    pub(crate) fresh: bool,
}

/// The newer one, the first of two of the same instant.
pub(super) fn newer<T, I>(one: Option<Found<T, I>>, other: Option<Found<T, I>>) -> Option<Found<T, I>> {
    match (one, other) {
        (Some(one), Some(other)) if one.received < other.received => Some(other),
        (one, other) => one.or(other),
    }
}

/// One fetch, as far as the store is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Turn<T, I> {
    found: Option<Found<T, I>>,
    holding: bool,
    pub(super) wait: Duration,
    fetched: Fetch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fetch {
    NotYet,
    Token,
    Failed,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Event<T, I> {
    /// What may be used of what is there.
    Looked(Option<Found<T, I>>),
    Leased {
        granted: bool,
        /// For how long there has been nothing to use.
        waited: Duration,
    },
    Paused,
    Fetched {
        token: I,
        /// For how long others can use it.
        worth: Option<Duration>,
        /// Not bound to what this replica does not have, or no longer has.
        ours: bool,
    },
    Refused {
        throttled: bool,
    },
    Put,
    Released,
    /// The store failed, whatever it was asked.
    Failed,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step<T> {
    /// Read the records.
    Look,
    /// Ask for the lease.
    Lease,
    /// Wait a moment.
    Pause,
    /// Ask the source.
    Fetch,
    /// Put what was fetched into the store, for so long.
    Put(Duration),
    Release,
    /// The end: a token that was found.
    Use(T),
    /// The end: what the source answered.
    Fetched,
}

impl<T, I: PartialEq> Turn<T, I> {
    /// Begins with a look. `most` is for how long a token of another replica may be waited for.
    pub(super) fn new(memory: &mut Memory<I>, most: Duration) -> Self {
        let cut_short = std::mem::take(&mut memory.waiting);
        let wait = if cut_short { Duration::ZERO } else { WAIT.min(most) };
        Turn { found: None, holding: false, wait, fetched: Fetch::NotYet }
    }

    /// `failed`: the store failed in this turn, and is not asked again.
    pub(super) fn next(&mut self, event: Event<T, I>, failed: bool, memory: &mut Memory<I>, now: Moment) -> Step<T> {
        self.holding &= !failed;
        let stale = |found: &mut Found<T, I>| {
            found.unusable.reached(now) || memory.admit(&found.id, found.received) != Admission::Use
        };
        // It was of use when it was read: since then the store was asked, or the source, or a token was rejected.
        self.found.take_if(stale);
        match event {
            Event::Looked(found) => {
                self.found = found.or(self.found.take());
                if self.holding || failed || self.found.as_ref().is_some_and(|found| found.fresh) {
                    return self.settle(failed, memory);
                }
                Step::Lease
            }
            // Whoever had it before may have put a token there since we looked.
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
                self.fetched = Fetch::Token;
                // The server insists on it, or it is bound to what was rotated meanwhile, or to something of the
                // source's own.
                if !ours || memory.refuses(&token) {
                    return self.release(memory);
                }
                memory.unshareable = worth.is_none();
                match worth {
                    Some(worth) if !failed => Step::Put(worth),
                    _ => self.release(memory),
                }
            }
            Event::Refused { throttled } => {
                self.fetched = Fetch::Failed;
                // A server that asks for fewer requests is not asked by the others either, for as long as the lease lasts.
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

    /// Nothing more is waited for: what was found is used, or a token is fetched.
    fn settle(&mut self, failed: bool, memory: &mut Memory<I>) -> Step<T> {
        memory.waiting = false;
        // A due one is used by those who do not have to refresh it.
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
            Fetch::Token => None,
            // Whoever has that one already wants to know the error: how long to wait, what to tell.
            Fetch::Failed => found.filter(|found| memory.handed.as_ref() != Some(&found.id)),
            Fetch::NotYet => found,
        };
        match (found, self.fetched) {
            (Some(found), _) => Step::Use(found.token),
            (None, Fetch::NotYet) => Step::Fetch,
            (None, _) => Step::Fetched,
        }
    }
}

//! The hot path: one copy of the token per slot, so that threads do not share a cache line. The first slot has the
//! token itself.
//!
//! During its lease, a slot returns its token without the state machine. Leases are given, renewed and revoked only
//! under the lock of the state machine.

use crate::clock::{Clock, Deadline, Moment};
use crate::lock::{Lock, thread_number};
use crate::token::AccessToken;

/// The right to return a token until then, without asking the state machine.
#[derive(Debug)]
struct Lease {
    token: AccessToken,
    until: Deadline,
}

/// 128: two cache lines, which x86-64 prefetches in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Slot(Lock<Option<Lease>>);

/// Their number is a power of two: at least that of the cores, but at most 16.
#[derive(Debug)]
pub(crate) struct Slots(Box<[Slot]>);

impl Slots {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        Slots((0..cores.next_power_of_two().min(MOST)).map(|_| Slot::default()).collect())
    }

    /// The token of this thread's slot, during its lease.
    // The compiler would not inline it, and a call costs 0.5 ns of 15.
    #[inline(always)]
    pub(crate) fn token(&self, clock: &Clock) -> Option<AccessToken> {
        let mut slot = self.mine()?.0.lock();
        let lease = slot.as_mut()?;
        (!lease.until.reached(clock)).then(|| lease.token.clone())
    }

    /// Gives this thread's slot a lease on `token`.
    pub(crate) fn lease(&self, token: &AccessToken, until: Moment) {
        let Some(mine) = self.mine() else { return };
        let until = Deadline::at(until);
        if let Some(lease) = mine.0.lock().as_mut().filter(|lease| lease.token.id() == token.id()) {
            lease.until = until;
            return;
        }
        // The state machine has the same copy, and rarely returns it.
        let in_use = |slot: &Slot| slot.0.lock().as_ref().is_some_and(|lease| lease.token.is_same_copy(token));
        let token = if self.0.iter().any(in_use) { token.copy() } else { token.clone() };
        *mine.0.lock() = Some(Lease { token, until });
    }

    /// Ends all leases: the token may no longer be the one to return.
    pub(crate) fn revoke(&self) {
        for slot in &self.0 {
            *slot.0.lock() = None;
        }
    }

    #[inline]
    fn mine(&self) -> Option<&Slot> {
        self.0.get(thread_number() & (self.0.len().wrapping_sub(1)))
    }
}

/// More than 16 slots cost memory in every source and gain nothing measurable.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::manual::clock;

    fn token(secret: &str) -> AccessToken {
        AccessToken::builder(secret).build().unwrap()
    }

    #[test]
    fn a_lease_on_another_token_replaces_the_first() {
        let (clock, hands) = clock();
        let slots = Slots::new();
        let in_seconds = |seconds| clock.now().plus(Duration::from_secs(seconds));
        slots.lease(&token("one"), in_seconds(10));
        slots.lease(&token("other"), in_seconds(20));
        hands.advance(Duration::from_secs(15));
        assert_eq!(slots.token(&clock).unwrap().expose_secret(), "other");
        hands.advance(Duration::from_secs(5));
        assert!(slots.token(&clock).is_none());
    }

    #[test]
    fn each_slot_but_the_first_has_a_copy_of_its_own() {
        let (clock, _) = clock();
        let slots = Slots((0..4).map(|_| Slot::default()).collect());
        let one = token("one");
        let until = clock.now().plus(Duration::from_secs(10));
        let place = || slots.token(&clock).map(|token| token.expose_secret().as_ptr() as usize);
        // Threads are numbered in order, so some of these have slots of their own.
        let in_threads = std::thread::scope(|scope| {
            let lease = || {
                slots.lease(&one, until);
                (thread_number() % 4, place().unwrap())
            };
            (0..16).map(|_| scope.spawn(lease).join().unwrap()).collect::<std::collections::BTreeSet<_>>()
        });
        let slots_used: std::collections::BTreeSet<_> = in_threads.iter().map(|(slot, _)| slot).collect();
        let places: std::collections::BTreeSet<_> = in_threads.iter().map(|(_, place)| *place).collect();
        assert!(slots_used.len() > 1);
        assert_eq!((in_threads.len(), places.len()), (slots_used.len(), slots_used.len()), "one place for each slot");
        assert!(places.contains(&(one.expose_secret().as_ptr() as usize)), "no copy more than is needed");
    }

    #[test]
    fn a_lease_is_prolonged_without_another_copy() {
        let (clock, hands) = clock();
        let slots = Slots::new();
        let one = token("one");
        let in_seconds = |seconds| clock.now().plus(Duration::from_secs(seconds));
        let place = || slots.token(&clock).unwrap().expose_secret().as_ptr();
        slots.lease(&one, in_seconds(10));
        let first = place();
        slots.lease(&one, in_seconds(20));
        hands.advance(Duration::from_secs(15));
        assert_eq!(place(), first);
        slots.lease(&one, clock.now());
        assert!(slots.token(&clock).is_none(), "or ended, at once");
    }
}

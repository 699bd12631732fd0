//! The circuit breaker of a store (pure): after a failure the store is skipped for a while, which doubles with further
//! failures.

use std::time::Duration;

use crate::backoff::Backoff;
use crate::clock::Moment;

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Failures in a row.
    failures: u32,
    failed: Option<Moment>,
    /// Until then the store is skipped; after that, one visit at a time is admitted.
    closed_until: Option<Moment>,
    /// A visit was admitted as a trial, and its outcome is not known yet.
    trial: bool,
    /// The failure was reported, and the recovery was not.
    reported: bool,
}

/// 1 s doubling to 30 s: a failing visit costs a caller 100 ms.
const PAUSE: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
/// 1 min without a failure, after which the store counts as recovered: an unstable store is visited ever more rarely, and
/// reported once.
const CALM: Duration = Duration::from_secs(60);

impl Breaker {
    /// Whether to visit the store. After a failure, `true` is returned for one visit; until its outcome is known, or it was
    /// abandoned, other callers get `false`.
    pub(crate) fn admits(&mut self, now: Moment) -> bool {
        match self.closed_until {
            Some(end) if !end.reached(now) => false,
            Some(_) => {
                self.trial = true;
                self.closed_until = Some(now.plus(PAUSE.after(self.failures)));
                true
            }
            None => true,
        }
    }

    /// Returns whether to report the failure.
    pub(crate) fn failed(&mut self, now: Moment) -> bool {
        let closed = self.closed_until.is_some_and(|end| !end.reached(now));
        // Of a thousand concurrent visits, only the first failure counts.
        if closed && !std::mem::take(&mut self.trial) {
            return false;
        }
        if self.is_calm(now) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(now);
        self.closed_until = Some(now.plus(PAUSE.after(self.failures)));
        !std::mem::replace(&mut self.reported, true)
    }

    /// Returns whether to report the recovery.
    pub(crate) fn succeeded(&mut self, now: Moment) -> bool {
        self.closed_until = None;
        self.trial = false;
        if !self.is_calm(now) {
            return false;
        }
        self.failures = 0;
        self.failed = None;
        std::mem::take(&mut self.reported)
    }

    fn is_calm(&self, now: Moment) -> bool {
        self.failed.is_none_or(|failed| failed.plus(CALM).reached(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Trial {
        breaker: Breaker,
        start: Moment,
    }

    impl Trial {
        fn new() -> Self {
            Trial { breaker: Breaker::default(), start: crate::clock::manual::clock().0.now() }
        }
        fn at(&self, millis: u64) -> Moment {
            self.start.plus(Duration::from_millis(millis))
        }
    }

    #[test]
    fn a_failing_store_is_left_alone_and_then_tried_by_one_call() {
        let mut t = Trial::new();
        assert!(t.breaker.admits(t.at(0)));
        assert!(t.breaker.failed(t.at(0)));
        assert!(!t.breaker.admits(t.at(999)));
        assert!(t.breaker.admits(t.at(1000)));
        assert!(!t.breaker.admits(t.at(1000)), "one at a time");
        assert!(!t.breaker.admits(t.at(1999)));
        assert!(t.breaker.admits(t.at(2000)), "the first one was given up");
        assert!(!t.breaker.failed(t.at(2000)), "reported already");
        assert!(!t.breaker.admits(t.at(3999)));
        assert!(t.breaker.admits(t.at(4000)));
    }

    #[test]
    fn an_unstable_store_is_tried_less_and_less_often_and_reported_once() {
        // D04: up for one visit, down for the next, for an hour
        let mut t = Trial::new();
        let (mut visits, mut reported) = (0, Vec::new());
        for second in 0..3600 {
            let now = t.at(second * 1000);
            if t.breaker.admits(now) {
                visits += 1;
                let recovered = visits % 2 == 0;
                let reports = if recovered { t.breaker.succeeded(now) } else { t.breaker.failed(now) };
                reported.extend(reports.then_some(recovered));
            }
        }
        assert!(visits <= 2 * (5 + 3600 / 30), "{visits}");
        assert_eq!(reported, [false], "that it fails");
    }

    #[test]
    fn a_minute_without_failure_resets_the_breaker() {
        let mut t = Trial::new();
        t.breaker.failed(t.at(0));
        assert!(!t.breaker.succeeded(t.at(1000)));
        assert!(t.breaker.admits(t.at(1001)) && t.breaker.admits(t.at(1001)));
        assert!(t.breaker.succeeded(t.at(60_000)));
        assert!(!t.breaker.succeeded(t.at(60_000)));
        assert!(t.breaker.failed(t.at(60_001)));
        assert!(t.breaker.admits(t.at(61_001)), "the pause is short again");
    }

    #[test]
    fn a_failure_that_follows_none_for_a_minute_is_a_first_one() {
        let mut t = Trial::new();
        for at in [0, 1000, 3000] {
            assert!(t.breaker.admits(t.at(at)));
            t.breaker.failed(t.at(at));
        }
        assert!(t.breaker.admits(t.at(63_000)));
        t.breaker.failed(t.at(63_000));
        assert!(t.breaker.admits(t.at(64_000)), "the pause is short again");
    }

    #[test]
    fn endless_failures_do_not_overflow() {
        let mut t = Trial::new();
        for n in 0..100 {
            assert!(t.breaker.admits(t.at(n * 30_000)));
            t.breaker.failed(t.at(n * 30_000));
        }
        assert!(!t.breaker.admits(t.at(99 * 30_000 + 29_999)));
        assert!(t.breaker.admits(t.at(99 * 30_000 + 30_000)));
    }

    #[test]
    fn a_thousand_operations_that_fail_together_are_one_failure() {
        let mut t = Trial::new();
        assert!((0..1000).all(|_| t.breaker.admits(t.at(0))));
        let reported = (0..1000).filter(|n| t.breaker.failed(t.at(n / 10)));
        assert_eq!(reported.count(), 1);
        assert!(!t.breaker.admits(t.at(999)));
        assert!(t.breaker.admits(t.at(1000)));
        // The result of the one that was let through counts, whatever else fails meanwhile.
        t.breaker.failed(t.at(1100));
        t.breaker.failed(t.at(1100));
        assert!(!t.breaker.admits(t.at(3099)));
        assert!(t.breaker.admits(t.at(3100)));
    }
}

//! Waits that grow with each failure.

use std::time::Duration;

/// The wait after a failure: `first`, doubled with each further failure in a row, at most `max`.
///
/// Used by [`CachePolicy`](crate::CachePolicy) and [`RetryPolicy`](crate::RetryPolicy). A `first` below 1 ms (a loop without
/// waits) and a `max` below `first` are refused with the reason when the policy is used.
///
/// ```
/// use client_credentials::{Backoff, RetryPolicy};
/// use std::time::Duration;
///
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// let policy = RetryPolicy::new().backoff(backoff);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// Creates a backoff of `first` after the first failure, doubling up to `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Backoff { first, max }
    }

    /// The wait after this many failures in a row (from 1), without jitter.
    pub(crate) fn after(&self, failures: u32) -> Duration {
        let factor = 2_u32.checked_pow(failures.saturating_sub(1));
        factor.and_then(|factor| self.first.checked_mul(factor)).unwrap_or(self.max).min(self.max)
    }

    /// What is wrong with it.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.first < SHORTEST {
            Some(format!("starts with {:?}, a loop without waits: give at least 1 ms", self.first))
        } else if self.max < self.first {
            Some(format!("has a longest wait ({:?}) below its first ({:?}): swapped?", self.max, self.first))
        } else {
            None
        }
    }
}

/// The shortest wait. A shorter one would be a busy loop.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

/// `wait`, shortened by up to a tenth, so that processes that failed or started together spread their requests.
pub(crate) fn early(wait: Duration, draw: f64) -> Duration {
    wait.saturating_sub(share(wait / 10, draw))
}

/// `part * draw` without overflow or panic.
pub(crate) fn share(part: Duration, draw: f64) -> Duration {
    Duration::try_from_secs_f64(part.as_secs_f64() * draw.clamp(0.0, 1.0)).unwrap_or(part).min(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn doubling_ends_at_the_longest_wait() {
        let backoff = Backoff::new(seconds(1), seconds(30));
        assert_eq!(backoff.after(0), seconds(1));
        assert_eq!(backoff.after(1), seconds(1));
        assert_eq!(backoff.after(5), seconds(16));
        assert_eq!(backoff.after(6), seconds(30));
        assert_eq!(backoff.after(u32::MAX), seconds(30));
        assert_eq!(Backoff::new(Duration::MAX, Duration::MAX).after(32), Duration::MAX);
    }

    #[test]
    fn zero_and_swapped_waits_are_reported() {
        assert_eq!(Backoff::new(seconds(1), seconds(1)).fault(), None);
        assert_eq!(Backoff::new(SHORTEST, SHORTEST).fault(), None);
        assert!(Backoff::new(Duration::ZERO, seconds(1)).fault().unwrap().contains("loop"));
        assert!(Backoff::new(seconds(30), seconds(1)).fault().unwrap().contains("swapped"));
    }
}

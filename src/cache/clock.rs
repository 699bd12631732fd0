//! Two clocks, of which the more pessimistic wins.
//!
//! The monotonic clock is right when somebody steps the wall clock back; the wall clock is right when the machine was
//! suspended, since the monotonic one stands still then.

use std::time::Duration;

/// One reading of both clocks, in nanoseconds: comparing two is two comparisons of numbers, and 64 bits last 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    mono: u64,
    wall: u64,
}

impl Moment {
    #[cfg(any(test, fuzzing, feature = "test-util", not(target_os = "linux")))]
    /// `mono` since some fixed point of this process or machine, `wall` since the Unix epoch.
    pub(crate) fn new(mono: Duration, wall: Duration) -> Self {
        Moment {
            mono: nanoseconds(mono),
            wall: nanoseconds(wall),
        }
    }

    /// On the monotonic clock, since some fixed point.
    pub(crate) fn mono(self) -> Duration {
        Duration::from_nanos(self.mono)
    }

    /// On the wall clock, since the Unix epoch; an earlier wall clock reads as the epoch.
    pub(crate) fn wall(self) -> Duration {
        Duration::from_nanos(self.wall)
    }

    pub(crate) fn plus(self, wait: Duration) -> Moment {
        let wait = nanoseconds(wait);
        Moment {
            mono: self.mono.saturating_add(wait),
            wall: self.wall.saturating_add(wait),
        }
    }

    /// On a machine that was up for less, the monotonic hand stops at its start: the wall hand is then the more
    /// pessimistic.
    #[cfg(feature = "shared")]
    pub(crate) fn minus(self, age: Duration) -> Moment {
        let age = nanoseconds(age);
        Moment {
            mono: self.mono.saturating_sub(age),
            wall: self.wall.saturating_sub(age),
        }
    }

    /// Reached as soon as either clock says so.
    #[inline]
    pub(crate) fn reached(self, now: Moment) -> bool {
        now.mono >= self.mono || now.wall >= self.wall
    }

    pub(crate) fn earlier(self, other: Moment) -> Moment {
        Moment {
            mono: self.mono.min(other.mono),
            wall: self.wall.min(other.wall),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Where moments come from.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    System,
    #[cfg(any(test, feature = "test-util"))]
    Manual(manual::ManualClock),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match self {
            Clock::System => system(),
            #[cfg(any(test, feature = "test-util"))]
            Clock::Manual(clock) => clock.read(),
        }
    }
}

/// The coarse clocks of Linux cost 3 to 4 ns each instead of 18, and lag by one tick (1 to 10 ms), which the safety
/// margin covers.
#[cfg(target_os = "linux")]
#[inline]
fn system() -> Moment {
    use rustix::time::{ClockId, Timespec, clock_gettime};
    #[inline]
    fn read(clock: ClockId) -> u64 {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
        // Negative: before 1970. Both numbers are the kernel's: the product fits until 2554.
        (tv_sec.max(0) as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(tv_nsec as u64)
    }
    Moment {
        mono: read(ClockId::MonotonicCoarse),
        wall: read(ClockId::RealtimeCoarse),
    }
}

#[cfg(not(target_os = "linux"))]
fn system() -> Moment {
    use std::sync::LazyLock;
    use std::time::{Instant, SystemTime};
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    Moment::new(
        START.elapsed(),
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

#[cfg(any(test, feature = "test-util"))]
#[path = "manual_clock.rs"]
pub(crate) mod manual;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_clock_is_enough_to_reach_a_moment() {
        let at = |mono, wall| Moment::new(Duration::from_secs(mono), Duration::from_secs(wall));
        let end = at(10, 1_000).plus(Duration::from_secs(5));
        assert!(!end.reached(at(14, 1_004)));
        assert!(
            end.reached(at(15, 1_004)),
            "the wall clock was stepped back"
        );
        assert!(end.reached(at(14, 1_005)), "the machine was suspended");
        assert!(!end.reached(at(9, 0)), "both went back");
    }

    #[test]
    fn the_system_clocks_move() {
        let first = Clock::System.now();
        assert!(first.wall() > Duration::from_secs(1_700_000_000));
        while Clock::System.now().mono == first.mono {
            std::hint::spin_loop();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_manual_clock_moves_along_with_tokios_and_dates_tokens() {
        let minute = Duration::from_secs(60);
        let clock = manual::ManualClock::along_tokio();
        let start = clock.read();
        tokio::time::advance(minute).await;
        assert_eq!(clock.read(), start.plus(minute));
        let token = clock.bearer("abc", Some(minute)).unwrap();
        let end = std::time::SystemTime::UNIX_EPOCH + (start.wall() + 2 * minute);
        assert_eq!(token.expires_at(), Some(end));
    }

    #[test]
    fn the_end_of_time_overflows_nothing() {
        assert!(
            !Clock::System
                .now()
                .plus(Duration::MAX)
                .reached(Clock::System.now())
        );
    }
}

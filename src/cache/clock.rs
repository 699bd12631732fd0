//! Two clocks, of which the more pessimistic wins.
//!
//! The monotonic clock is right when somebody steps the wall clock back; the wall clock is right when the machine was
//! suspended, since the monotonic one stands still then.

use std::time::Duration;

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Since some fixed point of this process or machine.
    pub(crate) mono: Duration,
    /// Since the Unix epoch; an earlier wall clock reads as the epoch.
    pub(crate) wall: Duration,
}

impl Moment {
    #[inline]
    pub(crate) fn plus(self, wait: Duration) -> Moment {
        Moment {
            mono: self.mono.saturating_add(wait),
            wall: self.wall.saturating_add(wait),
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

/// Where moments come from.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    System,
    #[cfg(test)]
    Manual(std::sync::Arc<manual::Hands>),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match self {
            Clock::System => system(),
            #[cfg(test)]
            Clock::Manual(hands) => hands.read(),
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
    fn read(clock: ClockId) -> Duration {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
        match (u64::try_from(tv_sec), u32::try_from(tv_nsec)) {
            (Ok(seconds), Ok(nanoseconds)) => Duration::new(seconds, nanoseconds),
            _ => Duration::ZERO, // before 1970
        }
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
    Moment {
        mono: START.elapsed(),
        wall: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default(),
    }
}

#[cfg(test)]
pub(crate) mod manual {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The hands of a clock that moves only when told.
    #[derive(Debug)]
    pub(crate) struct Hands(Mutex<Moment>);

    impl Hands {
        pub(super) fn read(&self) -> Moment {
            *self.0.lock().unwrap()
        }
        /// Time passes: both hands move.
        pub(crate) fn advance(&self, by: Duration) {
            let mut now = self.0.lock().unwrap();
            *now = now.plus(by);
        }
        /// Sets one hand or both.
        pub(crate) fn set(&self, change: impl FnOnce(&mut Moment)) {
            change(&mut self.0.lock().unwrap());
        }
    }

    /// A clock at 1 day of uptime, in 2026, and its hands.
    pub(crate) fn clock() -> (Clock, Arc<Hands>) {
        let start = Moment {
            mono: Duration::from_secs(86_400),
            wall: Duration::from_secs(1_790_000_000),
        };
        let hands = Arc::new(Hands(Mutex::new(start)));
        (Clock::Manual(Arc::clone(&hands)), hands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_clock_is_enough_to_reach_a_moment() {
        let start = Moment {
            mono: Duration::from_secs(10),
            wall: Duration::from_secs(1_000),
        };
        let end = start.plus(Duration::from_secs(5));
        let at = |mono, wall| Moment {
            mono: Duration::from_secs(mono),
            wall: Duration::from_secs(wall),
        };
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
        assert!(first.wall > Duration::from_secs(1_700_000_000));
        while Clock::System.now().mono == first.mono {
            std::hint::spin_loop();
        }
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

//! Two clocks, of which the more pessimistic one decides: the monotonic clock is right after the wall clock was stepped
//! back, and the wall clock after the machine was suspended, during which the monotonic clock stops.

pub(crate) mod calendar;
#[cfg(any(test, feature = "test-util"))]
pub(crate) mod manual;
mod system;

use std::time::Duration;

#[cfg(any(test, feature = "test-util"))]
pub use manual::ManualClock;

/// One reading of both clocks, in nanoseconds, so that a comparison is one of two numbers. 64 bits last 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Moment {
    mono: u64,
    wall: u64,
}

impl Moment {
    /// `mono` since a fixed point of this process or machine, `wall` since the Unix epoch.
    #[cfg(any(test, fuzzing, feature = "test-util"))]
    pub(crate) fn new(mono: Duration, wall: Duration) -> Self {
        Moment { mono: nanoseconds(mono), wall: nanoseconds(wall) }
    }

    /// The time on the monotonic clock, since a fixed point.
    pub(crate) fn mono(self) -> Duration {
        Duration::from_nanos(self.mono)
    }

    /// The time on the wall clock, since the Unix epoch. A time before the epoch is read as the epoch.
    pub(crate) fn wall(self) -> Duration {
        Duration::from_nanos(self.wall)
    }

    pub(crate) fn plus(self, wait: Duration) -> Moment {
        let wait = nanoseconds(wait);
        Moment { mono: self.mono.saturating_add(wait), wall: self.wall.saturating_add(wait) }
    }

    /// The time from `earlier` until this moment, on the monotonic clock.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.mono.saturating_sub(earlier.mono))
    }

    /// On a machine with a shorter uptime, the monotonic time is zero, and the wall clock is the more pessimistic one.
    #[cfg(feature = "shared")]
    pub(crate) fn minus(self, age: Duration) -> Moment {
        let age = nanoseconds(age);
        Moment { mono: self.mono.saturating_sub(age), wall: self.wall.saturating_sub(age) }
    }

    /// Whether either clock has reached this moment.
    #[inline]
    pub(crate) fn reached(self, now: Moment) -> bool {
        now.mono >= self.mono || now.wall >= self.wall
    }

    /// The time from `now` until either clock reaches this moment.
    pub(crate) fn left(self, now: Moment) -> Duration {
        Duration::from_nanos(self.mono.saturating_sub(now.mono).min(self.wall.saturating_sub(now.wall)))
    }

    pub(crate) fn earlier(self, other: Moment) -> Moment {
        Moment { mono: self.mono.min(other.mono), wall: self.wall.min(other.wall) }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The source of moments.
#[derive(Clone, Debug, Default)]
pub(crate) enum Clock {
    #[default]
    System,
    #[cfg(any(test, feature = "test-util"))]
    Manual(ManualClock),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        match self {
            // In this order: a peek is compared with the wall clock, which must not be read later than the other one.
            Clock::System => {
                let wall = system::wall();
                Moment { mono: system::mono(), wall }
            }
            #[cfg(any(test, feature = "test-util"))]
            Clock::Manual(clock) => clock.read(),
        }
    }

    /// Waits for `moment`, but for a limited time, after which the caller reads the clocks again: the clock of timers
    /// stops when the machine is suspended, and is not a manual clock.
    pub(crate) async fn wait_towards(&self, moment: Moment) {
        match self {
            Clock::System => tokio::time::sleep(moment.left(self.now()).min(LONGEST_WAIT)).await,
            #[cfg(any(test, feature = "test-util"))]
            Clock::Manual(clock) => clock.wait_towards(moment, LONGEST_WAIT).await,
        }
    }

    /// The cheap reading between two full ones: only the wall clock of the system, which costs half. For a manual clock
    /// it is a full reading, since a test may move one clock back as far as it moved the other forward.
    #[inline]
    fn peek(&self) -> Moment {
        match self {
            Clock::System => Moment { mono: 0, wall: system::wall() },
            #[cfg(any(test, feature = "test-util"))]
            Clock::Manual(clock) => clock.read(),
        }
    }

    /// The result of a peek at that moment.
    fn peek_at(&self, moment: Moment) -> Moment {
        match self {
            Clock::System => Moment { mono: 0, ..moment },
            #[cfg(any(test, feature = "test-util"))]
            Clock::Manual(_) => moment,
        }
    }
}

/// A moment that is checked at every call. Both clocks are read every few milliseconds, and after some dozens of calls.
/// In between only the wall clock is read, which shows that these milliseconds have not passed, that it was not stepped
/// out of them, and that the machine was not suspended.
///
/// It does not show that the wall clock was stepped back into the milliseconds after the last full reading, however
/// long ago that was. The moment is then noticed once they have passed again, or after those dozens of calls.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Moment,
    /// The last reading of both clocks, moved back a little by each call since.
    read: Moment,
    /// For how many nanoseconds after that a reading of the wall clock is enough.
    span: u64,
}

impl Deadline {
    pub(crate) fn at(at: Moment) -> Self {
        Deadline { at, read: Moment { mono: 0, wall: 0 }, span: 0 }
    }

    #[inline]
    pub(crate) fn reached(&mut self, clock: &Clock) -> bool {
        !self.is_out_of_reach(clock.peek()) && self.read(clock)
    }

    #[inline]
    fn is_out_of_reach(&mut self, peek: Moment) -> bool {
        // A stopped clock would show the same moment for ever, so each call uses up a part of the span.
        self.read.wall = self.read.wall.wrapping_sub(SPAN / MOST_PEEKS);
        peek.wall.wrapping_sub(self.read.wall) < self.span && peek.mono.wrapping_sub(self.read.mono) < self.span
    }

    #[cold]
    fn read(&mut self, clock: &Clock) -> bool {
        let now = clock.now();
        self.note(now, clock.peek_at(now));
        self.at.reached(now)
    }

    fn note(&mut self, now: Moment, peek: Moment) {
        let left = |at: u64, now: u64| at.saturating_sub(now);
        let left = left(self.at.mono, now.mono).min(left(self.at.wall, now.wall));
        // A wall clock before 1970 always shows 0: both clocks are read each time then.
        (self.read, self.span) = (peek, left.min(SPAN).min(now.wall));
    }
}

/// 10 s, one safety margin: a token that expired while the machine was suspended is noticed within it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// 10 ms: the longest tick of kernels, by which coarse clocks lag.
const SPAN: u64 = 10_000_000;

/// 64: a full reading costs as much as a dozen peeks.
const MOST_PEEKS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_clock_is_enough_to_reach_a_moment() {
        let at = |mono, wall| Moment::new(Duration::from_secs(mono), Duration::from_secs(wall));
        let end = at(10, 1_000).plus(Duration::from_secs(5));
        assert!(!end.reached(at(14, 1_004)));
        assert!(end.reached(at(15, 1_004)), "the wall clock was stepped back");
        assert!(end.reached(at(14, 1_005)), "the machine was suspended");
        assert!(!end.reached(at(9, 0)), "both went back");
    }

    #[test]
    fn the_system_clocks_advance() {
        let first = Clock::System.now();
        assert!(first.wall() > Duration::from_secs(1_700_000_000));
        while Clock::System.now().mono == first.mono {
            std::hint::spin_loop();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_manual_clock_advances_with_tokios() {
        let minute = Duration::from_secs(60);
        let clock = ManualClock::along_tokio();
        let start = clock.read();
        tokio::time::advance(minute).await;
        assert_eq!(clock.read(), start.plus(minute));
    }

    #[test]
    fn peeks_at_the_wall_clock_notice_what_both_clocks_would() {
        let at = |mono: u64, wall: u64| Moment::new(Duration::from_millis(mono), Duration::from_millis(wall));
        let peek = |moment| Clock::System.peek_at(moment);
        let read_at = |now| {
            move |later| {
                let mut deadline = Deadline::at(at(5_000, 105_000));
                deadline.note(now, peek(now));
                deadline.is_out_of_reach(peek(later))
            }
        };
        let is_far = read_at(at(1_000, 101_000));
        assert!(is_far(at(1_000, 101_000)));
        assert!(is_far(at(1_009, 101_009)));
        assert!(!is_far(at(1_010, 101_010)), "10 ms");
        assert!(!is_far(at(1_000, 9_101_000)), "suspended");
        assert!(!is_far(at(1_001, 100_999)), "stepped back");
        assert!(is_far(at(9_000, 101_009)), "stepped back to that time");
        assert!(!is_far(at(9_001, 101_010)), "but for 10 ms only");
        for now in [at(4_997, 101_000), at(1_000, 104_997)] {
            let is_far = read_at(now);
            assert!(is_far(now.plus(Duration::from_millis(2))));
            assert!(!is_far(now.plus(Duration::from_millis(3))));
        }
        for (now, why) in
            [(at(5_000, 101_000), "it is reached"), (at(1_000, 0), "a clock before 1970 does not advance")]
        {
            assert!(!read_at(now)(now), "{why}");
        }
    }

    #[test]
    fn a_clock_that_has_stopped_hides_the_other_for_some_calls_only() {
        let start = Moment::new(Duration::from_secs(1_000), Duration::from_secs(101_000));
        let mut deadline = Deadline::at(start.plus(Duration::from_secs(3600)));
        deadline.note(start, Clock::System.peek_at(start));
        let frozen = Clock::System.peek_at(start);
        let calls = (0..1_000).take_while(|_| deadline.is_out_of_reach(frozen)).count();
        assert_eq!(calls, 63, "then both clocks are read");
    }

    #[test]
    fn peeks_at_both_clocks_notice_either() {
        let at = |mono: u64, wall: u64| Moment::new(Duration::from_millis(mono), Duration::from_millis(wall));
        let mut deadline = Deadline::at(at(5_000, 105_000));
        let now = at(1_000, 101_000);
        deadline.note(now, now);
        assert!(deadline.is_out_of_reach(at(1_009, 101_009)));
        assert!(!deadline.is_out_of_reach(at(1_010, 101_000)));
        assert!(!deadline.is_out_of_reach(at(1_000, 101_010)));
    }

    #[test]
    fn a_deadline_is_reached_when_either_clock_says_that_it_is() {
        let (clock, hands) = manual::clock();
        let hour = Duration::from_secs(3600);
        let deadline = || {
            let mut deadline = Deadline::at(clock.now().plus(hour));
            assert!(!deadline.reached(&clock) && !deadline.reached(&clock));
            deadline
        };
        for (move_the_hands, why) in [
            (&(|| hands.advance(hour)) as &dyn Fn(), "an hour has passed"),
            (&|| hands.set_wall(|hand| hand + hour), "suspended"),
            (&|| hands.set_mono(|hand| hand + hour), "set back by an hour"),
        ] {
            let mut deadline = deadline();
            move_the_hands();
            assert!(deadline.reached(&clock), "{why}");
        }
    }

    #[test]
    fn the_systems_clocks_reach_a_deadline() {
        let system = Clock::System;
        let (mut soon, mut later) = (
            Deadline::at(system.now().plus(Duration::from_millis(25))),
            Deadline::at(system.now().plus(Duration::from_secs(3600))),
        );
        let end = soon.at;
        // Not before, and as soon as a peek is no longer enough.
        while !soon.reached(&system) {
            assert!(!later.reached(&system));
        }
        assert!(end.reached(system.now()));
    }

    #[test]
    fn the_latest_instant_does_not_overflow() {
        assert!(!Clock::System.now().plus(Duration::MAX).reached(Clock::System.now()));
    }
}

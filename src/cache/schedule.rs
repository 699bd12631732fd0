//! When a token is fresh, due and expired (pure).

use std::time::Duration;

use super::policy::CachePolicy;
use crate::backoff::{early, share};

/// Instants in the life of a token, counted from when it was received:
/// `0 <= refresh <= unusable <= lifetime` for any lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// From then on it is due: used, and refreshed in the background.
    pub(crate) refresh: Duration,
    /// From then on it is expired for callers: no longer returned.
    pub(crate) unusable: Duration,
}

impl Schedule {
    /// `draw`, in `0.0..1.0`, is the token's one draw of jitter: 0.0 is the latest refresh, since jitter only makes it
    /// earlier.
    pub(crate) fn of(lifetime: Duration, refresh_in: Option<Duration>, policy: &CachePolicy, draw: f64) -> Schedule {
        let margin = policy.safety_margin.min(lifetime / 10);
        let unusable = lifetime.saturating_sub(margin);

        let window = match policy.refresh_window {
            Some(window) => window.min(lifetime / 2),
            // The minimum leaves time for retries, half the lifetime prevents permanent refreshes of short tokens, the
            // maximum prevents that much of a long lifetime is not used.
            None => (lifetime / 5).max(MIN_WINDOW).min(lifetime / 2).min(MAX_WINDOW),
        };
        // A `refresh_in` of zero would cause a request for every call.
        let hint = refresh_in.map(|hint| hint.max(MIN_WINDOW.min(lifetime / 2)));
        // In the first half of the window; the second is for further fetches after a failed one.
        let latest = lifetime.saturating_sub(window / 2);
        let drawn = latest.saturating_sub(share(window / 2, draw));
        let refresh = drawn
            .min(early(policy.max_age.max(SHORTEST_AGE), draw))
            .min(hint.map_or(Duration::MAX, |hint| early(hint, draw)))
            .min(unusable);
        Schedule { refresh, unusable }
    }
}

/// min(max(20 % of the lifetime, 30 s), 50 % of the lifetime, 15 min): 30 s is one fetch timeout.
const MIN_WINDOW: Duration = Duration::from_secs(30);
const MAX_WINDOW: Duration = Duration::from_secs(15 * 60);

/// 1 s: otherwise each token would be refreshed as soon as it arrives, without end.
const SHORTEST_AGE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn of(lifetime: u64, draw: f64) -> Schedule {
        Schedule::of(seconds(lifetime), None, &CachePolicy::new(), draw)
    }

    #[test]
    fn an_hour_is_refreshed_in_the_first_half_of_its_last_twelve_minutes() {
        assert_eq!(of(3600, 0.0), Schedule { refresh: seconds(3240), unusable: seconds(3590) });
        assert_eq!(of(3600, 1.0).refresh, seconds(2880));
    }

    #[test]
    fn windows_follow_the_table() {
        // lifetime, start of the window, middle of the window, unusable (milliseconds)
        for (lifetime, start, middle, unusable) in [
            (2, 1_000, 1_500, 1_800),
            (60, 30_000, 45_000, 54_000),
            (100, 70_000, 85_000, 90_000),
            (300, 240_000, 270_000, 290_000),
            (36_000, 35_100_000, 35_550_000, 35_990_000),
        ] {
            assert_eq!(of(lifetime, 1.0).refresh, Duration::from_millis(start), "{lifetime}");
            assert_eq!(of(lifetime, 0.0).refresh, Duration::from_millis(middle), "{lifetime}");
            assert_eq!(of(lifetime, 0.0).unusable, Duration::from_millis(unusable), "{lifetime}");
        }
    }

    #[test]
    fn a_very_long_token_is_refreshed_within_a_day() {
        // K13
        assert_eq!(of(10 * 365 * 86_400, 0.0).refresh, seconds(86_400));
        assert_eq!(of(10 * 365 * 86_400, 1.0).refresh, seconds(77_760));
    }

    #[test]
    fn refresh_in_only_moves_the_refresh_earlier() {
        let with = |hint| Schedule::of(seconds(3600), Some(seconds(hint)), &CachePolicy::new(), 0.0).refresh;
        assert_eq!(with(600), seconds(600));
        assert_eq!(with(3500), seconds(3240));
        assert_eq!(with(0), seconds(30), "no burst");
    }

    proptest! {
        #[test]
        fn a_schedule_is_in_order_for_any_lifetime(
            lifetime in any::<Duration>(), wish in any::<Option<Duration>>(), window in any::<Option<Duration>>(),
            margin in any::<Duration>(), age in any::<Duration>(), draw in any::<f64>(),
        ) {
            let policy = CachePolicy { refresh_window: window, safety_margin: margin, max_age: age, ..CachePolicy::new() };
            let s = Schedule::of(lifetime, wish, &policy, draw);
            prop_assert!(s.refresh <= s.unusable && s.unusable <= lifetime);
        }

        #[test]
        fn jitter_only_ever_refreshes_earlier(lifetime in any::<u64>(), a in 0.0..1.0_f64, b in 0.0..1.0_f64) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(of(lifetime, high).refresh <= of(lifetime, low).refresh);
        }
    }
}

//! The clock of the authorization server, from its `Date` (RFC 9110 section 6.6.1).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::HeaderMap;

use crate::clock::Moment;
use crate::exchange::server_time;
use crate::signing::jws::CLOCK_WAS_SET;

/// How far the server's clock is ahead of ours, in seconds. Zero before the first response.
#[derive(Debug, Default)]
pub(crate) struct ServerClock(AtomicI64);

impl ServerClock {
    /// `Date` is truncated to seconds, and in the past when it arrives. Our own time is rounded up, so that the result
    /// is not ahead of the server.
    pub(crate) fn hear(&self, headers: &HeaderMap, now: Moment) {
        let ours = now.wall().as_secs() + u64::from(now.wall().subsec_nanos() > 0);
        // A server's clock that was never set is ignored.
        let date = server_time(headers).filter(|date| *date >= CLOCK_WAS_SET);
        if let (Some(date), Ok(ours)) = (date, i64::try_from(ours)) {
            let date = i64::try_from(date.as_secs()).unwrap_or(i64::MAX);
            self.0.store(date.saturating_sub(ours), Ordering::Relaxed);
        }
    }

    /// The wall clock, corrected.
    pub(super) fn time(&self, now: Moment) -> Duration {
        let ahead = self.0.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        match ahead {
            0.. => now.wall().saturating_add(by),
            // The difference was measured before our own clock was set.
            _ if now.wall().saturating_sub(by) < CLOCK_WAS_SET => now.wall(),
            _ => now.wall().saturating_sub(by),
        }
    }
}

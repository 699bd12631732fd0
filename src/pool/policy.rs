//! How many sources a pool keeps, and for how long.

use std::time::Duration;

use crate::error::Error;
use crate::faults::Faults;

/// The limits of a [`TokenPool`](crate::TokenPool): how many sources it keeps, and for how long.
///
/// ```
/// use client_credentials::PoolPolicy;
/// use std::time::Duration;
///
/// let policy = PoolPolicy::new()
///     .capacity(500)
///     .time_to_idle(Duration::from_secs(600));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a policy does nothing before it is given to a pool"]
pub struct PoolPolicy {
    /// 10 000: some tens of MiB of idle sources.
    pub(super) capacity: usize,
    /// 1 h: by then the token of most servers has expired anyway.
    pub(super) time_to_idle: Duration,
}

impl PoolPolicy {
    /// Returns the default policy.
    pub const fn new() -> Self {
        PoolPolicy { capacity: 10_000, time_to_idle: Duration::from_secs(3600) }
    }

    /// Sets how many sources are kept, approximately; beyond that, the least used are dropped. Default: 10 000.
    ///
    /// The capacity is divided among shards that do not fill evenly: set it a tenth higher than needed.
    pub const fn capacity(mut self, sources: usize) -> Self {
        self.capacity = sources;
        self
    }

    /// Sets how long a source is kept without use, at least 1 s. Default: 1 h.
    ///
    /// Idle sources are dropped while others are created or refreshed, not by a background task: an unused pool keeps its
    /// sources.
    pub const fn time_to_idle(mut self, time: Duration) -> Self {
        self.time_to_idle = time;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let mut faults = Faults::default();
        if self.capacity == 0 {
            faults.add("capacity", "is zero: no source could be kept");
        }
        if self.time_to_idle < Duration::from_secs(1) {
            faults.add("time_to_idle", "is below 1 s, the resolution of the pool's timestamps");
        }
        faults.none_in("the pool policy", Some(()))
    }
}

impl Default for PoolPolicy {
    fn default() -> Self {
        PoolPolicy::new()
    }
}

//! A bound on refreshes that others force.

use std::time::Duration;

use super::super::policy::CachePolicy;
use crate::clock::Moment;

/// How many refreshes rejections, or demands for more scope, may still force.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    /// Since when the next one is being earned, on the monotonic clock; `None`: none is missing.
    since: Option<Duration>,
}

impl Allowance {
    pub(super) fn full(policy: &CachePolicy) -> Self {
        Allowance { left: policy.forced_refreshes, since: None }
    }

    pub(super) fn take(&mut self, policy: &CachePolicy, now: Moment) -> bool {
        while let Some(since) = self.since {
            let earned = since.saturating_add(policy.forced_refresh_interval);
            if earned > now.mono() {
                break;
            }
            self.left += 1;
            self.since = Some(earned).filter(|_| self.left < policy.forced_refreshes);
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.since.get_or_insert(now.mono());
        true
    }
}

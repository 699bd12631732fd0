//! A small model of the state machine.
//!
//! It determines which token may be returned until when, which rejections count, and how long the next fetch waits
//! after a failure. It has no jitter: where that decides, either answer is correct.

use super::*;

/// The model.
#[derive(Default)]
pub(super) struct Model {
    pub(super) held: Option<Held>,
    /// The rejected value, and the fetch during which it was rejected.
    pub(super) banned: Option<(String, Option<u64>)>,
    /// The time of the last one, how many in a row, and the error; `None`: it returned no new token.
    pub(super) setback: Option<(Moment, u32, Option<Error>)>,
    /// Rejections that took effect, on the monotonic clock.
    pub(super) forced: Vec<Duration>,
}

#[derive(Clone)]
pub(super) struct Held {
    pub(super) value: String,
    pub(super) received: Moment,
    pub(super) lifetime: Duration,
    pub(super) insisted: bool,
}

impl Held {
    /// min(10 s, 10 % of the lifetime) before expiry.
    pub(super) fn unusable_at(&self) -> Moment {
        let margin = seconds(10).min(self.lifetime / 10);
        self.received.plus(self.lifetime - margin)
    }

    /// The earliest and the latest refresh.
    pub(super) fn window(&self) -> (Moment, Moment) {
        let window = (self.lifetime / 5).max(seconds(30)).min(self.lifetime / 2).min(seconds(900));
        let (day, end) = (seconds(86_400), self.lifetime);
        let early = (end - window).min(day - day / 10);
        let late = (end - window / 2).min(day);
        let latest = self.unusable_at();
        (self.received.plus(early), self.received.plus(late).earlier(latest))
    }
}

impl Model {
    pub(super) fn usable(&self, now: Moment) -> Option<&Held> {
        self.held.as_ref().filter(|held| !held.unusable_at().reached(now))
    }

    /// Between these two the next fetch may or may not start, depending on the jitter of up to 10 %.
    pub(super) fn pause(&self, usable: bool) -> Option<(Moment, Moment)> {
        let (since, count, error) = self.setback.as_ref()?;
        let kind = error.as_ref().map(Error::kind);
        let (first, most) = match kind {
            Some(ErrorKind::Denied | ErrorKind::Throttled) => (millis(1000), seconds(60)),
            _ if usable => (millis(1000), seconds(30)),
            _ => (millis(250), seconds(10)),
        };
        let wait = first.saturating_mul(1 << (count - 1).min(20)).min(most);
        let obeyed = if usable { seconds(3600) } else { seconds(300) };
        let asked = error.as_ref().and_then(Error::retry_after).unwrap_or_default().min(obeyed);
        Some((since.plus((wait - wait / 10).max(asked)), since.plus(wait.max(asked))))
    }

    pub(super) fn set_back(&mut self, now: Moment, error: Option<Error>) {
        let count = match &self.setback {
            Some((_, count, last)) if last.is_some() == error.is_some() => count + 1,
            _ => 1,
        };
        self.setback = Some((now, count, error));
    }

    pub(super) fn complete(&mut self, fetch: u64, late: bool, token: Held, now: Moment) {
        let banned = self.banned.as_ref().filter(|(value, _)| *value == token.value);
        if banned.is_some_and(|(_, during)| late || *during == Some(fetch)) {
            return;
        }
        let dead = token.unusable_at().reached(now);
        if late && (dead || self.usable(now).is_some()) {
            return;
        }
        if dead {
            return self.set_back(now, None);
        }
        let same = |old: &&Held| old.value == token.value;
        let insisted = banned.is_some() || self.held.as_ref().filter(same).is_some_and(|old| old.insisted);
        let gained = self
            .held
            .as_ref()
            .filter(same)
            .is_none_or(|old| token.unusable_at().mono() > old.unusable_at().mono().saturating_add(seconds(1)));
        self.held = Some(Held { insisted, ..token });
        self.banned = None;
        if gained {
            self.setback = None;
        } else {
            self.set_back(now, None);
        }
    }

    /// Three at once, and one more every 2 min.
    pub(super) fn may_force(&self, now: Moment) -> bool {
        let mut left = 3_u32;
        let mut since: Option<Duration> = None;
        for at in self.forced.iter().copied().chain([now.mono()]) {
            while let Some(earned) = since.map(|since| since + seconds(120)).filter(|earned| *earned <= at) {
                left += 1;
                since = (left < 3).then_some(earned);
            }
            if left == 0 {
                return false;
            }
            left -= 1;
            since = since.or(Some(at));
        }
        true
    }
}

//! A simulated authorization server, which counts requests and is down for a while.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_credentials::{AccessToken, Error, ManualClock};
use tokio::time::{Instant, sleep};

use super::{DAY, MINUTE};

const LIFETIME: Duration = Duration::from_secs(3600);
/// The network, and the time to sign a token.
const RESPONSE: Duration = Duration::from_millis(50);

pub(crate) struct AuthorizationServer {
    clock: ManualClock,
    start: Instant,
    outage: Range<Duration>,
    per_second: Mutex<Vec<u32>>,
}

impl AuthorizationServer {
    pub(crate) fn start(clock: ManualClock, outage: Range<Duration>) -> Self {
        // Requests in progress at the end of the day are counted, too.
        let seconds = (DAY + MINUTE).as_secs() as usize;
        AuthorizationServer { clock, start: Instant::now(), outage, per_second: Mutex::new(vec![0; seconds]) }
    }

    pub(crate) async fn token(self: Arc<Self>) -> Result<AccessToken, Error> {
        let now = self.start.elapsed();
        if let Some(count) = self.per_second.lock().unwrap().get_mut(now.as_secs() as usize) {
            *count += 1;
        }
        // Its lifetime counts from before the request.
        let token = AccessToken::builder("token").lifetime(LIFETIME).clock(&self.clock).build();
        sleep(RESPONSE).await;
        match self.outage.contains(&now) {
            true => Err(Error::other("the authorization server is down")),
            false => token,
        }
    }

    pub(crate) fn per_second(&self) -> Vec<u32> {
        self.per_second.lock().unwrap().clone()
    }
}

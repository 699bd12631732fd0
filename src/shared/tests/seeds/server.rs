//! The authorization server of a fleet, its outages, and the ledger of the tokens that it has issued.

use std::collections::BTreeMap;

use tokio::time::sleep;

use super::*;

/// A token that the server has issued.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tenant: usize,
    pub(super) end: Instant,
}

/// The facts, whatever the replicas assume.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) tokens: BTreeMap<String, Entry>,
    /// Successful token requests of each tenant, and failed ones of all tenants.
    pub(super) issued: [u32; NAMES.len()],
    pub(super) refused: u32,
    pub(super) revoked: Vec<String>,
}

/// The authorization server.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) book: Mutex<Book>,
    pub(super) lifetime: Duration,
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) outage: Mutex<Option<Outage>>,
    pub(super) mutant: Option<Mutant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outage {
    Down,
    Throttled,
    /// Some requests fail.
    Flaky,
    /// A response may take longer than others wait, but not longer than a fetch.
    Slow,
}

impl Issuer {
    fn issue(&self, tenant: usize, failure: Option<Error>) -> Result<String, Error> {
        let mut book = self.book.lock().unwrap();
        if let Some(error) = failure {
            book.refused += 1;
            return Err(error);
        }
        book.issued[tenant] += 1;
        let count: u32 = book.issued.iter().sum();
        let again = book.revoked.last().cloned().filter(|_| self.mutant == Some(Mutant::RejectedTokenIssued));
        let value = again.unwrap_or(format!("t{count}"));
        book.tokens.insert(value.clone(), Entry { tenant, end: Instant::now() + self.lifetime });
        Ok(value)
    }
}

/// The token requests of one replica for one tenant.
#[derive(Debug)]
pub(super) struct TokenRequests {
    pub(super) issuer: Arc<Issuer>,
    pub(super) tenant: usize,
    pub(super) clock: Clock,
}

impl TokenRequests {
    async fn ask(&self) -> Result<AccessToken, Error> {
        let issuer = &self.issuer;
        let received = self.clock.now();
        let outage = *issuer.outage.lock().unwrap();
        let (draw, part) = {
            let mut random = issuer.random.lock().unwrap();
            (random.u64(0..100), random.f64())
        };
        let answer = match outage {
            Some(Outage::Slow) => Duration::from_millis(draw * 200),
            _ => Duration::from_millis(draw * 4),
        };
        sleep(answer.mul_f64(part)).await;
        let for_ever = issuer.mutant == Some(Mutant::NoRecovery) && issuer.book.lock().unwrap().refused > 0;
        let failure = match outage {
            _ if for_ever => Some(down()),
            Some(Outage::Down) => Some(down()),
            Some(Outage::Throttled) => {
                Some(Error::of(ErrorKind::Throttled, "slow down").with_retry_after(Duration::from_secs(draw % 20)))
            }
            Some(Outage::Flaky) if draw < 50 => Some(down()),
            _ => None,
        };
        let value = issuer.issue(self.tenant, failure)?;
        sleep(answer.mul_f64(1.0 - part)).await;
        let terms = Terms { lifetime: Some(issuer.lifetime), ..Terms::default() };
        AccessToken::issued(&value.as_str().into(), terms, received, &self.clock)
    }
}

impl TokenSource for TokenRequests {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(self.ask())
    }
    fn reject(&self, _: &AccessToken) {}
}

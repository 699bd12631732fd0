//! What is true: which tokens there are, until when, which were revoked; and when the authorization server was down.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client_credentials::{AccessToken, TokenFuture, TokenSource};

pub(crate) const LIFETIME: Duration = Duration::from_secs(2);

/// In every 10 s the server is down for 2 s: longer than the rest of any token.
const PERIOD: Duration = Duration::from_secs(10);
const DOWN_FROM: Duration = Duration::from_secs(4);
const DOWN_UNTIL: Duration = Duration::from_secs(6);

#[derive(Debug)]
pub(crate) struct Book {
    start: Instant,
    tokens: Mutex<HashMap<String, Token>>,
    outages: Mutex<HashMap<usize, Outage>>,
    /// By the number of the request: the tokens with which the API refused it.
    refusals: Mutex<HashMap<u64, Vec<String>>>,
    complaints: Mutex<Vec<String>>,
    pub(crate) issued: AtomicU64,
    /// Token requests that were answered badly or not at all.
    pub(crate) refused_service: AtomicU64,
    pub(crate) revoked: AtomicU64,
    /// 401s of the API for revoked tokens.
    pub(crate) refused: AtomicU64,
    /// Tokens that were good when they were handed out, and had expired when they arrived: the way took longer than the
    /// safety margin of 0.2 s, which a busy machine can do. The request is repeated, so that nothing is lost.
    pub(crate) late: AtomicU64,
    /// Tokens that should not have been handed out.
    bad: AtomicU64,
    slowest_recovery: AtomicU64,
}

#[derive(Clone, Debug)]
struct Token {
    client: usize,
    number: u64,
    expires: Instant,
    revoked: bool,
    /// When the crate had been told.
    rejected: Option<Instant>,
}

/// What the last outage was for a client.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outage {
    /// How many of its token requests failed, in all outages.
    failures: u64,
    /// No token that was issued later has been handed out: one of this number, or beyond.
    lasts_until: Option<u64>,
}

/// What the API thinks of a token.
pub(crate) enum Verdict {
    Good,
    Expired,
    Revoked,
    Unknown,
}

impl Book {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Book {
            start: Instant::now(),
            tokens: Mutex::default(),
            outages: Mutex::default(),
            refusals: Mutex::default(),
            complaints: Mutex::default(),
            issued: AtomicU64::new(0),
            refused_service: AtomicU64::new(0),
            revoked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            late: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            slowest_recovery: AtomicU64::new(0),
        })
    }

    fn phase(&self) -> (u64, Duration) {
        let elapsed = self.start.elapsed();
        let period = elapsed.as_secs() / PERIOD.as_secs();
        (period, elapsed - PERIOD * u32::try_from(period).unwrap())
    }

    pub(crate) fn is_down(&self) -> bool {
        (DOWN_FROM..DOWN_UNTIL).contains(&self.phase().1)
    }

    /// A token request of this client fails, because the server is down.
    pub(crate) fn fails_in_outage(&self, client: usize) {
        let issued = self.issued.load(Ordering::SeqCst);
        let mut outages = self.outages.lock().unwrap();
        let outage = outages.entry(client).or_default();
        outage.failures += 1;
        outage.lasts_until = Some(issued);
    }

    pub(crate) fn outage(&self, client: usize) -> Outage {
        self.outages.lock().unwrap().get(&client).copied().unwrap_or_default()
    }

    /// Whether a request that began when the outage was `before` had to fail: there was no token, and the server gave
    /// none. What counts is what the server did, not how long anything took.
    pub(crate) fn excuses_failure(&self, client: usize, before: Outage) -> bool {
        before.lasts_until.is_some() || self.outage(client).failures > before.failures
    }

    /// The API refuses this request with this token.
    pub(crate) fn refuse(&self, request: u64, token: &str) {
        let mut refusals = self.refusals.lock().unwrap();
        let tokens = refusals.entry(request).or_default();
        if !tokens.iter().any(|one| one == token) {
            tokens.push(token.to_owned());
        }
    }

    /// With how many different tokens this request was refused; it is over.
    pub(crate) fn refused_tokens(&self, request: u64) -> usize {
        self.refusals.lock().unwrap().remove(&request).unwrap_or_default().len()
    }

    pub(crate) fn issue(&self, client: usize) -> String {
        let number = self.issued.fetch_add(1, Ordering::SeqCst);
        let value = format!("soak-{client}-{number}");
        let token = Token { client, number, expires: Instant::now() + LIFETIME, revoked: false, rejected: None };
        let mut tokens = self.tokens.lock().unwrap();
        // Long gone.
        tokens.retain(|_, token| token.expires.elapsed() < 10 * LIFETIME);
        let first_since_outage = !tokens
            .values()
            .any(|token| token.client == client && token.expires > self.start + self.up_since() + LIFETIME);
        tokens.insert(value.clone(), token);
        drop(tokens);
        if first_since_outage && self.up_since() > Duration::ZERO {
            let recovery = self.start.elapsed().saturating_sub(self.up_since());
            self.slowest_recovery.fetch_max(recovery.as_millis() as u64, Ordering::Relaxed);
        }
        value
    }

    /// Since when, from the start, the server has been up; zero: always.
    fn up_since(&self) -> Duration {
        let (period, phase) = self.phase();
        match phase >= DOWN_UNTIL {
            true => PERIOD * u32::try_from(period).unwrap() + DOWN_UNTIL,
            false => (PERIOD * u32::try_from(period).unwrap() + DOWN_UNTIL).saturating_sub(PERIOD),
        }
    }

    /// Some token that is not far from its beginning.
    pub(crate) fn revoke_one(&self) {
        let mut tokens = self.tokens.lock().unwrap();
        let mut young: Vec<_> = tokens
            .values_mut()
            .filter(|token| !token.revoked && token.expires > Instant::now() + LIFETIME / 2)
            .collect();
        if !young.is_empty() {
            let which = fastrand::usize(..young.len());
            young[which].revoked = true;
            self.revoked.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn judge(&self, value: &str) -> Verdict {
        match self.tokens.lock().unwrap().get(value) {
            None => Verdict::Unknown,
            Some(token) if token.revoked => Verdict::Revoked,
            Some(token) if token.expires <= Instant::now() => Verdict::Expired,
            Some(_) => Verdict::Good,
        }
    }

    pub(crate) fn complain(&self, complaint: String) {
        let mut complaints = self.complaints.lock().unwrap();
        if complaints.len() < 20 {
            complaints.push(format!("{:?}: {complaint}", self.phase()));
        }
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    pub(crate) fn report(&self) -> impl fmt::Display {
        let [issued, refused_service, revoked, refused, late, recovery] =
            [&self.issued, &self.refused_service, &self.revoked, &self.refused, &self.late, &self.slowest_recovery]
                .map(|count| count.load(Ordering::Relaxed));
        format!(
            "  token requests {}: answered {issued}, failed {refused_service}; slowest recovery after an outage of \
             2 s {recovery} ms\n  tokens revoked {revoked}, requests refused for it {refused}; expired on the way \
             {late}\n  tokens handed out that had expired, had been rejected or were nobody's: {bad}",
            issued + refused_service,
            bad = self.bad.load(Ordering::Relaxed)
        )
    }
}

/// The crate's source, each of whose tokens is checked as it is handed out.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    source: S,
    book: Arc<Book>,
}

impl<S> Watched<S> {
    pub(crate) fn new(source: S, book: Arc<Book>) -> Self {
        Watched { source, book }
    }
}

impl<S: TokenSource> TokenSource for Watched<S> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            let asked = Instant::now();
            let mut future = pin!(self.source.token());
            // A pause of the machine after the crate's look at its clock is not a fault of the crate.
            let mut polled = asked;
            let token = poll_fn(|cx| {
                polled = Instant::now();
                future.as_mut().poll(cx)
            })
            .await?;
            let known = self.book.tokens.lock().unwrap().get(token.expose_secret()).cloned();
            let flaw = match &known {
                None => Some("an unknown"),
                Some(known) if known.expires <= polled => Some("an expired"),
                Some(known) if known.rejected.is_some_and(|rejected| rejected < asked) => Some("a rejected"),
                Some(_) => None,
            };
            if let Some(known) = known {
                let mut outages = self.book.outages.lock().unwrap();
                if let Some(outage) = outages.get_mut(&known.client) {
                    outage.lasts_until = outage.lasts_until.filter(|number| known.number < *number);
                }
            }
            if let Some(flaw) = flaw {
                self.book.bad.fetch_add(1, Ordering::Relaxed);
                self.book.complain(format!("{flaw} token was handed out"));
            }
            Ok(token)
        })
    }

    fn reject(&self, token: &AccessToken) {
        self.source.reject(token);
        let mut tokens = self.book.tokens.lock().unwrap();
        if let Some(token) = tokens.get_mut(token.expose_secret()) {
            token.rejected.get_or_insert_with(Instant::now);
        }
    }
}

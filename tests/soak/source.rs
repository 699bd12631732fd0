//! A source of the crate, each of whose tokens is checked as it is returned.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client_credentials::{
    AccessToken, CachePolicy, ClientAuth, ClientCredentials, ClientCredentialsBuilder, Credential, Event, Limits,
    RetryPolicy, TokenFuture, TokenSource,
};

use super::provider::{CLIENT, Provider};

/// A rejected token that is older by so many counts as expired.
const MOST_REJECTED: usize = 1000;

const FETCH_FAILED: &str = "the fetch failed";

pub(crate) struct Source {
    pub(crate) tokens: ClientCredentials,
    pub(crate) provider: Arc<Provider>,
    pub(crate) observed: Arc<Observed>,
    /// The highest number of its tokens.
    newest: AtomicU32,
    /// The numbers of tokens, and since when it has known that the API refuses them.
    rejected: Mutex<BTreeMap<u32, Instant>>,
    /// Flaws of tokens that should not have been returned.
    pub(crate) bad: Mutex<Vec<String>>,
}

/// What a request has to know of the time before it, to assess its outcome.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    failures: u64,
    without_token: bool,
}

/// What its observer received.
#[derive(Default)]
pub(crate) struct Observed {
    pub(crate) fetched: AtomicU64,
    pub(crate) from_store: AtomicU64,
    pub(crate) token_requests: AtomicU64,
    pub(crate) rejections: AtomicU64,
    /// The longest time from a failed fetch to a successful one, with what happened meanwhile.
    pub(crate) longest_failure: Mutex<(Duration, Vec<String>)>,
    /// What has happened since the start of the first failed fetch.
    since: Mutex<Vec<String>>,
}

impl Observed {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::FetchStarted { .. } => {
                let mut since = self.since.lock().unwrap();
                if !since.iter().any(|one| one.starts_with(FETCH_FAILED)) {
                    since.clear();
                }
            }
            Event::Fetched { from_store, .. } => {
                self.fetched.fetch_add(1, Ordering::SeqCst);
                self.from_store.fetch_add((*from_store).into(), Ordering::Relaxed);
            }
            Event::TokenRequest { duration, status, .. } => {
                self.token_requests.fetch_add(1, Ordering::Relaxed);
                let status = status.map_or("no response".to_owned(), |status| status.to_string());
                self.since.lock().unwrap().push(format!("{status} after {duration:.1?}"));
            }
            Event::FetchFailed { duration, .. } => {
                self.since.lock().unwrap().push(format!("{FETCH_FAILED} after {duration:.1?}"));
            }
            Event::Rejected { .. } => drop(self.rejections.fetch_add(1, Ordering::Relaxed)),
            Event::Recovered { failing_for, .. } => {
                let since = std::mem::take(&mut *self.since.lock().unwrap());
                let mut longest = self.longest_failure.lock().unwrap();
                if *failing_for > longest.0 {
                    *longest = (*failing_for, since);
                }
            }
            _ => {}
        }
    }
}

impl Source {
    pub(crate) fn new(
        name: &str,
        provider: &Arc<Provider>,
        configure: impl FnOnce(ClientCredentialsBuilder) -> ClientCredentialsBuilder,
    ) -> Arc<Self> {
        let auth = ClientAuth::client_secret_post(CLIENT, Credential::file(provider.secret_file()));
        let observed = Arc::new(Observed::default());
        let observer = Arc::clone(&observed);
        let builder = ClientCredentials::builder(provider.server.token_url(), auth)
            .name(name)
            .header("user-agent", name)
            .observe(move |_: &str, event: &Event<'_>| observer.observe(event))
            // A server that hangs is one of the faults; a machine under load is not, though it may cost two more
            // attempts.
            .retry(RetryPolicy::new().attempts(5))
            .limits(Limits::new().attempt_timeout(Duration::from_secs(5)))
            // Tokens are revoked all the time here.
            .cache(CachePolicy::new().forced_refreshes(1000).forced_refresh_interval(Duration::from_millis(10)));
        let builder = provider.quirk.demands().iter().fold(builder, |builder, (name, value)| match *name {
            "scope" => builder.scope(*value),
            "audience" => builder.audience(*value),
            "resource" => builder.resource(*value),
            other => builder.param(other, *value),
        });
        Arc::new(Source {
            tokens: configure(builder).build().unwrap(),
            provider: Arc::clone(provider),
            observed,
            newest: AtomicU32::new(0),
            rejected: Mutex::default(),
            bad: Mutex::default(),
        })
    }

    /// The number of a token that was requested at `asked`, and returned after `polled`; checks it.
    pub(crate) fn judge(&self, token: &AccessToken, asked: Instant, polled: Instant) -> u32 {
        let Some(number) = self.provider.server.number_of(token) else {
            self.bad.lock().unwrap().push("nobody's".to_owned());
            return 0;
        };
        self.newest.fetch_max(number, Ordering::SeqCst);
        if self.provider.had_expired(number, polled) {
            self.bad.lock().unwrap().push(format!("expired: {number}"));
        }
        if self.rejected.lock().unwrap().get(&number).is_some_and(|rejected| *rejected < asked) {
            self.bad.lock().unwrap().push(format!("rejected: {number}"));
        }
        number
    }

    pub(crate) fn note_rejection(&self, token: &AccessToken) {
        let Some(number) = self.provider.server.number_of(token) else { return };
        let mut rejected = self.rejected.lock().unwrap();
        rejected.entry(number).or_insert_with(Instant::now);
        if rejected.len() > MOST_REJECTED {
            rejected.pop_first();
        }
    }

    pub(crate) fn before(&self) -> Before {
        let newest = self.newest.load(Ordering::SeqCst);
        Before { failures: self.provider.failures(), without_token: self.provider.gave_nothing_after(newest) }
    }

    /// Whether a request that began `before` this could not be saved: there was no token, and the server gave
    /// none. What counts is what the server did, not how long anything took.
    pub(crate) fn had_to_fail(&self, before: Before) -> bool {
        before.without_token || self.provider.failures() > before.failures
    }
}

/// The source as a middleware uses it.
pub(crate) struct Judged(pub(crate) Arc<Source>);

impl fmt::Debug for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.tokens.fmt(f)
    }
}

impl TokenSource for Judged {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            let asked = Instant::now();
            let mut future = pin!(self.0.tokens.token());
            // A pause of the machine after the crate has read its clock is not a fault of the crate.
            let mut polled = asked;
            let token = poll_fn(|cx| {
                polled = Instant::now();
                future.as_mut().poll(cx)
            })
            .await?;
            self.0.judge(&token, asked, polled);
            Ok(token)
        })
    }

    fn reject(&self, token: &AccessToken) {
        self.0.tokens.reject(token);
        self.0.note_rejection(token);
    }
}

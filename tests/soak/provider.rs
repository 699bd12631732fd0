//! An authorization server with its API, as one company might run it: three token requests out of ten fail, for two
//! seconds in every ten all of them do, tokens are revoked, the secret is rotated, and the API is now and then
//! unavailable or slow.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, Quirk, RecordedRequest};
use tempfile::TempDir;

pub(crate) const LIFETIME: Duration = Duration::from_secs(2);
pub(crate) const CLIENT: &str = "soak";

/// In every 10 s the server is down for 2 s: longer than the rest of any token.
const PERIOD: u64 = 10;
const DOWN: std::ops::Range<u64> = 4..6;

/// Two failures in a row leave a fetch its third attempt.
const MOST_IN_A_ROW: u32 = 2;

/// For so many tokens the time when they were first seen is kept. No source is that many tokens behind.
const MOST_SEEN: usize = 1000;

pub(crate) struct Provider {
    pub(crate) server: AuthorizationServer,
    pub(crate) quirk: Quirk,
    start: Instant,
    /// Where the client's secret is, as its operator rotates it.
    folder: TempDir,
    secret: Mutex<String>,
    /// Only with one source, which then has one token request at a time: the secret of another one might be replaced on
    /// its way.
    rotates: bool,
    /// By source, which `User-Agent` identifies: how many of its token requests have failed in a row.
    rows: Mutex<HashMap<String, u32>>,
    /// The numbers of the latest tokens, and when each was first seen.
    seen: Mutex<BTreeMap<u32, Instant>>,
    /// By path, which is another one for each request: the tokens that came with it.
    presented: Mutex<HashMap<String, HashSet<String>>>,
    failures: AtomicU64,
    /// How many tokens there were when a token request last failed for a reason outside the client's control.
    helpless_until: AtomicU32,
    pub(crate) failed: AtomicU64,
    pub(crate) revocations: AtomicU64,
    pub(crate) rotations: AtomicU64,
    pub(crate) old_secrets: AtomicU64,
}

impl Provider {
    pub(crate) fn start(quirk: Quirk, rotates: bool) -> Arc<Self> {
        let secret = "secret 0".to_owned();
        let server = AuthorizationServer::start().client(CLIENT, &secret).lifetime(LIFETIME).quirk(quirk);
        let provider = Arc::new(Provider {
            server,
            quirk,
            start: Instant::now(),
            folder: tempfile::tempdir().unwrap(),
            secret: Mutex::new(secret),
            rotates,
            rows: Mutex::default(),
            seen: Mutex::default(),
            presented: Mutex::default(),
            failures: AtomicU64::new(0),
            helpless_until: AtomicU32::new(0),
            failed: AtomicU64::new(0),
            revocations: AtomicU64::new(0),
            rotations: AtomicU64::new(0),
            old_secrets: AtomicU64::new(0),
        });
        std::fs::write(provider.secret_file(), "secret 0").unwrap();
        // The server owns the closure that answers, which must not own the server.
        provider.server.answer_by(Endpoint::Token, with(&provider, Provider::at_token_endpoint));
        provider.server.answer_by(Endpoint::Api, with(&provider, Provider::at_api));
        provider
    }

    pub(crate) fn secret_file(&self) -> PathBuf {
        self.folder.path().join("client-secret")
    }

    fn at_token_endpoint(&self, request: &RecordedRequest) -> Answer {
        let down = DOWN.contains(&(self.start.elapsed().as_secs() % PERIOD));
        let source = request.header("user-agent").unwrap_or_default().to_owned();
        let fails = {
            let mut rows = self.rows.lock().unwrap();
            let row = rows.entry(source).or_default();
            let fails = down || (*row < MOST_IN_A_ROW && fastrand::u8(..10) < 3);
            *row = if fails { *row + 1 } else { 0 };
            fails
        };
        if fails {
            self.failed.fetch_add(1, Ordering::Relaxed);
            if down {
                self.is_helpless();
            }
            return failure();
        }
        if self.rotates && fastrand::u8(..16) == 0 {
            self.rotate_secret();
        }
        if !request.sent("client_secret", &self.secret.lock().unwrap()) {
            self.old_secrets.fetch_add(1, Ordering::Relaxed);
            // The file is checked again within a second, and not at once.
            self.is_helpless();
        }
        if fastrand::u8(..10) == 0 { Answer::Delay(Duration::from_millis(100)) } else { Answer::Token }
    }

    fn at_api(&self, request: &RecordedRequest) -> Answer {
        let mut presented = self.presented.lock().unwrap();
        let tokens = presented.entry(request.path().to_owned()).or_default();
        tokens.extend(request.expose_headers("authorization").map(str::to_owned));
        drop(presented);
        match fastrand::u16(..1000) {
            0..5 => Answer::Status(503),
            5..10 => Answer::Delay(Duration::from_millis(20)),
            _ => Answer::Token,
        }
    }

    /// The new secret is in the file when the server requires it, and not before the pending request was written.
    fn rotate_secret(&self) {
        let mut secret = self.secret.lock().unwrap();
        *secret = format!("secret {}", self.rotations.fetch_add(1, Ordering::Relaxed) + 1);
        let new = self.folder.path().join("new");
        std::fs::write(&new, secret.as_bytes()).unwrap();
        std::fs::rename(new, self.secret_file()).unwrap();
        self.server.rotate_secret(CLIENT, secret.as_str());
    }

    pub(crate) fn revoke_all(&self) {
        self.server.revoke_all();
        self.revocations.fetch_add(1, Ordering::Relaxed);
    }

    fn is_helpless(&self) {
        self.helpless_until.store(self.issued(), Ordering::SeqCst);
        self.failures.fetch_add(1, Ordering::SeqCst);
    }

    fn issued(&self) -> u32 {
        self.server.tokens_issued().try_into().unwrap()
    }

    /// How many token requests have failed for a reason outside the client's control.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    /// Whether the server has issued no token after number `newest`, because it had to fail the latest token request.
    pub(crate) fn gave_nothing_after(&self, newest: u32) -> bool {
        self.failures() > 0 && newest <= self.helpless_until.load(Ordering::SeqCst)
    }

    /// A token was returned: whether it must have expired at `then`.
    pub(crate) fn had_expired(&self, number: u32, then: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap();
        // Far too old, if it is no longer there.
        let forgotten = seen.len() == MOST_SEEN && seen.keys().next().is_some_and(|oldest| number < *oldest);
        let first = *seen.entry(number).or_insert_with(Instant::now);
        if seen.len() > MOST_SEEN {
            seen.pop_first();
        }
        // It was issued before it was seen.
        forgotten || first + LIFETIME <= then
    }

    pub(crate) fn latest_token_requests(&self) -> String {
        let requests = self.server.requests();
        let mut latest: Vec<_> =
            requests.iter().rev().filter(|one| one.endpoint() == Endpoint::Token).take(10).collect();
        latest.reverse();
        latest.iter().map(|request| format!("{request}\n")).collect()
    }

    /// With how many different tokens the API saw this request, which is over.
    pub(crate) fn tokens_of(&self, path: &str) -> usize {
        self.presented.lock().unwrap().remove(path).unwrap_or_default().len()
    }
}

fn with(
    provider: &Arc<Provider>,
    answer: fn(&Provider, &RecordedRequest) -> Answer,
) -> impl Fn(&RecordedRequest) -> Answer + Send + Sync + 'static {
    let provider: Weak<Provider> = Arc::downgrade(provider);
    move |request| provider.upgrade().map_or(Answer::Reset, |provider| answer(&provider, request))
}

fn failure() -> Answer {
    match fastrand::u8(..7) {
        0 => Answer::Status(500),
        1 => Answer::Status(503),
        2 => Answer::Html,
        3 => Answer::Body(String::new()),
        4 => Answer::Torn,
        5 => Answer::Reset,
        _ => Answer::Hang,
    }
}

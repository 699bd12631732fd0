//! The users of tokens: through the middleware, from threads without a runtime, and as the holder of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client_credentials::{BearerAuth, Error, blocking};
use reqwest_middleware::ClientWithMiddleware;

use super::source::{Before, Judged, Source};

/// Whether the callers are to end.
pub(crate) static OVER: AtomicBool = AtomicBool::new(false);

/// The outcomes of the requests of one kind of caller.
#[derive(Default)]
pub(crate) struct Outcomes {
    pub(crate) good: AtomicU64,
    /// Responses with 503, which the API sends by itself.
    pub(crate) unavailable: AtomicU64,
    /// No token, or a final 401, because the authorization server had failed this client.
    pub(crate) helpless: AtomicU64,
    /// A final 401, because the second token was revoked as well, or expired, before the API saw it.
    pub(crate) refused_twice: AtomicU64,
    /// The same at any other time: the crate could have saved them.
    pub(crate) lost: AtomicU64,
    /// Of the latter, the first few.
    pub(crate) complaints: std::sync::Mutex<Vec<String>>,
}

/// Of a request.
enum End {
    Good,
    Unavailable,
    RefusedTwice,
    Failed(String),
}

impl Outcomes {
    fn count(&self, end: End, source: &Source, before: Before) {
        let which = match end {
            End::Good => &self.good,
            End::Unavailable => &self.unavailable,
            End::RefusedTwice => &self.refused_twice,
            End::Failed(_) if source.had_to_fail(before) => &self.helpless,
            End::Failed(complaint) => {
                let mut complaints = self.complaints.lock().unwrap();
                if complaints.len() < 5 {
                    complaints.push(format!("{complaint}, after:\n{}", source.provider.latest_token_requests()));
                }
                &self.lost
            }
        };
        which.fetch_add(1, Ordering::Relaxed);
    }

    /// Callers continue until the time is over and they have had a success, however slow the machine is.
    fn go_on(&self) -> bool {
        !OVER.load(Ordering::Relaxed) || self.good.load(Ordering::Relaxed) == 0
    }
}

pub(crate) fn client(source: &Arc<Source>) -> ClientWithMiddleware {
    // The server may hang twice before it answers. Less than that would return a 401 that another token would have
    // saved.
    let bearer = BearerAuth::builder(Judged(Arc::clone(source)))
        .origin(source.provider.server.api_origin())
        .replacement_timeout(Duration::from_secs(30))
        .build()
        .unwrap();
    reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(bearer).build()
}

/// Sends requests as fast as it can.
pub(crate) async fn call(source: Arc<Source>, client: ClientWithMiddleware, outcomes: Arc<Outcomes>) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    while outcomes.go_on() {
        let path = format!("/{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let before = source.before();
        let result = client.get(format!("{}{path}", source.provider.server.api_origin())).send().await;
        let tokens = source.provider.tokens_of(&path);
        let end = match result {
            Ok(response) => match response.status().as_u16() {
                200 => response.bytes().await.map_or_else(|error| End::Failed(format!("{error:?}")), |_| End::Good),
                503 => End::Unavailable,
                // A request is repeated once, so two revocations are too many.
                401 if tokens > 1 => End::RefusedTwice,
                other => End::Failed(format!("status {other}")),
            },
            Err(error) => match Error::find(&error) {
                Some(ours) => End::Failed(format!("{ours:#}")),
                None => End::Failed(format!("not ours: {error:?}")),
            },
        };
        let failed = matches!(end, End::Failed(_));
        outcomes.count(end, &source, before);
        if failed {
            // As a caller does: not in a hot loop.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Requests tokens from a thread of its own, a thousand times a second, and passes each to the API's check.
pub(crate) fn block(source: &Source, tokens: &blocking::Tokens, outcomes: &Outcomes) {
    while outcomes.go_on() {
        std::thread::sleep(Duration::from_millis(1));
        let before = source.before();
        let mut refused = None;
        let end = loop {
            let asked = Instant::now();
            let token = match tokens.token() {
                Ok(token) => token,
                Err(error) => break End::Failed(format!("{error:#}")),
            };
            let number = source.judge(&token, asked, asked);
            let headers = [("authorization".parse().unwrap(), token.authorization())].into_iter().collect();
            if source.provider.server.accepts(&headers) {
                break End::Good;
            }
            tokens.reject(&token);
            source.note_rejection(&token);
            match refused.replace(number) {
                None => {}
                Some(first) if first != number => break End::RefusedTwice,
                Some(_) => break End::Failed(format!("token {number} twice")),
            }
        };
        outcomes.count(end, source, before);
    }
}

/// The outcomes of the tokens that were pushed.
#[derive(Default)]
pub(crate) struct Pushed {
    pub(crate) once: u64,
    pub(crate) twice: u64,
    /// Fetched, and never pushed.
    pub(crate) lost: u64,
}

/// Receives each token that is pushed, and reports some as refused by the other end.
///
/// To be alone on a runtime with one thread: when a fetch has brought a token, the holder runs before the next one can,
/// so that no token may be passed over, however slow the machine is.
pub(crate) async fn hold(source: &Source) -> Pushed {
    let mut changes = source.tokens.changes();
    let mut pushed = Pushed::default();
    let mut last = 0;
    while !OVER.load(Ordering::Relaxed) || pushed.once == 0 {
        let asked = Instant::now();
        // The limit only guards against hanging.
        let next = tokio::time::timeout(Duration::from_secs(120), changes.next()).await;
        let token = next.expect("nothing is pushed any more").unwrap();
        let number = source.judge(&token, asked, asked);
        if number > last {
            pushed.once += 1;
        } else {
            pushed.twice += 1;
        }
        last = number.max(last);
        pushed.lost = source.observed.fetched.load(Ordering::SeqCst) - pushed.once;
        if fastrand::u8(..8) == 0 {
            source.tokens.reject(&token);
            source.note_rejection(&token);
        }
    }
    pushed
}

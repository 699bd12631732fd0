//! Finds the token endpoint by the name of its authorization server (RFC 8414, OpenID Connect Discovery 1.0).

mod document;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use url::Url;

use crate::cache::clock::{Clock, Moment};
use crate::client_auth::ClientAuth;
use crate::event::event;
use crate::exchange::{Exchange, Peer, Shown};
use crate::grant::retry_after;
use crate::{Error, ErrorKind};
pub(crate) use document::Rules;
use document::{Document, decode, well_known};

/// Where to ask for tokens.
pub(crate) enum Endpoint {
    Fixed(Url),
    Discovered(Box<Metadata>),
}

impl Endpoint {
    /// For one attempt: it does not move under way.
    pub(crate) async fn url(
        &self,
        exchange: &Exchange,
        auth: &ClientAuth,
        clock: &Clock,
    ) -> Result<Url, Error> {
        match self {
            Endpoint::Fixed(url) => Ok(url.clone()),
            Endpoint::Discovered(metadata) => metadata.token_endpoint(exchange, auth, clock).await,
        }
    }

    /// An attempt failed there.
    pub(crate) fn failed(&self, error: &Error, now: Moment) {
        // Nobody answered, or whoever did was no token endpoint.
        let moved = matches!(
            error.kind(),
            ErrorKind::Response | ErrorKind::Transport | ErrorKind::Tls
        );
        if let (Endpoint::Discovered(metadata), true) = (self, moved) {
            metadata.revalidate_soon(now);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Fixed(url) => write!(f, "{}", Shown(url)),
            Endpoint::Discovered(metadata) => write!(f, "of {}", metadata.rules.issuer),
        }
    }
}

/// The metadata of one authorization server: fetched when it is needed first, kept for a while, and for longer when it
/// cannot be had.
pub(crate) struct Metadata {
    rules: Rules,
    lifetime: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token_endpoint: Option<Url>,
    /// When they were last asked for out of turn.
    hurried: Option<Moment>,
    /// When to ask again.
    due: Option<Moment>,
    /// The method was found missing in the list, and that was told.
    told_method: bool,
}

/// 1 h: an endpoint moves once in years, and its old place is served for days.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// 1 min after a failure: each further failure costs a flight its time.
const PAUSE: Duration = Duration::from_secs(60);

impl Metadata {
    pub(crate) fn new(rules: Rules, lifetime: Duration) -> Self {
        Metadata {
            rules,
            lifetime,
            state: Mutex::default(),
        }
    }

    /// Flights are single, and so are fetches.
    async fn token_endpoint(
        &self,
        exchange: &Exchange,
        auth: &ClientAuth,
        clock: &Clock,
    ) -> Result<Url, Error> {
        let known = {
            let now = clock.now();
            let mut state = self.state();
            let due = state.due.is_none_or(|due| due.reached(now));
            match &state.token_endpoint {
                Some(known) if !due => return Ok(known.clone()),
                known => {
                    let known = known.clone();
                    // Before the answer: it may take longer than the flight.
                    state.due = known.as_ref().map(|_| now.plus(self.pause()));
                    known
                }
            }
        };
        match (self.fetch(exchange, clock).await, known) {
            (Ok(document), _) => Ok(self.adopt(document, auth, clock.now())),
            (Err(_error), Some(known)) => {
                event!(warn, issuer = %self.rules.issuer, error = %format_args!("{_error:#}"), "the authorization server's metadata cannot be renewed: the previous stays in use");
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn adopt(&self, document: Document, auth: &ClientAuth, now: Moment) -> Url {
        let mut state = self.state();
        let url = document.token_endpoint;
        if state
            .token_endpoint
            .as_ref()
            .is_some_and(|known| *known != url)
        {
            event!(warn, issuer = %self.rules.issuer, token_endpoint = %Shown(&url), "the token endpoint has moved");
        }
        let names = auth.registered_names();
        let is_listed =
            |listed: &Vec<String>| listed.iter().any(|one| names.contains(&one.as_str()));
        let missing = document
            .auth_methods
            .is_some_and(|listed| !is_listed(&listed));
        if missing && !names.is_empty() && !state.told_method {
            state.told_method = true;
            // Real lists are wrong, and a weaker method would be a present to whoever forges one.
            event!(warn, issuer = %self.rules.issuer, method = auth.name(),
                "the authorization server's metadata does not list the client's method: it is used all the same"
            );
        }
        state.token_endpoint = Some(url.clone());
        state.due = Some(now.plus(self.lifetime));
        url
    }

    /// At once, but out of turn not more often than the pause allows.
    fn revalidate_soon(&self, now: Moment) {
        let mut state = self.state();
        let rested = state
            .hurried
            .is_none_or(|last| last.plus(self.pause()).reached(now));
        if rested {
            state.hurried = Some(now);
            state.due = Some(now);
        }
    }

    fn pause(&self) -> Duration {
        PAUSE.min(self.lifetime)
    }

    async fn fetch(&self, exchange: &Exchange, clock: &Clock) -> Result<Document, Error> {
        let mut text = format!("the issuer {} has no usable metadata", self.rules.issuer);
        let (mut transient, mut throttled, mut status, mut wait) = (false, false, None, None);
        for (n, url) in well_known(&self.rules.url).iter().enumerate() {
            let peer = Peer {
                name: "the metadata",
                url,
                identity: None,
            };
            // A server that cannot be reached is not asked at another path.
            let response = match exchange.fetch(peer).await {
                Err(error) if error.kind() == ErrorKind::Response => {
                    text.push_str(&format!("{} {error}", if n == 0 { ":" } else { ";" }));
                    continue;
                }
                other => other?,
            };
            let flaw = match decode(&response, &self.rules) {
                Ok(document) => return Ok(document),
                Err(flaw) => flaw,
            };
            let joint = if n == 0 { ":" } else { ";" };
            text.push_str(&format!("{joint} at {}: {}", Shown(url), flaw.why));
            transient |= flaw.transient;
            throttled |= response.status == StatusCode::TOO_MANY_REQUESTS;
            status = Some(response.status);
            wait = retry_after(response.status, &response.headers, clock.now()).or(wait);
        }
        let kind = match throttled {
            true => ErrorKind::Throttled,
            false => ErrorKind::Response,
        };
        let mut error = Error::new(kind, text).with_retry_after(wait);
        if let Some(status) = status {
            error = error.with_status(status);
        }
        Err(if transient { error.transient() } else { error })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave anything half done in there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

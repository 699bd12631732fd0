//! What an authorization server publishes of itself, fetched once for all sources that may share it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::document::{Document, Rules, decode, well_known};
use super::kept::{Kept, Look, first_usable};
use crate::Error;
use crate::cache;
use crate::cache::clock::{Clock, Moment};
use crate::event::event;
use crate::exchange::Exchange;
#[cfg(feature = "tracing")]
use crate::exchange::Shown;

pub(crate) struct Published {
    pub(super) rules: Rules,
    document: Kept<Arc<Document>>,
    /// The first fetch, which other sources wait for.
    first: Mutex<Option<Report>>,
}

/// What the first fetch brings to those who wait for it. A channel that closes without it is one whose flight is gone.
type Report = watch::Receiver<Option<Result<Arc<Document>, Error>>>;

/// What a source is to do that needs the document.
enum Step {
    Use(Arc<Document>),
    /// Fetch it; use the known one if that fails.
    Renew(Arc<Document>),
    /// Fetch it, and report.
    Fetch(watch::Sender<Option<Result<Arc<Document>, Error>>>),
    Wait(Report),
}

impl Published {
    pub(crate) fn new(rules: Rules, lifetime: Duration) -> Self {
        Published { rules, document: Kept::new(lifetime), first: Mutex::default() }
    }

    /// The first fetch is one for all sources, its failure one for all who waited. They do not wait for ever: its
    /// runtime may stand still.
    pub(super) async fn document(&self, exchange: &Exchange, clock: &Clock) -> Result<Arc<Document>, Error> {
        let patience = exchange.attempt_timeout().saturating_mul(2); // two places are asked
        let mut overdue = None;
        loop {
            match self.step(clock.now(), overdue.take()) {
                Step::Use(document) => return Ok(document),
                Step::Renew(known) => {
                    return match self.fetch(exchange, clock).await {
                        Ok(document) => Ok(self.adopt(document, clock.now())),
                        Err(_error) => {
                            event!(warn, issuer = %self.rules.issuer, error = %format_args!("{_error:#}"), "the authorization server's metadata cannot be renewed: the previous stays in use");
                            Ok(known)
                        }
                    };
                }
                Step::Fetch(report) => {
                    let result = self.fetch(exchange, clock).await;
                    let result = result.map(|document| self.adopt(document, clock.now()));
                    report.send_replace(Some(result.clone()));
                    return result;
                }
                Step::Wait(report) => match cache::landed(report.clone(), patience).await {
                    Some(result) => return result,
                    None => overdue = Some(report),
                },
            }
        }
    }

    pub(super) fn ask_soon(&self, now: Moment) {
        self.document.ask_soon(now);
    }

    fn step(&self, now: Moment, overdue: Option<Report>) -> Step {
        // A panic cannot leave anything half done in there.
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match self.document.look(now) {
            Look::Known(known) => return Step::Use(known),
            Look::Due(Some(known)) => return Step::Renew(known),
            Look::Due(None) => {}
        }
        match &*first {
            // Neither gone, nor landed (it found none, which was told to those who waited), nor waited for in vain.
            Some(fetch)
                if fetch.has_changed().is_ok()
                    && fetch.borrow().is_none()
                    && overdue.is_none_or(|overdue| !overdue.same_channel(fetch)) =>
            {
                Step::Wait(fetch.clone())
            }
            _ => {
                let (report, fetch) = watch::channel(None);
                *first = Some(fetch);
                Step::Fetch(report)
            }
        }
    }

    fn adopt(&self, document: Document, now: Moment) -> Arc<Document> {
        let document = Arc::new(document);
        let url = &document.token_endpoint;
        if self.document.known().is_some_and(|known| known.token_endpoint != *url) {
            event!(warn, issuer = %self.rules.issuer, token_endpoint = %Shown(url), "the token endpoint has moved");
        }
        self.document.adopt(Arc::clone(&document), now);
        document
    }

    async fn fetch(&self, exchange: &Exchange, clock: &Clock) -> Result<Document, Error> {
        let whose = format!("the issuer {}", self.rules.issuer);
        let places = well_known(&self.rules.url);
        first_usable(exchange, clock, (whose, "the metadata"), &places, |response| decode(response, &self.rules)).await
    }
}

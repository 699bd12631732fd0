//! A token source around a token source.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client_credentials::{AccessToken, TokenFuture, TokenSource};
use reqwest::header::HeaderValue;

/// Hands on what the source inside says, and notes where the token of the latest request came from.
///
/// A clone shares the notes. Requests must come one after the other: of two at once nobody could tell whose token it
/// was.
#[derive(Clone, Debug)]
pub(crate) struct Watched<S> {
    source: S,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    last: Option<HeaderValue>,
    refused: bool,
    origin: Origin,
}

/// Where the token of a request came from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Origin {
    /// It was fetched while the request waited.
    #[default]
    Fetched,
    /// It was at hand, the same as for the request before.
    Cached,
    /// It is a new one, and was at hand all the same: no request waited for it.
    RenewedEarly,
    /// The API refused the token that the request brought at first. It was repeated with this one.
    AfterRefusal,
}

impl<S: TokenSource> TokenSource for Watched<S> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            let (token, waited) = match self.source.token().now_or_never() {
                Some(at_hand) => (at_hand?, false),
                None => (self.source.token().await?, true),
            };
            self.note(&token, waited);
            Ok(token)
        })
    }

    fn reject(&self, token: &AccessToken) {
        self.notes().refused = true;
        self.source.reject(token);
    }
}

impl<S: TokenSource> Watched<S> {
    pub(crate) fn new(source: S) -> Self {
        let notes = Arc::default();
        Watched { source, notes }
    }

    /// Of the token of the latest request.
    pub(crate) fn origin(&self) -> Origin {
        self.notes().origin
    }

    fn note(&self, token: &AccessToken, waited: bool) {
        let mut notes = self.notes();
        let authorization = token.authorization();
        let last = notes.last.replace(authorization.clone());
        let refused = std::mem::take(&mut notes.refused);
        notes.origin = match last {
            Some(last) if !waited && last == authorization => Origin::Cached,
            Some(last) if refused && last != authorization => Origin::AfterRefusal,
            Some(_) if !waited => Origin::RenewedEarly,
            // The first one was waited for, even if it came while we looked.
            _ => Origin::Fetched,
        };
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Origin::Fetched => "fetched",
            Origin::Cached => "cached",
            Origin::RenewedEarly => "refreshed early",
            Origin::AfterRefusal => "after 401",
        })
    }
}

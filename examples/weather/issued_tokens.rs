//! What the authorization server has issued, for the API to look up.
//!
//! A real API verifies a signature (RFC 9068) or asks the authorization server (RFC 7662). Here both live in one
//! process, so that one register does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Default)]
pub(crate) struct IssuedTokens(Arc<Mutex<HashMap<String, Grant>>>);

struct Grant {
    scope: String,
    expires_at: Instant,
}

/// What an API wants to know about a token.
pub(crate) enum Verdict {
    Unknown,
    Expired,
    /// With the scope that was granted.
    Valid(String),
}

impl IssuedTokens {
    pub(crate) fn issue(&self, scope: &str, lifetime: Duration) -> String {
        // Enough for a demonstration on loopback; a real server takes a cryptographic generator (RFC 6749 section 10.10).
        let token = format!("{:032x}", fastrand::u128(..));
        let grant = Grant {
            scope: scope.to_owned(),
            expires_at: Instant::now() + lifetime,
        };
        self.with(|tokens| tokens.insert(token.clone(), grant));
        token
    }

    pub(crate) fn verdict(&self, token: &str) -> Verdict {
        self.with(|tokens| match tokens.get(token) {
            None => Verdict::Unknown,
            Some(grant) if grant.expires_at <= Instant::now() => Verdict::Expired,
            Some(grant) => Verdict::Valid(grant.scope.clone()),
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<String, Grant>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

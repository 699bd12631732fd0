//! What the authorization server has issued, for the API to look up.
//!
//! A real API verifies a signature (RFC 9068) or asks the authorization server (RFC 7662). Here both live in one
//! process, so that one register does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Default)]
pub(crate) struct IssuedTokens(Arc<Mutex<Register>>);

#[derive(Default)]
struct Register {
    grants: HashMap<String, Grant>,
    /// `None`: none was revoked yet.
    issued_since_revocation: Option<u32>,
}

struct Grant {
    scope: String,
    expires_at: Instant,
    revoked: bool,
}

/// What an API wants to know about a token.
pub(crate) enum Verdict {
    Unknown,
    Expired,
    Revoked,
    /// With the scope that was granted.
    Valid(String),
}

impl IssuedTokens {
    pub(crate) fn issue(&self, scope: &str, lifetime: Duration) -> String {
        // Enough for a demonstration on loopback; a real server takes a cryptographic generator (RFC 6749 section 10.10).
        let token = format!("{:032x}", fastrand::u128(..));
        let grant = Grant { scope: scope.to_owned(), expires_at: Instant::now() + lifetime, revoked: false };
        self.with(|register| {
            register.grants.insert(token.clone(), grant);
            if let Some(count) = &mut register.issued_since_revocation {
                *count += 1;
            }
        });
        token
    }

    /// From now on `token` is refused, whatever its lifetime (RFC 7009 lets clients ask for that; here it is decided).
    pub(crate) fn revoke(&self, token: &str) {
        self.with(|register| {
            if let Some(grant) = register.grants.get_mut(token) {
                grant.revoked = true;
                register.issued_since_revocation = Some(0);
            }
        });
    }

    /// How many tokens were issued after the latest revocation; `None`: there was none.
    pub(crate) fn issued_since_revocation(&self) -> Option<u32> {
        self.with(|register| register.issued_since_revocation)
    }

    pub(crate) fn verdict(&self, token: &str) -> Verdict {
        self.with(|register| match register.grants.get(token) {
            None => Verdict::Unknown,
            Some(grant) if grant.revoked => Verdict::Revoked,
            Some(grant) if grant.expires_at <= Instant::now() => Verdict::Expired,
            Some(grant) => Verdict::Valid(grant.scope.clone()),
        })
    }

    fn with<R>(&self, f: impl FnOnce(&mut Register) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

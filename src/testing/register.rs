//! The issued tokens and their state.

use std::collections::HashMap;

use crate::clock::Moment;

pub(super) struct Issued {
    pub(super) value: String,
    pub(super) client: Option<String>,
    pub(super) scope: String,
    pub(super) audience: Vec<String>,
    /// `None`: it never expires.
    pub(super) expires: Option<Moment>,
    pub(super) revoked: bool,
    pub(super) holder: Holder,
}

/// What a token is bound to.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Holder {
    /// The thumbprint of a DPoP key (RFC 9449 section 6).
    pub(super) key: Option<String>,
    /// A client certificate, in DER (RFC 8705 section 3).
    pub(super) certificate: Option<Vec<u8>>,
}

/// Tokens are numbered from 1.
#[derive(Default)]
pub(super) struct Register {
    tokens: Vec<Issued>,
    /// The index of each value in `tokens`.
    places: HashMap<String, usize>,
}

impl Register {
    pub(super) fn add(&mut self, issued: Issued) -> u32 {
        self.places.insert(issued.value.clone(), self.tokens.len());
        self.tokens.push(issued);
        self.len()
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn find(&self, value: &str) -> Option<(u32, &Issued)> {
        let place = *self.places.get(value)?;
        Some((u32::try_from(place).ok()?.saturating_add(1), self.tokens.get(place)?))
    }

    /// The latest token for the same purpose.
    pub(super) fn current(&self, like: &Issued, now: Moment) -> Option<(u32, &Issued)> {
        let same = |one: &Issued| {
            let purpose = (&one.client, &one.scope, &one.audience, &one.holder);
            purpose == (&like.client, &like.scope, &like.audience, &like.holder)
        };
        let found = self.tokens.iter().rev().find(|one| same(one) && one.flaw(now).is_none())?;
        self.find(&found.value)
    }

    pub(super) fn revoke_all(&mut self) {
        self.tokens.iter_mut().for_each(|issued| issued.revoked = true);
    }
}

impl Issued {
    /// Why it is rejected, from any client.
    pub(super) fn flaw(&self, now: Moment) -> Option<&'static str> {
        match self.expires {
            _ if self.revoked => Some("the token was revoked"),
            Some(end) if end.reached(now) => Some("the token expired"),
            _ => None,
        }
    }

    /// The scheme of its header.
    pub(super) fn scheme(&self) -> &'static str {
        if self.holder.key.is_some() { "DPoP" } else { "Bearer" }
    }
}

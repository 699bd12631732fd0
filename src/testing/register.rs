//! The tokens that were issued, and what has become of them.

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

/// Who alone can use a token.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Holder {
    /// Thumbprint of a DPoP key (RFC 9449 section 6).
    pub(super) key: Option<String>,
    /// A client's certificate, in DER (RFC 8705 section 3).
    pub(super) certificate: Option<Vec<u8>>,
}

/// Tokens are numbered from 1.
#[derive(Default)]
pub(super) struct Register(Vec<Issued>);

impl Register {
    pub(super) fn add(&mut self, issued: Issued) -> u32 {
        self.0.push(issued);
        self.len()
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn find(&self, value: &str) -> Option<(u32, &Issued)> {
        let numbered = (1..).zip(&self.0);
        numbered.into_iter().find(|(_, issued)| issued.value == value)
    }

    /// The latest one that is good for the same purpose.
    pub(super) fn current(&self, like: &Issued, now: Moment) -> Option<(u32, &Issued)> {
        let same = |one: &Issued| {
            let purpose = (&one.client, &one.scope, &one.audience, &one.holder);
            purpose == (&like.client, &like.scope, &like.audience, &like.holder)
        };
        let numbered: Vec<_> = (1..).zip(&self.0).collect();
        numbered.into_iter().rev().find(|(_, one)| same(one) && one.flaw(now).is_none())
    }

    pub(super) fn revoke_all(&mut self) {
        self.0.iter_mut().for_each(|issued| issued.revoked = true);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|issued| issued.value.as_str())
    }
}

impl Issued {
    /// Why it is refused, whoever presents it.
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

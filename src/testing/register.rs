//! The issued tokens and their state.

use std::collections::{BTreeMap, HashMap};

use crate::clock::Moment;

#[derive(Default)]
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
    tokens: BTreeMap<u32, Issued>,
    /// Of all that were issued.
    pub(super) issued: u32,
    /// By value.
    numbers: HashMap<String, u32>,
}

/// While there are more, the first ones are dropped as they expire or are revoked. A usable token is never dropped.
const MOST_KEPT: usize = 10_000;

impl Register {
    pub(super) fn add(&mut self, issued: Issued, now: Moment) -> u32 {
        while self.tokens.len() >= MOST_KEPT {
            let Some(first) = self.tokens.first_entry().filter(|first| first.get().flaw(now).is_some()) else { break };
            self.numbers.remove(&first.remove().value);
        }
        self.issued = self.issued.saturating_add(1);
        self.numbers.insert(issued.value.clone(), self.issued);
        self.tokens.insert(self.issued, issued);
        self.issued
    }

    pub(super) fn find(&self, value: &str) -> Option<(u32, &Issued)> {
        let number = *self.numbers.get(value)?;
        Some((number, self.tokens.get(&number)?))
    }

    /// The latest token for the same purpose.
    pub(super) fn current(&self, like: &Issued, now: Moment) -> Option<&Issued> {
        let same = |one: &Issued| {
            let purpose = (&one.client, &one.scope, &one.audience, &one.holder);
            purpose == (&like.client, &like.scope, &like.audience, &like.holder)
        };
        self.tokens.values().rev().find(|one| same(one) && one.flaw(now).is_none())
    }

    pub(super) fn revoke_all(&mut self) {
        self.tokens.values_mut().for_each(|issued| issued.revoked = true);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_many_tokens_the_latest_and_those_in_use_are_kept_and_all_are_counted() {
        let start = crate::clock::Clock::System.now();
        let expires = start.plus(Duration::from_secs(10));
        let token = |number: usize, expires: Moment| Issued {
            value: number.to_string(),
            client: None,
            scope: String::new(),
            audience: Vec::new(),
            expires: Some(expires),
            revoked: false,
            holder: Holder::default(),
        };
        let mut register = Register::default();
        for number in 1..=MOST_KEPT + 5 {
            register.add(token(number, expires), start);
        }
        assert!(register.find("1").is_some(), "a usable token was dropped");
        let later = expires.plus(Duration::from_secs(10));
        assert_eq!(register.add(token(MOST_KEPT + 6, later), expires), MOST_KEPT as u32 + 6);
        let number_of = |value: &str| register.find(value).map(|(number, issued)| (number, issued.value.clone()));
        assert_eq!(number_of("6"), None, "an expired token beyond the latest");
        assert_eq!(number_of("7"), Some((7, "7".to_owned())));
        assert_eq!(number_of("10006"), Some((10_006, "10006".to_owned())));
        assert_eq!((register.issued, register.tokens.len(), register.numbers.len()), (10_006, MOST_KEPT, MOST_KEPT));
    }
}

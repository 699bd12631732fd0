//! A token as it is stored: sealed, and unreadable without the keys (pure).
//!
//! ```text
//! version 1 | key id 8 | nonce 12 | AES-256-GCM of the content | tag 16
//! ```
//!
//! The version, the id of the seal key and the key of the token (see `key`) are authenticated with the content, so that
//! a record under another name does not open, and neither does one that was tampered with.

use std::time::Duration;

use aws_lc_rs::aead::{Aad, NONCE_LEN, Nonce};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::{digest, rand};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::protocol;
use super::ring::{KeyId, Ring, SealKey};
use crate::cache::{CachePolicy, Schedule};
use crate::clock::{Clock, Moment};
use crate::json::wipe;
use crate::token::AccessToken;
use crate::token::{Holder, Terms};

/// Version, key id, nonce and tag.
const OVERHEAD: usize = 1 + size_of::<KeyId>() + NONCE_LEN + 16;

/// Increased with any change of the format. A record of another version is ignored.
const VERSION: u8 = 1;

/// 128 KiB: the longest token, and the same for its further members. Longer records are neither read nor written.
pub(crate) const LARGEST: usize = 128 * 1024;

/// The known types (RFC 6750, RFC 9449): a record of another type is from a later version of this crate.
const BEARER: &str = "Bearer";
const DPOP: &str = "DPoP";

/// 30 s: the clocks of hosts may differ by this (those with NTP are within a second). At most a tenth of the lifetime.
const SKEW: Duration = Duration::from_secs(30);

/// A token from the store.
pub(crate) type Found = protocol::Found<AccessToken, Fingerprint>;

/// SHA-256 of a token. A token cannot be guessed, so its digest does not reveal it.
pub(crate) type Fingerprint = [u8; digest::SHA256_OUTPUT_LEN];

pub(crate) fn fingerprint(token: &AccessToken) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, token.expose_secret().as_bytes());
    // It has this length.
    hash.as_ref().try_into().unwrap_or_default()
}

/// The record of `token`.
pub(crate) fn seal(token: &AccessToken, key: &[u8], sealing: &SealKey) -> Result<Vec<u8>, Unspecified> {
    sealed(content(token), key, sealing)
}

pub(crate) fn sealed(mut content: Zeroizing<Vec<u8>>, key: &[u8], sealing: &SealKey) -> Result<Vec<u8>, Unspecified> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce)?;
    // The content is encrypted in place, and is not secret afterwards.
    let tag = sealing.aead.seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(aad(sealing, key)),
        &mut content,
    )?;
    let mut record = vec![VERSION];
    record.extend_from_slice(&sealing.id);
    record.extend_from_slice(&nonce);
    record.extend_from_slice(&content);
    record.extend_from_slice(tag.as_ref());
    Ok(record)
}

/// The content of a record that was sealed for `key`, whether or not the token is usable.
pub(crate) fn open(record: &[u8], key: &[u8], ring: &Ring) -> Option<Content> {
    let (version, rest) = record.split_first()?;
    if *version != VERSION || record.len() > LARGEST {
        return None;
    }
    let (id, rest) = rest.split_first_chunk()?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
    let sealing = ring.0.iter().find(|one| one.id == *id)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let aad = Aad::from(aad(sealing, key));
    let content = sealing.aead.open_in_place(nonce, aad, &mut buffer).ok()?;
    Content::parse(content)
}

fn aad(sealing: &SealKey, key: &[u8]) -> Vec<u8> {
    [&[VERSION], sealing.id.as_slice(), key].concat()
}

/// The token and its metadata from the token response.
pub(crate) struct Content {
    secret: SecretString,
    received: Duration,
    /// Whether the token is bound to a key (RFC 9449).
    bound: bool,
    terms: Terms,
}

/// JSON. A strict format is not needed, since only owners of the seal key write records.
fn content(token: &AccessToken) -> Zeroizing<Vec<u8>> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let terms = token.terms();
    let mut members = json!({
        "token_type": if terms.holder.key.is_some() { DPOP } else { BEARER },
        "token": token.expose_secret(),
        "received": nanos(token.received().wall()),
        "lifetime": terms.lifetime.map(nanos),
        "refresh_in": terms.refresh_in.map(nanos),
        "scope": terms.scope,
        "extra": terms.extra,
    });
    // The usual size: growing would leave copies of the token in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * token.expose_secret().len() + 4096));
    // Writing to memory does not fail. An empty record would be refused, as it is not JSON.
    let _ = serde_json::to_writer(&mut *bytes, &members);
    wipe(&mut members);
    bytes
}

impl Content {
    fn parse(bytes: &[u8]) -> Option<Content> {
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        let content = Content::read(&mut value);
        wipe(&mut value);
        content
    }

    fn read(value: &mut Value) -> Option<Content> {
        let members = value.as_object_mut()?;
        let time = |name: &str| members.get(name)?.as_u64().map(Duration::from_nanos);
        let bound = match members.get("token_type")?.as_str()? {
            BEARER => false,
            DPOP => true,
            _ => return None,
        };
        Some(Content {
            secret: members.get("token")?.as_str()?.into(),
            received: time("received")?,
            bound,
            terms: Terms {
                lifetime: time("lifetime"),
                refresh_in: time("refresh_in"),
                scope: members.get("scope").and_then(Value::as_str).map(Into::into),
                extra: match members.get_mut("extra").map(Value::take) {
                    Some(Value::Object(extra)) => extra,
                    _ => Map::new(),
                },
                ..Terms::default()
            },
        })
    }

    /// The token by the clocks of this host, if it is usable now. `holder` equals that of the host that stored it.
    pub(crate) fn arrive(mut self, policy: &CachePolicy, holder: &Holder, now: Moment, clock: &Clock) -> Option<Found> {
        if self.bound != holder.key.is_some() {
            return None;
        }
        self.terms.holder = holder.clone();
        self.terms.from_store = true;
        let dates = Dates::on_our_clocks(self.received, self.terms.lifetime, self.terms.refresh_in, policy, now)?;
        self.terms.lifetime = self.terms.lifetime.map(|_| dates.lifetime);
        let token = AccessToken::issued(&self.secret, self.terms, dates.received, clock).ok()?;
        let id = fingerprint(&token);
        let Dates { unusable, fresh, .. } = dates;
        Some(Found { token, id, received: self.received, unusable, fresh })
    }
}

/// When a token was received and when it ends, for a replica that did not fetch it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dates {
    pub(super) received: Moment,
    pub(super) lifetime: Duration,
    pub(super) unusable: Moment,
    pub(super) fresh: bool,
}

impl Dates {
    /// The age of the token is measured by two wall clocks, that of another host and that of this one. The largest
    /// accepted difference is added to it, and a token from further in the future is refused. `None`: the token is not
    /// usable now.
    pub(super) fn on_our_clocks(
        received: Duration,
        lifetime: Option<Duration>,
        refresh_in: Option<Duration>,
        policy: &CachePolicy,
        now: Moment,
    ) -> Option<Dates> {
        let lifetime = lifetime.unwrap_or(policy.default_lifetime);
        let skew = SKEW.min(lifetime / 10);
        if received > now.wall().saturating_add(skew) {
            return None;
        }
        let age = now.wall().saturating_sub(received);
        // Whatever the lifetime: another host would have refreshed the token by then.
        if age >= policy.max_age {
            return None;
        }
        let lifetime = lifetime.saturating_sub(skew);
        // The earliest instant that jitter allows: the first host that reads the record then refreshes the token, and
        // later ones find the new one.
        let schedule = Schedule::of(lifetime, refresh_in, policy, 1.0);
        let received = now.minus(age);
        let unusable = received.plus(schedule.unusable);
        let fresh = !received.plus(schedule.refresh).reached(now);
        (!unusable.reached(now)).then_some(Dates { received, lifetime, unusable, fresh })
    }
}

/// How long to store a token for other hosts; `None` if it is expired on arrival or too large.
pub(crate) fn worth(token: &AccessToken, policy: &CachePolicy, now: Moment) -> Option<Duration> {
    let left = left(token.received().wall(), token.lifetime(), token.refresh_in(), policy, now)?;
    (content(token).len() <= LARGEST - OVERHEAD).then_some(left)
}

/// How long other hosts can use a token.
pub(super) fn left(
    received: Duration,
    lifetime: Option<Duration>,
    refresh_in: Option<Duration>,
    policy: &CachePolicy,
    now: Moment,
) -> Option<Duration> {
    let lifetime = lifetime.unwrap_or(policy.default_lifetime);
    let lifetime = lifetime.saturating_sub(SKEW.min(lifetime / 10));
    let schedule = Schedule::of(lifetime, refresh_in, policy, 1.0);
    let usable = schedule.unusable.min(policy.max_age);
    let left = usable.saturating_sub(now.wall().saturating_sub(received));
    // Redis counts in milliseconds and refuses zero.
    (left >= Duration::from_millis(1)).then_some(left)
}

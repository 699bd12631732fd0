//! Records of the store and their defects: a damaged record is ignored.

use proptest::prelude::*;

use super::*;
use crate::shared::record::{LARGEST, open, seal};
use crate::shared::ring::{Ring, SealKey};

fn ring(keys: &[&str]) -> Ring {
    Ring(keys.iter().map(|key| SealKey::parse(key).unwrap()).collect())
}

fn token(clock: &Clock, lifetime: Option<Duration>) -> AccessToken {
    let terms = Terms {
        lifetime,
        refresh_in: Some(Duration::from_secs(1800)),
        scope: Some("a b".into()),
        extra: serde_json::from_str(r#"{"instance_url":"https://x.example","n":1.5}"#).unwrap(),
        ..Terms::default()
    };
    AccessToken::issued(&"abc!\"\\".into(), terms, clock.now(), &Clock::System).unwrap()
}

fn record() -> Vec<u8> {
    let token = token(&clock().0, Some(Duration::from_secs(3600)));
    seal(&token, b"key", &ring(&[SEAL_KEY]).0[0]).unwrap()
}

fn opens(record: &[u8]) -> bool {
    open(record, b"key", &ring(&[SEAL_KEY])).is_some()
}

#[test]
fn a_token_is_unchanged_by_the_round_trip() {
    let (clock, _hands) = clock();
    let content = open(&record(), b"key", &ring(&[SEAL_KEY])).unwrap();
    let there = token(&clock, Some(Duration::from_secs(3600)));
    let back = content.arrive(&CachePolicy::new(), &Holder::default(), clock.now(), &Clock::System).unwrap();
    assert!(back.token.same_value(&there) && back.fresh);
    assert_eq!(back.token.received(), there.received());
    assert_eq!(back.token.scope(), there.scope());
    assert_eq!(back.token.extra("n"), there.extra("n"));
    assert_eq!(back.token.refresh_in(), there.refresh_in());
    // Less the largest difference between the clocks of two hosts.
    assert_eq!(back.token.lifetime(), Some(Duration::from_secs(3570)));
}

#[test]
fn records_of_one_token_differ_and_reveal_nothing() {
    // D23
    assert_ne!(record(), record());
    let shown = String::from_utf8_lossy(&record()).into_owned();
    assert!(!shown.contains("abc!") && !shown.contains("instance_url"));
}

#[test]
fn a_truncated_record_is_refused() {
    // D06: at every length
    let record = record();
    for length in 0..record.len() {
        assert!(!opens(&record[..length]), "{length}");
    }
    assert!(opens(&record));
}

#[test]
fn a_record_of_another_version_or_with_an_extra_byte_is_refused() {
    // D11
    let mut longer = record();
    longer.push(0);
    assert!(!opens(&longer));
    for version in [0, 2, 255] {
        let mut other = record();
        other[0] = version;
        assert!(!opens(&other), "{version}");
    }
}

#[test]
fn a_record_under_another_name_is_refused() {
    // D08, D22
    assert!(open(&record(), b"another tenant", &ring(&[SEAL_KEY])).is_none());
}

#[test]
fn only_a_key_of_the_ring_opens_a_record() {
    // D10
    let open = |keys: &[&str]| open(&record(), b"key", &ring(keys)).is_some();
    assert!(open(&[OTHER_SEAL_KEY, SEAL_KEY]));
    assert!(!open(&[OTHER_SEAL_KEY]));
    assert!(!open(&[]));
}

#[test]
fn endless_lifetimes_do_not_overflow() {
    // D13: ten years, the year 9999, the largest number; refreshed within a day, and not used afterwards
    let (clock, hands) = clock();
    let settings = CachePolicy::new();
    for lifetime in [10 * 365 * 86_400, 251_000_000_000, u64::MAX] {
        let token = token(&clock, Some(Duration::from_secs(lifetime)));
        let worth = record::worth(&token, &settings, clock.now()).unwrap();
        assert!(worth <= settings.max_age);
        let record = seal(&token, b"key", &ring(&[SEAL_KEY]).0[0]).unwrap();
        let arrive = || {
            let content = open(&record, b"key", &ring(&[SEAL_KEY])).unwrap();
            content.arrive(&settings, &Holder::default(), clock.now(), &Clock::System)
        };
        assert!(arrive().unwrap().fresh);
        hands.advance(Duration::from_secs(86_399));
        assert!(!arrive().unwrap().fresh);
        hands.advance(Duration::from_secs(1));
        assert!(arrive().is_none());
    }
}

#[test]
fn a_token_without_a_lifetime_is_assumed_to_last_an_hour() {
    let (clock, hands) = clock();
    let token = token(&clock, None);
    let record = seal(&token, b"key", &ring(&[SEAL_KEY]).0[0]).unwrap();
    let arrive = || {
        let content = open(&record, b"key", &ring(&[SEAL_KEY])).unwrap();
        content.arrive(&CachePolicy::new(), &Holder::default(), clock.now(), &Clock::System)
    };
    assert_eq!(arrive().unwrap().token.lifetime(), None);
    hands.advance(Duration::from_secs(3590));
    assert!(arrive().is_none());
}

#[test]
fn clocks_cost_a_short_token_a_tenth_of_its_lifetime_at_most() {
    let (clock, _hands) = clock();
    for (lifetime, left) in [(20, 18), (300, 270), (301, 271), (3600, 3570)] {
        let token = token(&clock, Some(Duration::from_secs(lifetime)));
        let record = seal(&token, b"key", &ring(&[SEAL_KEY]).0[0]).unwrap();
        let content = open(&record, b"key", &ring(&[SEAL_KEY])).unwrap();
        let arrived = content.arrive(&CachePolicy::new(), &Holder::default(), clock.now(), &Clock::System);
        let lifetime = arrived.unwrap().token.lifetime();
        assert_eq!(lifetime, Some(Duration::from_secs(left)));
    }
}

#[test]
fn a_token_that_is_too_large_is_not_shared() {
    let (clock, _hands) = clock();
    let of = |length: usize| {
        let secret = "x".repeat(length);
        AccessToken::issued(&secret.as_str().into(), Terms::default(), clock.now(), &Clock::System).unwrap()
    };
    let worth = |length| record::worth(&of(length), &CachePolicy::new(), clock.now()).is_some();
    assert!(worth(64 * 1024));
    assert!(!worth(LARGEST));
    let largest = (64 * 1024..LARGEST).rev().find(|length| worth(*length)).unwrap();
    let record = seal(&of(largest), b"key", &ring(&[SEAL_KEY]).0[0]).unwrap();
    assert_eq!(record.len(), LARGEST);
    assert!(opens(&record));
}

/// Two hosts; the clock of the second one is ahead by this many seconds. The first has stored a token of one hour.
async fn skewed(ahead: i64) -> (Fleet, Host, ManualClock) {
    let fleet = Fleet::new();
    assert_eq!(value(&fleet.host()).await, "t1");
    let (clock, hands) = clock();
    hands.set_wall(|wall| match u64::try_from(ahead) {
        Ok(ahead) => wall + Duration::from_secs(ahead),
        Err(_) => wall - Duration::from_secs(ahead.unsigned_abs()),
    });
    let host = fleet.host_with(SEAL_KEY, "name", BoundTo::default(), clock);
    (fleet, host, hands)
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_a_little_do_not_matter() {
    // D12: no host uses a token that has expired by the authorization server's clock
    for ahead in [-30, 0, 30] {
        let (_, host, hands) = skewed(ahead).await;
        assert_eq!(value(&host).await, "t1");
        let token = host.token().await.unwrap();
        let left = token.received().plus(token.lifetime().unwrap());
        hands.advance(Duration::from_secs(3601));
        assert!(left.reached(host.clock.now()), "{ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_from_the_future_is_refused() {
    // D12: five minutes behind
    let (fleet, host, _) = skewed(-300).await;
    assert_eq!(value(&host).await, "t2");
    assert_eq!(fleet.server.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_sees_tokens_as_older_and_never_as_younger() {
    // D12: five minutes ahead
    let (_, host, hands) = skewed(300).await;
    assert_eq!(value(&host).await, "t1");
    hands.advance(Duration::from_secs(3300));
    assert_eq!(value(&host).await, "t2");
}

#[tokio::test(start_paused = true)]
async fn every_host_knows_the_true_age_of_a_token_on_its_own_clocks() {
    let fleet = Fleet::new();
    value(&fleet.host()).await;
    let received = fleet.clock.now();
    fleet.advance(1000);
    let token = fleet.host().token().await.unwrap();
    assert_eq!(token.received(), received);
    assert_eq!(token.received().plus(Duration::from_secs(1000)), fleet.clock.now());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_rotated_while_hosts_have_the_old_ring() {
    // D10: only the old key, both with the old one first, both with the new one first, only the new one
    let fleet = Fleet::new();
    let host =
        |key: crate::credential::Credential| fleet.host_with(key, "name", BoundTo::default(), fleet.clock.clone());
    let (old, new) =
        (|| crate::credential::Credential::from(SEAL_KEY), || crate::credential::Credential::from(OTHER_SEAL_KEY));
    let hosts = [host(old()), host(old().or(new())), host(new().or(old()))];
    for host in &hosts {
        assert_eq!(value(host).await, "t1");
    }
    fleet.advance(1);
    assert_eq!(value(&host(new())).await, "t2");
    assert_eq!(value(&hosts[0]).await, "t1");
    for host in &hosts[1..] {
        assert_eq!(value(host).await, "t2", "the newest that it can open");
    }
    // When the token is refreshed, the newest key seals it.
    fleet.advance(3300);
    assert_eq!(value(&host(new().or(old()))).await, "t3");
    assert_eq!(value(&host(new())).await, "t3");
    assert_eq!(value(&host(old().or(new()))).await, "t3");
    assert_eq!(fleet.server.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_line_break_after_the_key_is_ignored() {
    // The environment variable that Kubernetes makes of a secret that was created from a file.
    let fleet = Fleet::new();
    let key = format!("{SEAL_KEY}\n");
    let host = fleet.host_with(key, "name", BoundTo::default(), fleet.clock.clone());
    assert_eq!(host.store.fault(), None, "build() accepts it");
    let fault = fleet.host_with("short", "name", BoundTo::default(), fleet.clock.clone()).store.fault();
    assert!(fault.is_some(), "and not this one");
    assert_eq!(value(&host).await, "t1");
    assert_eq!(value(&fleet.host()).await, "t1");
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_is_shared_by_hosts_with_its_key() {
    // D20
    let key = Key::named("name");
    let ring = ring(&[SEAL_KEY]);
    let (mine, other) = (key.bound_to(Some(&[1; 32])), key.bound_to(Some(&[2; 32])));
    assert_ne!(ring.0[0].name(mine.bytes()), ring.0[0].name(other.bytes()));
    let token = token(&clock().0, Some(Duration::from_secs(60)));
    let record = seal(&token, mine.bytes(), &ring.0[0]).unwrap();
    assert!(open(&record, mine.bytes(), &ring).is_some());
    assert!(open(&record, other.bytes(), &ring).is_none());
    assert!(open(&record, key.bytes(), &ring).is_none());
}

#[cfg(feature = "mtls")]
const CERTIFICATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));
#[cfg(any(feature = "mtls", feature = "dpop"))]
const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key"));
#[cfg(feature = "mtls")]
const OTHER_CERTIFICATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_2.crt"));
#[cfg(any(feature = "mtls", feature = "dpop"))]
const OTHER_KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_2.key"));

#[cfg(feature = "mtls")]
fn shows(auth: crate::client_auth::ClientAuth) -> BoundTo {
    BoundTo { certificate: Some(auth), ..BoundTo::default() }
}

#[cfg(feature = "mtls")]
#[tokio::test]
async fn under_mutual_tls_a_token_is_shared_by_hosts_with_the_certificate() {
    // D20
    let (mine, other) = ((CERTIFICATE, KEY), (OTHER_CERTIFICATE, OTHER_KEY));
    let fleet = Fleet::new();
    let host = |(certificate, key): &(&str, &str)| {
        let auth = crate::client_auth::ClientAuth::mutual_tls("me", *certificate, *key);
        fleet.host_with(SEAL_KEY, "name", shows(auth), fleet.clock.clone())
    };
    for (pair, token) in [(&mine, "t1"), (&mine, "t1"), (&other, "t2"), (&other, "t2"), (&mine, "t1")] {
        let host = host(pair);
        assert_eq!(value(&host).await, token);
        let shown = host.token().await.unwrap();
        assert!(shown.client_certificate().is_some(), "the API wants it too");
    }
    // If the certificate cannot be read, the source reports the error.
    let missing = crate::credential::Credential::file("/nonexistent");
    let auth = crate::client_auth::ClientAuth::mutual_tls("me", missing.clone(), missing);
    let host = fleet.host_with(SEAL_KEY, "name", shows(auth), fleet.clock.clone());
    assert_eq!(value(&host).await, "t3");
    assert_eq!(Memory::count(&fleet.store.puts), 2);
}

#[cfg(feature = "dpop")]
#[tokio::test(start_paused = true)]
async fn a_dpop_token_is_shared_by_hosts_with_its_key() {
    // D20: and is returned with its type
    let fleet = Fleet::new();
    let key = |pem: &str| crate::dpop::DpopKey::from(crate::credential::Credential::from(pem));
    let host = |key: &crate::dpop::DpopKey| {
        let possession = BoundTo { key: Some(key.clone()), ..BoundTo::default() };
        fleet.host_with(SEAL_KEY, "name", possession, fleet.clock.clone())
    };
    let (mine, other) = (key(KEY), key(OTHER_KEY));
    for (key, token) in [(&mine, "t1"), (&mine, "t1"), (&other, "t2"), (&mine, "t1")] {
        let host = host(key);
        let shared = host.token().await.unwrap();
        assert_eq!(shared.expose_secret(), token);
        assert_eq!(shared.authorization(), format!("DPoP {token}"));
        assert!(shared.possession().is_some());
    }
    // A replica without a key finds no record, and stores a token of another type.
    assert_eq!(value(&fleet.host()).await, "t3");
    assert_eq!(fleet.server.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_of_a_source_that_does_not_say_so_is_not_shared() {
    let fleet = Fleet::new();
    fleet.server.bind.store(true, Ordering::SeqCst);
    value(&fleet.host()).await;
    let puts = Memory::count(&fleet.store.puts);
    let bound = cfg!(feature = "dpop");
    assert_eq!(puts, usize::from(!bound));
}

proptest! {
    #[test]
    fn random_bytes_are_not_a_record(noise: Vec<u8>) {
        // D05: with and without a valid beginning
        prop_assert!(!opens(&noise));
        let mut beginning = record();
        beginning.truncate(21);
        beginning.extend_from_slice(&noise);
        prop_assert!(!opens(&beginning));
    }

    #[test]
    fn a_record_with_a_changed_bit_is_refused(at: prop::sample::Index, bit in 0..8_u8) {
        // D05
        let mut record = record();
        let at = at.index(record.len());
        record[at] ^= 1 << bit;
        prop_assert!(!opens(&record));
    }

    #[test]
    fn no_age_and_no_clock_causes_a_panic(
        received: u64, lifetime: Option<u64>, wall: u64, mono: u64,
    ) {
        // D12, D13
        let at = |mono, wall| crate::clock::Moment::new(Duration::from_nanos(mono), Duration::from_nanos(wall));
        let terms = Terms { lifetime: lifetime.map(Duration::from_nanos), ..Terms::default() };
        let token = AccessToken::issued(&"t".into(), terms, at(0, received), &Clock::System).unwrap();
        let ring = ring(&[SEAL_KEY]);
        let record = seal(&token, b"key", &ring.0[0]).unwrap();
        let now = at(mono, wall);
        let content = open(&record, b"key", &ring).unwrap();
        if let Some(found) = content.arrive(&CachePolicy::new(), &Holder::default(), now, &Clock::System) {
            let end = Duration::from_nanos(received).saturating_add(token.lifetime().unwrap_or(Duration::from_secs(3600)));
            prop_assert!(now.wall() < end, "expired");
            prop_assert!(found.received <= now.wall() + Duration::from_secs(30), "from the future");
        }
        let _ = record::worth(&token, &CachePolicy::new(), now);
    }
}

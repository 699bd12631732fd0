//! Oracles for input from files and stores.

/// A file with a secret.
pub fn secret_file(bytes: &[u8]) {
    use crate::credential::{flaw, text_of};

    let Some(text) = text_of(bytes) else {
        assert!(std::str::from_utf8(bytes).is_err());
        return;
    };
    let read = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let dropped = read.strip_prefix(text.as_bytes()).expect("nothing is changed");
    assert!(matches!(dropped, b"" | b"\n" | b"\r\n"), "one newline at most: {dropped:?}");
    assert!(!text.ends_with('\n') || !dropped.is_empty(), "and one it is");
    if flaw(text).is_none() {
        assert!(!text.is_empty() && !text.contains(['\r', '\n', '\0']));
    }
}

/// A record in the shared store: as it is stored, and as the content that is sealed in one.
#[cfg(feature = "shared")]
pub fn stored_record(bytes: &[u8]) {
    use std::sync::LazyLock;

    use super::now;
    use crate::cache::CachePolicy;
    use crate::shared::{Ring, SealKey, open, sealed};
    use crate::token::Holder;

    const KEY: &[u8] = b"key";
    static RING: LazyLock<Ring> = LazyLock::new(|| ring("q4m2cH8q0yq3l8cT1d9m1tq2ZxM6m2t0v8uJp3b7XyA="));
    static ANOTHER: LazyLock<Ring> = LazyLock::new(|| ring("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));
    fn ring(key: &str) -> Ring {
        Ring(vec![SealKey::parse(key).expect("a key")])
    }

    // A record cannot be made without the ring.
    assert!(open(bytes, KEY, &RING).is_none());
    let sealing = RING.0.first().expect("one");
    let mut record = sealed(bytes.to_vec().into(), KEY, sealing).expect("sealed");
    assert!(open(&record, b"another key", &RING).is_none());
    assert!(open(&record, KEY, &ANOTHER).is_none());
    if let Some(content) = open(&record, KEY, &RING) {
        let said: serde_json::Value = serde_json::from_slice(bytes).expect("what was read is JSON");
        let settings = CachePolicy::new();
        if let Some(found) = content.arrive(&settings, &Holder::default(), now(), &crate::clock::Clock::System) {
            let token = found.token;
            assert_eq!(said["token"], token.expose_secret());
            assert_eq!(said["token_type"], "Bearer", "no key of ours");
            assert_eq!(said["scope"].as_str(), token.scope());
            assert!(token.received().wall() <= now().wall(), "from the future");
            // Never longer than the replica that stored it stated.
            let left = said["lifetime"].as_u64().map(std::time::Duration::from_nanos);
            assert!(token.lifetime() <= left);
            let end = token.received().plus(token.lifetime().unwrap_or(settings.default_lifetime));
            assert!(!end.reached(now()), "expired");
        }
    }
    // Truncated or changed at any byte, it does not open.
    let at = bytes.iter().fold(0_usize, |sum, byte| sum * 31 % 65_521 + usize::from(*byte)) % record.len();
    assert!(open(record.get(..at).expect("within"), KEY, &RING).is_none());
    if let Some(byte) = record.get_mut(at) {
        *byte ^= 1 << (at % 8);
    }
    assert!(open(&record, KEY, &RING).is_none());
}

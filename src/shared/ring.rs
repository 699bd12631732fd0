//! The keys that seal records and name them (pure), each derived from one secret of the user.

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The keys: the first one seals, all of them open.
pub(crate) struct Ring(pub(crate) Vec<SealKey>);

/// 64 bits that distinguish keys and reveal nothing about them.
pub(crate) type KeyId = [u8; 8];

pub(crate) struct SealKey {
    pub(crate) id: KeyId,
    /// AES-256-GCM with a random nonce of 96 bits for each record. NIST SP 800-38D section 8.3 allows 2^32 of them for a
    /// key: 10 000 tokens refreshed every 50 min reach that in 40 years.
    pub(crate) aead: LessSafeKey,
    names: hmac::Key,
}

impl SealKey {
    /// Parses the output of `openssl rand -base64 32`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const LENGTH: usize = 32;
        let text = text.trim().as_bytes();
        // The full size: growing would leave copies of the secret in memory.
        let mut secret = Zeroizing::new(vec![0; text.len()]);
        let engines = [&STANDARD, &URL_SAFE, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD];
        let length = engines
            .iter()
            .find_map(|engine| engine.decode_slice(text, &mut secret).ok())
            .ok_or("is not base64: make one with `openssl rand -base64 32`")?;
        match secret.get(..length) {
            Some(secret) if length == LENGTH => SealKey::derive(secret).ok_or("is not a usable key"),
            _ => Err("is not 32 bytes long: make one with `openssl rand -base64 32`"),
        }
    }

    /// Derives a key for each purpose (RFC 5869). The salt is a constant, since the secret is uniformly random.
    fn derive(secret: &[u8]) -> Option<Self> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"client-credentials shared store 1");
        let root = root.extract(secret);
        let mut long_id = [0; 32];
        root.expand(&[b"id"], hkdf::HKDF_SHA256).ok()?.fill(&mut long_id).ok()?;
        let aead = root.expand(&[b"seal"], &AES_256_GCM).ok()?;
        let names = root.expand(&[b"name"], hmac::HMAC_SHA256).ok()?;
        Some(SealKey {
            id: *long_id.first_chunk()?,
            aead: LessSafeKey::new(UnboundKey::from(aead)),
            names: hmac::Key::from(names),
        })
    }

    /// The name of the record of `key` in the store: 32 characters that reveal nothing without the secret.
    pub(crate) fn name(&self, key: &[u8]) -> String {
        let tag = hmac::sign(&self.names, key);
        // 192 bits: names do not collide by chance, and a record under another name does not open.
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..24).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_openssl_prints_it() {
        let key = "q4m2cH8q0yq3l8cT1d9m1tq2ZxM6m2t0v8uJp3b7XyA=";
        assert!(SealKey::parse(key).is_ok());
        assert!(SealKey::parse(&format!("{key}\n")).is_ok());
        assert!(SealKey::parse(key.trim_end_matches('=')).is_ok());
        for (flawed, flaw) in
            [("", "32 bytes"), ("hunter2!", "base64"), ("aGVsbG8=", "32 bytes"), (&*format!("{key}{key}"), "base64")]
        {
            let error = SealKey::parse(flawed).err().unwrap();
            assert!(error.contains(flaw), "{flawed:?}: {error}");
        }
    }

    #[test]
    fn names_depend_on_the_secret_and_on_the_key() {
        let one = SealKey::derive(&[1; 32]).unwrap();
        let other = SealKey::derive(&[2; 32]).unwrap();
        assert_eq!(one.name(b"a"), one.name(b"a"));
        assert_ne!(one.name(b"a"), one.name(b"b"));
        assert_ne!(one.name(b"a"), other.name(b"a"));
        assert_ne!(one.id, other.id);
        assert_eq!(one.name(b"a").len(), 32);
    }
}

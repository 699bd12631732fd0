//! The last nonce of each server, from any response (RFC 9449 sections 8 and 9).

use http::{HeaderMap, HeaderName};
use url::Url;

use crate::bounded::Bounded;
use crate::lock::Lock;
use crate::possession::Role;

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// 1 KiB: real nonces have less than 200 bytes, and each proof contains one.
const LONGEST: usize = 1024;
/// 256: many more origins than one client uses. Beyond that the oldest is dropped, which costs one repetition.
const MOST: usize = 256;

#[derive(Default)]
pub(crate) struct Nonces(Lock<Bounded<(Role, String), String, MOST>>);

impl Nonces {
    pub(crate) fn last(&self, role: Role, url: &Url) -> Option<String> {
        self.0.lock().get(&place(role, url)).cloned()
    }

    /// Stores the nonce of a response from `url`, and returns it.
    pub(crate) fn hear<'a>(&self, role: Role, url: &Url, headers: &'a HeaderMap) -> Option<&'a str> {
        let nonce = headers.get(DPOP_NONCE)?;
        // RFC 9449 section 8.1: 1*NQCHAR, of RFC 6749 appendix A.
        let nqchar = |c: &u8| matches!(c, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let bytes = nonce.as_bytes();
        let fine = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(nqchar);
        let nonce = nonce.to_str().ok().filter(|_| fine)?;
        self.0.lock().insert(place(role, url), nonce.to_owned());
        Some(nonce)
    }
}

fn place(role: Role, url: &Url) -> (Role, String) {
    (role, url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn headers(nonce: &[u8]) -> HeaderMap {
        let value = HeaderValue::from_bytes(nonce).unwrap();
        [(DPOP_NONCE, value)].into_iter().collect()
    }

    #[test]
    fn each_origin_and_each_role_has_a_nonce_of_its_own() {
        // M16
        let nonces = Nonces::default();
        let api = url("https://api.example.com/a?b");
        let heard = |nonce: &[u8]| nonces.hear(Role::Resource, &api, &headers(nonce)).is_some();
        assert!(heard(b"one"));
        let last = |role, text| nonces.last(role, &url(text));
        assert_eq!(last(Role::Resource, "https://api.example.com/c").as_deref(), Some("one"));
        assert_eq!(last(Role::Resource, "https://api.example.com:443/").as_deref(), Some("one"));
        assert_eq!(last(Role::Resource, "https://api.example.com:8443/"), None);
        assert_eq!(last(Role::Resource, "https://other.example.com/"), None);
        assert_eq!(last(Role::Authorization, "https://api.example.com/"), None);
        assert!(heard(b"two"));
        assert_eq!(last(Role::Resource, "https://api.example.com/").as_deref(), Some("two"));
    }

    #[test]
    fn an_invalid_nonce_is_ignored() {
        let nonces = Nonces::default();
        let api = url("https://api.example.com/");
        let heard = |headers: HeaderMap| nonces.hear(Role::Resource, &api, &headers).is_some();
        let too_long = vec![b'a'; LONGEST + 1];
        for bad in [&b""[..], b"a b", b"a\"b", b"a\\b", b"a\tb", b"\xff", &too_long] {
            assert!(!heard(headers(bad)), "{bad:?}");
        }
        assert!(!heard(HeaderMap::new()));
        assert_eq!(nonces.last(Role::Resource, &api), None);
        assert!(heard(headers(&too_long[1..])));
    }

    #[test]
    fn no_number_of_origins_fills_the_memory() {
        let nonces = Nonces::default();
        for n in 0..2 * MOST {
            let api = url(&format!("https://api-{n}.example.com/"));
            nonces.hear(Role::Resource, &api, &headers(b"n"));
            assert!(nonces.last(Role::Resource, &api).is_some());
        }
        assert_eq!(nonces.0.lock().len(), MOST);
    }
}

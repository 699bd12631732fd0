//! A certificate with its key, from PEM.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::contained::contained;
use crate::pem::{at_most_one, corrected, looks_like};
use crate::x509;

/// A certificate and the key that belongs to it.
pub(crate) struct TlsIdentity {
    identity: reqwest::Identity,
    /// `x5t#S256` of the certificate (RFC 8705 section 3.1).
    #[cfg(feature = "shared")]
    thumbprint: Vec<u8>,
    /// When the certificate expires, since the epoch.
    not_after: Option<Duration>,
}

impl TlsIdentity {
    #[cfg(feature = "shared")]
    pub(crate) fn thumbprint(&self) -> &[u8] {
        &self.thumbprint
    }

    /// When the certificate expires, since the epoch; `None` if it cannot be parsed.
    pub(crate) fn not_after(&self) -> Option<Duration> {
        self.not_after
    }

    pub(crate) fn apply_to(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        builder.identity(self.identity.clone())
    }

    /// An error states what is wrong, without any part of the texts. `from` names the places of certificate and key.
    pub(crate) fn new(certificate: &str, key: &str, from: [&dyn fmt::Debug; 2]) -> Result<Self, String> {
        let [of_certificate, of_key] = from;
        let certificate =
            certificates(certificate).map_err(|flaw| format!("the certificate ({of_certificate:?}) {flaw}"))?;
        let key = private_key(key).map_err(|flaw| format!("the key ({of_key:?}) {flaw}"))?;
        let flawed = |flaw| format!("the certificate ({of_certificate:?}) and the key ({of_key:?}) {flaw}");
        let mut pem = Zeroizing::new(String::with_capacity(certificate.len() + key.len()));
        pem.push_str(&certificate);
        pem.push_str(&key);
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).map_err(|_| flawed(DAMAGED))?;
        // Only a client checks whether the two belong together. This one makes no connection.
        let trial = contained(|| {
            let builder = reqwest::Client::builder().tls_certs_only([]).no_proxy();
            builder.identity(identity.clone()).build()
        });
        match trial {
            Ok(Ok(_)) => Ok(TlsIdentity {
                identity,
                #[cfg(feature = "shared")]
                thumbprint: thumbprint(&certificate).ok_or_else(|| flawed(DAMAGED))?,
                not_after: x509::of_pem(&certificate).map(|facts| facts.not_after),
            }),
            Ok(Err(e)) if is_mismatch(&e) => Err(flawed(MISMATCH)),
            Ok(Err(_)) | Err(_) => Err(flawed(DAMAGED)),
        }
    }
}

/// SHA-256 of the first certificate in a PEM text.
#[cfg(feature = "shared")]
fn thumbprint(certificates: &str) -> Option<Vec<u8>> {
    use aws_lc_rs::digest;
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let certificate = CertificateDer::from_pem_slice(certificates.as_bytes()).ok()?;
    Some(digest::digest(&digest::SHA256, &certificate).as_ref().to_vec())
}

const MISMATCH: &str = "do not belong together (the client's own certificate has to be the first)";
const DAMAGED: &str = "are not a usable pair: one of them is damaged, or of a kind that is not supported";

fn is_mismatch(e: &(dyn StdError + 'static)) -> bool {
    matches!(e.downcast_ref(), Some(rustls::Error::InconsistentKeys(_))) || e.source().is_some_and(is_mismatch)
}

/// The certificates in a PEM text (RFC 7468 section 5).
pub(crate) fn certificates(text: &str) -> Result<Zeroizing<String>, String> {
    sections(text, "certificate", &["CERTIFICATE"])
}

/// The private key in a PEM text (RFC 7468 section 10, RFC 8017 appendix C, RFC 5915 section 4).
pub(crate) fn private_key(text: &str) -> Result<Zeroizing<String>, String> {
    at_most_one("private", &corrected(text))?;
    sections(text, "private key", &["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"])
}

/// The complete sections of a PEM text with these labels, at least one.
fn sections(original: &str, what: &str, labels: &[&str]) -> Result<Zeroizing<String>, String> {
    let text = corrected(original);
    // The full size: growing would leave copies of the key in memory.
    let mut found = Zeroizing::new(String::with_capacity(text.len() + 1));
    let mut open: Option<(&str, usize)> = None;
    for line in text.lines().map(str::trim) {
        let label = |edge: &str| {
            let label = line.strip_prefix("-----")?.strip_prefix(edge)?;
            label.strip_prefix(' ')?.strip_suffix("-----")
        };
        if let Some(begun) = label("BEGIN") {
            // The previous section has no end.
            if let Some((_, start)) = open.take() {
                found.truncate(start);
            }
            open = labels.contains(&begun).then_some((begun, found.len()));
        }
        if let Some((begun, start)) = open {
            found.push_str(line);
            found.push('\n');
            if let Some(ended) = label("END") {
                if ended != begun {
                    found.truncate(start);
                }
                open = None;
            }
        }
    }
    if let Some((_, start)) = open {
        found.truncate(start);
    }
    match found.is_empty() {
        true => Err(format!("has no complete {what} (PEM){}", looks_like(original))),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));
    const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key"));
    const OTHER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_2.crt"));

    fn flaw(certificate: &str, key: &str) -> String {
        let flaw = TlsIdentity::new(certificate, key, [&1, &2]).err().unwrap();
        let (_, flaw) = flaw.rsplit_once(['1', '2']).unwrap();
        flaw.strip_prefix(") ").unwrap().to_owned()
    }

    #[test]
    fn certificate_and_key_may_be_in_one_text_in_any_order() {
        let (certificate, key) = (ONE, KEY);
        for text in [format!("{certificate}{key}"), format!("Bag Attributes\r\n  x: y\r\n{key}{certificate}")] {
            assert!(TlsIdentity::new(&text, &text, [&1, &2]).is_ok(), "{text}");
        }
    }

    #[test]
    fn each_fault_of_a_pair_has_an_error_of_its_own() {
        // F20
        let (certificate, key, other) = (ONE, KEY, OTHER);
        assert_eq!(flaw(other, key), MISMATCH);
        let reversed = format!("{other}{certificate}");
        assert_eq!(flaw(&reversed, key), MISMATCH);
        let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        assert_eq!(flaw(empty, key), DAMAGED);
        let cut = &certificate[..certificate.len() - 30];
        assert_eq!(flaw(cut, key), "has no complete certificate (PEM): it looks like PEM that is cut off");
        assert!(flaw(certificate, &key[..key.len() - 30]).starts_with("has no complete private key (PEM)"));
        assert_eq!(flaw(key, key), "has no complete certificate (PEM): it has a private key");
        let json = r#"{"kty":"EC"}"#;
        assert_eq!(flaw(certificate, json), "has no complete private key (PEM): it looks like a JWK");
        let two = format!("{certificate}{key}{key}");
        let told = TlsIdentity::new(&two, &two, [&"a", &"b"]).err().unwrap();
        assert_eq!(told, "the key (\"b\") has 2 private keys (PEM): give one of them");
        assert!(TlsIdentity::new(&two, key, [&1, &2]).is_ok(), "which key is meant is known");
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(flaw(certificate, &locked).contains("password"));
    }

    #[test]
    fn a_pair_is_read_in_every_form_of_deployment() {
        // FE9
        for change in [
            (|text: &str| text.replace('\n', "\\n")) as fn(&str) -> String,
            |text| text.replace('\n', " "),
            |text| text.replace('\n', ""),
            |text| format!("{text:?}"),
        ] {
            let (certificate, key) = (change(ONE), change(KEY));
            assert!(TlsIdentity::new(&certificate, &key, [&1, &2]).is_ok(), "{certificate}");
        }
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text: String, begin in "-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY|X)-----") {
            let _ = certificates(&text);
            let text = format!("{text}\n{begin}\n{text}\n{begin}");
            prop_assert!(certificates(&text).is_err());
            prop_assert!(private_key(&text).is_err());
        }
    }
}

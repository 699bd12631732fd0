//! The client shows a certificate in the TLS handshake (RFC 8705).

use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::last_good::LastGood;
use super::{ClientAuth, Credential, Method};
use crate::Error;

/// # Mutual TLS (feature `mtls`)
impl ClientAuth {
    /// `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 section 2): the client is known by the certificate
    /// that it shows when it connects. The two are the same here; which one it is was decided when the client was
    /// registered. The form has the `client_id` and no secret.
    ///
    /// `certificate` is PEM, the client's own certificate first and then those that lead to its CA, where the server
    /// does not have them; `key` is PEM too (PKCS#8, PKCS#1 or SEC1). What else stands in these texts is passed over,
    /// so that both may be the same file. They are read anew for each attempt: a rotated pair makes a new HTTP client
    /// and a new connection. While the new texts are no usable pair, such as a certificate whose key is not there yet,
    /// the previous pair stays in use. Of overlapping credentials ([`Credential::or`]) the first certificate belongs to
    /// the first key, and so on; a single key may belong to several certificates.
    ///
    /// The token endpoint must be `https`, and often is another one than for other methods (`mtls_endpoint_aliases`,
    /// RFC 8705 section 5): [`ClientCredentials::from_issuer`](crate::ClientCredentials::from_issuer) finds it.
    /// [`http_client`](crate::ClientCredentialsBuilder::http_client) has to leave the TLS stack and the identity to us.
    ///
    /// Tokens may be bound to the certificate (RFC 8705 section 3): then the API wants to see it as well, on the connection
    /// that brings the token. [`ClientCertificate`](crate::ClientCertificate) tells how; `examples/mutual_tls.rs` shows it.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let certificate = Credential::file("/run/secrets/tls/tls.crt");
    /// let auth = ClientAuth::mutual_tls("billing", certificate, Credential::file("/run/secrets/tls/tls.key"));
    /// let tokens = ClientCredentials::builder("https://mtls.auth.example.com/oauth2/token", auth).build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A value or variable without a certificate or key is a fault that `build()` reports. In a file it is an error of
    /// kind [`Credential`](crate::ErrorKind::Credential) when it is read. A certificate that the server refuses is
    /// `invalid_client` or, where the handshake fails, an error of kind [`Tls`](crate::ErrorKind::Tls).
    pub fn mutual_tls(
        client_id: impl Into<String>,
        certificate: impl Into<Credential>,
        key: impl Into<Credential>,
    ) -> Self {
        let pair = MutualTls { certificate: certificate.into(), key: key.into(), identities: LastGood::default() };
        ClientAuth::new(client_id, Method::MutualTls(Box::new(pair)))
    }
}

#[derive(Clone)]
pub(super) struct MutualTls {
    certificate: Credential,
    key: Credential,
    identities: LastGood<TlsIdentity>,
}

/// A certificate and the key that belongs to it.
pub(crate) struct TlsIdentity {
    identity: reqwest::Identity,
    /// `x5t#S256` of the certificate (RFC 8705 section 3.1).
    #[cfg(feature = "shared")]
    thumbprint: Vec<u8>,
}

#[cfg(feature = "shared")]
impl ClientAuth {
    /// The certificate that is tried first: a token may be bound to it.
    pub(crate) async fn shown_identity(&self) -> Result<Option<Arc<TlsIdentity>>, Error> {
        match &self.method {
            Method::MutualTls(pair) => {
                let place = self.places().first().copied().unwrap_or_default();
                pair.read(place).await.map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl TlsIdentity {
    #[cfg(feature = "shared")]
    pub(crate) fn thumbprint(&self) -> &[u8] {
        &self.thumbprint
    }

    pub(crate) fn shown_by(&self, builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        builder.identity(self.identity.clone())
    }

    /// Errors name what is wrong and show nothing of the texts.
    fn new(certificate: &str, key: &str) -> Result<Self, Flaw> {
        let certificate = certificates(certificate).map_err(Flaw::Certificate)?;
        let key = private_key(key).map_err(Flaw::Key)?;
        let mut pem = Zeroizing::new(String::with_capacity(certificate.len() + key.len()));
        pem.push_str(&certificate);
        pem.push_str(&key);
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).map_err(|_| Flaw::Pair(DAMAGED))?;
        // Only a client tells whether the two belong together: this one connects to nothing.
        let trial = catch_unwind(AssertUnwindSafe(|| {
            let builder = reqwest::Client::builder().tls_certs_only([]).no_proxy();
            builder.identity(identity.clone()).build()
        }));
        match trial {
            Ok(Ok(_)) => Ok(TlsIdentity {
                identity,
                #[cfg(feature = "shared")]
                thumbprint: thumbprint(&certificate).ok_or(Flaw::Pair(DAMAGED))?,
            }),
            Ok(Err(e)) if is_mismatch(&e) => Err(Flaw::Pair(MISMATCH)),
            Ok(Err(_)) | Err(_) => Err(Flaw::Pair(DAMAGED)),
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

enum Flaw {
    Certificate(&'static str),
    Key(&'static str),
    Pair(&'static str),
}

const MISMATCH: &str = "do not belong together (the client's own certificate has to be the first)";
const DAMAGED: &str = "are no usable pair: one of them is damaged, or of a kind that is not supported";

fn is_mismatch(e: &(dyn StdError + 'static)) -> bool {
    matches!(e.downcast_ref(), Some(rustls::Error::InconsistentKeys(_))) || e.source().is_some_and(is_mismatch)
}

impl MutualTls {
    /// The one whose places count.
    pub(super) fn credential(&self) -> &Credential {
        if self.key.places().count() > self.certificate.places().count() { &self.key } else { &self.certificate }
    }

    pub(super) async fn read(&self, place: usize) -> Result<Arc<TlsIdentity>, Error> {
        let at_place = |credential: &Credential| place.min(credential.places().count() - 1);
        let certificate = self.certificate.read_text(at_place(&self.certificate)).await?;
        let key = self.key.read_text(at_place(&self.key)).await?;
        self.identities.made_of(vec![certificate, key], place, |texts| self.pair(texts))
    }

    fn pair(&self, texts: &[SecretString]) -> Result<TlsIdentity, String> {
        let [certificate, key] = texts else {
            return Err("there is no certificate and key".to_owned());
        };
        TlsIdentity::new(certificate.expose_secret(), key.expose_secret()).map_err(|flaw| match flaw {
            Flaw::Certificate(flaw) => {
                format!("the certificate ({:?}) {flaw}", self.certificate)
            }
            Flaw::Key(flaw) => format!("the key ({:?}) {flaw}", self.key),
            Flaw::Pair(flaw) => format!("the certificate ({:?}) and the key ({:?}) {flaw}", self.certificate, self.key),
        })
    }

    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let flaw = |flaw: &'static str| flaw.to_owned();
        let certificate = self.certificate.fault_by(|text| certificates(text).err().map(flaw));
        faults.extend(certificate.map(|flaw| ("certificate", flaw)));
        let key = self.key.fault_by(|text| private_key(text).err().map(flaw));
        faults.extend(key.map(|flaw| ("key", flaw)));
        let (certificates, keys) = (self.certificate.places().count(), self.key.places().count());
        if certificates != keys && certificates != 1 && keys != 1 {
            faults.push(("key", format!("is one of {keys}, but there are {certificates} certificates: the first belongs to the first, and so on")));
        }
        faults
    }

    pub(super) fn describe(&self, out: &mut fmt::DebugStruct<'_, '_>) {
        out.field("certificate", &self.certificate).field("key", &self.key);
    }
}

/// The certificates in a PEM text (RFC 7468 section 5).
fn certificates(text: &str) -> Result<Zeroizing<String>, &'static str> {
    match sections(text, |label| label == "CERTIFICATE") {
        found if found.is_empty() => Err("has no complete certificate (PEM)"),
        found => Ok(found),
    }
}

/// The private key in a PEM text (RFC 7468 section 10, RFC 8017 appendix C, RFC 5915 section 4).
fn private_key(text: &str) -> Result<Zeroizing<String>, &'static str> {
    const READABLE: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    match sections(text, |label| READABLE.contains(&label)) {
        found if !found.is_empty() => Ok(found),
        _ if text.contains("ENCRYPTED") => {
            Err("is encrypted with a password, which is not supported: openssl pkey decrypts it")
        }
        _ => Err("has no complete private key (PEM)"),
    }
}

/// The complete sections of a PEM text whose label is wanted.
fn sections(text: &str, wanted: impl Fn(&str) -> bool) -> Zeroizing<String> {
    // Room for everything: growing would leave copies behind.
    let mut found = Zeroizing::new(String::with_capacity(text.len() + 1));
    let mut open: Option<(&str, usize)> = None;
    for line in text.lines().map(str::trim) {
        let label = |edge: &str| {
            let label = line.strip_prefix("-----")?.strip_prefix(edge)?;
            label.strip_prefix(' ')?.strip_suffix("-----")
        };
        if let Some(begun) = label("BEGIN") {
            // What was open before has no end.
            if let Some((_, start)) = open.take() {
                found.truncate(start);
            }
            open = wanted(begun).then_some((begun, found.len()));
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
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));
    const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key"));
    const OTHER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_2.crt"));

    fn flaw(certificate: &str, key: &str) -> &'static str {
        match TlsIdentity::new(certificate, key).err().unwrap() {
            Flaw::Certificate(flaw) | Flaw::Key(flaw) | Flaw::Pair(flaw) => flaw,
        }
    }

    #[test]
    fn both_may_stand_in_one_text_in_any_order() {
        let (certificate, key) = (ONE, KEY);
        for text in [format!("{certificate}{key}"), format!("Bag Attributes\r\n  x: y\r\n{key}{certificate}")] {
            assert!(TlsIdentity::new(&text, &text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_pair_is_told_apart() {
        let (certificate, key, other) = (ONE, KEY, OTHER);
        assert_eq!(flaw(other, key), MISMATCH);
        let reversed = format!("{other}{certificate}");
        assert_eq!(flaw(&reversed, key), MISMATCH);
        let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        assert_eq!(flaw(empty, key), DAMAGED);
        let cut = &certificate[..certificate.len() - 30];
        assert_eq!(flaw(cut, key), "has no complete certificate (PEM)");
        assert_eq!(flaw(certificate, &key[..key.len() - 30]), "has no complete private key (PEM)");
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(flaw(certificate, &locked).contains("password"));
    }

    #[test]
    fn faults_name_the_field() {
        let auth = ClientAuth::mutual_tls("me", KEY, ONE);
        let fields: Vec<_> = auth.faults().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["certificate", "key"]);
        let three = Credential::file("a").or(Credential::file("b")).or(Credential::file("c"));
        let two = Credential::file("d").or(Credential::file("e"));
        let faults = ClientAuth::mutual_tls("me", three.clone(), two).faults();
        assert!(faults[0].1.contains("one of 2"), "{faults:?}");
        assert_eq!(ClientAuth::mutual_tls("me", three, KEY).faults(), []);
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, begin in "-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY|X)-----") {
            let _ = certificates(&text);
            let text = format!("{text}\n{begin}\n{text}\n{begin}");
            prop_assert!(certificates(&text).is_err());
            prop_assert!(private_key(&text).is_err());
        }
    }
}

//! Key and certificate as they were read last, and the last usable ones.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};

use crate::credential::Credential;
use crate::credential::{LastGood, unusable};
use crate::error::Error;
use crate::pem::{corrected, looks_like};
use crate::signing::{Choice, SigningKey, jws};
use crate::x509;

/// The signing key, and the certificate's thumbprint.
pub(crate) struct Identity {
    /// `None`: a signer has it.
    pub(super) key: Option<SigningKey>,
    pub(super) certificate: Option<Certificate>,
}

/// The certificate in the forms that the header of an assertion has.
#[derive(PartialEq)]
pub(crate) struct Certificate {
    /// `x5t#S256` (RFC 7515 section 4.1.8).
    pub(super) thumbprint: String,
    /// `x5c` (RFC 7515 section 4.1.6): the certificate and its chain.
    pub(super) chain: Vec<String>,
    /// Since the epoch; `None` if the certificate cannot be parsed.
    not_after: Option<Duration>,
}

impl Identity {
    /// Whether the server would receive the same again.
    pub(crate) fn is(&self, other: &Identity) -> bool {
        // A signer has one key.
        std::ptr::eq(self, other)
            || (self.key.is_none() && other.key.is_none() && self.certificate == other.certificate)
    }

    /// When the certificate expires, since the epoch.
    pub(crate) fn not_after(&self) -> Option<Duration> {
        self.certificate.as_ref()?.not_after
    }

    /// `certificates`: texts, one of which has the certificate of the key.
    fn new(key: Option<SigningKey>, certificates: &[SecretString]) -> Result<Self, String> {
        let (mut certificate, mut flaw) = (None, None);
        for text in certificates {
            match certificates_in(text.expose_secret()) {
                Ok(found) => certificate = certificate.or_else(|| Certificate::of(key.as_ref(), &found)),
                Err(damaged) => flaw = Some(damaged),
            }
        }
        match certificate {
            None if !certificates.is_empty() => Err(flaw.unwrap_or_else(|| "belongs to another key".into())),
            certificate => Ok(Identity { key, certificate }),
        }
    }

    fn parse(
        key: (&Credential, &SecretString),
        certificate: (Option<&Credential>, &[SecretString]),
        choice: Choice,
    ) -> Result<Self, String> {
        let parsed =
            SigningKey::parse(key.1.expose_secret(), choice).map_err(|flaw| format!("the key ({:?}) {flaw}", key.0))?;
        Identity::new(Some(parsed), certificate.1).map_err(|flaw| of(certificate.0, &flaw))
    }
}

impl Certificate {
    /// The certificate in a text that belongs to the key.
    fn of(key: Option<&SigningKey>, ders: &[CertificateDer<'_>]) -> Option<Self> {
        let at = ders.iter().position(|der| key.is_none_or(|key| key.is_in(der)))?;
        let chain = ders.get(at..)?;
        let first = chain.first()?;
        let (thumbprint, not_after) = (jws::hash(first), x509::facts(first).map(|facts| facts.not_after));
        Some(Certificate { thumbprint, chain: chain.iter().map(|der| STANDARD.encode(der)).collect(), not_after })
    }
}

fn of(certificate: Option<&Credential>, flaw: &str) -> String {
    match certificate {
        Some(certificate) => format!("the certificate ({certificate:?}) {flaw}"),
        None => format!("the certificate {flaw}"),
    }
}

/// The certificates in a PEM text, at least one.
fn certificates_in(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(corrected(text).as_bytes()).collect();
    match ders {
        Ok(ders) if !ders.is_empty() => Ok(ders),
        _ => Err(format!("has no complete certificate (PEM){}", looks_like(text))),
    }
}

/// What is wrong with a certificate's text.
pub(super) fn certificate_flaw(text: &str) -> Option<String> {
    certificates_in(text).err()
}

/// All certificates that can be read, that of `place` first; an error if none can.
async fn read_all(certificate: Option<&Credential>, place: usize) -> Result<Vec<SecretString>, Error> {
    let (mut texts, mut unread) = (Vec::new(), None);
    if let Some(certificate) = certificate {
        let count = certificate.places().count();
        for n in 0..count {
            match certificate.read_text((place + n) % count).await {
                Ok(text) => texts.push(text),
                Err(error) => unread = Some(error),
            }
        }
    }
    match unread {
        Some(error) if texts.is_empty() => Err(error),
        _ => Ok(texts),
    }
}

/// For a signer, which has the key.
pub(super) async fn without_key(certificate: Option<&Credential>, place: usize) -> Result<Identity, Error> {
    let certificates = read_all(certificate, place).await?;
    Identity::new(None, &certificates).map_err(|flaw| unusable(of(certificate, &flaw)))
}

/// Identities by the place that their key was read from.
#[derive(Clone, Default)]
pub(super) struct Identities(LastGood<Identity>);

impl Identities {
    pub(super) async fn read(
        &self,
        key: &Credential,
        place: usize,
        certificate: Option<&Credential>,
        choice: Choice,
    ) -> Result<Arc<Identity>, Error> {
        // One key may have several certificates.
        let key_place = place.min(key.places().count().saturating_sub(1));
        let mut texts = vec![key.read_text(key_place).await?];
        texts.extend(read_all(certificate, place).await?);
        self.0.made_of(texts, place, |texts| match &**texts {
            [text, certificates @ ..] => Identity::parse((key, text), (certificate, certificates), choice),
            [] => Err("there is no key".to_owned()),
        })
    }
}

//! Key and certificate as they were read last, and the last usable ones.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};

use crate::credential::{Credential, LastGood};
use crate::error::Error;
use crate::pem::{corrected, looks_like};
use crate::signing::{Choice, Signer, SigningKey, jws};
use crate::x509;

/// The signing key, and its certificate.
pub(crate) struct Identity {
    pub(super) key: Arc<dyn Signer>,
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
        Arc::ptr_eq(&self.key, &other.key) && self.certificate == other.certificate
    }

    /// When the certificate expires, since the epoch.
    pub(crate) fn not_after(&self) -> Option<Duration> {
        self.certificate.as_ref()?.not_after
    }

    /// The signer with its certificate, one of those that can be read.
    pub(super) async fn of(
        signer: &Arc<dyn Signer>,
        place: usize,
        certificate: Option<&Credential>,
    ) -> Result<Arc<Self>, Error> {
        let texts = read_all(certificate, place).await?;
        let certificate = belonging(|_| true, certificate, &texts).map_err(Error::of_credential)?;
        Ok(Arc::new(Identity { key: Arc::clone(signer), certificate }))
    }

    /// Key and certificate, or the last usable ones from this place.
    pub(super) async fn read(
        key: &Credential,
        known: &LastGood<Identity>,
        place: usize,
        certificate: Option<&Credential>,
        choice: Choice,
    ) -> Result<Arc<Self>, Error> {
        // One key may have several certificates.
        let key_place = place.min(key.places().count().saturating_sub(1));
        let mut texts = vec![key.read_text(key_place).await?];
        texts.extend(read_all(certificate, place).await?);
        known.made_of(texts, place, |texts| {
            let (text, certificates) = texts.split_first().ok_or("there is no key")?;
            let parsed = SigningKey::parse(text.expose_secret(), choice);
            let parsed = parsed.map_err(|flaw| format!("the key ({key:?}) {flaw}"))?;
            let certificate = belonging(|der| parsed.is_in(der), certificate, certificates)?;
            Ok(Identity { key: Arc::new(parsed), certificate })
        })
    }
}

/// The certificate that `belongs` accepts; an error if there are texts of certificates and none has it.
fn belonging(
    belongs: impl Fn(&[u8]) -> bool,
    credential: Option<&Credential>,
    texts: &[SecretString],
) -> Result<Option<Certificate>, String> {
    let (mut certificate, mut flaw) = (None, None);
    for text in texts {
        match certificates_in(text.expose_secret()) {
            Ok(found) => certificate = certificate.or_else(|| Certificate::of(&belongs, &found)),
            Err(damaged) => flaw = Some(damaged),
        }
    }
    match (certificate, credential) {
        (None, Some(credential)) => {
            let flaw = flaw.unwrap_or_else(|| "belongs to another key".into());
            Err(format!("the certificate ({credential:?}) {flaw}"))
        }
        (certificate, _) => Ok(certificate),
    }
}

impl Certificate {
    /// The certificate in a text that belongs to the key.
    fn of(belongs: impl Fn(&[u8]) -> bool, ders: &[CertificateDer<'_>]) -> Option<Self> {
        let at = ders.iter().position(|der| belongs(der))?;
        let chain = ders.get(at..)?;
        let first = chain.first()?;
        let (thumbprint, not_after) = (jws::hash(first), x509::facts(first).map(|facts| facts.not_after));
        Some(Certificate { thumbprint, chain: chain.iter().map(|der| STANDARD.encode(der)).collect(), not_after })
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

//! Client authentication with a certificate in the TLS handshake (RFC 8705).

use std::fmt;
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::{ClientAuth, Method};
use crate::credential::{Credential, LastGood};
use crate::error::Error;
use crate::tls_identity::{TlsIdentity, certificates, private_key};

/// # Mutual TLS (feature `mtls`)
impl ClientAuth {
    /// Uses `tls_client_auth` or `self_signed_tls_client_auth` (RFC 8705 section 2): the client presents a certificate in the
    /// TLS handshake. The client's registration at the server decides which of the two applies; the requests are the same. The
    /// form has the `client_id` and no secret.
    ///
    /// `certificate` is PEM: the client's own certificate first, then any intermediate certificates that the server does not
    /// have. `key` is PEM, too (PKCS#8, PKCS#1 or SEC1). Other content is ignored, so both may be the same file; a second key
    /// is refused. They are read again for each attempt; a rotated pair gets a new HTTP client and a new connection. While the
    /// new texts are not a usable pair, for example a certificate whose key is not written yet, the previous pair stays in
    /// use. With overlapping credentials ([`Credential::or`]) the first certificate belongs to the first key, and so on; a
    /// single key may belong to several certificates.
    ///
    /// The token endpoint must use `https`, and often differs from that of other methods (`mtls_endpoint_aliases`, RFC 8705
    /// section 5); [`Issuer`](crate::Issuer) finds it. [`http_client`](crate::ClientCredentialsBuilder::http_client) must not
    /// set a TLS backend or an identity.
    ///
    /// Tokens may be bound to the certificate (RFC 8705 section 3). The API then requires the certificate on the connection
    /// that carries the token: see [`ClientCertificate`](crate::ClientCertificate) and `examples/mutual_tls.rs`.
    ///
    /// ```
    /// use client_credentials::{ClientAuth, ClientCredentials, Credential};
    /// let certificate = Credential::file("/run/secrets/tls/tls.crt");
    /// let auth = ClientAuth::mutual_tls(
    ///     "billing",
    ///     certificate,
    ///     Credential::file("/run/secrets/tls/tls.key"),
    /// );
    /// let tokens = ClientCredentials::builder(
    ///     "https://mtls.auth.example.com/oauth2/token",
    ///     auth,
    /// )
    /// .build()?;
    /// # Ok::<(), client_credentials::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `build()` reports a value or variable without a certificate or key. A file without one is an error of kind
    /// [`Credential`](crate::ErrorKind::Credential) when it is read. If the server refuses the certificate, the error is
    /// `invalid_client` or, if the handshake fails, of kind [`Tls`](crate::ErrorKind::Tls).
    pub fn mutual_tls(
        client_id: impl Into<String>,
        certificate: impl Into<Credential>,
        key: impl Into<Credential>,
    ) -> Self {
        let pair = MutualTls { certificate: certificate.into(), key: key.into(), identities: Arc::default() };
        ClientAuth::new(client_id, Method::MutualTls(Box::new(pair)))
    }
}

#[derive(Clone)]
pub(super) struct MutualTls {
    certificate: Credential,
    key: Credential,
    identities: Arc<LastGood<TlsIdentity>>,
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

impl MutualTls {
    pub(super) fn credentials(&self) -> [&Credential; 2] {
        [&self.certificate, &self.key]
    }

    pub(super) async fn read(&self, place: usize) -> Result<Arc<TlsIdentity>, Error> {
        let at_place = |credential: &Credential| place.min(credential.places().count() - 1);
        let certificate = self.certificate.read_text(at_place(&self.certificate)).await?;
        let key = self.key.read_text(at_place(&self.key)).await?;
        self.identities.made_of([certificate, key], place, |[certificate, key]| {
            TlsIdentity::new(certificate.expose_secret(), key.expose_secret(), [&self.certificate, &self.key])
        })
    }

    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let certificate = self.certificate.fault_by(|text| certificates(text).err());
        faults.extend(certificate.map(|flaw| ("certificate", flaw)));
        let key = self.key.fault_by(|text| private_key(text).err());
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

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));
    const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key"));

    #[test]
    fn faults_name_the_field() {
        let auth = ClientAuth::mutual_tls("me", KEY, ONE);
        let fields: Vec<_> = auth.faults(true).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["certificate", "key"]);
        let three = Credential::file("a").or(Credential::file("b")).or(Credential::file("c"));
        let two = Credential::file("d").or(Credential::file("e"));
        let faults = ClientAuth::mutual_tls("me", three.clone(), two).faults(true);
        assert!(faults[0].1.contains("one of 2"), "{faults:?}");
        assert_eq!(ClientAuth::mutual_tls("me", three, KEY).faults(true), []);
    }

    #[tokio::test]
    async fn a_single_certificate_belongs_to_the_second_key_too() {
        let other = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_2.key"));
        let auth = ClientAuth::mutual_tls("me", ONE, Credential::from(other).or(KEY));
        let now = crate::clock::manual::clock().0.now();
        assert!(auth.read(0, now).await.is_err(), "the first key is not that of the certificate");
        let (once, again) = (auth.read(1, now).await.unwrap(), auth.read(1, now).await.unwrap());
        assert!(once.is(&once) && once.is(&again), "what was refused is not sent twice");
    }
}

//! TLS to the store: the trusted roots, which are the system's or the user's, and the client certificate.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::TlsConnector;

use crate::pem::{at_most_one, corrected, looks_like};

/// Reads the system's roots if there are no others, which takes a few milliseconds. `shown` is a certificate and its
/// key, in PEM.
pub(super) fn connector(roots: Option<&[u8]>, shown: Option<&[SecretString; 2]>) -> Result<TlsConnector, String> {
    let provider = CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = match roots {
        Some(pem) => {
            let mut store = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let flawed = |_| "a root certificate is damaged".to_owned();
                let certificate = certificate.map_err(|e| flawed(e.to_string()))?;
                store.add(certificate).map_err(|e| flawed(e.to_string()))?;
            }
            if store.is_empty() {
                return Err("there is no root certificate (PEM)".to_owned());
            }
            builder.with_root_certificates(store)
        }
        None => builder.with_platform_verifier().map_err(|e| e.to_string())?,
    };
    let config = match shown {
        Some([certificate, key]) => {
            let (chain, key) = pair(certificate, key)?;
            builder.with_client_auth_cert(chain, key).map_err(
                |_| "the client certificate and its key do not belong together, or are of a kind that is not supported",
            )?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn pair(
    certificate: &SecretString,
    key: &SecretString,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let (certificate, key) = (certificate.expose_secret(), key.expose_secret());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(corrected(certificate).as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain =
        chain.ok_or_else(|| format!("the client certificate is not usable (PEM){}", looks_like(certificate)))?;
    let unusable = || format!("the key of the client certificate is not usable (PEM){}", looks_like(key));
    let text = corrected(key);
    at_most_one("private", &text).map_err(|flaw| format!("the key of the client certificate {flaw}"))?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| unusable())?;
    Ok((chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_certificates_and_there_is_at_least_one() {
        let roots = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/authority.crt"));
        assert!(connector(Some(roots), None).is_ok());
        for (roots, flaw) in [
            (&b""[..], "there is no root certificate"),
            (b"# comment", "there is no root certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a root certificate is damaged"),
        ] {
            let told = connector(Some(roots), None).err().unwrap();
            assert!(told.contains(flaw), "{told}");
        }
    }

    #[test]
    fn a_client_certificate_is_a_chain_and_a_key() {
        // F20
        let certificate = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.crt"));
        let key = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates/client_1.key"));
        let (with, without) = (certificate.into(), key.into());
        assert_eq!(pair(&with, &without).unwrap().0.len(), 1);
        assert!(pair(&without, &without).unwrap_err().starts_with("the client certificate is not usable"));
        let two = format!("{certificate}{key}{key}").into();
        let told = pair(&two, &two).unwrap_err();
        assert_eq!(told, "the key of the client certificate has 2 private keys (PEM): give one of them");
        assert!(pair(&with, &with).unwrap_err().starts_with("the key of the client certificate is not usable"));
    }
}

//! Whom to trust: the authorities of the system, or those that the user names.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

/// Reads the system's authorities where none are named: some milliseconds.
pub(super) fn connector(roots: Option<&[u8]>) -> Result<TlsConnector, String> {
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
    Ok(TlsConnector::from(Arc::new(builder.with_no_client_auth())))
}

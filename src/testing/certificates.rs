//! A certificate authority for tests and its certificates, which are valid until 2125 and checked in with their keys.

/// The certificate authority of [`AuthorizationServer::start_https`](super::AuthorizationServer::start_https), in PEM.
///
/// Use it only as a root of the client under test: the keys of the certificates that it has signed are public. Its own key was
/// discarded.
pub const CA_PEM: &str = include_str!("certificates/ca.pem");

/// Two certificates of one client, with their keys, in PEM: the current one and its renewal.
///
/// For `ClientAuth::mutual_tls` at a server of [`AuthorizationServer::start_https`](super::AuthorizationServer::start_https).
pub const CLIENT_CERTIFICATES: [ClientCertificatePem; 2] = [
    ClientCertificatePem {
        certificate: include_str!("certificates/client.pem"),
        key: include_str!("certificates/client.key.pem"),
    },
    ClientCertificatePem {
        certificate: include_str!("certificates/renewed_client.pem"),
        key: include_str!("certificates/renewed_client.key.pem"),
    },
];

/// A certificate and its key, in PEM.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ClientCertificatePem {
    /// The certificate, signed by [`CA_PEM`].
    pub certificate: &'static str,
    /// Its private key (PKCS#8), which is public.
    pub key: &'static str,
}

/// A server with the certificate for `localhost`, `127.0.0.1` and `::1`, which requests a client certificate but does
/// not require it.
pub(super) fn acceptor() -> Result<tokio_rustls::TlsAcceptor, rustls::Error> {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{Error, RootCertStore, ServerConfig};

    let damaged = |_| Error::General("the PEM of the tests is damaged".to_owned());
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).map_err(damaged);
    let mut roots = RootCertStore::empty();
    roots.add(certificate(CA_PEM)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|e| Error::General(e.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("certificates/server.key.pem")).map_err(damaged)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate(include_str!("certificates/server.pem"))?], key)?;
    Ok(Arc::new(config).into())
}

//! Valid and invalid certificates of our own authority, from `tests/certificates`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};

/// A certificate and its key, in PEM.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) certificate: &'static str,
    pub(crate) key: &'static str,
}

macro_rules! pair {
    ($name:literal) => {
        Pair {
            certificate: include_str!(concat!("../certificates/", $name, ".crt")),
            key: include_str!(concat!("../certificates/", $name, ".key")),
        }
    };
}

pub(crate) const AUTHORITY: &str = include_str!("../certificates/authority.crt");
pub(crate) const LOCALHOST: Pair = pair!("localhost");
/// For a server called localhost, self-signed.
pub(crate) const SELF_SIGNED: Pair = pair!("self_signed");
const CLIENTS: [Pair; 2] = [pair!("client_1"), pair!("client_2")];

/// The certification authority.
#[derive(Default)]
pub(crate) struct Ca {
    clients: AtomicUsize,
}

impl Ca {
    pub(crate) fn new() -> Ca {
        Ca::default()
    }

    /// For a client's roots.
    pub(crate) fn der(&self) -> Vec<u8> {
        der(AUTHORITY).to_vec()
    }

    /// For a server of this name.
    pub(crate) fn server(&self, name: &str) -> Arc<ServerConfig> {
        match name {
            "localhost" => config(LOCALHOST),
            "elsewhere.example" => config(pair!("elsewhere")),
            other => panic!("tests/certificates has none for {other}"),
        }
    }

    /// For a server called localhost, expired.
    pub(crate) fn expired(&self) -> Arc<ServerConfig> {
        config(pair!("expired"))
    }

    /// For a server called localhost, which requires client certificates of this authority.
    pub(crate) fn mutual(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(der(AUTHORITY)).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let (certificate, key) = LOCALHOST.der();
        let config = builder().with_client_cert_verifier(verifier.build().unwrap());
        Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
    }

    /// For a client: two different ones in turn.
    pub(crate) fn client(&self) -> Client {
        Client::from(CLIENTS[self.clients.fetch_add(1, Ordering::Relaxed) % CLIENTS.len()])
    }

    /// For a client, expired.
    pub(crate) fn expired_client(&self) -> Client {
        Client::from(pair!("expired_client"))
    }
}

/// A client certificate and its key, in PEM.
pub(crate) struct Client {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// The certificate in DER.
    pub(crate) der: Vec<u8>,
}

impl From<Pair> for Client {
    fn from(pair: Pair) -> Client {
        let der = der(pair.certificate).to_vec();
        Client { certificate: pair.certificate.to_owned(), key: pair.key.to_owned(), der }
    }
}

/// For a server called localhost, self-signed.
pub(crate) fn self_signed() -> Arc<ServerConfig> {
    config(SELF_SIGNED)
}

/// For a server called localhost, signed by an untrusted authority.
pub(crate) fn unknown() -> Arc<ServerConfig> {
    config(pair!("unknown"))
}

impl Pair {
    fn der(self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        (der(self.certificate), PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn config(pair: Pair) -> Arc<ServerConfig> {
    let (certificate, key) = pair.der();
    Arc::new(builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap())
}

fn builder() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
}

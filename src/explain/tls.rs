//! The certificate of the server, trusted or not. Nothing is sent on this connection.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use url::Url;

use super::network::bare_host;
use crate::lock::Lock;
use crate::server_text::shown;
use crate::x509::{Facts, facts};

pub(super) struct Shown {
    pub(super) protocol: String,
    /// The number of certificates.
    pub(super) chain: usize,
    pub(super) leaf: Option<Facts>,
}

pub(super) async fn handshake(url: &Url, stream: TcpStream, limit: Duration) -> Result<Shown, String> {
    let text = |e: &dyn std::fmt::Display| shown(&e.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let onlooker = Arc::new(RecordingVerifier { provider: Arc::clone(&provider), seen: Lock::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| text(&e))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&onlooker) as _)
        .with_no_client_auth();
    let name = ServerName::try_from(bare_host(url).to_owned()).map_err(|e| text(&e))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let result = tokio::time::timeout(limit, connector.connect(name, stream)).await;
    let seen = std::mem::take(&mut *onlooker.seen.lock());
    let protocol = match &result {
        Ok(Ok(stream)) => stream.get_ref().1.protocol_version().map(|version| format!("{version:?}")),
        _ => None,
    };
    match (result, seen.is_empty()) {
        (Ok(Err(error)), true) => Err(text(&error)),
        (Err(_), true) => Err(format!("no handshake within {limit:?}")),
        _ => Ok(Shown {
            protocol: protocol.unwrap_or_else(|| "TLS".to_owned()),
            chain: seen.len(),
            leaf: seen.first().and_then(|leaf| facts(leaf)),
        }),
    }
}

/// Accepts and records any certificate. The client that sends the secret decides whether it is trusted.
#[derive(Debug)]
struct RecordingVerifier {
    provider: Arc<CryptoProvider>,
    seen: Lock<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = [leaf].into_iter().chain(others).map(|one| one.to_vec()).collect();
        *self.seen.lock() = chain;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

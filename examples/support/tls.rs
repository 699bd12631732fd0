//! A token endpoint and an API over mutual TLS (RFC 8705): the client is known by its certificate, and so are its
//! tokens.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use axum::extract::ConnectInfo;
use axum::extract::connect_info::Connected;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(crate) struct TlsServers {
    pub(crate) token_url: String,
    pub(crate) api_origin: String,
    /// It greets whoever brings a token, over a connection of the client to whom the token was issued.
    pub(crate) api_url: String,
    /// For the client's roots, in PEM.
    pub(crate) ca: &'static str,
}

/// Two clients, known to both servers.
pub(crate) const CLIENTS: [Pair; 2] = [
    Pair {
        certificate: include_str!("../../tests/certificates/client_1.crt"),
        key: include_str!("../../tests/certificates/client_1.key"),
    },
    Pair {
        certificate: include_str!("../../tests/certificates/client_2.crt"),
        key: include_str!("../../tests/certificates/client_2.key"),
    },
];

/// Certificate and key, in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: &'static str,
    pub(crate) key: &'static str,
}

impl Pair {
    pub(crate) fn pem(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

impl TlsServers {
    pub(crate) fn start() -> Result<Self> {
        let ca = include_str!("../../tests/certificates/authority.crt");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let certificate = include_bytes!("../../tests/certificates/localhost.crt");
        let key = include_bytes!("../../tests/certificates/localhost.key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier.build()?)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate)?],
                PrivateKeyDer::from_pem_slice(key)?,
            )?;

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let origin = format!("https://localhost:{}", listener.local_addr()?.port());
        thread::spawn(move || -> io::Result<()> {
            runtime.block_on(async {
                let listener = Tls {
                    tcp: tokio::net::TcpListener::from_std(listener)?,
                    acceptor: TlsAcceptor::from(Arc::new(config)),
                };
                let service = router().into_make_service_with_connect_info::<Shown>();
                axum::serve(listener, service).await
            })
        });
        Ok(TlsServers {
            token_url: format!("{origin}/token"),
            api_url: format!("{origin}/greeting"),
            api_origin: origin,
            ca,
        })
    }
}

fn router() -> Router {
    // `cnf` of RFC 8705 section 3.2, for tokens that only their issuer can read.
    let bound: Arc<Mutex<HashMap<String, Shown>>> = Arc::default();
    let issued = Arc::clone(&bound);
    let token = move |ConnectInfo(client): ConnectInfo<Shown>| async move {
        let token = format!("{:032x}", fastrand::u128(..));
        let mut issued = issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.insert(token.clone(), client);
        Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }))
    };
    let greeting = move |ConnectInfo(client): ConnectInfo<Shown>, headers: HeaderMap| async move {
        let token = headers.get("authorization").and_then(|v| v.to_str().ok());
        let token = token.and_then(|v| v.strip_prefix("Bearer "));
        let bound = bound.lock().unwrap_or_else(PoisonError::into_inner);
        match token.and_then(|token| bound.get(token)) {
            Some(owner) if *owner == client => "Hello, owner of this token!",
            Some(_) => "This token belongs to another certificate.",
            None => "Who are you?",
        }
    };
    Router::new().route("/token", post(token)).route("/greeting", get(greeting))
}

/// The certificate of a client.
#[derive(Clone, Debug, PartialEq)]
struct Shown(Vec<u8>);

struct Tls {
    tcp: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = Shown;

    async fn accept(&mut self) -> (Self::Io, Shown) {
        loop {
            let (stream, _) = Listener::accept(&mut self.tcp).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                let shown = stream.get_ref().1.peer_certificates();
                let shown = shown.and_then(<[_]>::first).map(|der| der.to_vec());
                return (stream, Shown(shown.unwrap_or_default()));
            }
        }
    }

    fn local_addr(&self) -> io::Result<Shown> {
        Ok(Shown(Vec::new()))
    }
}

impl Connected<IncomingStream<'_, Tls>> for Shown {
    fn connect_info(stream: IncomingStream<'_, Tls>) -> Self {
        stream.remote_addr().clone()
    }
}

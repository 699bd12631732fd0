//! What the tests have in common.

use std::convert::Infallible;
use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client_credentials::testing::AuthorizationServer;
use client_credentials::{AccessToken, ClientAuth, ClientCredentials};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;

/// Guards against hanging only.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn start() -> (AuthorizationServer, ClientCredentials) {
    let server = AuthorizationServer::start().client("billing", "a secret");
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    let tokens = ClientCredentials::builder(server.token_url(), auth).build().unwrap();
    (server, tokens)
}

/// A token and, after its rejection, the next one.
pub(crate) async fn next_after(tokens: &ClientCredentials, old: &AccessToken) -> AccessToken {
    tokens.reject(old);
    tokens.token().await.unwrap()
}

/// Serves HTTP/1 and HTTP/2. Returns the origin.
pub(crate) async fn serve<S, B>(service: S) -> String
where
    S: tower::Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await.is_ok()
            });
        }
    });
    origin
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A third-party server, which ends with the test; `None` if it is not installed. Its environment has `PORT`.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(program: &str, arguments: &[&str], port: u16) -> Option<Daemon> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("{program} is not installed: skipped");
            return None;
        };
        let daemon = Daemon(child);
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < MINUTE, "{program} does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(daemon)
    }

    /// Makes it read its configuration again.
    pub(crate) fn reload(&self) {
        let status = Command::new("kill").args(["-HUP", &self.0.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

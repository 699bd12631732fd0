//! HTTP/1.1 on loopback, on a thread of its own.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming as Received;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::Endpoint;
use super::message::{Incoming, Reply};
use super::world::World;

#[cfg(feature = "rustls")]
pub(super) type Acceptor = tokio_rustls::TlsAcceptor;
/// Without the feature `rustls` there is none.
#[cfg(not(feature = "rustls"))]
#[derive(Clone)]
pub(super) enum Acceptor {}

/// A thread that serves until this is dropped.
pub(super) struct Serving {
    pub(super) runtime: Handle,
    /// What stops the thread when it is dropped, and the thread.
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Serving {
    /// Serves a new world; without an acceptor, by plain HTTP.
    pub(super) fn start(tls: Option<Acceptor>) -> io::Result<(Self, Arc<World>)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let entered = runtime.enter();
        let (issuer, api) = (bind()?, bind()?);
        drop(entered);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = |listener: &TcpListener| Ok::<_, io::Error>(format!("{scheme}://{}", listener.local_addr()?));
        let world = World::new(origin(&issuer)?, origin(&api)?);
        runtime.spawn(accept(issuer, Endpoint::Token, tls.clone(), Arc::clone(&world)));
        runtime.spawn(accept(api, Endpoint::Api, tls, Arc::clone(&world)));
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("authorization-server".to_owned()).spawn(move || {
            // An error means that the other end was dropped, which stops the server.
            let _: Result<(), _> = runtime.block_on(stopped);
        })?;
        Ok((Serving { runtime: handle, running: Some((stop, thread)) }, world))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // All connections end with its runtime. A panic of the thread was printed.
            let _ = thread.join();
        }
    }
}

fn bind() -> io::Result<TcpListener> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(listener: TcpListener, endpoint: Endpoint, tls: Option<Acceptor>, world: Arc<World>) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                tokio::spawn(connection(tcp, endpoint, tls.clone(), Arc::clone(&world)));
            }
            // For example too many open files: others have to be closed first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn connection(tcp: TcpStream, endpoint: Endpoint, tls: Option<Acceptor>, world: Arc<World>) {
    let _ = tcp.set_nodelay(true);
    // A connection that ends early was ended by the client or the test.
    match tls {
        #[cfg(feature = "rustls")]
        Some(tls) => {
            if let Ok(stream) = tls.accept(tcp).await {
                let shown = stream.get_ref().1.peer_certificates();
                let certificate = shown.and_then(<[_]>::first).map(|der| der.to_vec());
                serve(stream, |stream| stream.get_ref().0, endpoint, certificate, &world).await;
            }
        }
        #[cfg(not(feature = "rustls"))]
        Some(never) => match never {},
        None => serve(tcp, |tcp| tcp, endpoint, None, &world).await,
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tcp: impl Fn(&S) -> &TcpStream,
    endpoint: Endpoint,
    certificate: Option<Vec<u8>>,
    world: &World,
) {
    let reset = AtomicBool::new(false);
    let (reset, certificate) = (&reset, &certificate);
    let service = service_fn(|request: Request<Received>| {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Broken)?.to_bytes();
            let request = Incoming { head, body, certificate: certificate.clone() };
            match world.respond(endpoint, &request).await {
                Some(reply) => response(reply),
                None => {
                    reset.store(true, Ordering::Relaxed);
                    Err(Broken)
                }
            }
        })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let result = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let mut stream = connection.into_parts().io.into_inner();
    if reset.load(Ordering::Relaxed) {
        #[allow(deprecated, reason = "set_zero_linger is younger than the oldest tokio that is allowed")]
        let _ = tcp(&stream).set_linger(Some(std::time::Duration::ZERO));
    } else if result.is_ok() {
        let _ = poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await;
    }
}

/// 16 MiB: more than any request of a test has.
const LARGEST_BODY: usize = 16 << 20;

fn response(reply: Reply) -> Result<Response<BoxBody<Bytes, Broken>>, Broken> {
    let mut body = Bytes::from(reply.body);
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(reply.status).map_err(|_| Broken)?;
    *response.headers_mut() = *reply.headers;
    if !reply.torn {
        return Ok(response.map(|()| Full::new(body).map_err(|never| match never {}).boxed()));
    }
    response.headers_mut().insert(http::header::CONTENT_LENGTH, body.len().max(2).into());
    body.truncate(body.len() / 2);
    // As a mapped body it has no length of its own, which hyper would compare with the header.
    let half = Full::new(body).map_frame(|frame| frame).map_err(|never| match never {});
    let torn = half.with_trailers(async {
        // Until the bytes were sent.
        tokio::task::yield_now().await;
        Some(Err(Broken))
    });
    Ok(response.map(|()| torn.boxed()))
}

/// The connection has to end at once.
#[derive(Debug, thiserror::Error)]
#[error("the test breaks the connection")]
struct Broken;

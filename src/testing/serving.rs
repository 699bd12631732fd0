//! HTTP/1.1 on loopback, on a thread of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::thread::JoinHandle;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming as Received, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::message::{Incoming, Reply};
use super::world::{Origin, Outcome, World};

/// Two bound listeners, which are not served yet.
pub(super) struct Bound {
    issuer: (StdListener, SocketAddr),
    api: (StdListener, SocketAddr),
    pub(super) tls: Tls,
}

/// The TLS acceptor; `None`: plain HTTP.
#[derive(Clone, Default)]
pub(super) struct Tls(pub(super) Option<Acceptor>);

#[cfg(feature = "rustls")]
pub(super) type Acceptor = tokio_rustls::TlsAcceptor;
/// Without the feature `rustls` there is none.
#[cfg(not(feature = "rustls"))]
pub(super) type Acceptor = std::convert::Infallible;

/// A thread that serves until this is dropped.
pub(super) struct Serving {
    pub(super) runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bound {
    pub(super) fn new(tls: Tls) -> io::Result<Self> {
        Ok(Bound { issuer: bind()?, api: bind()?, tls })
    }

    /// The origins of the issuer and of the API.
    pub(super) fn origins(&self) -> [String; 2] {
        let scheme = if self.tls.0.is_some() { "https" } else { "http" };
        [self.issuer.1, self.api.1].map(|address| format!("{scheme}://{address}"))
    }

    pub(super) fn serve(self, world: &Arc<World>) -> io::Result<Serving> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let world = Arc::clone(world);
        let entered = runtime.enter();
        let listeners = [(self.issuer.0, Origin::Issuer), (self.api.0, Origin::Api)]
            .map(|(listener, origin)| -> io::Result<_> { Ok((TcpListener::from_std(listener)?, origin)) });
        drop(entered);
        for listener in listeners {
            let (listener, origin) = listener?;
            runtime.spawn(accept(listener, origin, self.tls.clone(), Arc::clone(&world)));
        }
        let thread = std::thread::Builder::new().name("authorization-server".to_owned()).spawn(move || {
            // An error means that the other end was dropped, which stops the server.
            let _: Result<(), _> = runtime.block_on(stopped);
        })?;
        Ok(Serving { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // All connections end with its runtime. A panic of the thread was printed.
            let _ = thread.join();
        }
    }
}

fn bind() -> io::Result<(StdListener, SocketAddr)> {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn accept(listener: TcpListener, origin: Origin, tls: Tls, world: Arc<World>) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                tokio::spawn(connection(tcp, origin, tls.clone(), Arc::clone(&world)));
            }
            // For example too many open files: others have to be closed first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn connection(tcp: TcpStream, origin: Origin, tls: Tls, world: Arc<World>) {
    let _ = tcp.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let tcp = Resettable { tcp, reset: Arc::clone(&reset) };
    // A connection that ends early was ended by the client or the test.
    match tls.0 {
        #[cfg(feature = "rustls")]
        Some(tls) => {
            if let Ok(stream) = tls.accept(tcp).await {
                let shown = stream.get_ref().1.peer_certificates();
                let certificate = shown.and_then(<[_]>::first).map(|der| der.to_vec());
                serve(stream, origin, certificate, reset, world).await;
            }
        }
        #[cfg(not(feature = "rustls"))]
        Some(never) => match never {},
        None => serve(tcp, origin, None, reset, world).await,
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    origin: Origin,
    certificate: Option<Vec<u8>>,
    reset: Arc<AtomicBool>,
    world: Arc<World>,
) {
    let service = service_fn(|request: Request<Received>| {
        let (world, reset, certificate) = (Arc::clone(&world), Arc::clone(&reset), certificate.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Broken)?.to_bytes();
            match world.respond(origin, &Incoming { head, body, certificate }).await {
                Outcome::Reply(reply) => response(reply, false),
                Outcome::Torn(reply) => response(reply, true),
                Outcome::Reset => {
                    reset.store(true, Ordering::Relaxed);
                    Err(Broken)
                }
            }
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// 16 MiB: more than any request of a test has.
const LARGEST_BODY: usize = 16 << 20;

fn response(reply: Reply, torn: bool) -> Result<Response<Text>, Broken> {
    let mut body = Bytes::from(reply.body);
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(reply.status).map_err(|_| Broken)?;
    let headers = response.headers_mut();
    if let Some(own) = reply.own_headers {
        *headers = *own;
    }
    for (name, value) in reply.headers {
        headers.append(HeaderName::from_static(name), HeaderValue::try_from(value).map_err(|_| Broken)?);
    }
    if torn {
        headers.insert(http::header::CONTENT_LENGTH, body.len().max(2).into());
        body.truncate(body.len() / 2);
    }
    Ok(response.map(|()| Text { text: Some(body), torn: torn.then_some(Tear::AfterFlush) }))
}

/// A body that may be truncated.
struct Text {
    text: Option<Bytes>,
    torn: Option<Tear>,
}

enum Tear {
    /// After the written bytes were sent.
    AfterFlush,
    Now,
}

impl Body for Text {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(text) = self.text.take() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        match self.torn {
            None => Poll::Ready(None),
            Some(Tear::Now) => Poll::Ready(Some(Err(Broken))),
            Some(Tear::AfterFlush) => {
                self.torn = Some(Tear::Now);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none() && self.torn.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.text {
            Some(text) if self.torn.is_none() => SizeHint::with_exact(text.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

/// The connection has to end at once.
#[derive(Debug, thiserror::Error)]
#[error("the test breaks the connection")]
struct Broken;

/// A connection that can end with a reset.
struct Resettable {
    tcp: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            #[allow(deprecated, reason = "set_zero_linger is younger than the oldest tokio that is allowed")]
            let _ = self.tcp.set_linger(Some(std::time::Duration::ZERO));
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            // `drop` resets the connection instead.
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}

//! A scripted server on a raw TCP listener.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use super::canary;

/// A step of a script for one accepted connection, which is closed in order at the end of the script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Closes the listener, so that this connection and all later ones are refused. Only as a script's first step.
    Refuse,
    /// Reads one HTTP/1.1 request and records it. The peer's end ends the script.
    ReadReq,
    /// Reads an HTTP/2 connection's preface and frames up to the end of a request; recorded without being decoded.
    ReadH2Req,
    /// Reads this many bytes.
    Read(usize),
    Write(Vec<u8>),
    /// Writes byte by byte.
    Drip(Vec<u8>, Duration),
    Sleep(Duration),
    /// Waits until the test opens the gate.
    Pass(Gate),
    /// Closes in order.
    Fin,
    /// Closes with a reset.
    Rst,
    /// Sends nothing until the peer closes the connection.
    Hang,
    /// Repeats these steps until the peer closes the connection.
    Repeat(Vec<Step>),
}

pub(crate) type Script = Vec<Step>;

impl Step {
    pub(crate) fn write(bytes: impl AsRef<[u8]>) -> Step {
        Step::Write(bytes.as_ref().to_vec())
    }
}

/// A gate that is closed until the test opens it.
#[derive(Clone, Debug)]
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn closed() -> Gate {
        Gate(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

/// A request, verbatim.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    /// The unmodified bytes: request line, headers, empty line, body.
    pub(crate) raw: Vec<u8>,
    head: usize,
}

impl Request {
    /// Request line and headers.
    pub(crate) fn head(&self) -> &str {
        std::str::from_utf8(&self.raw[..self.head]).unwrap()
    }

    /// `POST /token HTTP/1.1`
    pub(crate) fn line(&self) -> &str {
        self.head().lines().next().unwrap_or_default()
    }

    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.raw[self.head..]).unwrap()
    }

    /// All headers in order: the names in lower case.
    pub(crate) fn headers(&self) -> Vec<(String, &str)> {
        let lines = self.head().lines().skip(1);
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
    }

    /// All values of one header.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.headers().into_iter();
        headers.filter(|(n, _)| n == name).map(|(_, value)| value).collect()
    }
}

/// What a server has received.
#[derive(Default)]
struct Log {
    connections: usize,
    /// The number of connections that have ended.
    ended: usize,
    requests: Vec<Request>,
    /// The certificates of clients, one for each connection with a successful handshake.
    shown: Vec<Option<Vec<u8>>>,
    /// The bytes of HTTP, without those of TLS.
    received: usize,
    sent: usize,
}

struct Plan {
    scripts: Vec<Script>,
    /// How many connections have used a script of `scripts`.
    given: usize,
    tls: Option<Arc<ServerConfig>>,
}

struct Shared {
    log: watch::Sender<Log>,
    plan: Mutex<Plan>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks().push(RUNTIME.spawn(task).abort_handle());
    }
}

/// One origin. Dropping it closes all its connections and checks that our events contain no canary (FAULTS I1).
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// A bound port that refuses connections.
    reserved: Mutex<Option<TcpSocket>>,
    _watched: canary::Watched,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).thread_name("scripted-server").enable_all().build().unwrap()
});

impl Server {
    /// One script for each connection in order; the last one for all that follow.
    pub(crate) fn start(scripts: impl IntoIterator<Item = Script>) -> Server {
        Server::assemble(scripts, None, true)
    }

    /// The same over TLS.
    pub(crate) fn start_tls(config: Arc<ServerConfig>, scripts: impl IntoIterator<Item = Script>) -> Server {
        Server::assemble(scripts, Some(config), true)
    }

    /// Refuses connections until [`listen`](Self::listen) is called.
    pub(crate) fn refusing() -> Server {
        Server::assemble([], None, false)
    }

    /// Listens with a full queue, so that a connection is never established. `None` if the system does not support
    /// that.
    pub(crate) fn black_hole() -> Option<(SocketAddr, Box<dyn Send>)> {
        let socket = bind();
        let address = socket.local_addr().unwrap();
        let listener = {
            let _inside = RUNTIME.enter();
            socket.listen(1).unwrap()
        };
        let mut queued = Vec::new();
        while queued.len() < 16 {
            match std::net::TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
                Ok(connection) => queued.push(connection),
                Err(_) => return Some((address, Box::new((listener, queued)))),
            }
        }
        None
    }

    fn assemble(scripts: impl IntoIterator<Item = Script>, tls: Option<Arc<ServerConfig>>, listen: bool) -> Server {
        let socket = bind();
        let plan = Mutex::new(Plan { scripts: scripts.into_iter().collect(), given: 0, tls });
        let server = Server {
            address: socket.local_addr().unwrap(),
            shared: Arc::new(Shared { log: watch::Sender::new(Log::default()), plan, tasks: Mutex::default() }),
            reserved: Mutex::new(Some(socket)),
            _watched: canary::Watched::default(),
        };
        if listen {
            server.listen();
        }
        server
    }

    /// Accepts connections from now on.
    pub(crate) fn listen(&self) {
        let socket = self.reserved.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it listens already");
        let _inside = RUNTIME.enter();
        let listener = socket.listen(1024).unwrap();
        self.shared.spawn(accept(listener, Arc::clone(&self.shared)));
    }

    /// From the next connection on, these scripts.
    pub(crate) fn now(&self, scripts: impl IntoIterator<Item = Script>) {
        let mut plan = self.shared.plan();
        plan.scripts = scripts.into_iter().collect();
        plan.given = 0;
    }

    /// From the next connection on, this certificate.
    pub(crate) fn certify(&self, config: Arc<ServerConfig>) {
        self.shared.plan().tls = Some(config);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port` and this path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `https://localhost:port` and this path.
    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log.borrow().requests.clone()
    }

    /// The number of requests.
    pub(crate) fn hits(&self) -> usize {
        self.shared.log.borrow().requests.len()
    }

    /// The number of accepted connections.
    pub(crate) fn connections(&self) -> usize {
        self.shared.log.borrow().connections
    }

    /// The certificates of clients (DER), in the order of their handshakes.
    pub(crate) fn shown(&self) -> Vec<Option<Vec<u8>>> {
        self.shared.log.borrow().shown.clone()
    }

    /// The number of received bytes of HTTP, without those of TLS.
    pub(crate) fn received(&self) -> usize {
        self.shared.log.borrow().received
    }

    /// The number of sent bytes of HTTP, including several MiB in the kernel's buffers.
    pub(crate) fn sent(&self) -> usize {
        self.shared.log.borrow().sent
    }

    /// Waits until this many connections have ended, by either side.
    pub(crate) async fn ended(&self, connections: usize) {
        self.until(|log| log.ended >= connections).await;
    }

    /// Waits until this many requests were received.
    pub(crate) async fn hit(&self, requests: usize) {
        self.until(|log| log.requests.len() >= requests).await;
    }

    /// Waits until this many connections were accepted.
    pub(crate) async fn connected(&self, connections: usize) {
        self.until(|log| log.connections >= connections).await;
    }

    async fn until(&self, condition: impl Fn(&Log) -> bool) {
        let mut log = self.shared.log.subscribe();
        let waited = tokio::time::timeout(HANG_TIMEOUT, log.wait_for(|log| condition(log))).await;
        assert!(waited.is_ok(), "what was waited for did not happen");
    }
}

/// Much longer than a slow machine needs: only so that a test does not hang.
pub(crate) const HANG_TIMEOUT: Duration = Duration::from_secs(60);

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.tasks().drain(..).for_each(|task| task.abort());
    }
}

fn bind() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let refuse = {
            let plan = shared.plan();
            let next = plan.scripts.get(plan.given).or(plan.scripts.last());
            next.is_some_and(|script| matches!(script.first(), Some(Step::Refuse)))
        };
        if refuse {
            return;
        }
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (script, tls) = {
            let mut plan = shared.plan();
            let script = plan.scripts.get(plan.given).or(plan.scripts.last());
            let script = script.cloned().unwrap_or_default();
            plan.given += 1;
            (script, plan.tls.clone())
        };
        let mut number = 0;
        shared.log.send_modify(|log| {
            number = log.connections;
            log.connections += 1;
        });
        let own = Arc::clone(&shared);
        shared.spawn(async move {
            match tls {
                None => converse(stream, &script, number, &own).await,
                Some(config) => match TlsAcceptor::from(config).accept(stream).await {
                    Ok(stream) => {
                        let shown = stream.get_ref().1.peer_certificates();
                        let shown = shown.and_then(<[_]>::first).map(|der| der.to_vec());
                        own.log.send_modify(|log| log.shown.push(shown));
                        converse(stream, &script, number, &own).await;
                    }
                    Err(_refused_by_the_client) => {}
                },
            }
            own.log.send_modify(|log| log.ended += 1);
        });
    }
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {
    fn tcp(&self) -> &TcpStream;
}

impl Connection for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Connection for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn converse(mut stream: impl Connection, script: &[Step], number: usize, shared: &Shared) {
    let mut talk = Talk { stream: &mut stream, unread: Vec::new(), number, shared };
    // An error means that the peer has ended the connection.
    match talk.play(script).await {
        Ok(End::Reset) => {
            let _ = stream.tcp().set_zero_linger();
        }
        Ok(End::Closed | End::Played) => {
            let _ = stream.shutdown().await;
            // Closing with unread bytes would reset the connection, and the peer would lose what was written.
            let mut rest = [0; 1024];
            while matches!(stream.read(&mut rest).await, Ok(n) if n > 0) {}
        }
        Err(_) => {}
    }
}

enum End {
    Played,
    Closed,
    Reset,
}

struct Talk<'a, S> {
    stream: &'a mut S,
    unread: Vec<u8>,
    number: usize,
    shared: &'a Shared,
}

impl<S: Connection> Talk<'_, S> {
    fn play<'s>(&'s mut self, script: &'s [Step]) -> Pin<Box<dyn Future<Output = io::Result<End>> + Send + 's>> {
        Box::pin(async move {
            for step in script {
                match step {
                    Step::Refuse => panic!("only as a script's first step"),
                    Step::ReadReq => self.read_request().await?,
                    Step::ReadH2Req => self.read_h2_request().await?,
                    Step::Read(n) => {
                        self.fill(*n).await?;
                        self.unread.drain(..n);
                    }
                    Step::Write(bytes) => self.write(bytes).await?,
                    Step::Drip(bytes, every) => {
                        for byte in bytes {
                            self.write(&[*byte]).await?;
                            tokio::time::sleep(*every).await;
                        }
                    }
                    Step::Sleep(time) => tokio::time::sleep(*time).await,
                    Step::Pass(gate) => {
                        let _ = gate.0.subscribe().wait_for(|open| *open).await;
                    }
                    Step::Fin => return Ok(End::Closed),
                    Step::Rst => return Ok(End::Reset),
                    Step::Hang => loop {
                        self.more().await?;
                    },
                    Step::Repeat(steps) => loop {
                        match self.play(steps).await? {
                            End::Played => tokio::task::yield_now().await,
                            end => return Ok(end),
                        }
                    },
                }
            }
            Ok(End::Played)
        })
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(16 * 1024) {
            self.stream.write_all(piece).await?;
            self.stream.flush().await?;
            self.shared.log.send_modify(|log| log.sent += piece.len());
        }
        Ok(())
    }

    /// Reads available bytes; the end of the stream is an error.
    async fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        let n = self.stream.read(&mut piece).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&piece[..n]);
        self.shared.log.send_modify(|log| log.received += n);
        Ok(())
    }

    async fn fill(&mut self, bytes: usize) -> io::Result<()> {
        while self.unread.len() < bytes {
            self.more().await?;
        }
        Ok(())
    }

    async fn read_request(&mut self) -> io::Result<()> {
        let head = loop {
            if let Some(end) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.unread[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        self.fill(head + length).await?;
        let raw = self.unread.drain(..head + length).collect();
        self.record(raw, head);
        Ok(())
    }

    async fn read_h2_request(&mut self) -> io::Result<()> {
        const PREFACE: usize = 24;
        let mut at = PREFACE;
        loop {
            self.fill(at + 9).await?;
            let frame = &self.unread[at..at + 9];
            let length = usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
            let (kind, flags) = (frame[3], frame[4]);
            at += 9 + length;
            self.fill(at).await?;
            // DATA or HEADERS with END_STREAM.
            if kind <= 1 && flags & 1 == 1 {
                break;
            }
        }
        let raw = self.unread.drain(..at).collect();
        self.record(raw, 0);
        Ok(())
    }

    fn record(&self, raw: Vec<u8>, head: usize) {
        let request = Request { connection: self.number, raw, head };
        self.shared.log.send_modify(|log| log.requests.push(request));
    }
}

/// A response with its length, as bytes.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = head(status, headers);
    bytes.truncate(bytes.len() - 2);
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Status line, headers and the empty line, as bytes.
pub(crate) fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The body of a token response.
pub(crate) fn token_json(token: &str, expires_in: u64) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{expires_in}}}"#)
}

/// Reads a request and responds with this token, like the example in the RFC.
pub(crate) fn ok(token: &str) -> Script {
    json_ok(token, 3600)
}

pub(crate) fn json_ok(token: &str, expires_in: u64) -> Script {
    json(200, token_json(token, expires_in))
}

/// Reads a request and responds with this JSON.
pub(crate) fn json(status: u16, body: impl AsRef<[u8]>) -> Script {
    answer(status, &[("content-type", "application/json")], body)
}

/// Reads a request and responds with this. The response announces the end of the connection: otherwise a client could
/// send its next request on it while it is being closed.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Script {
    let headers = [headers, &[("connection", "close")]].concat();
    vec![Step::ReadReq, Step::Write(response(status, &headers, body)), Step::Fin]
}

/// Reads a request and responds with these bytes.
pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Script {
    vec![Step::ReadReq, Step::write(bytes), Step::Fin]
}

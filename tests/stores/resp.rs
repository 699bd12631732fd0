//! A scripted Redis in memory, which keeps every byte that it received.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::harness::server::HANG_TIMEOUT;

pub(crate) type Command = Vec<Vec<u8>>;

/// What happens to a command.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// It is carried out.
    Well,
    /// The connection is closed.
    Fin,
    /// Nothing more is sent.
    Hang,
    /// These bytes are the answer, whatever was asked.
    Answer(Vec<u8>),
    /// The same for this command only.
    AnswerTo(&'static str, Vec<u8>),
    /// These are the answers to this command, one after the other, and the last one for ever. If it is empty, the connection is
    /// closed instead.
    AnswersTo(&'static str, Vec<Vec<u8>>),
}

#[derive(Default)]
struct Log {
    connections: usize,
    ended: usize,
    commands: Vec<Command>,
    bytes: Vec<u8>,
    sent: usize,
}

struct Inner {
    manner: Mutex<Manner>,
    values: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    log: watch::Sender<Log>,
}

pub(crate) struct Resp {
    address: SocketAddr,
    inner: Arc<Inner>,
    task: tokio::task::AbortHandle,
}

/// Of its own, so that the end of a test's runtime does not affect it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
});

impl Resp {
    pub(crate) fn start(manner: Manner) -> Resp {
        crate::harness::canary::watch();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            manner: Mutex::new(manner),
            values: Mutex::default(),
            log: watch::Sender::new(Log::default()),
        });
        let own = Arc::clone(&inner);
        let task = RUNTIME.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                own.log.send_modify(|log| log.connections += 1);
                let own = Arc::clone(&own);
                tokio::spawn(async move {
                    let _ = own.converse(stream).await;
                    own.log.send_modify(|log| log.ended += 1);
                });
            }
        });
        Resp { address, inner, task: task.abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn now(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap() = manner;
    }

    pub(crate) fn connections(&self) -> usize {
        self.inner.log.borrow().connections
    }

    /// Waits until that many connections have ended, by either side.
    pub(crate) async fn ended(&self, connections: usize) {
        let mut log = self.inner.log.subscribe();
        let ended = log.wait_for(|log| log.ended >= connections);
        assert!(tokio::time::timeout(HANG_TIMEOUT, ended).await.is_ok());
    }

    /// The names of the received commands.
    pub(crate) fn names(&self) -> Vec<String> {
        let log = self.inner.log.borrow();
        log.commands.iter().map(name).collect()
    }

    pub(crate) fn commands(&self) -> Vec<Command> {
        self.inner.log.borrow().commands.clone()
    }

    /// Everything that it has received.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.inner.log.borrow().bytes.clone()
    }

    /// The number of sent bytes of answers, including those in the kernel's buffers.
    pub(crate) fn sent(&self) -> usize {
        self.inner.log.borrow().sent
    }

    pub(crate) fn values(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.inner.values.lock().unwrap().clone()
    }

    pub(crate) fn tamper(&self, change: impl Fn(&mut Vec<u8>)) {
        self.inner.values.lock().unwrap().values_mut().for_each(change);
    }
}

impl Drop for Resp {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            crate::harness::canary::assert_no_leak();
        }
    }
}

impl Inner {
    async fn converse(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut unread = Vec::new();
        loop {
            while let Some((command, length)) = parse(&unread) {
                unread.drain(..length);
                self.log.send_modify(|log| log.commands.push(command.clone()));
                let manner = self.manner_for(&command);
                let answer = match manner {
                    Manner::Fin => return Ok(()),
                    Manner::Hang => std::future::pending().await,
                    Manner::Answer(bytes) => bytes,
                    Manner::AnswerTo(what, bytes) if name(&command) == what => bytes,
                    Manner::Well | Manner::AnswerTo(..) | Manner::AnswersTo(..) => self.obey(&command),
                };
                for piece in answer.chunks(16 * 1024) {
                    stream.write_all(piece).await?;
                    self.log.send_modify(|log| log.sent += piece.len());
                }
            }
            let mut piece = [0; 4096];
            let n = stream.read(&mut piece).await?;
            if n == 0 {
                return Ok(());
            }
            unread.extend_from_slice(&piece[..n]);
            self.log.send_modify(|log| log.bytes.extend_from_slice(&piece[..n]));
        }
    }

    fn manner_for(&self, command: &Command) -> Manner {
        let mut manner = self.manner.lock().unwrap();
        match &mut *manner {
            Manner::AnswersTo(what, answers) if name(command) == *what => {
                let next = answers[0].clone();
                if answers.len() > 1 {
                    answers.remove(0);
                }
                if next.is_empty() { Manner::Fin } else { Manner::Answer(next) }
            }
            other => other.clone(),
        }
    }

    fn obey(&self, command: &Command) -> Vec<u8> {
        let mut values = self.values.lock().unwrap();
        let bulk = |value: &[u8]| {
            let mut answer = format!("${}\r\n", value.len()).into_bytes();
            answer.extend_from_slice(value);
            answer.extend_from_slice(b"\r\n");
            answer
        };
        match name(command).as_str() {
            "GETRANGE" => {
                let value = values.get(&command[1]).cloned().unwrap_or_default();
                let last: usize = String::from_utf8_lossy(&command[3]).parse().unwrap();
                bulk(&value[..value.len().min(last + 1)])
            }
            "SET" => {
                values.insert(command[1].clone(), command[2].clone());
                b"+OK\r\n".to_vec()
            }
            "LEASE" => {
                let owner = values.entry(command[3].clone());
                let is_ours = owner.or_insert(command[4].clone()) == &command[4];
                format!(":{}\r\n", u8::from(is_ours)).into_bytes()
            }
            "DELETE" => {
                let there = values.get(&command[3]) == Some(&command[4]);
                if there {
                    values.remove(&command[3]);
                }
                format!(":{}\r\n", u8::from(there)).into_bytes()
            }
            "ROLE" => b"*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n".to_vec(),
            _ => b"+OK\r\n".to_vec(),
        }
    }
}

/// What a script is for, or the first word.
fn name(command: &Command) -> String {
    let word = String::from_utf8_lossy(&command[0]);
    match (word.as_ref(), command.len()) {
        // It has a time besides.
        ("EVAL", 6) => "LEASE".to_owned(),
        ("EVAL", _) => "DELETE".to_owned(),
        (word, _) => word.to_owned(),
    }
}

/// An array of bulk strings, and its length; `None`: more is to come.
fn parse(bytes: &[u8]) -> Option<(Command, usize)> {
    fn line(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        let end = bytes.get(at..)?.windows(2).position(|w| w == b"\r\n")? + at;
        let number = std::str::from_utf8(&bytes[at + 1..end]).unwrap();
        Some((number.parse().unwrap(), end + 2))
    }
    let (count, mut at) = line(bytes, 0)?;
    let mut command = Vec::new();
    for _ in 0..count {
        let (length, start) = line(bytes, at)?;
        command.push(bytes.get(start..start + length)?.to_vec());
        at = start + length + 2;
    }
    (bytes.len() >= at).then_some((command, at))
}

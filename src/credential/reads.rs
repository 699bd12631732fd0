//! Reads of credential files. A file may be on a mount that hangs, so the number of reads and the wait for each are
//! limited.
//!
//! Each read runs on a thread of its own: a thread of the runtime would be blocked for other tasks, and dropping the
//! runtime would wait for it. A blocking thread of the runtime measures the time of the read, for [`TIMEOUT`] at most.
//! A timer of the runtime would not do, since a paused clock (`tokio::time::pause`) advances while the read runs.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use zeroize::Zeroizing;

use super::text_of;
use crate::contained::contained;
use crate::error::Error;
use crate::lock::Lock;

/// 1 MiB: far larger than any secret or key, and harmless to read.
const LARGEST: u64 = 1024 * 1024;
/// 5 s: longer than any disk takes, and shorter than an attempt.
const TIMEOUT: Duration = Duration::from_secs(5);
/// 8 at a time: files are small, and thousands of tenants may start at once.
const ACTIVE: usize = 8;
/// 8 hanging reads: no further thread is started.
const HANGING: usize = 8;

static READS: LazyLock<Reads> = LazyLock::new(Reads::default);

/// The text of the file, or the reason why it cannot be read.
pub(super) async fn read(path: &Path) -> Result<SecretString, Error> {
    let bytes = READS.read(path, TIMEOUT, content).await;
    let text = bytes.and_then(|bytes| text_of(&bytes).map(Into::into).ok_or_else(|| Failure::of_encoding(&bytes)));
    text.map_err(|failure| failure.of(path))
}

/// The reads of the process. A handle.
#[derive(Clone)]
struct Reads {
    running: Arc<Lock<BTreeMap<PathBuf, Running>>>,
    turns: Arc<Semaphore>,
}

/// A read in progress. All callers that need the file wait for it.
struct Running {
    outcome: Reading,
    since: Instant,
    /// Released when the read hangs.
    turn: Option<OwnedSemaphorePermit>,
}

type Outcome = Result<Arc<Zeroizing<Vec<u8>>>, Failure>;
type Reading = watch::Receiver<Option<Outcome>>;

#[derive(Clone, Debug)]
enum Failure {
    Io(Arc<io::Error>),
    NotAFile(&'static str),
    TooLarge,
    NotUtf8,
    Utf16,
    /// Since this long.
    Hangs(Duration),
    /// Other reads hang.
    OthersHang,
    Panicked,
}

impl Default for Reads {
    fn default() -> Self {
        Reads { running: Arc::default(), turns: Arc::new(Semaphore::new(ACTIVE)) }
    }
}

impl Reads {
    async fn read(&self, path: &Path, timeout: Duration, how: fn(&Path) -> Outcome) -> Outcome {
        let joined = joined(&mut self.running.lock(), path, timeout);
        let mut outcome = match joined {
            Some(outcome) => outcome?,
            None => {
                // It is never closed.
                let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Failure::OthersHang)?;
                self.started(path, timeout, how, turn)?
            }
        };
        let ended = outcome.wait_for(Option::is_some).await.map_err(|_| Failure::Panicked)?;
        ended.clone().unwrap_or(Err(Failure::Panicked))
    }

    fn started(
        &self,
        path: &Path,
        timeout: Duration,
        how: fn(&Path) -> Outcome,
        turn: OwnedSemaphorePermit,
    ) -> Result<Reading, Failure> {
        let mut all = self.running.lock();
        // Another caller may have started the read while this one waited for its turn.
        if let Some(joined) = joined(&mut all, path, timeout) {
            return joined;
        }
        if all.values().filter(|running| running.turn.is_none()).count() >= HANGING {
            return Err(Failure::OthersHang);
        }
        let (send, outcome) = watch::channel(None);
        let send = Arc::new(send);
        let (end, ended) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("credential-file".to_owned());
        let (reads, file, sender) = (self.clone(), path.to_owned(), Arc::clone(&send));
        let read = move || {
            let outcome = contained(|| how(&file)).unwrap_or(Err(Failure::Panicked));
            // Before the result is sent: a caller from now on needs the current content of the file.
            reads.running.lock().remove(&file);
            tell(&sender, outcome);
            drop(end);
        };
        thread.spawn(read).map_err(|e| Failure::Io(Arc::new(e)))?;
        all.insert(path.to_owned(), Running { outcome: outcome.clone(), since: Instant::now(), turn: Some(turn) });
        drop(all);
        let (reads, file) = (self.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || {
            if ended.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
                if let Some(running) = reads.running.lock().get_mut(&file) {
                    running.turn = None;
                }
                tell(&send, Err(Failure::Hangs(timeout)));
            }
        });
        Ok(outcome)
    }
}

/// The read of this file that is in progress.
fn joined(all: &mut BTreeMap<PathBuf, Running>, path: &Path, timeout: Duration) -> Option<Result<Reading, Failure>> {
    let running = all.get_mut(path)?;
    let age = running.since.elapsed();
    if age < timeout {
        return Some(Ok(running.outcome.clone()));
    }
    // The task that measured its time may have ended with its runtime.
    running.turn = None;
    Some(Err(Failure::Hangs(age)))
}

/// The first outcome counts.
fn tell(send: &watch::Sender<Option<Outcome>>, outcome: Outcome) {
    send.send_if_modified(|told| {
        let first = told.is_none();
        told.get_or_insert(outcome);
        first
    });
}

impl Failure {
    fn of_encoding(bytes: &[u8]) -> Self {
        let is_marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        if is_marked { Failure::Utf16 } else { Failure::NotUtf8 }
    }

    fn of(self, path: &Path) -> Error {
        let path = shown(path);
        match self {
            Failure::Io(e) => Error::of_credential(format!("the file {path} cannot be read")).because_of(e),
            Failure::NotAFile(kind) => Error::of_credential(format!(
                "the file {path} is {kind}: a credential is read from a regular file only"
            )),
            Failure::TooLarge => {
                Error::of_credential(format!("the file {path} is larger than 1 MiB: is it the right one?"))
            }
            Failure::NotUtf8 => Error::of_credential(format!(
                "the file {path} is not UTF-8 (a key in DER or PKCS#12 has to be converted to PEM)"
            )),
            Failure::Utf16 => Error::of_credential(format!(
                "the file {path} is UTF-16, which `>` of Windows PowerShell writes: save it as UTF-8"
            )),
            Failure::Hangs(age) => Error::of_credential(format!(
                "the file {path} cannot be read: a read that began {} s ago has not ended; is it on a network mount that hangs?",
                age.as_secs()
            )),
            Failure::OthersHang => Error::of_credential(format!(
                "the file {path} was not read: {HANGING} reads of other credential files hang, and no thread is spent on another; \
                 are they on a network mount that hangs?"
            )),
            Failure::Panicked => Error::of_credential(format!("the read of the file {path} panicked")),
        }
    }
}

/// A path for an error. The line break of a file from Windows may have become a part of it.
pub(super) fn shown(path: &Path) -> String {
    /// The longest path that Linux opens.
    const LONGEST: usize = 4096;
    let path = path.to_string_lossy();
    let shown =
        path.chars().take(LONGEST).map(|c| if c.is_control() { c.escape_default().collect() } else { c.to_string() });
    shown.collect()
}

/// The content of a regular file, for code that is not async.
#[cfg(any(test, all(feature = "serde", feature = "rustls")))]
pub(crate) fn read_now(path: &Path) -> Result<Arc<Zeroizing<Vec<u8>>>, String> {
    // Their own turns: one of those of tasks may be given to a task of the runtime that is blocked here.
    static BLOCKING: LazyLock<Reads> = LazyLock::new(Reads::default);
    let bytes = waited_for(BLOCKING.read(path, TIMEOUT, content));
    bytes.map_err(|failure| match failure {
        Failure::Io(e) => format!("cannot be read: {e}"),
        Failure::NotAFile(kind) => format!("cannot be read: it is {kind}, and not a regular file"),
        Failure::TooLarge => "is larger than 1 MiB: is it the right one?".to_owned(),
        Failure::Hangs(_) | Failure::OthersHang => {
            "cannot be read: the read does not end; is it on a network mount that hangs?".to_owned()
        }
        Failure::NotUtf8 | Failure::Utf16 | Failure::Panicked => "cannot be read: the read panicked".to_owned(),
    })
}

/// A runtime of its own drives the read: that of the caller, if there is one, must not wait.
#[cfg(any(test, all(feature = "serde", feature = "rustls")))]
fn waited_for(read: impl Future<Output = Outcome> + Send) -> Outcome {
    let failed = |e: io::Error| Failure::Io(Arc::new(e));
    let wait = || tokio::runtime::Builder::new_current_thread().build().map_err(failed)?.block_on(read);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, wait).map_err(failed)?;
        thread.join().unwrap_or(Err(Failure::Panicked))
    })
}

fn content(path: &Path) -> Outcome {
    let failed = |e: io::Error| Failure::Io(Arc::new(e));
    // Opening a FIFO waits for its other end, and opening a device may do anything.
    regular(&std::fs::metadata(path).map_err(failed)?)?;
    let file = open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    regular(&metadata)?;
    // The full size: growing would leave copies of the secret in memory.
    let size = metadata.len().min(LARGEST);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default().saturating_add(1)));
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::TooLarge);
    }
    Ok(Arc::new(bytes))
}

/// A FIFO may have replaced the file since the check. Where the system has a flag for it, opening does not wait.
fn open(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::File::options();
    options.read(true);
    #[cfg(target_os = "linux")]
    if let Ok(flags) = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()) {
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    options.open(path)
}

fn regular(metadata: &std::fs::Metadata) -> Result<(), Failure> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Err(Failure::NotAFile("a FIFO"));
        }
        if kind.is_socket() {
            return Err(Failure::NotAFile("a socket"));
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Err(Failure::NotAFile("a device"));
        }
    }
    Err(Failure::NotAFile(if kind.is_dir() { "a directory" } else { "not a regular file" }))
}

#[cfg(test)]
#[expect(clippy::await_holding_lock, reason = "it holds the threads that read, not tasks")]
#[path = "reads_tests.rs"]
mod tests;

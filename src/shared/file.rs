//! A directory as a store, for command line tools and short-lived jobs.

mod directory;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use fs4::FileExt;
use tokio::sync::Semaphore;

use super::store::{Store, StoreFuture};
use crate::clock::{Clock, Moment};
use crate::error::Error;
use crate::lock::Lock;
use directory::{check_links, create};

/// A [`Store`] in a local directory, for command line tools and short-lived jobs.
///
/// The directory is created on demand, with access for its owner only (0700). A directory that other users can write to, or
/// that is reached through a symbolic link of another user, is refused. Each token is a file (0600) that is replaced
/// atomically. A lease is a lock on another file; it ends with its time or its process. Both files are small and may be
/// deleted at any time. Expired ones are deleted when a token is stored. Other files in the directory are not touched: a file
/// is deleted only if its name and the beginning of its content have the format of this store.
///
/// ```
/// use client_credentials::{
///     ClientAuth, ClientCredentials, Credential, FileStore, SealedStore,
/// };
///
/// let store = SealedStore::new(
///     FileStore::new("/home/me/.cache/reports"),
///     Credential::file("/home/me/.config/reports/seal-key"),
/// );
/// let auth = ClientAuth::client_secret_basic(
///     "reports",
///     Credential::env("CLIENT_SECRET"),
/// );
/// # let auth = ClientAuth::none("reports");
/// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth)
///     .shared(store)
///     .build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
pub struct FileStore {
    directory: Arc<Path>,
    held: Arc<Lock<Held>>,
    threads: Arc<Semaphore>,
    clock: Clock,
}

/// 4: the number of the runtime's threads that a hanging disk can block; the others remain usable.
const THREADS: usize = 4;

/// The leases of this process, by name.
type Held = BTreeMap<String, Lease>;

struct Lease {
    owner: String,
    /// On the monotonic clock.
    until: Duration,
    /// Locked. Dropping it ends the lease for other processes at once.
    _lock: File,
}

impl FileStore {
    /// Creates a store in `directory`. Does no I/O.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        FileStore {
            directory: directory.into().into(),
            held: Arc::default(),
            threads: Arc::new(Semaphore::new(THREADS)),
            clock: Clock::System,
        }
    }

    /// Uses this clock instead of the system clock for leases and records (feature `test-util`). All stores of the directory
    /// must use the same clock.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use = "it returns the store"]
    pub fn clock(self, clock: &crate::clock::ManualClock) -> Self {
        FileStore { clock: Clock::Manual(clock.clone()), ..self }
    }

    /// Runs `step` on a thread that no other task needs, since files may be on a network mount.
    fn blocking<'a, T: Send + 'static>(
        &self,
        step: impl FnOnce(&Path, &Lock<Held>, &Clock) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let (directory, held, clock) = (Arc::clone(&self.directory), Arc::clone(&self.held), self.clock.clone());
        let threads = Arc::clone(&self.threads);
        Box::pin(async move {
            let turn = threads.acquire_owned().await.map_err(Error::other)?;
            let step = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                step(&directory, &held, &clock)
            });
            step.await.map_err(Error::other)?.map_err(Error::other)
        })
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileStore({})", self.directory.display())
    }
}

impl Store for FileStore {
    fn get<'a>(&'a self, name: &'a str, most: usize) -> StoreFuture<'a, Option<Vec<u8>>> {
        let name = name.to_owned();
        self.blocking(move |directory, _, clock| {
            check_links(directory)?;
            open(&record_of(directory, &name), most, clock)
        })
    }

    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.blocking(move |directory, _, clock| {
            create(directory)?;
            let _guard = guard(directory)?;
            let now = clock.now();
            let end = end(now, expiry);
            sweep(directory, now)?;
            // 0600, under another name until it is complete. Not synced: after a crash a truncated file is not a
            // record.
            let mut file = tempfile::Builder::new().prefix(&name).suffix(RECORD).tempfile_in(directory)?;
            file.write_all(HEADER)?;
            file.write_all(&millis(end).to_be_bytes())?;
            file.write_all(&value)?;
            file.as_file().set_modified(system(end))?;
            file.persist(record_of(directory, &name))?;
            Ok(())
        })
    }

    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.blocking(move |directory, _, clock| {
            check_links(directory)?;
            let path = record_of(directory, &name);
            if open(&path, value.len(), clock)?.as_ref() != Some(&value) {
                return Ok(());
            }
            create(directory)?;
            let _guard = guard(directory)?;
            match open(&path, value.len(), clock)? {
                Some(there) if there == value => fs::remove_file(path),
                _ => Ok(()),
            }
        })
    }

    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.blocking(move |directory, held, clock| {
            let mut held = held.lock();
            let now = clock.now();
            // Leases of abandoned fetches.
            held.retain(|_, lease| lease.until > now.mono());
            if let Some(lease) = held.get(&name) {
                return Ok(lease.owner == owner);
            }
            create(directory)?;
            let _guard = guard(directory)?;
            let path = directory.join(format!("{name}{LOCK}"));
            let mut lock = lock_file(&path, true)?;
            let term = read_term(&mut lock)?;
            if !try_lock(&lock)? {
                if term.is_none_or(|term| term.contains(&millis(clock.now().wall()))) {
                    return Ok(false);
                }
                // Its fetch was abandoned, and its process has not noticed: the lock of that process is on an unlinked
                // file.
                fs::remove_file(&path)?;
                lock = lock_file(&path, true)?;
                if !try_lock(&lock)? {
                    return Ok(false);
                }
            }
            // Waiting for the guard may have taken time.
            let given = clock.now();
            let end = end(given, time);
            write_term(&mut lock, &(millis(given.wall())..millis(end)))?;
            lock.set_modified(system(end))?;
            let until = now.mono().saturating_add(time);
            let lease = Lease { owner, until, _lock: lock };
            held.insert(name, lease);
            Ok(true)
        })
    }

    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.blocking(move |_, held, _| {
            let mut held = held.lock();
            held.retain(|one, lease| *one != name || lease.owner != owner);
            Ok(())
        })
    }
}

/// The suffixes of this store's files. The directory may contain others.
const RECORD: &str = ".token";
const LOCK: &str = ".lock";
/// The beginning of their contents.
const HEADER: &[u8; 21] = b"client-credentials 1\n";

fn record_of(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{RECORD}"))
}

/// 1 s, ten times the store timeout: a process that writes for longer is blocked. The shutdown of the runtime waits for
/// this thread.
const GUARD: Duration = Duration::from_secs(1);
/// 1 ms: the time of several file operations.
const GUARD_LOOK: Duration = Duration::from_millis(1);

const GUARD_FILE: &str = "client-credentials.lock";

/// No other process writes until the returned file is dropped, which is after a few file operations.
fn guard(directory: &Path) -> io::Result<File> {
    let file = lock_file(&directory.join(GUARD_FILE), false)?;
    let start = Instant::now();
    while !try_lock(&file)? {
        if start.elapsed() >= GUARD {
            let text = format!("another process keeps writing to {}", directory.display());
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
        std::thread::sleep(GUARD_LOOK);
    }
    Ok(file)
}

/// Returns whether this process has the lock now.
fn try_lock(file: &File) -> io::Result<bool> {
    match FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(fs4::TryLockError::WouldBlock) => Ok(false),
        Err(fs4::TryLockError::Error(e)) => Err(e),
    }
}

/// The period of a lease in milliseconds, from its file: the next owner may use another duration. One that has not begun
/// was set before the clock was stepped back. `None`: the file is new. An error: it is not a file of this store, and is
/// not written to.
fn read_term(file: &mut File) -> io::Result<Option<Range<u64>>> {
    const LENGTH: usize = HEADER.len() + 2 * size_of::<u64>();
    let mut bytes = Vec::with_capacity(LENGTH);
    file.take(LENGTH as u64).read_to_end(&mut bytes)?;
    let Some(rest) = bytes.strip_prefix(HEADER) else {
        return match bytes.is_empty() {
            true => Ok(None),
            false => Err(io::Error::other("a file that is not a lease has the name of one")),
        };
    };
    let numbers = rest.split_first_chunk().and_then(|(start, rest)| Some((start, rest.first_chunk()?)));
    Ok(numbers.map(|(start, end)| u64::from_be_bytes(*start)..u64::from_be_bytes(*end)))
}

fn write_term(file: &mut File, term: &Range<u64>) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(HEADER)?;
    file.write_all(&term.start.to_be_bytes())?;
    file.write_all(&term.end.to_be_bytes())
}

/// Deletes expired files, under the guard: a rotated seal key leaves files under its names.
fn sweep(directory: &Path, now: Moment) -> io::Result<()> {
    let now = system(now.wall());
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_named_as_ours(&entry.file_name().to_string_lossy()) {
            continue;
        }
        // If another process has deleted it meanwhile, nothing is left to do.
        let metadata = entry.metadata();
        let expired = |metadata: &fs::Metadata| metadata.is_file() && metadata.modified().is_ok_and(|end| end <= now);
        if metadata.is_ok_and(|metadata| expired(&metadata)) && begins_as_ours(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// The name of a record, of a lease, or of a record that was never completed.
fn is_named_as_ours(name: &str) -> bool {
    let stem = [RECORD, LOCK].iter().find_map(|end| name.strip_suffix(end));
    stem.is_some_and(|stem| {
        let characters = stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        characters && [NAME, NAME + UNFINISHED].contains(&stem.len())
    })
}

/// The length of the names from `SealedStore`.
const NAME: usize = 32;
/// The length of what `tempfile` appends.
const UNFINISHED: usize = 6;

fn begins_as_ours(path: &Path) -> bool {
    let mut start = [0; HEADER.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *HEADER
}

/// Anything but a regular file is refused: opening it could block, or write to a file elsewhere. Checked before it is opened; only
/// who may write to the directory could replace it in between.
fn lock_file(path: &Path, read: bool) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other(format!("{} is not a regular file", path.display())));
    }
    let mut options = File::options();
    options.create(true).truncate(false).read(read).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A time since the epoch in the form that files have. One that the system cannot represent is in the past.
fn system(time: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(time).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The end of a period that begins now, since the epoch. Files have it as their modification time, too.
fn end(now: Moment, time: Duration) -> Duration {
    now.wall().saturating_add(time.min(LONGEST))
}

/// 10 years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The value in a file; `None` if it has expired or does not exist. Anything but a regular file is refused, since
/// opening it could block.
fn open(path: &Path, most: usize, clock: &Clock) -> io::Result<Option<Vec<u8>>> {
    let opened = fs::symlink_metadata(path).and_then(|there| match there.is_file() {
        true => File::open(path),
        false => Err(io::Error::other("it is not a regular file")),
    });
    match opened {
        Ok(file) => read(file, most, clock.now()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The value in a file; its expiry precedes it.
fn read(file: File, most: usize, now: Moment) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let header = HEADER.len() + size_of::<u64>();
    let limit = most.saturating_add(header).saturating_add(1);
    file.take(limit as u64).read_to_end(&mut bytes)?;
    let Some((end, value)) = bytes.strip_prefix(HEADER).and_then(<[u8]>::split_first_chunk) else {
        // Not a file of this store, or truncated: not a record.
        return Ok(Some(bytes));
    };
    let end = u64::from_be_bytes(*end);
    Ok((millis(now.wall()) < end).then(|| value.to_vec()))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;

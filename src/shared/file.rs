//! A directory as a store: for command line tools, and for jobs that start often and end soon.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fs4::FileExt;
use tokio::sync::Semaphore;

use super::store::{Store, StoreFuture};
use crate::error::Error;

/// A directory of this machine as a [`Store`]: for command line tools, and for jobs that start often and end soon.
///
/// The directory is made when it is needed, for its owner alone (0700); one that others may write to is refused. Each
/// token is a file (0600) that is replaced in one step. A lease is a lock on another file, which ends with its time, or
/// with its process. Both are small, may be deleted at any time, and are when they have expired and another token is put.
///
/// ```
/// use client_credentials::{ClientAuth, ClientCredentials, Credential, FileStore, SealedStore};
///
/// let store = SealedStore::new(FileStore::new("/home/me/.cache/reports"), Credential::file("/home/me/.config/reports/seal-key"));
/// let auth = ClientAuth::client_secret_basic("reports", Credential::env("CLIENT_SECRET"));
/// # let auth = ClientAuth::none("reports");
/// let tokens = ClientCredentials::builder("https://auth.example.com/token", auth).shared(store).build()?;
/// # Ok::<(), client_credentials::Error>(())
/// ```
pub struct FileStore {
    directory: Arc<Path>,
    held: Arc<Mutex<Held>>,
    threads: Arc<Semaphore>,
}

/// 4: a disk that hangs takes so many of the runtime's threads for good, and leaves the others to other files.
const THREADS: usize = 4;

/// The leases of this process, by name.
type Held = BTreeMap<String, Lease>;

struct Lease {
    owner: String,
    until: Instant,
    /// Locked: dropping it ends the lease for other processes at once.
    _lock: File,
}

impl FileStore {
    /// A store in `directory`. No I/O.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        FileStore {
            directory: directory.into().into(),
            held: Arc::default(),
            threads: Arc::new(Semaphore::new(THREADS)),
        }
    }

    /// Files may lie on a network: not on a thread that other tasks need.
    fn blocking<'a, T: Send + 'static>(
        &self,
        step: impl FnOnce(&Path, &Mutex<Held>) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let (directory, held) = (Arc::clone(&self.directory), Arc::clone(&self.held));
        let threads = Arc::clone(&self.threads);
        Box::pin(async move {
            let turn = threads.acquire_owned().await.map_err(Error::other)?;
            let step = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                step(&directory, &held)
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
        self.blocking(move |directory, _| open(&record_of(directory, &name), most))
    }

    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.blocking(move |directory, _| {
            make(directory)?;
            let _guard = guard(directory)?;
            sweep(directory)?;
            // 0600, under a name of its own until it is complete. Not synced: after a crash a torn file is a miss.
            let mut file = tempfile::Builder::new().prefix(&name).suffix(RECORD).tempfile_in(directory)?;
            file.write_all(&millis(end(expiry)).to_be_bytes())?;
            file.write_all(&value)?;
            file.as_file().set_modified(end(expiry))?;
            file.persist(record_of(directory, &name))?;
            Ok(())
        })
    }

    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.blocking(move |directory, _| {
            let path = record_of(directory, &name);
            if open(&path, value.len())?.as_ref() != Some(&value) {
                return Ok(());
            }
            make(directory)?;
            let _guard = guard(directory)?;
            match open(&path, value.len())? {
                Some(there) if there == value => fs::remove_file(path),
                _ => Ok(()),
            }
        })
    }

    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.blocking(move |directory, held| {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            // Those of fetches that were given up.
            held.retain(|_, lease| lease.until > now);
            if let Some(lease) = held.get(&name) {
                return Ok(lease.owner == owner);
            }
            make(directory)?;
            let _guard = guard(directory)?;
            let path = directory.join(format!("{name}{LOCK}"));
            let mut lock = lock_file(&path)?;
            if !try_lock(&lock)? {
                if is_under_way(&lock, time)? {
                    return Ok(false);
                }
                // Its fetch was given up, and its process has not noticed: that keeps a file without a name.
                fs::remove_file(&path)?;
                lock = lock_file(&path)?;
                if !try_lock(&lock)? {
                    return Ok(false);
                }
            }
            lock.set_modified(end(time))?;
            let until = now.checked_add(time).unwrap_or(now);
            let lease = Lease { owner, until, _lock: lock };
            held.insert(name, lease);
            Ok(true)
        })
    }

    fn release<'a>(&'a self, name: &'a str, owner: &'a str) -> StoreFuture<'a, ()> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.blocking(move |_, held| {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            held.retain(|one, lease| *one != name || lease.owner != owner);
            Ok(())
        })
    }
}

/// What ends the names of our files: the directory may have others.
const RECORD: &str = ".token";
const LOCK: &str = ".lock";

fn record_of(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}{RECORD}"))
}

/// 1 s, ten times the patience: whoever writes for longer stands still, and the end of our runtime waits for us.
const GUARD: Duration = Duration::from_secs(1);
/// 1 ms: several of the file operations that are waited for.
const GUARD_LOOK: Duration = Duration::from_millis(1);

/// While it lives nobody else writes: for a few file operations.
fn guard(directory: &Path) -> io::Result<File> {
    let file = lock_file(&directory.join("write.lock"))?;
    let start = Instant::now();
    while !try_lock(&file)? {
        if start.elapsed() >= GUARD {
            let text = format!("somebody else keeps writing to {}", directory.display());
            return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
        }
        std::thread::sleep(GUARD_LOOK);
    }
    Ok(file)
}

/// Whether it is ours now.
fn try_lock(file: &File) -> io::Result<bool> {
    match FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(fs4::TryLockError::WouldBlock) => Ok(false),
        Err(fs4::TryLockError::Error(e)) => Err(e),
    }
}

/// Whether a lease that somebody else has is not over yet. One that ends later than a new one would was given before the
/// clock was set back.
fn is_under_way(lock: &File, time: Duration) -> io::Result<bool> {
    let left = lock.metadata()?.modified()?.duration_since(SystemTime::now());
    Ok(left.is_ok_and(|left| !left.is_zero() && left <= time))
}

/// Deletes what has expired, under the guard: keys are rotated, and names with them.
fn sweep(directory: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // The name of a record has 32 characters before that; `write.lock` is none.
        let ours = [RECORD, LOCK].iter().any(|end| name.strip_suffix(end).is_some_and(|stem| stem.len() >= 32));
        // Whoever else deletes it meanwhile does what we want.
        let expired = |entry: &fs::DirEntry| entry.metadata()?.modified();
        if ours && expired(&entry).is_ok_and(|end| end <= now) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// When something that begins now ends. Files show it as the time of their last change.
fn end(time: Duration) -> SystemTime {
    let now = SystemTime::now();
    // Longer than systems count is longer than anybody means.
    now.checked_add(time.min(LONGEST)).unwrap_or(now)
}

/// 10 years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Since the epoch.
fn millis(time: SystemTime) -> u64 {
    let time = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(time.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// The value in a file, unless it has expired or is not there. What is not a file might keep us waiting.
fn open(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => {}
        Ok(_) => return Err(io::Error::other("there is something that is not a file")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    }
    match File::open(path) {
        Ok(file) => read(file, most),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The value of a file, which begins with its end.
fn read(file: File, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let header = size_of::<u64>();
    let limit = most.saturating_add(header).saturating_add(1);
    file.take(limit as u64).read_to_end(&mut bytes)?;
    let Some((end, value)) = bytes.split_first_chunk() else {
        // Not ours, or torn: whatever it is, it is no record.
        return Ok(Some(bytes));
    };
    let end = u64::from_be_bytes(*end);
    Ok((millis(SystemTime::now()) < end).then(|| value.to_vec()))
}

/// Makes the directory, and refuses one that others may write to: they could not read a token, but keep us busy.
fn make(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let there = fs::metadata(directory)?;
        let mode = there.mode();
        if mode & 0o022 != 0 {
            let text = format!("others may write to {} (mode {:03o}): chmod go-w", directory.display(), mode & 0o777);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        // Its owner may write to it whatever the mode says, and lead us elsewhere by links: what we make is ours.
        if there.uid() != tempfile::tempfile_in(directory)?.metadata()?.uid() {
            let text = format!("{} belongs to somebody else", directory.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    Ok(())
}

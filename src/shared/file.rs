//! A directory as a store: for command line tools, and for jobs that start often and end soon.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fs4::FileExt;

use super::store::{Store, StoreFuture};
use crate::Error;

/// A directory of this machine as a [`Store`]: for command line tools, and for jobs that start often and end soon.
///
/// The directory is made when it is needed, for its owner alone (0700); one that others may write to is refused. Each
/// token is a file (0600) that is replaced in one step. A lease is a lock on another file, which ends with its process.
/// Both are small, and may be deleted at any time.
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
#[derive(Debug)]
pub struct FileStore {
    directory: Arc<Path>,
    held: Arc<Mutex<Held>>,
}

/// The leases of this process, by name.
type Held = BTreeMap<String, Lease>;

#[derive(Debug)]
struct Lease {
    owner: String,
    until: Instant,
    /// Locked: dropping it is what ends the lease for other processes.
    _lock: File,
}

impl FileStore {
    /// A store in `directory`. No I/O.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        FileStore {
            directory: directory.into().into(),
            held: Arc::default(),
        }
    }

    /// Files may lie on a network: not on a thread that other tasks need.
    fn blocking<'a, T: Send + 'static>(
        &self,
        step: impl FnOnce(&Path, &Mutex<Held>) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let (directory, held) = (Arc::clone(&self.directory), Arc::clone(&self.held));
        Box::pin(async move {
            let step = tokio::task::spawn_blocking(move || step(&directory, &held));
            step.await.map_err(Error::other)?.map_err(Error::other)
        })
    }
}

impl Store for FileStore {
    fn get<'a>(&'a self, name: &'a str, most: usize) -> StoreFuture<'a, Option<Vec<u8>>> {
        let name = name.to_owned();
        self.blocking(move |directory, _| match File::open(directory.join(name)) {
            Ok(file) => read(file, most),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        })
    }

    fn put<'a>(&'a self, name: &'a str, value: &'a [u8], expiry: Duration) -> StoreFuture<'a, ()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.blocking(move |directory, _| {
            make(directory)?;
            let _guard = guard(directory)?;
            // 0600, under a name of its own until it is complete. Not synced: after a crash a torn file is a miss.
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&end(expiry).to_be_bytes())?;
            file.write_all(&value)?;
            file.persist(directory.join(name))?;
            Ok(())
        })
    }

    fn delete<'a>(&'a self, name: &'a str, value: &'a [u8]) -> StoreFuture<'a, ()> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.blocking(move |directory, _| {
            let path = directory.join(name);
            if !path.exists() {
                return Ok(());
            }
            let _guard = guard(directory)?;
            match File::open(&path).and_then(|file| read(file, value.len())) {
                Ok(Some(there)) if there == value => fs::remove_file(path),
                Ok(_) => Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(e),
            }
        })
    }

    fn lease<'a>(&'a self, name: &'a str, owner: &'a str, time: Duration) -> StoreFuture<'a, bool> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.blocking(move |directory, held| {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            // Those of flights that were given up.
            held.retain(|_, lease| lease.until > now);
            if let Some(lease) = held.get(&name) {
                return Ok(lease.owner == owner);
            }
            make(directory)?;
            let lock = lock_file(&directory.join(format!("{name}.lock")))?;
            match FileExt::try_lock(&lock) {
                Ok(()) => {}
                Err(fs4::TryLockError::WouldBlock) => return Ok(false),
                Err(fs4::TryLockError::Error(e)) => return Err(e),
            }
            let until = now.checked_add(time).unwrap_or(now);
            let lease = Lease {
                owner,
                until,
                _lock: lock,
            };
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

/// While it lives nobody else writes: for a few file operations.
fn guard(directory: &Path) -> io::Result<File> {
    let file = lock_file(&directory.join("write.lock"))?;
    FileExt::lock(&file)?;
    Ok(file)
}

fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Milliseconds since the epoch, when a value put now expires.
fn end(expiry: Duration) -> u64 {
    let end = since_epoch().saturating_add(expiry);
    u64::try_from(end.as_millis()).unwrap_or(u64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
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
    let end = Duration::from_millis(u64::from_be_bytes(*end));
    Ok((since_epoch() < end).then(|| value.to_vec()))
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
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(directory)?);
        if mode & 0o022 != 0 {
            let text = format!(
                "others may write to {} (mode {:03o}): chmod go-w",
                directory.display(),
                mode & 0o777
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
    }
    Ok(())
}

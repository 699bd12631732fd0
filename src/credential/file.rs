//! A file that contains a credential, and its state.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::reads;
use crate::error::Error;
use crate::lock::Lock;

/// Clones share the state.
#[derive(Clone)]
pub(super) struct SecretFile {
    pub(super) path: Arc<Path>,
    known: Arc<Lock<Known>>,
}

#[derive(Default)]
struct Known {
    /// The result of the last read; `None`: the file was not read yet.
    seen: Option<Seen>,
    /// The content that the authorization server accepted last.
    good: Option<SecretString>,
}

/// The content; `None`: it could not be read.
type Seen = Option<SecretString>;

impl SecretFile {
    pub(super) fn new(path: PathBuf) -> Self {
        SecretFile { path: path.into(), known: Arc::default() }
    }

    pub(super) async fn read(&self) -> Result<SecretString, Error> {
        let read = reads::read(&self.path).await;
        self.known.lock().seen = Some(read.as_ref().ok().cloned());
        read
    }

    /// The server accepted this content.
    pub(super) fn accepted(&self, text: &SecretString) {
        self.known.lock().good = Some(text.clone());
    }

    /// The server refused this content.
    pub(super) fn refused(&self, text: &SecretString) {
        let good = &mut self.known.lock().good;
        if good.as_ref().is_some_and(|good| good.expose_secret() == text.expose_secret()) {
            *good = None;
        }
    }

    pub(super) fn last_good(&self) -> Option<SecretString> {
        self.known.lock().good.clone()
    }

    /// The file at the last read; `None` if it was not read.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        let seen = self.known.lock().seen.clone()?;
        Some(Snapshot { path: Arc::clone(&self.path), seen })
    }
}

impl fmt::Display for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&reads::shown(&self.path))
    }
}

/// A file at the time of a read.
pub(super) struct Snapshot {
    path: Arc<Path>,
    seen: Seen,
}

impl Snapshot {
    /// Whether the file can be read and its content has changed. Contents are compared: if only the time or length has
    /// changed, a refused secret must not be sent again.
    pub(super) async fn is_outdated(&self) -> bool {
        let differs = |now: SecretString| match &self.seen {
            Some(before) => before.expose_secret() != now.expose_secret(),
            None => true,
        };
        reads::read(&self.path).await.is_ok_and(differs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_file_that_was_read_can_be_outdated() {
        let place = tempfile::NamedTempFile::new().unwrap();
        let file = SecretFile::new(place.path().to_owned());
        assert!(file.snapshot().is_none());
        std::fs::write(place.path(), "one").unwrap();
        file.read().await.unwrap();
        let snapshot = file.snapshot().unwrap();
        assert!(!snapshot.is_outdated().await);
        std::fs::write(place.path(), "two").unwrap();
        assert!(snapshot.is_outdated().await);
    }
}

//! Client authentication over real HTTP on loopback: FAULTS family X (rotation) and the rows of family M about
//! assertions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod assertions;
#[path = "../harness/mod.rs"]
mod harness;
mod keys;
mod recovery;
mod redaction;
#[path = "../harness/refreshed.rs"]
mod refreshed;
mod rotation;
mod server;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use client_credentials::{Backoff, CachePolicy, ClientAuth, ClientCredentials, RetryPolicy};
use refreshed::refreshed;
use server::Server;

const ISSUER: &str = "https://auth.example.com/realms/demo";

/// A client that does not wait long between attempts, and may refresh as often as a test likes.
fn client(server: &Server, auth: impl Into<ClientAuth>) -> ClientCredentials {
    let soon = Duration::from_millis(1);
    ClientCredentials::builder(&server.url, auth)
        .retry(RetryPolicy::new().backoff(Backoff::new(soon, soon)))
        .cache(
            CachePolicy::new()
                .expired_backoff(Backoff::new(soon, soon))
                .denied_backoff(Backoff::new(soon, soon))
                .forced_refreshes(1000)
                .forced_refresh_interval(soon),
        )
        .build()
        .unwrap()
}

/// A directory that is deleted after the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("client-credentials-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// In place, as editors and careless scripts do.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Atomically, as careful scripts do.
    fn replace(&self, name: &str, text: &str) {
        let new = self.write(".new", text);
        std::fs::rename(new, self.path(name)).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl AsRef<Path> for Directory {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

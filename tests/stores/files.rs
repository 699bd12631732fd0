//! A directory as a store: its permissions, its content, and many short jobs at once.

use std::path::Path;
use std::time::Duration;

use client_credentials::{FileStore, SealedStore, Store};
use tempfile::TempDir;

use crate::harness::canary::{self, TOKEN, found};
use crate::harness::child;
use crate::harness::server::{Server, ok};
use crate::{SEAL_KEY, replica};

/// Far more than 100 ms: disks of loaded machines are slow.
const PATIENT: Duration = Duration::from_secs(5);

fn sealed(directory: &Path) -> SealedStore {
    SealedStore::new(FileStore::new(directory), SEAL_KEY).timeout(PATIENT)
}

async fn token_of(server: &Server, directory: &Path) -> String {
    let tokens = replica(&server.url("/token"), sealed(directory)).build().unwrap();
    tokens.token().await.unwrap().expose_secret().to_owned()
}

#[tokio::test]
async fn the_next_run_uses_the_token_of_the_last_one() {
    let (server, place) = (Server::start([ok(TOKEN)]), TempDir::new().unwrap());
    let directory = place.path().join("a").join("b");
    for _ in 0..3 {
        assert_eq!(token_of(&server, &directory).await, TOKEN);
    }
    assert_eq!(server.hits(), 1);
    for file in std::fs::read_dir(&directory).unwrap() {
        let path = file.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert_eq!(found(&text), None);
        assert!(!path.display().to_string().contains("canary"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_a_record_and_a_directory_that_others_can_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let (server, place) = (Server::start([ok(TOKEN)]), TempDir::new().unwrap());
    let directory = place.path().join("tokens");
    token_of(&server, &directory).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");

    let open = place.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(token_of(&server, &open).await, TOKEN, "served all the same");
    assert_eq!(std::fs::read_dir(&open).unwrap().count(), 0);
    if cfg!(feature = "tracing") {
        let said = canary::said();
        assert!(said.iter().any(|(_, said)| said.contains("chmod go-w")), "{said:?}");
    }
}

#[tokio::test]
async fn a_truncated_file_counts_as_no_record() {
    // D06
    let (server, place) = (Server::start([ok(TOKEN)]), TempDir::new().unwrap());
    for (hits, length) in [0, 3, 8, 20, 100].into_iter().enumerate() {
        assert_eq!(token_of(&server, place.path()).await, TOKEN);
        assert_eq!(server.hits(), hits + 1);
        for file in std::fs::read_dir(place.path()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len().min(length)]).unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_of_files_keeps_the_contract() {
    let place = TempDir::new().unwrap();
    let (one, other) = (FileStore::new(place.path()), FileStore::new(place.path()));
    let hour = Duration::from_secs(3600);
    assert_eq!(one.get("a", 100).await.unwrap(), None);
    one.put("a", b"value", hour).await.unwrap();
    assert_eq!(other.get("a", 100).await.unwrap().as_deref(), Some(b"value".as_slice()));
    let cut = other.get("a", 2).await.unwrap().unwrap();
    assert_eq!(cut.len(), 3, "no more than one byte more");
    other.delete("a", b"another value").await.unwrap();
    other.delete("b", b"value").await.unwrap();
    assert!(one.get("a", 100).await.unwrap().is_some());
    other.delete("a", b"value").await.unwrap();
    assert_eq!(one.get("a", 100).await.unwrap(), None);
    one.put("a", b"value", Duration::ZERO).await.unwrap();
    assert_eq!(one.get("a", 100).await.unwrap(), None, "expired");

    assert!(one.lease("a", "me", hour).await.unwrap());
    assert!(!one.lease("a", "you", hour).await.unwrap());
    assert!(!other.lease("a", "you", hour).await.unwrap(), "in another process neither");
    assert!(other.lease("b", "you", hour).await.unwrap());
    other.release("a", "you").await.unwrap();
    one.release("a", "you").await.unwrap();
    assert!(!other.lease("a", "you", hour).await.unwrap(), "it was not his to release");
    one.release("a", "me").await.unwrap();
    assert!(other.lease("a", "you", hour).await.unwrap());
    other.release("a", "you").await.unwrap();
    // An abandoned lease, and one of a process that has ended.
    assert!(one.lease("a", "me", Duration::ZERO).await.unwrap());
    assert!(one.lease("a", "you", hour).await.unwrap());
    drop(one);
    assert!(other.lease("a", "me", hour).await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn anything_but_a_file_or_a_directory_is_an_error_without_a_wait() {
    let place = TempDir::new().unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.path().join("a.token")).status();
    assert!(made.unwrap().success());
    let store = FileStore::new(place.path());
    let got = tokio::time::timeout(crate::harness::server::HANG_TIMEOUT, store.get("a", 100)).await;
    assert!(got.unwrap().is_err());
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(FileStore::new(&file).get("a", 100).await.is_err());
}

#[tokio::test]
async fn a_lease_ends_even_if_its_process_does_not_ask_again() {
    // Its fetch was abandoned. With zero it ends at once, so the test need not wait.
    let place = TempDir::new().unwrap();
    let (one, other) = (FileStore::new(place.path()), FileStore::new(place.path()));
    let hour = Duration::from_secs(3600);
    assert!(one.lease("a", "me", Duration::ZERO).await.unwrap());
    assert!(other.lease("a", "you", hour).await.unwrap());
    // And from then on the other one has it.
    assert!(!one.lease("a", "me", hour).await.unwrap());
    let third = FileStore::new(place.path());
    assert!(!third.lease("a", "he", hour).await.unwrap());
    drop(other);
    assert!(third.lease("a", "he", hour).await.unwrap());
}

#[tokio::test]
async fn a_lease_is_exclusive_for_clients_with_other_fetch_timeouts() {
    // FE13
    let place = TempDir::new().unwrap();
    let (one, other) = (FileStore::new(place.path()), FileStore::new(place.path()));
    let minute = Duration::from_secs(60);
    assert!(one.lease("a", "me", 60 * minute).await.unwrap());
    assert!(!other.lease("a", "you", minute).await.unwrap());
}

#[tokio::test]
async fn only_expired_records_are_deleted() {
    // Keys that last as long as their process: every run has names of its own.
    let place = TempDir::new().unwrap();
    let store = FileStore::new(place.path());
    let (hour, zero) = (Duration::from_secs(3600), Duration::ZERO);
    let name = |n: usize| format!("{n:032}");
    // FA1: the last two have names as long as ours.
    let foreign = [
        name(1000),
        "notes.token".to_owned(),
        "dependencies-of-the-billing-frontend.lock".to_owned(),
        "refresh-token-of-the-nightly-report-job.token".to_owned(),
        format!("{}.token", name(1001)),
        format!("{}.lock", name(1002)),
    ];
    for name in &foreign {
        let file = std::fs::File::create(place.path().join(name)).unwrap();
        std::io::Write::write_all(&mut &file, b"mine").unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    for n in 0..100 {
        assert!(store.lease(&name(n), "me", zero).await.unwrap());
        store.put(&name(n), b"old", zero).await.unwrap();
    }
    store.put(&name(100), b"new", hour).await.unwrap();
    store.put(&name(101), b"newer", hour).await.unwrap();
    assert!(store.get(&name(100), 100).await.unwrap().is_some());
    for name in &foreign {
        assert!(place.path().join(name).exists(), "{name}");
    }
    let files = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(files, foreign.len() + 2 + 1, "and the guard");
}

#[cfg(unix)]
#[test]
fn a_process_that_stalls_while_it_writes_costs_no_token_and_no_endless_wait() {
    let (server, place) = (Server::start([ok(TOKEN)]), TempDir::new().unwrap());
    let stopped = std::fs::File::create(place.path().join("client-credentials.lock")).unwrap();
    fs4::FileExt::lock(&stopped).unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    let (url, directory) = (server.url("/token"), place.path().to_owned());
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let store = SealedStore::new(FileStore::new(directory), SEAL_KEY);
        let tokens = replica(&url, store).build().unwrap();
        let token = runtime.block_on(tokens.token()).unwrap();
        // Waits for what runs on threads of its own.
        drop(runtime);
        ended.send(token).unwrap();
    });
    let token = end.recv_timeout(crate::harness::server::HANG_TIMEOUT);
    assert_eq!(token.unwrap().expose_secret(), TOKEN);
    drop(stopped);
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_of_another_user_is_refused() {
    // Only root could use such a directory, whose owner could redirect root by a link.
    let (server, place) = (Server::start([ok(TOKEN)]), TempDir::new().unwrap());
    let (directory, target) = (place.path().join("theirs"), place.path().join("target"));
    std::fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink(&target, directory.join("client-credentials.lock")).unwrap();
    if std::os::unix::fs::chown(&directory, Some(12345), None).is_err() {
        return;
    }
    assert_eq!(token_of(&server, &directory).await, TOKEN);
    assert!(!target.exists());
}

/// A job that starts, needs a token, and ends: nothing, unless the test below starts it.
#[test]
fn a_short_job() {
    let (Ok(directory), Ok(endpoint)) = (std::env::var("JOB_DIRECTORY"), std::env::var("JOB_ENDPOINT")) else {
        return;
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let tokens = replica(&endpoint, sealed(Path::new(&directory))).build().unwrap();
        tokens.token().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_short_jobs_at_once_and_eight_later_make_one_request() {
    let server = crate::server(3600, Duration::from_millis(50));
    let place = TempDir::new().unwrap();
    for _ in 0..2 {
        let jobs: Vec<_> = (0..8)
            .map(|_| {
                let directory = place.path().join("tokens").display().to_string();
                let env = [("JOB_DIRECTORY", directory), ("JOB_ENDPOINT", server.token_url().to_owned())];
                tokio::task::spawn_blocking(move || child::run("files::a_short_job", &env).unwrap())
            })
            .collect();
        for job in jobs {
            child::assert_passed(&job.await.unwrap());
        }
    }
    assert_eq!(server.token_requests(), 1);
}

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::error::ErrorKind;

fn secret() -> Arc<Zeroizing<Vec<u8>>> {
    Arc::new(Zeroizing::new(b"secret".to_vec()))
}

/// Long enough for a loaded machine: the test itself ends what hangs.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_hundred_callers_share_one_read() {
    static READ: AtomicUsize = AtomicUsize::new(0);
    static GATE: Lock<()> = Lock::new(());
    fn how(_: &Path) -> Outcome {
        READ.fetch_add(1, Ordering::SeqCst);
        drop(GATE.lock());
        Ok(secret())
    }
    let reads = Reads::default();
    let closed = GATE.lock();
    // At first, all of them wait for a turn.
    let turns = Arc::clone(&reads.turns).acquire_many_owned(ACTIVE as u32).await.unwrap();
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let reads = reads.clone();
            tokio::spawn(async move { reads.read(Path::new("a"), LONG, how).await })
        })
        .collect();
    for dropped in [Some(turns), None] {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        drop(dropped);
    }
    drop(closed);
    for caller in callers {
        assert!(caller.await.unwrap().is_ok());
    }
    assert_eq!(READ.load(Ordering::SeqCst), 1);
    assert!(reads.running.lock().is_empty());
    assert_eq!(reads.turns.available_permits(), ACTIVE);
}

#[tokio::test]
async fn files_of_600_tenants_that_hang_take_a_few_threads_and_every_error_names_its_file() {
    // FE17
    static READ: AtomicUsize = AtomicUsize::new(0);
    static GATE: Lock<()> = Lock::new(());
    fn how(_: &Path) -> Outcome {
        READ.fetch_add(1, Ordering::SeqCst);
        drop(GATE.lock());
        Ok(secret())
    }
    let reads = Reads::default();
    let closed = GATE.lock();
    let soon = Duration::from_millis(20);
    let paths: Vec<_> = (0..600).map(|n| PathBuf::from(format!("/mnt/tenant-{n}"))).collect();
    let tenant = |path: PathBuf| {
        let reads = reads.clone();
        async move {
            let error = reads.read(&path, soon, how).await.err().map(|failure| failure.of(&path))?;
            Some((path, error))
        }
    };
    let all: Vec<_> = paths.iter().cloned().map(tenant).map(tokio::spawn).collect();
    for one in all {
        let (path, error) = one.await.unwrap().expect("it hangs");
        assert_eq!(error.kind(), ErrorKind::Credential);
        assert!(error.is_transient() && error.to_string().contains(&path.display().to_string()), "{error}");
    }
    let threads = READ.load(Ordering::SeqCst);
    assert!(threads <= HANGING + ACTIVE, "{threads}");
    // The next fetches start no thread, and fail at once.
    for path in &paths {
        assert!(reads.read(path, soon, how).await.is_err());
    }
    assert_eq!(READ.load(Ordering::SeqCst), threads);
    // The mount is available again.
    drop(closed);
    while !reads.running.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(reads.read(&paths[0], LONG, how).await.is_ok());
}

#[test]
fn a_runtime_ends_while_a_read_hangs() {
    static GATE: Lock<()> = Lock::new(());
    fn how(_: &Path) -> Outcome {
        drop(GATE.lock());
        Ok(secret())
    }
    let closed = GATE.lock();
    let reads = Reads::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failure = runtime.block_on(reads.read(Path::new("a"), Duration::from_millis(20), how));
    assert!(matches!(failure, Err(Failure::Hangs(_))));
    drop(runtime);
    drop(closed);
}

#[cfg(unix)]
#[tokio::test]
async fn anything_but_a_regular_file_is_refused_and_named() {
    // FA3
    let place = tempfile::tempdir().unwrap();
    let fifo = place.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let link = place.path().join("link");
    std::os::unix::fs::symlink(&fifo, &link).unwrap();
    let socket = place.path().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, told) in [
        (fifo.as_path(), "a FIFO"),
        (link.as_path(), "a FIFO"),
        (socket.as_path(), "a socket"),
        (place.path(), "a directory"),
        (Path::new("/dev/zero"), "a device"),
    ] {
        // 100 fetches, none of which leaves a thread.
        for _ in 0..100 {
            let error = read(path).await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains(told) && text.contains(&path.display().to_string()), "{text}");
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credential, true));
            let now = read_now(path).unwrap_err();
            assert!(now.contains(told), "{now}");
        }
    }
}

#[test]
fn a_blocking_read_that_hangs_is_abandoned_and_their_number_is_bounded() {
    // FA3
    static GATE: Lock<()> = Lock::new(());
    static READ: AtomicUsize = AtomicUsize::new(0);
    fn how(_: &Path) -> Outcome {
        READ.fetch_add(1, Ordering::SeqCst);
        drop(GATE.lock());
        Ok(secret())
    }
    let reads = Reads::default();
    let read = |path: usize, timeout| waited_for(reads.read(Path::new(&path.to_string()), timeout, how));
    let closed = GATE.lock();
    for n in 0..3 * HANGING {
        for path in [n, n] {
            let read = read(path, Duration::from_millis(1));
            assert!(matches!(read, Err(Failure::Hangs(_) | Failure::OthersHang)));
        }
    }
    assert!(READ.load(Ordering::SeqCst) <= HANGING);
    drop(closed);
    while !reads.running.lock().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(**read(0, LONG).unwrap(), b"secret");
}

#[tokio::test]
async fn a_blocking_read_does_not_wait_for_the_turns_of_tasks() {
    let turns = READS.turns.acquire_many(ACTIVE as u32).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "content").unwrap();
    assert_eq!(**read_now(file.path()).unwrap(), b"content");
    drop(turns);
}

#[cfg(target_os = "linux")]
#[test]
fn a_fifo_that_replaces_a_file_is_not_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let fifo = place.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let opened = open(&fifo).unwrap();
    assert!(matches!(regular(&opened.metadata().unwrap()), Err(Failure::NotAFile("a FIFO"))));
}

#[tokio::test]
async fn what_windows_makes_of_a_file_or_its_path_is_named() {
    // X14
    let place = tempfile::NamedTempFile::new().unwrap();
    for (mark, unit) in [(b"\xff\xfe", u16::to_le_bytes as fn(u16) -> [u8; 2]), (b"\xfe\xff", u16::to_be_bytes)] {
        let text: Vec<u8> = "secret\r\n".encode_utf16().flat_map(unit).collect();
        std::fs::write(place.path(), [mark.as_slice(), &text].concat()).unwrap();
        let error = read(place.path()).await.unwrap_err().to_string();
        assert!(error.contains("is UTF-16"), "{error}");
    }
    std::fs::write(place.path(), b"secret\xff").unwrap();
    assert!(read(place.path()).await.unwrap_err().to_string().contains("is not UTF-8"));
    let error = read(Path::new("/none/secret\r\u{1b}[2J")).await.unwrap_err().to_string();
    assert!(error.contains("the file /none/secret\\r\\u{1b}[2J cannot be read"), "{error}");
    assert_eq!(shown(Path::new(&"x".repeat(5000))).len(), 4096);
}

#[tokio::test]
async fn a_file_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let place = tempfile::NamedTempFile::new().unwrap();
    for (size, fits) in [(LARGEST, true), (LARGEST + 1, false)] {
        std::fs::write(place.path(), "x".repeat(size as usize)).unwrap();
        assert_eq!(read(place.path()).await.is_ok(), fits, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_run_ahead_of_a_read() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("secret");
    std::fs::write(&path, "x").unwrap();
    let before = tokio::time::Instant::now();
    let limited = tokio::time::timeout(Duration::from_secs(1), read(&path)).await;
    assert!(limited.unwrap().is_ok());
    assert_eq!(tokio::time::Instant::now(), before);
}

#[tokio::test]
async fn eight_reads_may_hang_and_a_ninth_is_not_started() {
    static GATE: Lock<()> = Lock::new(());
    fn how(_: &Path) -> Outcome {
        drop(GATE.lock());
        Ok(secret())
    }
    let (reads, closed) = (Reads::default(), GATE.lock());
    for n in 0..=HANGING {
        let path = PathBuf::from(format!("/mnt/tenant-{n}"));
        let failure = reads.read(&path, Duration::from_millis(5), how).await.unwrap_err();
        assert_eq!(matches!(failure, Failure::OthersHang), n == HANGING, "{n}: {failure:?}");
    }
    drop(closed);
}

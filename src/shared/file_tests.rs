use tempfile::TempDir;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_disk_that_hangs_does_not_occupy_all_threads() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2 * THREADS).build();
    let (runtime, store) = (runtime.unwrap(), FileStore::new("unused"));
    let disk = Arc::new(Lock::new(()));
    let hangs = disk.lock();
    let read = runtime.block_on(async {
        for _ in 0..100 {
            let disk = Arc::clone(&disk);
            let operation = store.blocking(move |_, _, _| {
                drop(disk.lock());
                Ok(())
            });
            assert!(tokio::time::timeout(Duration::from_millis(1), operation).await.is_err());
        }
        // Like a credential file.
        tokio::time::timeout(Duration::from_secs(60), tokio::task::spawn_blocking(|| ())).await
    });
    drop(hangs);
    assert!(read.is_ok());
}

#[tokio::test]
async fn no_foreign_file_is_deleted() {
    // FA1
    let place = TempDir::new().unwrap();
    let ours = "0123456789abcdefghijABCDEFGHIJ-_";
    let foreign = [
        "dependencies-of-the-billing-frontend.lock".to_owned(),
        "refresh-token-of-the-nightly-report-job.token".to_owned(),
        // As long as this crate's names, and of the same characters.
        format!("{}.token", "x".repeat(NAME)),
        format!("{}.lock", "y".repeat(NAME + UNFINISHED)),
        "write.lock".to_owned(),
    ];
    for name in &foreign {
        let file = File::create(place.path().join(name)).unwrap();
        (&file).write_all(b"mine").unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    let empty = place.path().join(format!("{}.token", "z".repeat(NAME)));
    File::create(&empty).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let store = FileStore::new(place.path());
    store.put(ours, b"old", Duration::ZERO).await.unwrap();
    assert!(store.lease(ours, "me", Duration::ZERO).await.unwrap());
    store.put("another", b"new", HOUR).await.unwrap();
    for name in &foreign {
        assert_eq!(fs::read(place.path().join(name)).unwrap(), b"mine", "{name}");
    }
    assert!(empty.exists());
    for end in [RECORD, LOCK] {
        assert!(!place.path().join(format!("{ours}{end}")).exists(), "{end}: ours is deleted");
    }
}

#[test]
fn what_is_swept_has_name_and_content_of_ours_and_has_expired() {
    let place = TempDir::new().unwrap();
    let now = crate::clock::manual::clock().0.now();
    let (past, over) = (system(now.wall() - HOUR), system(now.wall()));
    let later = system(now.wall() + Duration::from_secs(1));
    let name = |length: usize, end: &str| format!("{}{end}", "x".repeat(length));
    let ours = [HEADER, &[0; 8][..]].concat();
    for (name, content, expires, stays) in [
        (name(NAME, ".token"), &ours, over, false),
        (name(NAME, ".lock"), &ours, past, false),
        (name(NAME + UNFINISHED, ".token"), &ours, past, false),
        (name(NAME, ".token"), &ours, later, true),
        (name(NAME, ".lock"), &ours, later, true),
        (name(NAME - UNFINISHED, ".token"), &ours, past, true),
        (name(NAME - 1, ".x.token"), &ours, past, true),
        (name(NAME, ".token.bak"), &ours, past, true),
        (format!("{}.token", ".".repeat(NAME)), &ours, past, true),
        (name(NAME, ".token"), &b"a token of another program".to_vec(), past, true),
    ] {
        let path = place.path().join(&name);
        fs::write(&path, content).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(expires).unwrap();
        sweep(place.path(), now).unwrap();
        assert_eq!(path.exists(), stays, "{name} {expires:?}");
        let _ = fs::remove_file(path);
    }
}

#[tokio::test]
async fn a_foreign_file_is_not_overwritten_by_a_lease() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("a.lock");
    fs::write(&path, "mine").unwrap();
    assert!(FileStore::new(place.path()).lease("a", "me", HOUR).await.is_err());
    assert_eq!(fs::read(path).unwrap(), b"mine");
}

#[cfg(unix)]
#[tokio::test]
async fn anything_but_a_regular_file_is_neither_opened_nor_followed() {
    // FA1, FA3
    let place = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    let foreign = elsewhere.path().join("empty");
    File::create(&foreign).unwrap();
    let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, place.path().join(name)).unwrap();
    let fifo = |name: &str| {
        let made = std::process::Command::new("mkfifo").arg(place.path().join(name)).status();
        assert!(made.unwrap().success());
    };
    link("a.lock", &foreign);
    link("b.lock", &elsewhere.path().join("new"));
    link("c.token", &foreign);
    fifo("d.lock");
    fifo("e.token");
    let store = FileStore::new(place.path());
    for name in ["a", "b", "d"] {
        assert!(store.lease(name, "me", HOUR).await.is_err(), "{name}");
    }
    for name in ["c", "e"] {
        assert!(store.get(name, 100).await.is_err(), "{name}");
    }
    // The file that all writers lock.
    fs::remove_file(place.path().join(GUARD_FILE)).unwrap();
    fifo(GUARD_FILE);
    assert!(store.put("f", b"x", HOUR).await.is_err());
    assert_eq!(fs::read(&foreign).unwrap(), b"");
    assert!(!elsewhere.path().join("new").exists());
}

#[tokio::test]
async fn a_lease_is_exclusive_whatever_duration_others_ask_for() {
    // FE13
    let place = TempDir::new().unwrap();
    let (one, other) = (FileStore::new(place.path()), FileStore::new(place.path()));
    for (given, wanted) in [(HOUR, Duration::from_secs(1)), (Duration::from_secs(60), HOUR)] {
        assert!(one.lease("a", "me", given).await.unwrap());
        assert!(!other.lease("a", "you", wanted).await.unwrap(), "{given:?}, {wanted:?}");
        one.release("a", "me").await.unwrap();
    }
}

#[tokio::test]
async fn a_lease_taken_before_the_clock_was_set_back_has_ended() {
    let place = TempDir::new().unwrap();
    let (one, other) = (FileStore::new(place.path()), FileStore::new(place.path()));
    assert!(one.lease("a", "me", HOUR).await.unwrap());
    let mut file = File::options().write(true).open(place.path().join("a.lock")).unwrap();
    let now = millis(Clock::System.now().wall());
    write_term(&mut file, &(now + 3_600_000..now + 7_200_000)).unwrap();
    assert!(other.lease("a", "you", HOUR).await.unwrap());
}

#[tokio::test]
async fn leases_lapse_and_records_expire_by_the_clock_of_the_test() {
    let place = TempDir::new().unwrap();
    let clock = crate::clock::ManualClock::new();
    let [one, other] = [(); 2].map(|()| FileStore::new(place.path()).clock(&clock));
    one.put("a", b"value", HOUR).await.unwrap();
    assert!(one.lease("a", "me", HOUR).await.unwrap());
    clock.advance(HOUR - Duration::from_secs(1));
    assert!(other.get("a", 100).await.unwrap().is_some());
    assert!(!other.lease("a", "you", HOUR).await.unwrap());
    clock.advance(Duration::from_secs(1));
    assert!(other.get("a", 100).await.unwrap().is_none());
    assert!(other.lease("a", "you", HOUR).await.unwrap());
    assert!(!one.lease("a", "me", HOUR).await.unwrap());
}

#[cfg(unix)]
#[tokio::test]
async fn the_directory_is_not_reached_through_a_link_of_another_user() {
    use std::os::unix::fs::{MetadataExt, lchown, symlink};
    let place = TempDir::new().unwrap();
    let (real, link) = (place.path().join("real"), place.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let ours = FileStore::new(link.join("tokens"));
    ours.put("a", b"value", HOUR).await.unwrap();
    assert!(ours.get("a", 100).await.unwrap().is_some(), "a link of ours is followed");
    // Only root can give a link away: elsewhere the rule is tested by the test above.
    if place.path().metadata().unwrap().uid() == 0 && lchown(&link, Some(4711), None).is_ok() {
        let error = ours.get("a", 100).await.unwrap_err();
        assert!(format!("{error:#}").contains("symbolic link of another user"), "{error:#}");
        assert!(ours.put("a", b"value", HOUR).await.is_err());
        assert!(ours.lease("a", "me", HOUR).await.is_err());
        assert!(ours.delete("a", b"value").await.is_err());
        assert!(FileStore::new(link.join("new")).put("a", b"value", HOUR).await.is_err());
        assert!(!real.join("new").exists());
    }
}

#[test]
fn a_process_that_keeps_writing_is_waited_for_and_not_for_ever() {
    let place = TempDir::new().unwrap();
    let other = guard(place.path()).unwrap();
    let start = Instant::now();
    let error = guard(place.path()).unwrap_err();
    // A limit from below only: this is real time.
    assert!(start.elapsed() >= GUARD && error.kind() == io::ErrorKind::WouldBlock, "{error}");
    drop(other);
    assert!(guard(place.path()).is_ok());
    assert_eq!(format!("{:?}", FileStore::new("tokens")), "FileStore(tokens)");
}

//! The cause of a failure is corrected before the next fetch is due.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::error::Look;

/// A file: whether it was corrected, and how often it was checked.
#[derive(Default)]
struct File {
    corrected: AtomicBool,
    looks: AtomicU64,
}

fn refused_with(file: &Arc<File>, error: Error) -> Reply {
    let file = Arc::clone(file);
    let look: Look = Arc::new(move || {
        let file = Arc::clone(&file);
        Box::pin(async move {
            file.looks.fetch_add(1, Ordering::SeqCst);
            file.corrected.load(Ordering::SeqCst)
        })
    });
    Reply::Fail(error.until(Some(look)))
}

fn invalid_client() -> Error {
    Error::of(ErrorKind::Denied, "invalid_client")
}

#[tokio::test]
async fn a_corrected_file_ends_the_backoff_of_a_denial_within_a_second() {
    // FB6
    let file = Arc::new(File::default());
    let denied = refused_with(&file, invalid_client());
    let server = Server::new(std::iter::repeat_n(denied, 6), Reply::New(3600));
    let tokens = cached(&server);
    // Six in a row: the next fetch would be at least 20 s away.
    while server.hits() < 6 {
        assert!(tokens.token().await.is_err());
        server.advance(seconds(1));
    }
    server.advance(seconds(1));
    assert!(tokens.token().await.is_err());
    file.corrected.store(true, Ordering::SeqCst);
    assert!(tokens.token().await.is_err(), "no caller checks twice within a second");
    server.advance(seconds(1));
    assert!(tokens.token().await.is_ok());
    assert_eq!(server.hits(), 7);
}

#[tokio::test]
async fn the_file_is_checked_once_a_second_however_many_callers_there_are_and_nothing_is_sent() {
    let file = Arc::new(File::default());
    let denied = refused_with(&file, invalid_client());
    let server = Server::new([], denied);
    let tokens = cached(&server);
    let mut elapsed = 0;
    while elapsed < 60_000 {
        for _ in 0..10 {
            assert!(tokens.token().await.is_err());
        }
        server.advance(millis(250));
        elapsed += 250;
    }
    let looks = file.looks.load(Ordering::SeqCst);
    assert!((40..=60).contains(&looks), "{looks}");
    assert!(server.hits() <= 8, "the backoff is what it was: {}", server.hits());
}

#[tokio::test]
async fn a_file_that_keeps_changing_does_not_reset_the_backoff() {
    let file = Arc::new(File::default());
    file.corrected.store(true, Ordering::SeqCst);
    let server = Server::new([], refused_with(&file, invalid_client()));
    let tokens = cached(&server);
    for _ in 0..40 {
        assert!(tokens.token().await.is_err());
        server.advance(millis(250));
    }
    assert!(server.hits() <= 11, "once a second: {}", server.hits());
    file.corrected.store(false, Ordering::SeqCst);
    let before = server.hits();
    for _ in 0..80 {
        assert!(tokens.token().await.is_err());
        server.advance(millis(250));
    }
    assert!(server.hits() <= before + 2, "{} more", server.hits() - before);
}

#[tokio::test]
async fn a_wait_that_the_server_asked_for_is_not_cut_short() {
    let file = Arc::new(File::default());
    file.corrected.store(true, Ordering::SeqCst);
    let error = invalid_client().with_retry_after(seconds(30));
    let server = Server::new([refused_with(&file, error)], Reply::New(3600));
    let tokens = cached(&server);
    assert!(tokens.token().await.is_err());
    server.advance(seconds(29));
    assert!(tokens.token().await.is_err());
    assert_eq!((server.hits(), file.looks.load(Ordering::SeqCst)), (1, 0));
    server.advance(seconds(2));
    assert!(tokens.token().await.is_ok());
}

#[tokio::test]
async fn a_call_checks_the_file_once_even_if_that_takes_long() {
    let (file, clock) = (Arc::new(File::default()), Arc::new(std::sync::OnceLock::<ManualClock>::new()));
    let (checked, hands) = (Arc::clone(&file), Arc::clone(&clock));
    let look: Look = Arc::new(move || {
        checked.looks.fetch_add(1, Ordering::SeqCst);
        if let Some(hands) = hands.get() {
            hands.advance(seconds(2));
        }
        Box::pin(std::future::ready(false))
    });
    let server = Server::new([], Reply::Fail(invalid_client().until(Some(look))));
    let tokens = with_policy(&server, CachePolicy::default());
    // Six in a row: the next fetch would be at least 20 s away.
    while server.hits() < 6 {
        assert!(tokens.token().await.is_err());
        server.advance(seconds(1));
    }
    clock.set(server.hands.clone()).unwrap();
    server.advance(seconds(1));
    let before = file.looks.load(Ordering::SeqCst);
    assert!(tokens.token().await.is_err());
    assert_eq!(file.looks.load(Ordering::SeqCst), before + 1);
}

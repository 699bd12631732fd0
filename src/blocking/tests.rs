//! Synchronous code: threads, counts, gates; no sleeps.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Barrier, Condvar, Mutex};

use super::*;
use crate::cache::Cached;
use crate::clock::ManualClock;
use crate::future::TokenFuture;

/// An authorization server that responds while its gate is open.
#[derive(Debug, Default)]
struct Server {
    asked: AtomicU32,
    closed: Mutex<bool>,
    opened: Condvar,
    clock: Option<ManualClock>,
}

const HOUR: Duration = Duration::from_secs(3600);
/// Only so that a test does not hang.
const MINUTE: Duration = Duration::from_secs(60);

impl TokenSource for Arc<Server> {
    fn token(&self) -> TokenFuture<'_> {
        TokenFuture::new(async {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            // It has its own thread, which it may block.
            let closed = self.closed.lock().unwrap();
            drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
            let token = AccessToken::builder(format!("t{number}")).lifetime(HOUR);
            match &self.clock {
                Some(clock) => token.clock(clock).build(),
                None => token.build(),
            }
        })
    }
    fn reject(&self, _: &AccessToken) {}
}

impl Server {
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn wait_until_asked(&self, times: u32) {
        let start = std::time::Instant::now();
        while self.asked() < times {
            assert!(start.elapsed() < MINUTE, "asked {} times", self.asked());
            thread::yield_now();
        }
    }
}

fn start() -> (Arc<Server>, Tokens) {
    let server = Arc::<Server>::default();
    let tokens = Tokens::new(Cached::new(Arc::clone(&server)));
    (server, tokens)
}

fn secret(token: Result<AccessToken, Error>) -> String {
    token.unwrap().expose_secret().to_owned()
}

#[test]
fn without_tokio_a_token_is_fetched_once() {
    let (server, tokens) = start();
    assert_eq!(secret(tokens.token()), "t1");
    assert_eq!(secret(tokens.clone().token()), "t1");
    assert_eq!(server.asked(), 1);
}

#[test]
fn on_threads_of_a_tokio_runtime_it_blocks_and_does_not_panic() {
    for runtime in [Builder::new_current_thread().build().unwrap(), Builder::new_multi_thread().build().unwrap()] {
        let (_, tokens) = start();
        let task = runtime.spawn({
            let tokens = tokens.clone();
            async move { secret(tokens.token()) }
        });
        assert_eq!(runtime.block_on(task).unwrap(), "t1");
        let (_, tokens) = start();
        assert_eq!(runtime.block_on(async { secret(tokens.token()) }), "t1");
    }
}

#[test]
fn in_drop_and_while_panicking_a_token_is_returned() {
    struct Goodbye(Tokens, mpsc::Sender<String>);
    impl Drop for Goodbye {
        fn drop(&mut self) {
            self.1.send(secret(self.0.token())).unwrap();
        }
    }
    let (said, heard) = mpsc::channel();
    let (_, tokens) = start();
    let goodbye = Goodbye(tokens, said);
    let runtime = Builder::new_current_thread().build().unwrap();
    let task = runtime.spawn(async move {
        let _goodbye = goodbye;
        panic!("the task ends");
    });
    runtime.block_on(task).unwrap_err();
    assert_eq!(heard.recv_timeout(MINUTE).unwrap(), "t1");
}

#[test]
fn sixty_four_foreign_threads_wait_for_one_fetch() {
    let (server, tokens) = start();
    server.close();
    let start = Barrier::new(65);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..64)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    secret(tokens.token())
                })
            })
            .collect();
        start.wait();
        server.wait_until_asked(1);
        server.open();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == "t1"));
    });
    assert_eq!(server.asked(), 1);
}

#[test]
fn a_due_token_is_returned_at_once_and_refreshed_in_the_background() {
    let clock = ManualClock::new();
    let server = Arc::new(Server { clock: Some(clock.clone()), ..Server::default() });
    let tokens = Tokens::new(Cached::new(Arc::clone(&server)).clock(&clock));
    assert_eq!(secret(tokens.token()), "t1");
    clock.advance(Duration::from_secs(3300));
    // Behind a closed gate, so that no caller can have waited for it.
    server.close();
    assert_eq!(secret(tokens.token()), "t1");
    server.wait_until_asked(2);
    server.open();
    let start = std::time::Instant::now();
    while secret(tokens.token()) == "t1" {
        assert!(start.elapsed() < MINUTE);
        thread::yield_now();
    }
    assert_eq!((secret(tokens.token()).as_str(), server.asked()), ("t2", 2));
}

#[test]
fn a_wait_ends_at_its_timeout_and_the_fetch_continues() {
    let (server, tokens) = start();
    server.close();
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        let error = tokens.token_within(limit).unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Transport, true));
        assert!(error.to_string().contains(&format!("{limit:?}")), "{error}");
    }
    server.open();
    assert_eq!(secret(tokens.token_within(MINUTE)), "t1");
    assert_eq!(server.asked(), 1);
}

#[test]
fn a_rejected_token_is_replaced() {
    let (server, tokens) = start();
    let first = tokens.token().unwrap();
    tokens.reject(&first);
    assert_eq!(secret(tokens.token()), "t2");
    tokens.reject(&first);
    assert_eq!((secret(tokens.token()).as_str(), server.asked()), ("t2", 2), "a late rejection");
}

#[test]
fn a_source_that_calls_its_own_thread_gets_an_error_instead_of_waiting_for_ever() {
    let (_, inner) = start();
    // It runs already, so that the thread is known.
    let (_, other) = start();
    other.token().unwrap();
    let outer = Tokens::new(Cached::new(crate::source::source_fn(move || {
        let token = inner.token();
        async { token }
    })));
    let error = outer.token_within(MINUTE).unwrap_err();
    assert!(error.to_string().contains("deadlock"), "{error}");
}

#[test]
fn a_source_that_panics_is_an_error() {
    #[derive(Debug)]
    struct Panics(bool);
    impl TokenSource for Panics {
        fn token(&self) -> TokenFuture<'_> {
            if self.0 {
                panic!("at once");
            }
            TokenFuture::new(async { panic!("when polled") })
        }
        fn reject(&self, _: &AccessToken) {
            panic!("rejected");
        }
    }
    for at_once in [true, false] {
        let tokens = Tokens::new(Panics(at_once));
        let error = tokens.token_within(MINUTE).unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
        tokens.reject(&AccessToken::builder("x").build().unwrap());
    }
    let (_, tokens) = start();
    assert_eq!(secret(tokens.token()), "t1", "the thread lives");
}

//! What threads share: a lock, and which of them one is.
//!
//! The only place that knows that a model checker may be running the threads: under `--cfg shuttle` the lock is
//! shuttle's, see `tests/races.rs` beside this file.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(all(test, shuttle))]
use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, shuttle)))]
use std::sync::{Mutex, MutexGuard};

/// A mutex that no panic poisons: no code of a user runs under it, and none of ours leaves anything half done.
#[derive(Debug, Default)]
pub(super) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(super) fn new(value: T) -> Self {
        Lock(Mutex::new(value))
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A small number that no other thread has.
#[inline]
pub(super) fn my_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    #[cfg(all(test, shuttle))]
    if let Some(task) = shuttle::current::try_get_current_task() {
        return task.into();
    }
    // A thread that is going down has lost its thread-locals.
    NUMBER.try_with(|number| *number).unwrap_or_default()
}

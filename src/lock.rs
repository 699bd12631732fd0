//! A lock that no panic poisons, and a number for each thread.
//!
//! Under `--cfg shuttle` the lock is that of the model checker, see `cache/tests/races.rs`.

#[cfg(not(all(test, shuttle)))]
use std::sync::Mutex;
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::MutexGuard as Guard;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(all(test, shuttle))]
use shuttle::sync::Mutex;
#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::MutexGuard as Guard;

/// A mutex that ignores poison: our own code does not panic halfway through an update, and no user code runs under it but
/// `Clone` of the service of a tower layer, before anything is changed.
#[derive(Debug, Default)]
pub(crate) struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Lock(Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A small number that no other thread has.
#[inline]
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    #[cfg(all(test, shuttle))]
    if let Some(task) = shuttle::current::try_get_current_task() {
        return task.into();
    }
    // A thread that is shutting down has lost its thread-locals.
    NUMBER.try_with(|number| *number).unwrap_or_default()
}

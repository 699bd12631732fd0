//! What threads share: a lock, and which of them one is.
//!
//! The only place that knows that a model checker may be running the threads: under test a lock that is made inside an
//! execution of shuttle's is one of shuttle's, see `tests/races.rs` beside this file.

use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(test)]
pub(super) use checked::Lock;
#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex that no panic poisons: no code of a user runs under it, and none of ours leaves anything half done.
#[cfg(not(test))]
#[derive(Debug, Default)]
pub(super) struct Lock<T>(Mutex<T>);

#[cfg(not(test))]
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
    #[cfg(test)]
    if let Some(task) = shuttle::current::try_get_current_task() {
        return task.into();
    }
    // A thread that is going down has lost its thread-locals.
    NUMBER.try_with(|number| *number).unwrap_or_default()
}

#[cfg(test)]
mod checked {
    use std::ops::{Deref, DerefMut};
    use std::sync::PoisonError;

    #[derive(Debug)]
    pub(in crate::cache) enum Lock<T> {
        Real(std::sync::Mutex<T>),
        Checked(shuttle::sync::Mutex<T>),
    }

    pub(in crate::cache) enum Guard<'a, T> {
        Real(std::sync::MutexGuard<'a, T>),
        Checked(shuttle::sync::MutexGuard<'a, T>),
    }

    impl<T> Lock<T> {
        pub(in crate::cache) fn new(value: T) -> Self {
            match shuttle::current::try_get_current_task() {
                Some(_) => Lock::Checked(shuttle::sync::Mutex::new(value)),
                None => Lock::Real(std::sync::Mutex::new(value)),
            }
        }

        pub(in crate::cache) fn lock(&self) -> Guard<'_, T> {
            match self {
                Lock::Real(lock) => Guard::Real(lock.lock().unwrap_or_else(PoisonError::into_inner)),
                Lock::Checked(lock) => Guard::Checked(lock.lock().unwrap_or_else(PoisonError::into_inner)),
            }
        }
    }

    impl<T: Default> Default for Lock<T> {
        fn default() -> Self {
            Lock::new(T::default())
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            match self {
                Guard::Real(guard) => guard,
                Guard::Checked(guard) => guard,
            }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            match self {
                Guard::Real(guard) => guard,
                Guard::Checked(guard) => guard,
            }
        }
    }
}

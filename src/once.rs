//! Something that is reported once.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct Once(AtomicBool);

impl Once {
    #[cfg(feature = "blocking")]
    pub(crate) const fn new() -> Self {
        Once(AtomicBool::new(false))
    }

    /// Returns whether this is the first call.
    pub(crate) fn first(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

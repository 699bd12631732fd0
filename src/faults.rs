//! The faults of a configuration, by field.

use std::fmt;

use crate::error::{Error, ErrorKind};

#[derive(Default)]
pub(super) struct Faults(Vec<String>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, flaw: impl fmt::Display) {
        self.0.push(format!("{field} {flaw}"));
    }

    pub(super) fn extend<F: AsRef<str>>(&mut self, faults: impl IntoIterator<Item = (F, String)>) {
        for (field, flaw) in faults {
            self.add(field.as_ref(), flaw);
        }
    }

    /// The value, or `None` and a fault.
    pub(super) fn take<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|flaw| self.add(field, flaw)).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<String> {
        self.0
    }

    pub(super) fn into_error(self) -> Error {
        Error::of(ErrorKind::Configuration, format!("the configuration is not usable: {}", self.0.join("; ")))
    }
}

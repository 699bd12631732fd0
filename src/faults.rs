//! The faults of a configuration, by setter.

use std::fmt;

use crate::error::{Error, ErrorKind};

#[derive(Default)]
pub(crate) struct Faults(Vec<String>);

impl Faults {
    pub(crate) fn add(&mut self, field: &str, flaw: impl fmt::Display) {
        self.0.push(format!("{field} {flaw}"));
    }

    pub(crate) fn extend<F: AsRef<str>>(&mut self, faults: impl IntoIterator<Item = (F, String)>) {
        for (field, flaw) in faults {
            self.add(field.as_ref(), flaw);
        }
    }

    /// The value, or `None` and a fault.
    pub(crate) fn take<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|flaw| self.add(field, flaw)).ok()
    }

    pub(crate) fn into_list(self) -> Vec<String> {
        self.0
    }

    /// The value, unless there are faults of `what`.
    pub(crate) fn none_in<T>(self, what: &str, value: Option<T>) -> Result<T, Error> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Error::of(ErrorKind::Configuration, format!("{what} is not usable: {}", self.0.join("; ")))),
        }
    }
}

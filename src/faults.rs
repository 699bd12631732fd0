//! The faults of a configuration, by setter.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// Each with the field that has it.
#[derive(Default)]
pub(crate) struct Faults(Vec<(String, String)>);

impl Faults {
    pub(crate) fn add(&mut self, field: &str, flaw: impl fmt::Display) {
        self.0.push((field.to_owned(), flaw.to_string()));
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

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines_with(|field| field)
    }

    /// `name` returns how the user knows a field.
    pub(crate) fn lines_with(&self, name: impl Fn(&str) -> &str) -> Vec<String> {
        self.0.iter().map(|(field, flaw)| format!("{} {flaw}", name(field))).collect()
    }

    /// The value, unless there are faults of `what`.
    pub(crate) fn none_in<T>(self, what: &str, value: Option<T>) -> Result<T, Error> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => {
                let lines = self.lines().join("; ");
                Err(Error::of(ErrorKind::Configuration, format!("{what} is not usable: {lines}")))
            }
        }
    }
}

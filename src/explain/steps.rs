//! The steps of an examination, each with its duration.

use std::time::Instant;

use super::diagnosis::{Outcome, Step};
use crate::contained::contained;

pub(super) type Progress = dyn Fn(&str) + Send + Sync;

/// The steps so far.
pub(super) struct Steps<'a> {
    pub(super) all: Vec<Step>,
    /// The end of the last step.
    start: Instant,
    progress: Option<&'a Progress>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(progress: Option<&'a Progress>) -> Self {
        Steps { all: Vec::new(), start: Instant::now(), progress }
    }

    /// Adds a step that ends now and began when the previous one ended.
    pub(super) fn add(&mut self, name: &'static str, outcome: Outcome, details: Vec<String>) {
        let now = Instant::now();
        let step = Step { name, outcome, details, duration: now.duration_since(self.start) };
        self.start = now;
        self.tell(&step.to_string());
        self.all.push(step);
    }

    pub(super) fn tell(&self, line: &str) {
        if let Some(progress) = self.progress {
            // A panic in the user's closure does not end the examination.
            let _ = contained(|| progress(line));
        }
    }
}

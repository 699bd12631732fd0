//! The resources of this process; 0 where there is no `/proc`.

use std::fmt;

#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) kib: u64,
    pub(crate) threads: u64,
    pub(crate) files: u64,
    pub(crate) tasks: u64,
}

impl Held {
    pub(crate) fn now(tasks: usize) -> Held {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Held { kib: number("VmRSS:"), threads: number("Threads:"), files: files as u64, tasks: tasks as u64 }
    }

    pub(crate) fn at_most(self, other: Held) -> Held {
        Held {
            kib: self.kib.max(other.kib),
            threads: self.threads.max(other.threads),
            files: self.files.max(other.files),
            tasks: self.tasks.max(other.tasks),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Held { kib, threads, files, tasks } = self;
        write!(f, "{kib} KiB, {threads} threads, {files} file descriptors, {tasks} tasks")
    }
}

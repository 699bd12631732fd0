//! A test in a process of its own, where the environment or the memory of the whole process matters.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

const MARK: &str = "WIRE_TEST_CHILD";

/// Runs the test of this name (with its modules) again, alone in a new process with these variables.
///
/// `None` inside that process. The test panics there as it would here; see [`assert_passed`].
pub(crate) fn run<V: AsRef<OsStr>>(test: &str, env: &[(&str, V)]) -> Option<Output> {
    if std::env::var_os(MARK).is_some_and(|name| name == test) {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(MARK, test)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some(output)
}

/// Panics with the output of the child if it failed, or did not run.
pub(crate) fn assert_passed(output: &Output) {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && out.contains("1 passed"), "in the child: {out}\n{err}");
}

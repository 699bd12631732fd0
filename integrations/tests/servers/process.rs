//! A server in a process of its own, for as long as a test holds on to it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Result;

/// Killed when dropped, with what it started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stderr: Arc<Mutex<String>>,
}

/// How long a server may take until it says where it listens: interpreters start slowly on a loaded machine.
const START: Duration = Duration::from_secs(60);

impl Process {
    /// Starts it, and waits for the first line that it prints.
    ///
    /// Its standard input stays open until it is dropped: a server that ends with its input ends even if the test is
    /// killed.
    pub(crate) fn start(command: &mut Command) -> Result<(Process, String)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that its children can be killed with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut child = command.spawn().map_err(|e| format!("{command:?} does not start: {e} (run .ci/servers)"))?;
        let (stdout, mut errors) = match (child.stdout.take(), child.stderr.take()) {
            (Some(stdout), Some(stderr)) => (stdout, stderr),
            _ => return Err("its output is not ours".into()),
        };
        let process = Process { child, stderr: Arc::default() };

        let stderr = process.stderr.clone();
        let drained = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = errors.read(&mut chunk) {
                let text = String::from_utf8_lossy(chunk.get(..n).unwrap_or_default());
                stderr.lock().unwrap_or_else(|e| e.into_inner()).push_str(&text);
            }
        });
        let (said, hear) = channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            if let Some(Ok(line)) = lines.next() {
                let _ = said.send(line);
            }
            drop(said);
            // Read to its end: a full pipe would block the server.
            lines.for_each(drop);
        });
        match hear.recv_timeout(START) {
            Ok(line) => Ok((process, line)),
            Err(reason) => {
                if reason == std::sync::mpsc::RecvTimeoutError::Disconnected {
                    let _ = drained.join();
                }
                Err(format!(
                    "{command:?} did not say where it listens ({reason}; run .ci/servers); it said:\n{}",
                    process.stderr()
                )
                .into())
            }
        }
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<(Process, String)> {
        Process::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn the_first_line_is_waited_for_and_the_rest_does_not_block() -> Result {
        let (_server, line) = shell("echo ports; yes | head -c 1000000; cat")?;
        assert_eq!(line, "ports");
        Ok(())
    }

    #[test]
    fn a_server_that_does_not_start_reports_why() -> Result {
        let error = shell("echo no such module >&2; exit 1").err().ok_or("it started")?;
        assert!(error.0.contains("no such module"), "{error:?}");
        let error = Process::start(&mut Command::new("no-such-interpreter")).err();
        assert!(error.is_some_and(|e| e.0.contains(".ci/servers")));
        Ok(())
    }

    #[test]
    fn its_child_processes_end_with_it() -> Result {
        // The child holds the other end of standard output: `lines` ends when it is gone.
        let (server, child) = shell("sleep 600 & echo $!; wait")?;
        let alive = |pid: &str| Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status();
        assert!(alive(&child)?.success());
        drop(server);
        // Whoever reaps orphans here may take a moment: a zombie still counts as alive.
        for _ in 0..1000 {
            if !alive(&child)?.success() || is_zombie(&child) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err("its child lives on".into())
    }

    fn is_zombie(pid: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }
}

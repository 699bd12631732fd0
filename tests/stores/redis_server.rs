//! A real `redis-server`, for as long as a test holds on to it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Killed when dropped.
pub(crate) struct Redis {
    child: Option<Child>,
    pub(crate) port: u16,
    arguments: Vec<String>,
    directory: TempDir,
}

/// A port that is free now.
fn free_port() -> u16 {
    // A node of a cluster has another port, 10 000 above.
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

impl Redis {
    pub(crate) fn start(arguments: &[&str]) -> Redis {
        let mut redis = Redis {
            child: None,
            port: free_port(),
            arguments: arguments.iter().map(|one| (*one).to_owned()).collect(),
            directory: TempDir::new().unwrap(),
        };
        redis.run();
        redis
    }

    /// With TLS only, by this certificate and key in PEM.
    pub(crate) fn start_tls(certificate: &str, key: &str) -> Redis {
        let files = TempDir::new().unwrap();
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (certificate, key) = (file("crt", certificate), file("key", key));
        let mut redis = Redis { child: None, port: free_port(), arguments: Vec::new(), directory: files };
        let port = redis.port.to_string();
        redis.arguments = [
            "--tls-port",
            &port,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-auth-clients",
            "no",
            "--tls-ca-cert-file",
            &certificate,
        ]
        .map(str::to_owned)
        .to_vec();
        redis.run();
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it, again, at the same port, and with nothing in it.
    pub(crate) fn run(&mut self) {
        let port = match self.arguments.first().map(String::as_str) {
            Some("--tls-port") => 0,
            _ => self.port,
        };
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--port")
            .arg(port.to_string())
            .arg("--dir")
            .arg(self.directory.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = command.spawn();
        self.child = Some(child.expect("redis-server does not start (run .ci/stores)"));
        // A loaded machine takes its time.
        for _ in 0..1000 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not listen");
    }

    /// What `redis-cli` prints.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

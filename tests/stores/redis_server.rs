//! A real `redis-server`, until the test drops it; or what the variable `REDIS_SERVER` names, Valkey for instance.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::tls::Client;

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
        Redis::behind_tls(certificate, key, certificate, "no")
    }

    /// The same for clients that present a certificate of this authority.
    pub(crate) fn start_mutual_tls(certificate: &str, key: &str, authority: &str) -> Redis {
        Redis::behind_tls(certificate, key, authority, "yes")
    }

    fn behind_tls(certificate: &str, key: &str, authority: &str, clients: &str) -> Redis {
        let files = TempDir::new().unwrap();
        let file = |name: &str, text: &str| {
            let path = files.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (certificate, key, authority) = (file("crt", certificate), file("key", key), file("ca", authority));
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
            clients,
            "--tls-ca-cert-file",
            &authority,
        ]
        .map(str::to_owned)
        .to_vec();
        redis.run();
        redis
    }

    /// Watches over a master, which it calls `mymaster`.
    pub(crate) fn start_sentinel(master: u16) -> Redis {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("sentinel.conf");
        // One sentinel is a majority of one, and takes a second for an outage.
        let lines = format!(
            "sentinel monitor mymaster 127.0.0.1 {master} 1\nsentinel down-after-milliseconds mymaster 1000\n\
             sentinel failover-timeout mymaster 10000\n"
        );
        std::fs::write(&path, lines).unwrap();
        let arguments = vec!["--sentinel".to_owned(), path.display().to_string()];
        let mut redis = Redis { child: None, port: free_port(), arguments, directory };
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

    /// Starts it again, at the same port, and without data.
    pub(crate) fn run(&mut self) {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let mut command = Command::new(&program);
        match self.arguments.first().map(String::as_str) {
            Some("--sentinel") => {
                command.args(self.arguments.get(1)).arg("--port").arg(self.port.to_string()).arg("--sentinel");
            }
            first => {
                let port = if first == Some("--tls-port") { 0 } else { self.port };
                command.args(["--save", "", "--appendonly", "no", "--port"]).arg(port.to_string());
                command.args(&self.arguments);
            }
        }
        command.args(["--bind", "127.0.0.1", "--dir"]).arg(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{program} does not start (run .ci/stores): {error}"));
        self.child = Some(child);
        // A loaded machine is slow.
        for _ in 0..1000 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{program} does not listen");
    }

    /// What `redis-cli` prints.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        let output = command.args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same over TLS, with this client certificate.
    pub(crate) fn cli_tls(&self, client: &Client, arguments: &[&str]) -> String {
        let file = |name: &str, text: &str| {
            let path = self.directory().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let port = self.port.to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port, "--tls", "--insecure", "--cert"]).arg(file("cli.crt", &client.certificate));
        let output = command.arg("--key").arg(file("cli.key", &client.key)).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
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

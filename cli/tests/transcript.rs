//! The mistakes in the guide "getting started", made again: what the guide shows is what the command prints.
//! `BLESS=1` writes them into the guide.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

use std::process::{Command, Stdio};
use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint, Quirk};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/docs/getting_started.md");
const BEGIN: &str = "<!-- begin: written by cli/tests/transcript.rs -->\n";
const END: &str = "<!-- end -->\n";
const SECRET: &str = "a-secret";

fn diagnosed(title: &str, server: &AuthorizationServer, secret: &str, flags: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), secret).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_client-credentials"));
    command.env_clear().stdin(Stdio::null()).current_dir(directory.path());
    command.args(["diagnose", "--client-id", "billing", "--secret-file", "secret"]);
    if !flags.contains(&"--token-endpoint") {
        command.args(["--token-endpoint", server.token_url()]);
    }
    let output = command.args(flags).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, verdict) = text.split_once("\n\n").unwrap();
    // The system chooses the ports.
    let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
    let verdict = verdict
        .replace(server.api_origin(), "https://api.example.com")
        .replace(server.issuer(), "https://auth.example.com")
        .replace(&port(server.issuer()), "443");
    let flags: Vec<_> = flags.iter().map(|flag| flag.replace(server.issuer(), "https://auth.example.com")).collect();
    let flags: Vec<_> = flags.iter().map(|flag| flag.replace(server.api_origin(), "https://api.example.com")).collect();
    let line = ["$ client-credentials diagnose", &flags.join(" ")].join(" ");
    format!("{title}:\n\n```text\n{}\n..\n{}\n```\n\n", line.trim_end(), wrapped(verdict.trim_end()))
}

/// At 80 columns: more would need a scroll bar in the guide.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut width = 0;
        for (n, word) in line.split(' ').enumerate() {
            if n > 0 {
                let fits = width + 1 + word.len() <= 80;
                out.push_str(if fits { " " } else { "\n    " });
                width = if fits { width + 1 } else { 4 };
            }
            out.push_str(word);
            width += word.len();
        }
        out.push('\n');
    }
    out.trim_end().to_owned()
}

fn transcript() -> String {
    let server = || AuthorizationServer::start().client("billing", SECRET);
    let oauth = |status: u16, code: &str, description: &str| {
        let body = format!(r#"{{"error":"{code}","error_description":"{description}"}}"#);
        Answer::Response(http(status).body(body).unwrap())
    };
    let mut out = String::new();
    out += &diagnosed("1. The secret file ends with a space", &server(), "a-secret \n", &[]);
    out += &diagnosed(
        "2. The secret belongs to another client",
        &server(),
        "another",
        &["--method", "client_secret_post"],
    );
    let one = server();
    one.until_changed(oauth(401, "invalid_client", "Client authentication failed"));
    out += &diagnosed("3. The secret has a plus sign, and the server does not decode", &one, "a+b/c=", &[]);
    let one = server();
    one.until_changed(oauth(400, "unauthorized_client", "Client not enabled to retrieve service account"));
    out += &diagnosed("4. Service accounts are off (Keycloak)", &one, SECRET, &[]);
    let one = server();
    one.until_changed(Answer::Status(404));
    let wrong = format!("{}/oauth", one.issuer());
    out += &diagnosed("5. The URL is not that of the token endpoint", &one, SECRET, &["--token-endpoint", &wrong]);
    let one = server().quirk(Quirk::Auth0);
    out += &diagnosed("6. The audience is missing (Auth0)", &one, SECRET, &[]);
    let one = server().scopes(["read"]).api_scope("write");
    let api = format!("{}/invoices", one.api_origin());
    out += &diagnosed("7. The API requires another scope", &one, SECRET, &["--scope", "read", "--api", &api]);
    let one = server();
    one.until_changed(Answer::RetryAfter(Duration::from_secs(30)));
    one.until_changed_at(Endpoint::Metadata, Answer::Status(404));
    out += &diagnosed("8. A loop in another program uses up the quota", &one, SECRET, &[]);
    out
}

fn http(status: u16) -> http::response::Builder {
    http::Response::builder().status(status).header("content-type", "application/json")
}

#[test]
fn the_guide_shows_what_the_command_prints() {
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let (before, rest) = guide.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    let actual = transcript();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GUIDE, format!("{before}{BEGIN}{actual}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(shown, actual, "write it with BLESS=1");
    assert!(!actual.contains(SECRET), "{actual}");
}

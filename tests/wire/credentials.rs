//! Family X for secrets: their origins, and fetches that wait for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client_credentials::{CachePolicy, ClientAuth, ClientCredentials, Credential, ErrorKind, ManualClock, TokenState};

use crate::harness::canary::{SECRET, TOKEN, assert_no_canary, render_all};
use crate::harness::child;
use crate::harness::server::{Gate, HANG_TIMEOUT, Server, Step, json, json_ok, ok, response, token_json};
use crate::story::{SOON, builder, builder_with, recovers};

/// A directory that is removed afterwards.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("client-credentials-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("secret")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn in_form(server: &Server, credential: Credential) -> client_credentials::ClientCredentialsBuilder {
    builder_with(&server.url("/token"), ClientAuth::client_secret_post("wire", credential))
}

fn secrets_seen(server: &Server) -> Vec<String> {
    let requests = server.requests();
    let bodies = requests.iter().map(|request| request.body());
    bodies.filter_map(|body| body.split("client_secret=").nth(1).map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_replaced_file_is_read_for_the_next_token() {
    // X01
    let directory = Directory::new("x01");
    std::fs::write(directory.file(), "first\n").unwrap();
    let server = Server::start([json_ok(TOKEN, 3600)]);
    let tokens = in_form(&server, Credential::file(directory.file())).build().unwrap();
    let token = tokens.token().await.unwrap();
    let next = directory.0.join("next");
    std::fs::write(&next, "second\r\n").unwrap();
    std::fs::rename(next, directory.file()).unwrap();
    tokens.token().await.unwrap();
    assert_eq!(server.hits(), 1, "a rotated secret keeps the valid token");
    tokens.reject(&token);
    tokens.token().await.unwrap();
    assert_eq!(secrets_seen(&server), ["first", "second"], "one trailing newline is dropped");
}

#[tokio::test]
async fn a_revoked_secret_is_read_again_and_tried_at_once() {
    // X02
    let directory = Directory::new("x02");
    std::fs::write(directory.file(), "revoked").unwrap();
    let gate = Gate::closed();
    let refusal = response(401, &[], r#"{"error":"invalid_client"}"#);
    let server = Server::start([vec![Step::ReadReq, Step::Pass(gate.clone()), Step::Write(refusal)], ok(TOKEN)]);
    let tokens = in_form(&server, Credential::file(directory.file())).build().unwrap();
    let replace = async {
        server.hit(1).await;
        std::fs::write(directory.file(), "new").unwrap();
        gate.open();
    };
    let (token, ()) = tokio::join!(tokens.token(), replace);
    assert_eq!(token.unwrap().expose_secret(), TOKEN);
    assert_eq!(secrets_seen(&server), ["revoked", "new"]);
}

#[tokio::test]
async fn a_missing_file_is_not_a_permanent_failure() {
    // X05: an error without a token; then the file is back
    let directory = Directory::new("x05");
    let server = Server::start([ok(TOKEN)]);
    let tokens = in_form(&server, Credential::file(directory.file())).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.is_transient());
    assert!(error.to_string().contains("secret"), "it names the file: {error}");
    assert_eq!(server.connections(), 0);
    std::fs::write(directory.file(), SECRET).unwrap();
    recovers("X05", &tokens).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_a_secret_is_refused_without_being_shown() {
    // X05, F05
    let directory = Directory::new("f05");
    let server = Server::start([ok(TOKEN)]);
    let large = SECRET.repeat(50_000);
    let not_utf8 = [SECRET.as_bytes(), &[0xff]].concat();
    let contents: [&[u8]; 6] = [
        b"",
        b"\n",
        &[SECRET.as_bytes(), b"\n\n"].concat(),
        &[SECRET.as_bytes(), b"\n", SECRET.as_bytes()].concat(),
        &not_utf8,
        large.as_bytes(),
    ];
    for content in contents {
        std::fs::write(directory.file(), content).unwrap();
        let tokens = in_form(&server, Credential::file(directory.file())).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credential, "{error}");
        assert_no_canary([render_all(&error)]);
    }
    let tokens = in_form(&server, Credential::file(&directory.0)).build().unwrap();
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Credential, "a directory");
    assert_eq!(server.connections(), 0);
}

/// How a vault fails.
#[derive(Clone, Copy, Debug)]
enum Vault {
    Fails,
    Panics,
    Hangs,
    LineBreak,
    Empty,
}

/// The canary, then `faulty` readings that fail in this way, then the canary again.
fn vault(way: Vault, good: usize, faulty: usize) -> (Credential, Arc<AtomicUsize>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    let credential = Credential::from_fn(move || {
        let read = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if read < good || read >= good + faulty {
                return Ok(SECRET.to_owned());
            }
            match way {
                Vault::Fails => Err(std::io::Error::other("the vault is sealed")),
                // The text of a careless panic, which this crate does not repeat.
                Vault::Panics => std::panic::panic_any(SECRET),
                Vault::Hangs => std::future::pending().await,
                Vault::LineBreak => Ok(format!("{SECRET}\n")),
                Vault::Empty => Ok(String::new()),
            }
        }
    });
    (credential, reads)
}

const WAYS: [(Vault, ErrorKind, bool); 5] = [
    (Vault::Fails, ErrorKind::Credential, true),
    (Vault::Panics, ErrorKind::Credential, true),
    (Vault::Hangs, ErrorKind::Transport, true),
    (Vault::LineBreak, ErrorKind::Credential, true),
    (Vault::Empty, ErrorKind::Credential, true),
];

#[tokio::test]
async fn a_vault_that_fails_is_an_error_within_the_deadline_and_not_permanent() {
    // X07, C13, C14, L11
    for (way, kind, transient) in WAYS {
        let server = Server::start([ok(TOKEN)]);
        let faulty = if matches!(way, Vault::Hangs) { 1 } else { 3 };
        let (credential, reads) = vault(way, 0, faulty);
        let tokens = in_form(&server, credential).cache(CachePolicy::new().fetch_timeout(SOON)).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{way:?}: {error}");
        assert_no_canary([render_all(&error)]);
        assert_eq!(server.connections(), 0, "{way:?}: no request without a secret");
        assert!(reads.load(Ordering::SeqCst) <= 3, "{way:?}");
        let tokens_again = tokens.clone();
        recovers("X07", &tokens_again).await;
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// No call gets an error or waits. Between two fetches a minute passes, so that the next one begins.
async fn serves_until(tokens: &ClientCredentials, clock: &ManualClock, enough: impl Fn() -> bool) {
    let served = async {
        while !enough() {
            let token = tokens.token().now_or_never().expect("a call that waits");
            assert_eq!(token.unwrap().expose_secret(), TOKEN);
            if tokens.status().state != TokenState::Refreshing {
                clock.advance(MINUTE);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG_TIMEOUT, served).await.unwrap();
}

#[tokio::test]
async fn a_vault_that_fails_costs_no_token_that_is_still_valid() {
    // X05, X07: a token of an hour, refreshed after a minute
    for (way, ..) in WAYS {
        let server = Server::start([json_ok(TOKEN, 3600)]);
        let (credential, reads) = vault(way, 1, 3);
        let clock = ManualClock::new();
        let policy = CachePolicy::new().max_age(MINUTE).fetch_timeout(SOON);
        let tokens = in_form(&server, credential).cache(policy).clock(&clock).build().unwrap();
        tokens.token().await.unwrap();
        serves_until(&tokens, &clock, || server.hits() >= 2).await;
        assert!(reads.load(Ordering::SeqCst) >= 5, "{way:?}: it went through all of them");
    }
}

#[tokio::test]
async fn a_server_that_fails_costs_no_token_that_is_still_valid() {
    // T30, S10, S11: whatever it responds meanwhile
    for (status, body) in
        [(503, ""), (500, "<html>"), (400, r#"{"error":"invalid_scope"}"#), (401, r#"{"error":"invalid_client"}"#)]
    {
        let server = Server::start([json_ok(TOKEN, 3600), json(status, body)]);
        let clock = ManualClock::new();
        let tokens = builder(&server).cache(CachePolicy::new().max_age(MINUTE)).clock(&clock).build().unwrap();
        tokens.token().await.unwrap();
        serves_until(&tokens, &clock, || server.hits() >= 4).await;
    }
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_fetch_and_its_socket() {
    // C17, I7
    let server = Server::start([vec![Step::ReadReq, Step::Hang]]);
    let tokens = builder(&server).build().unwrap();
    let other = tokens.clone();
    assert!(tokens.token().now_or_never().is_none(), "it has started");
    server.hit(1).await;
    drop(tokens);
    drop(other);
    server.ended(1).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let gone = async {
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG_TIMEOUT, gone).await.expect("a task is left behind");
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn an_idle_source_has_no_task_and_no_socket() {
    // I7, T28
    let server =
        Server::start([vec![Step::ReadReq, Step::Write(response(200, &[], token_json(TOKEN, 3600))), Step::Hang]]);
    let tokens = builder(&server).build().unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0, "none at construction");
    tokens.token().await.unwrap();
    server.ended(1).await;
    let gone = async {
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANG_TIMEOUT, gone).await.expect("a task is left behind");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_process_inherits_no_socket() {
    // C16: in the middle of a fetch
    let server = Server::start([vec![Step::ReadReq, Step::Hang]]);
    let tokens = builder(&server).build().unwrap();
    assert!(tokens.token().now_or_never().is_none());
    server.hit(1).await;
    let output = std::process::Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.contains(" 0 -> /dev/null"), "{list}");
    assert!(!list.contains("socket:"), "{list}");
}

#[test]
fn a_variable_that_is_missing_or_unusable_is_named_and_not_shown() {
    // F12: the environment is that of the process, so in a process of its own
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    const TEST: &str = "credentials::a_variable_that_is_missing_or_unusable_is_named_and_not_shown";
    let not_utf8 = OsString::from_vec([SECRET.as_bytes(), &[0xff]].concat());
    let env = [
        ("WIRE_GOOD", OsString::from(SECRET)),
        ("WIRE_EMPTY", OsString::new()),
        ("WIRE_NOT_UTF8", not_utf8),
        ("WIRE_LINE_BREAK", OsString::from(format!("{SECRET}\n"))),
    ];
    if let Some(output) = child::run(TEST, &env) {
        return child::assert_passed(&output);
    }
    let build = |name: &str| {
        let auth = ClientAuth::client_secret_post("wire", Credential::env(name));
        builder_with("http://127.0.0.1:1/token", auth).build()
    };
    assert!(build("WIRE_GOOD").is_ok());
    for name in ["WIRE_MISSING", "WIRE_EMPTY", "WIRE_NOT_UTF8", "WIRE_LINE_BREAK", "", "a=b"] {
        let error = build(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        assert!(error.to_string().contains(name) && error.to_string().contains("client_secret"), "{error}");
        assert_no_canary([render_all(&error)]);
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_costs_the_others_nothing() {
    // C03, C04: the side of the wire
    let gate = Gate::closed();
    let server = Server::start([vec![
        Step::ReadReq,
        Step::Pass(gate.clone()),
        Step::Write(response(200, &[], token_json(TOKEN, 3600))),
    ]]);
    let tokens = builder(&server).build().unwrap();
    let given_up = tokio::time::timeout(Duration::ZERO, tokens.token()).await;
    assert!(given_up.is_err());
    server.hit(1).await;
    gate.open();
    recovers("C04", &tokens).await;
    assert_eq!(server.hits(), 1, "the fetch has completed all the same");
}

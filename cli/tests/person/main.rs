//! The command as people use it: in a pipe, in a script, in a terminal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod keep;
#[cfg(target_os = "linux")]
mod terminal;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use client_credentials::testing::{Answer, AuthorizationServer, CA_PEM};

const PROGRAM: &str = env!("CARGO_BIN_EXE_client-credentials");
/// In every secret.
const CANARY: &str = "canary-77c1";

fn server() -> AuthorizationServer {
    AuthorizationServer::start().client("billing", CANARY)
}

/// With an empty environment and no input.
fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().stdin(Stdio::null());
    command
}

fn configured(server: &AuthorizationServer) -> Command {
    let mut command = program();
    command
        .env("CLIENT_CREDENTIALS_TOKEN_ENDPOINT", server.token_url())
        .env("CLIENT_CREDENTIALS_AUTH_CLIENT_ID", "billing")
        .env("CLIENT_CREDENTIALS_AUTH_SECRET", CANARY);
    command
}

fn ran(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(!stdout.contains(CANARY) && !stderr.contains(CANARY), "{stdout}\n{stderr}");
    (status.code().unwrap(), stdout, stderr)
}

fn written(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_token_is_one_line_and_nothing_else() {
    let server = server();
    let (code, stdout, stderr) = ran(configured(&server).arg("token"));
    assert_eq!((code, stdout.lines().count(), &*stderr), (0, 1, ""), "{stdout}{stderr}");
    let (code, stdout, _) = ran(configured(&server).args(["token", "--json", "--scope", "read", "--scope", "write"]));
    let answer: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &answer["token_type"], &answer["scope"]), (0, &"Bearer".into(), &"read write".into()));
}

#[test]
fn a_header_is_in_the_form_that_curl_takes() {
    let server = server().serve_at("/invoices", "[7]");
    let script = format!("curl -s -H \"$({PROGRAM} header)\" {}/invoices", server.api_origin());
    let mut shell = Command::new("sh");
    shell.args(["-ec", &script]).env("CLIENT_CREDENTIALS_TOKEN_ENDPOINT", server.token_url());
    shell.env("CLIENT_CREDENTIALS_AUTH_CLIENT_ID", "billing").env("CLIENT_CREDENTIALS_AUTH_SECRET", CANARY);
    let (code, stdout, stderr) = ran(&mut shell);
    assert_eq!((code, &*stdout), (0, "[7]"), "{stderr}");
}

#[test]
fn a_request_is_sent_with_the_token_and_its_body_from_a_pipe() {
    let server = server();
    let url = format!("{}/invoices", server.api_origin());
    let mut child = configured(&server)
        .args(["request", &url, "--data", "@-", "-H", "content-type: text/plain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"seven").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
    let request = server.requests().into_iter().find(|request| request.path() == "/invoices").unwrap();
    assert_eq!(
        (request.method(), request.header("content-type"), request.status()),
        ("POST", Some("text/plain"), Some(200))
    );
    for (url, flaw) in
        [("http://api.example.com", "not https"), ("https://u:p@x", "user information"), ("x", "not one")]
    {
        let (code, _, stderr) = ran(configured(&server).args(["request", url]));
        assert!(code == 2 && stderr.contains(flaw), "{stderr}");
    }
}

#[test]
fn a_closed_pipe_causes_no_panic() {
    let server = server();
    let mut child = configured(&server).arg("explain").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let secret = written(directory.path(), "secret", CANARY);
    let file = format!(
        "token_endpoint = \"https://nowhere.invalid/t\"\naudience = \"of the file\"\n[auth]\nmethod = \"client_secret_post\"\nclient_id = \"other\"\nsecret_file = {secret:?}\n"
    );
    let file = written(directory.path(), "config.toml", &file);
    let mut command = program();
    command.args(["explain", "--config", &file, "--client-id", "billing", "--set", "retry.attempts=1"]);
    command
        .env("CLIENT_CREDENTIALS_TOKEN_ENDPOINT", server.token_url())
        .env("CLIENT_CREDENTIALS_AUDIENCE", "of the variable");
    let (code, stdout, stderr) = ran(&mut command);
    for expected in [server.token_url(), "audience: of the variable", "client_id: billing", "attempts: 1", &*secret] {
        assert!(code == 0 && stdout.contains(expected), "{expected}: {stdout}{stderr}");
    }
    assert_eq!(server.requests().len(), 0);
    let json = written(
        directory.path(),
        "config.json",
        &format!("{{\"auth\": {{\"client_id\": \"billing\", \"secret_file\": {secret:?}}}}}"),
    );
    let (code, _, stderr) = ran(program().args(["token", "--config", &json, "--token-endpoint", server.token_url()]));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    for text in [
        format!("[auth]\nsecret = \"{CANARY}\"\n"),
        format!("[auth]\nclient_secret = \"{CANARY}\"\n"),
        format!("[auth]\nsecret_file = {CANARY}\n"),
    ] {
        let file = written(directory.path(), "config.toml", &text);
        let (code, _, stderr) = ran(program().args(["token", "--config", &file]));
        assert_eq!(code, 2, "{stderr}");
    }
    let (code, _, stderr) = ran(program().args(["token", "--set", &format!("auth.secret={CANARY}")]));
    assert!(code == 2 && stderr.contains("auth.secret_file or auth.secret_env"), "{stderr}");
    let help = ran(program().args(["token", "--help"])).1;
    assert!(!help.contains("--secret <") && !help.contains("--client-secret"), "{help}");
}

#[test]
fn exit_codes_say_what_went_wrong() {
    let server = server();
    assert_eq!(ran(program().arg("token")).0, 2, "no configuration");
    assert_eq!(ran(program().arg("--nonsense")).0, 2);
    assert_eq!(ran(configured(&server).args(["token", "--secret-file", "/nowhere"])).0, 3);
    for (answer, code) in [
        (Answer::Refuse("invalid_client"), 4),
        (Answer::RetryAfter(std::time::Duration::from_secs(9)), 5),
        (Answer::Reset, 6),
        (Answer::Status(404), 7),
    ] {
        server.until_changed(answer);
        let (actual, stdout, stderr) = ran(configured(&server).args(["token", "--json", "--set", "retry.attempts=1"]));
        assert_eq!((actual, &*stdout), (code, ""), "{stderr}");
        let told: serde_json::Value = serde_json::from_str(&stderr).unwrap();
        assert_eq!(told["exit_code"], code);
    }
    server.until_changed(Answer::Token);
    server.revoke_all();
    let api = format!("{}/x", server.api_origin());
    server.until_changed_at(client_credentials::testing::Endpoint::Api, Answer::Status(500));
    assert_eq!(ran(configured(&server).args(["request", &api])).0, 8);
}

#[test]
fn diagnose_says_beforehand_that_it_requests_a_token_and_ends_in_a_verdict() {
    let server = server();
    let (code, stdout, stderr) = ran(configured(&server).arg("diagnose"));
    assert_eq!((code, &*stderr), (0, "one token request follows\n"), "{stdout}");
    assert!(stdout.contains("It works") && !stdout.contains('\x1b'), "{stdout}");
    server.until_changed(Answer::Refuse("invalid_scope"));
    let (code, stdout, _) = ran(configured(&server).args(["diagnose", "--json", "--scope", "x"]));
    let told: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &told["cause"], &told["token_requests"]), (4, &"scope".into(), &1.into()));
    let before = server.token_requests();
    let (code, ..) = ran(configured(&server).args(["diagnose", "--no-token-request"]));
    assert_eq!((code, server.token_requests()), (0, before));
}

#[test]
fn diagnose_names_the_variable_of_a_proxy_without_its_password() {
    let mut command = program();
    command.args(["diagnose", "--token-endpoint", "https://auth.example.com/token", "--client-id", "billing"]);
    command
        .env("CLIENT_CREDENTIALS_AUTH_SECRET", CANARY)
        .env("HTTPS_PROXY", format!("http://user:{CANARY}@127.0.0.1:9"));
    let (code, stdout, _) = ran(&mut command);
    assert!(code == 6 && stdout.contains("127.0.0.1:9 from the environment variable HTTPS_PROXY"), "{stdout}");
    assert!(stdout.contains("check its host and port, and whether it runs"), "{stdout}");
}

#[test]
fn a_company_ca_is_a_file() {
    let server = AuthorizationServer::start_https().client("billing", CANARY);
    let directory = tempfile::tempdir().unwrap();
    let ca = written(directory.path(), "ca.pem", CA_PEM);
    let (code, stdout, _) = ran(configured(&server).arg("diagnose"));
    assert!(code == 6 && stdout.contains("http.ca_file"), "{stdout}");
    let api = format!("{}/x", server.api_origin());
    let (code, _, stderr) = ran(configured(&server).args(["request", &api, "--ca-file", &ca]));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_path_that_is_empty_is_named_by_its_flag_and_its_variable() {
    let server = server();
    for (flag, variable) in [("--config", "CLIENT_CREDENTIALS_CONFIG"), ("--keep", "CLIENT_CREDENTIALS_KEEP")] {
        let (mut by_flag, mut by_variable) = (configured(&server), configured(&server));
        by_flag.args([flag, ""]);
        by_variable.env(variable, "");
        for mut command in [by_flag, by_variable] {
            let (code, stdout, stderr) = ran(command.args(["token", "--json"]));
            assert_eq!((code, &*stdout, server.token_requests()), (2, "", 0), "{stderr}");
            let told: serde_json::Value = serde_json::from_str(&stderr).unwrap();
            let told = told["error"].as_str().unwrap();
            assert!(told.contains(flag) && told.contains(variable), "{told}");
        }
    }
}

#[test]
fn a_file_in_json_is_known_by_its_name_and_not_repeated() {
    let server = server();
    let directory = tempfile::tempdir().unwrap();
    let text = format!("{{\"token_endpoint\": {:?}}}", server.token_url());
    for name in ["config.json", "CONFIG.JSON", "config.Json"] {
        let file = written(directory.path(), name, &text);
        let (code, _, stderr) = ran(configured(&server).args(["token", "--config", &file]));
        assert_eq!((code, &*stderr), (0, ""), "{name}");
    }
    for (name, text) in [
        ("config.json", format!("{CANARY:?}")),
        ("config.json", format!("[{CANARY:?}]")),
        ("config.json", CANARY.to_owned()),
        ("config.json", format!("{{\"a\": {CANARY}}}")),
        ("config.toml", format!("{CANARY:?}")),
        ("config.toml", CANARY.to_owned()),
    ] {
        let file = written(directory.path(), name, &text);
        let (code, _, stderr) = ran(configured(&server).args(["token", "--config", &file]));
        assert!(code == 2 && stderr.contains(name), "{text}: {stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_said() {
    let server = server();
    for arguments in [&["token"][..], &["header"], &["explain"], &["config"], &["diagnose"], &["completions", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let Output { status, stderr, .. } = configured(&server).args(arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{arguments:?}");
        assert!(stderr.contains("the output cannot be written"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, stdout, _) = ran(program().args(["completions", shell]));
        assert!(code == 0 && stdout.contains("diagnose"), "{shell}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn bash_completes_subcommands_and_their_options() {
    let typed = |words: &str| {
        let script = format!(
            "source <({PROGRAM} completions bash); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _client__credentials client-credentials \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(typed("client-credentials dia"), "diagnose\n");
    assert_eq!(typed("client-credentials diagnose --ap"), "--api\n");
    assert_eq!(typed("client-credentials token --secret"), "--secret-file --secret-env\n");
    assert_eq!(typed("client-credentials completions z"), "zsh\n");
}

#[test]
fn a_variable_with_a_typing_mistake_is_not_ignored() {
    let server = server();
    for (name, hint) in [
        ("CLIENT_CREDENTIALS_SCOPE", "scope does not exist: is scopes meant?"),
        ("CLIENT_CREDENTIALS_AUTH_CLIENTID", "is CLIENT_CREDENTIALS_AUTH_CLIENT_ID meant?"),
    ] {
        let (code, _, stderr) = ran(configured(&server).arg("token").env(name, CANARY));
        assert!(code == 2 && stderr.contains(hint), "{stderr}");
    }
    let known = ["CLIENT_CREDENTIALS_PARAMS_TENANT", "CLIENT_CREDENTIALS_HEADERS_X_TENANT", "CLIENT_CREDENTIALS_NAME"];
    let (code, _, stderr) = ran(configured(&server).arg("token").envs(known.map(|name| (name, "acme"))));
    assert_eq!(code, 0, "{stderr}");
    // With the prefix of another program, unknown variables are allowed.
    let (code, _, stderr) = ran(program().args(["token", "--env-prefix", "BILLING_"]).envs([
        ("BILLING_TOKEN_ENDPOINT", server.token_url()),
        ("BILLING_AUTH_CLIENT_ID", "billing"),
        ("BILLING_AUTH_SECRET", CANARY),
        ("BILLING_PORT", "80"),
    ]));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn config_lists_what_is_set_without_values() {
    let server = server();
    let (code, stdout, _) = ran(configured(&server).arg("config"));
    assert_eq!((code, &*stdout), (0, "token_endpoint\nauth.method\nauth.client_id\nauth.secret_env\n"));
    let (_, stdout, _) = ran(configured(&server).args(["config", "--json"]));
    let all: Vec<String> = serde_json::from_str(&stdout).unwrap();
    assert_eq!(all.len(), 4);
}

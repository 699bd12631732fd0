//! `request`: what the API's response means for the token, and what the command makes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

use std::process::{Command, Output, Stdio};

use client_credentials::testing::{AuthorizationServer, Endpoint};

fn server() -> AuthorizationServer {
    AuthorizationServer::start().public_client("billing")
}

/// Exit code, output and error output of a request to the API of `server`.
fn requested(server: &AuthorizationServer, flags: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client-credentials"));
    command.env_clear().stdin(Stdio::null()).env("CLIENT_CREDENTIALS_AUTH_METHOD", "none");
    command.args(["--client-id", "billing", "--token-endpoint", server.token_url(), "request"]);
    let Output { status, stdout, stderr } =
        command.arg(format!("{}/invoices", server.api_origin())).args(flags).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn the_http_method_is_not_the_authentication_method() {
    // FE19
    let server = server();
    let (code, _, stderr) = requested(&server, &["-X", "DELETE", "--method", "none"]);
    assert_eq!(code, 0, "{stderr}");
    let requests = server.requests();
    let request = requests.iter().find(|request| request.endpoint() == Endpoint::Api).unwrap();
    assert_eq!(request.method(), "DELETE", "{}", server.story());
}

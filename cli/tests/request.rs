//! `request`: what the API's response means for the token, and what the command makes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test a panic is the report")]

use std::process::{Command, Output, Stdio};

use client_credentials::testing::{Answer, AuthorizationServer, CA_PEM, CLIENT_CERTIFICATES, Endpoint};

const GENERATED_KEY: [&str; 2] = ["--set", "dpop.generate=true"];

fn server() -> AuthorizationServer {
    AuthorizationServer::start().public_client("billing")
}

/// Exit code, output and error output of a request to the API of `server`.
fn requested(server: &AuthorizationServer, flags: &[&str]) -> (i32, String, String) {
    requested_from(server, &format!("{}/invoices", server.api_origin()), flags, &[])
}

fn requested_from(
    server: &AuthorizationServer,
    url: &str,
    flags: &[&str],
    env: &[(&str, &str)],
) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client-credentials"));
    command.env_clear().stdin(Stdio::null()).env("CLIENT_CREDENTIALS_AUTH_METHOD", "none");
    command.args(["--client-id", "billing", "--token-endpoint", server.token_url(), "request"]);
    let Output { status, stdout, stderr } = command.arg(url).args(flags).envs(env.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn sent(server: &AuthorizationServer) -> (usize, usize) {
    (server.token_requests(), server.api_requests())
}

fn response(status: u16, header: &str, value: &str) -> Answer {
    let response = http::Response::builder().status(status).header(header, value);
    Answer::Response(response.body("what the API says".to_owned()).unwrap())
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

#[test]
fn a_401_that_is_not_about_the_token_is_printed_and_keeps_the_token() {
    // FD10
    for (challenge, flags) in [
        ("Bearer error=\"insufficient_scope\", scope=\"write\"", &[][..]),
        ("DPoP error=\"insufficient_scope\", scope=\"write\"", &GENERATED_KEY),
        ("DPoP error=\"invalid_dpop_proof\"", &GENERATED_KEY),
    ] {
        let server = server();
        server.until_changed_at(Endpoint::Api, response(401, "www-authenticate", challenge));
        let (code, stdout, stderr) = requested(&server, flags);
        assert_eq!((code, &*stdout, sent(&server)), (8, "what the API says", (1, 1)), "{challenge}: {stderr}");
        assert!(stderr.contains("status 401"), "{stderr}");
    }
}

#[test]
fn a_request_whose_token_is_rejected_is_repeated_once_with_a_new_one() {
    // FD10
    let server = server();
    server.next_at(Endpoint::Api, Answer::Refuse("invalid_token"));
    let (code, stdout, stderr) = requested(&server, &["--data", "seven"]);
    assert_eq!((code, sent(&server)), (0, (2, 2)), "{stderr}");
    assert!(stdout.contains("\"body\":\"seven\"") && stdout.contains("\"token\":2"), "{stdout}");

    server.until_changed_at(Endpoint::Api, response(401, "www-authenticate", "Bearer error=\"invalid_token\""));
    let (code, stdout, stderr) = requested(&server, &[]);
    assert_eq!((code, &*stdout, sent(&server)), (8, "what the API says", (4, 4)), "{stderr}");
}

#[test]
fn without_a_token_nothing_is_sent_and_the_failure_is_that_of_the_token() {
    let server = server();
    server.until_changed(Answer::Refuse("invalid_client"));
    let (code, stdout, stderr) = requested(&server, &[]);
    assert_eq!((code, &*stdout, sent(&server)), (4, "", (1, 0)), "{stderr}");
    assert!(stderr.contains("invalid_client"), "{stderr}");
}

#[test]
fn if_there_is_no_new_token_the_reason_is_that_of_the_authorization_server() {
    // FD10
    let server = server();
    server.next(Answer::Token).until_changed(Answer::Refuse("invalid_client"));
    server.until_changed_at(Endpoint::Api, Answer::Refuse("invalid_token"));
    let (code, stdout, stderr) = requested(&server, &[]);
    assert_eq!((code, &*stdout, sent(&server)), (4, "", (2, 1)), "{stderr}");
    assert!(stderr.contains("invalid_client"), "{stderr}");
}

#[test]
fn a_request_is_repeated_once_with_the_nonce_that_the_api_demands() {
    // FD10
    let server = server().dpop_nonces();
    let (code, _, stderr) = requested(&server, &GENERATED_KEY);
    assert_eq!((code, server.tokens_issued(), server.api_requests()), (0, 1, 2), "{stderr}");

    server.until_changed_at(Endpoint::Api, {
        let challenge =
            http::Response::builder().status(401).header("www-authenticate", "DPoP error=\"use_dpop_nonce\"");
        Answer::Response(challenge.header("dpop-nonce", "another").body(String::new()).unwrap())
    });
    let (code, _, stderr) = requested(&server, &GENERATED_KEY);
    assert_eq!((code, server.tokens_issued(), server.api_requests()), (8, 2, 4), "{stderr}");
}

#[test]
fn a_request_is_repeated_with_a_wider_scope_that_step_up_allows() {
    // FD10
    let server = server().api_scope("write");
    let (code, _, stderr) = requested(&server, &["--scope", "read"]);
    assert_eq!((code, sent(&server)), (8, (1, 1)), "{stderr}");
    let (code, stdout, stderr) = requested(&server, &["--scope", "read", "--set", "step_up=write"]);
    assert_eq!((code, sent(&server)), (0, (3, 3)), "{stderr}");
    assert!(stdout.contains("\"scope\":\"read write\""), "{stdout}");

    // The first token is still one: the API's response counts.
    server.next(Answer::Token).until_changed(Answer::Refuse("invalid_scope"));
    let (code, stdout, stderr) = requested(&server, &["--scope", "read", "--set", "step_up=write"]);
    assert_eq!((code, server.api_requests()), (8, 4), "{stderr}");
    assert!(stdout.contains("refused") && stderr.contains("status 403"), "{stdout}{stderr}");
}

#[test]
fn the_api_is_shown_the_certificate_that_the_token_is_bound_to() {
    // FD10
    let server = AuthorizationServer::start_https().public_client("billing");
    let directory = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let [ours, _] = CLIENT_CERTIFICATES;
    let (ca, certificate, key) = (written("ca", CA_PEM), written("crt", ours.certificate), written("key", ours.key));
    let files = ["--ca-file", &ca, "--certificate-file", &certificate, "--key-file", &key];
    let (code, stdout, stderr) = requested(&server, &[&["--method", "mutual_tls"], &files[..]].concat());
    assert_eq!((code, sent(&server)), (0, (1, 1)), "{stdout}{stderr}");
}

#[test]
fn the_token_follows_no_redirect() {
    let server = server();
    server.next_at(Endpoint::Api, response(302, "location", "/elsewhere"));
    let (code, stdout, stderr) = requested(&server, &[]);
    assert_eq!((code, &*stdout, sent(&server)), (0, "what the API says", (1, 1)), "{stderr}");
}

#[test]
fn an_api_that_breaks_the_connection_is_reported_with_the_cause_and_without_its_url() {
    let server = server();
    server.until_changed_at(Endpoint::Api, Answer::Reset);
    let (code, stdout, stderr) = requested(&server, &[]);
    assert_eq!((code, &*stdout), (8, ""), "{stderr}");
    assert!(stderr.contains("the API cannot be reached: error sending request: "), "{stderr}");
    assert!(!stderr.contains("/invoices"), "{stderr}");
}

#[test]
fn a_token_that_is_not_encrypted_is_not_sent_by_way_of_a_proxy() {
    // T29
    let (server, proxy) = (server(), server());
    let url = format!("{}/invoices", server.api_origin());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (code, _, stderr) = requested_from(&server, &url, &[], &[(name, proxy.api_origin())]);
        assert_eq!((code, sent(&proxy)), (0, (0, 0)), "{name}: {stderr}");
    }
}

#[test]
fn a_url_that_a_parser_would_repair_is_refused_before_any_request() {
    // FA2
    let server = server();
    let address = server.api_origin().strip_prefix("http://").unwrap();
    let port = address.rsplit(':').next().unwrap();
    for url in [
        "https:///api/invoices".to_owned(),
        "https://".to_owned(),
        format!("http:///{address}/x"),
        format!("http:{address}/x"),
        format!("http:/{address}/x"),
        format!(r"http:\\{address}/x"),
        format!(r"http://{address}\@api.example.com/x"),
        format!(" http://{address}/x"),
        format!("ht\ntp://{address}/x"),
        format!("http://\t{address}/x"),
        format!("http://\u{2460}\u{2461}\u{2466}.0.0.1:{port}/x"),
        format!("http://2130706433:{port}/x"),
        format!("http://me@{address}/x"),
    ] {
        let (code, _, stderr) = requested_from(&server, &url, &[], &[]);
        assert_eq!((code, sent(&server)), (2, (0, 0)), "{url:?}: {stderr}");
    }
    for path in ["", "/", "?a=b", "/a b?c=http://x/", "/\u{e4}#f"] {
        let (code, _, stderr) = requested_from(&server, &format!("http://{address}{path}"), &[], &[]);
        assert_eq!(code, 0, "{path}: {stderr}");
    }
}

#[test]
fn the_length_of_a_request_is_that_of_its_body() {
    let server = server();
    for header in ["Content-Length: 3", "transfer-encoding: chunked", "authorization: x", "DPoP: x", "no colon"] {
        let (code, _, stderr) = requested(&server, &["-H", header, "-d", "abcdef"]);
        assert_eq!((code, sent(&server)), (2, (0, 0)), "{header}: {stderr}");
    }
}

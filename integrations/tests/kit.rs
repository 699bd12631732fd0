//! The authorization server of `client_credentials::testing` issues tokens to third-party clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::process::{Command, Output};

use client_credentials::testing::{Answer, AuthorizationServer, CA_PEM, Quirk};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, RequestTokenError, Scope, TokenResponse, TokenUrl,
};

/// The HTTP client of `oauth2`: reqwest 0.13, which it does not know itself.
async fn send(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let request = reqwest::Request::try_from(request)?;
    let response = reqwest::Client::new().execute(request).await?;
    let mut answer = http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        answer = answer.header(name, value);
    }
    let body = response.bytes().await?.to_vec();
    Ok(answer.body(body).expect("status and headers were valid before"))
}

#[tokio::test]
async fn the_crate_oauth2_gets_a_token_and_understands_a_refusal() {
    let server = AuthorizationServer::start().client("billing", "a secret+with/signs%").scopes(["read", "write"]);
    for how in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = BasicClient::new(ClientId::new("billing".to_owned()))
            .set_client_secret(ClientSecret::new("a secret+with/signs%".to_owned()))
            .set_auth_type(how)
            .set_token_uri(TokenUrl::new(server.token_url().to_owned()).unwrap());
        let request = || client.exchange_client_credentials().add_scope(Scope::new("read".to_owned()));
        let token = request().request_async(&send).await.unwrap();
        assert_eq!(token.expires_in().unwrap().as_secs(), 3600);
        assert_eq!(token.scopes().unwrap()[0].as_str(), "read");
        let headers =
            [("authorization".parse().unwrap(), format!("Bearer {}", token.access_token().secret()).parse().unwrap())];
        assert!(server.accepts(&headers.into_iter().collect()));

        server.next(Answer::Refuse("invalid_scope"));
        let refused = request().request_async(&send).await.unwrap_err();
        let RequestTokenError::ServerResponse(refused) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.error().as_ref(), "invalid_scope");
    }
    let methods: Vec<_> = server.requests().iter().map(|request| request.auth_method().unwrap()).collect();
    assert_eq!(methods[0], "client_secret_basic");
    assert_eq!(methods[2], "client_secret_post");
}

fn curl(arguments: &[&str]) -> Output {
    let output = Command::new("curl").args(["--silent", "--show-error", "--noproxy", "*"]).args(arguments).output();
    output.expect("this test needs curl")
}

fn json(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn curl_gets_a_token_and_uses_it() {
    let server = AuthorizationServer::start().client("billing", "a-secret").serve_at("/invoices", "[1]");
    let token = json(&curl(&["-u", "billing:a-secret", "-d", "grant_type=client_credentials", server.token_url()]));
    assert_eq!(token["token_type"], "Bearer");
    let authorization = format!("authorization: Bearer {}", token["access_token"].as_str().unwrap());
    let url = format!("{}/invoices", server.api_origin());
    assert_eq!(curl(&["-H", &authorization, &url]).stdout, b"[1]");
    server.revoke_all();
    let refused =
        curl(&["-o", "/dev/null", "-w", "%{http_code} %header{www-authenticate}", "-H", &authorization, &url]);
    let refused = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused, "401 Bearer error=\"invalid_token\", error_description=\"the token was revoked\"");

    let metadata = json(&curl(&[&format!("{}/.well-known/openid-configuration", server.issuer())]));
    assert_eq!(metadata["token_endpoint"], server.token_url());
    let wrong = json(&curl(&["-u", "billing:wrong", "-d", "grant_type=client_credentials", server.token_url()]));
    assert_eq!(wrong["error"], "invalid_client");
}

#[test]
fn curl_sees_connections_that_break() {
    let server = AuthorizationServer::start();
    let ask = || curl(&["-d", "grant_type=client_credentials", server.token_url()]).status.code();
    server.next(Answer::Reset).next(Answer::Torn);
    assert_eq!(ask(), Some(56), "recv failure: connection reset by peer");
    assert_eq!(ask(), Some(18), "transfer closed with bytes remaining");
    assert_eq!(ask(), Some(0));
}

#[test]
fn curl_trusts_the_ca_of_the_kit_and_no_other() {
    let ca = std::env::temp_dir().join(format!("kit-peers-ca-{}.pem", std::process::id()));
    std::fs::write(&ca, CA_PEM).unwrap();
    let server = AuthorizationServer::start_https();
    let form = ["-d", "grant_type=client_credentials", server.token_url()];
    let by_name = server.token_url().replace("127.0.0.1", "localhost");
    for url in [server.token_url(), &by_name] {
        let token = json(&curl(&["--cacert", ca.to_str().unwrap(), form[0], form[1], url]));
        assert_eq!(token["expires_in"], 3600);
    }
    assert_eq!(curl(&form).status.code(), Some(60), "peer certificate cannot be authenticated");
    std::fs::remove_file(ca).unwrap();
}

#[test]
fn curl_gets_what_a_quirk_sends() {
    let server = AuthorizationServer::start().quirk(Quirk::GitHub);
    let form = curl(&["-u", "billing:a-secret", "-d", "grant_type=client_credentials", server.token_url()]);
    assert!(form.stdout.starts_with(b"access_token="));
}

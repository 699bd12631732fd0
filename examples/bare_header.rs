//! Adds a token to a request without middleware; works with every HTTP client.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientAuth, ClientCredentials};
use reqwest::header::AUTHORIZATION;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");

    // Once, when the program starts. In production the secret is Credential::env("..") or Credential::file("..").
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth).scope("greetings:read").build()?;
    // The server is on this machine, so no proxy is used.
    let http = reqwest::Client::builder().no_proxy().build()?;

    // For each request. Only the first one waits for the authorization server.
    for _ in 0..3 {
        let token = tokens.token().await?;
        let request = http.get(format!("{}/greeting", server.api_origin()));
        let request = request.header(AUTHORIZATION, token.authorization());
        let response = request.send().await?.error_for_status()?;
        println!("{}", response.text().await?);
    }
    println!("token requests: {}", server.token_requests());
    Ok(())
}

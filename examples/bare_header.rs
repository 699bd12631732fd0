//! A token on a request, without any middleware: works with every HTTP client that takes headers.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod support;

use std::error::Error;

use client_credentials::{ClientAuth, ClientCredentials, TokenSource};
use reqwest::header::AUTHORIZATION;
use support::{CLIENT_ID, CLIENT_SECRET, Servers};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = Servers::start()?;

    // Once, when the program starts. In production the secret is Credential::env("..") or Credential::file("..").
    let auth = ClientAuth::client_secret_basic(CLIENT_ID, CLIENT_SECRET);
    let tokens = ClientCredentials::builder(&servers.token_url, auth).scope("greetings:read").build()?;
    // Proxies are of no use for a server on this machine.
    let http = reqwest::Client::builder().no_proxy().build()?;

    // For each request. Only the first one waits for the authorization server.
    for _ in 0..3 {
        let token = tokens.token().await?;
        let request = http.get(&servers.api_url);
        let request = request.header(AUTHORIZATION, token.authorization());
        let response = request.send().await?.error_for_status()?;
        println!("{}", response.text().await?);
    }
    println!("token requests: {}", servers.token_requests());
    Ok(())
}

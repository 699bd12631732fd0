//! A client that puts tokens on its requests by itself, and what it says when none can be had.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod support;

use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, Error};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use support::{CLIENT_ID, CLIENT_SECRET, Servers};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Once, when the program starts.
fn client(servers: &Servers, secret: &str) -> Result<ClientWithMiddleware> {
    let auth = ClientAuth::client_secret_basic(CLIENT_ID, secret);
    let tokens = ClientCredentials::builder(&servers.token_url, auth).build()?;
    let bearer = BearerAuth::for_origin(&servers.api_origin, tokens)?;
    // Proxies are of no use for a server on this machine.
    let http = reqwest::Client::builder().no_proxy().build()?;
    Ok(ClientBuilder::new(http).with(bearer).build())
}

#[tokio::main]
async fn main() -> Result<()> {
    let servers = Servers::start()?;
    let http = client(&servers, CLIENT_SECRET)?;
    println!("{}", http.get(&servers.api_url).send().await?.text().await?);
    // The token would be good for an hour. The next request finds out that it is not, and does not fail.
    servers.revoke_tokens();
    println!("{}", http.get(&servers.api_url).send().await?.text().await?);
    println!("token requests: {}", servers.token_requests());

    let http = client(&servers, "not the secret")?;
    if let Err(error) = http.get(&servers.api_url).send().await {
        // It is reqwest-middleware's error, with the token's inside.
        let ours = Error::find(&error).ok_or("not about tokens")?;
        println!("no token ({:?}): {ours}", ours.kind());
    }
    Ok(())
}

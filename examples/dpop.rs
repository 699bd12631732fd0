//! Tokens that are of no use to a thief (RFC 9449): each request proves that it has the key which the token is bound to.

#![expect(clippy::print_stdout, reason = "an example shows something")]

#[path = "support/possession.rs"]
mod possession;

use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, DpopKey, TokenSource};
use reqwest_middleware::ClientBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let origin = possession::start()?;
    let url = format!("{origin}/greeting");

    // One line more than for bearer tokens.
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    let tokens = ClientCredentials::builder(&format!("{origin}/token"), auth).dpop(DpopKey::generate()).build()?;
    let bearer = BearerAuth::for_origin(&origin, tokens.clone())?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let client = ClientBuilder::new(http.clone()).with(bearer).build();
    // The API wants a nonce in the proof: the first request learns it, and is repeated.
    for _ in 0..2 {
        let response = client.get(&url).send().await?;
        println!("with the key: {}", response.text().await?);
    }

    let stolen = tokens.token().await?.authorization();
    let response = http.get(&url).header("authorization", stolen).send().await?;
    println!("a thief, without it: {}", response.text().await?);
    Ok(())
}

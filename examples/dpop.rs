//! Tokens that a thief cannot use (RFC 9449): each request proves possession of the key to which the token is bound.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, DpopKey};
use reqwest_middleware::ClientBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::start().client("billing", "a secret").dpop_nonces();
    let url = format!("{}/invoices", server.api_origin());

    // One line more than for bearer tokens.
    let auth = ClientAuth::client_secret_basic("billing", "a secret");
    let tokens = ClientCredentials::builder(server.token_url(), auth).dpop(DpopKey::generate()).build()?;
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens.clone())?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let client = ClientBuilder::new(http.clone()).with(bearer).build();
    // The server requires a nonce: the response to the first request has it, and the request is repeated.
    for _ in 0..2 {
        let response = client.get(&url).send().await?;
        println!("with the key: {}", response.status());
    }

    let stolen = tokens.token().await?.authorization();
    let response = http.get(&url).header("authorization", stolen).send().await?;
    println!("a thief, without it: {}", response.status());
    print!("{}", server.story());
    Ok(())
}

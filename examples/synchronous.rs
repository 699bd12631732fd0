//! A synchronous program: a thread of the crate fetches and refreshes the tokens.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use client_credentials::blocking::Tokens;
use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientAuth, ClientCredentials};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let source = ClientCredentials::builder(server.token_url(), auth).build()?;
    let tokens = Tokens::new(source);
    for request in 1..=3 {
        println!("request {request}: {:?}", tokens.token()?);
    }
    println!("token requests: {}", server.token_requests());
    Ok(())
}

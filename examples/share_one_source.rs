//! A hundred tasks need a token at the same time, and one token request is sent: clone the handle to share the token.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use std::error::Error;

use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientAuth, ClientCredentials};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;

    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        // This increments a reference count. A new source here would request a token of its own.
        let tokens = tokens.clone();
        tasks.spawn(async move { tokens.token().await.map(|token| token.authorization()) });
    }
    let mut served = 0;
    while let Some(authorization) = tasks.join_next().await {
        authorization??;
        served += 1;
    }
    let asked = server.token_requests();
    println!("tasks with a token: {served}, token requests: {asked}");
    Ok(())
}

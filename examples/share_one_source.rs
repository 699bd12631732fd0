//! A hundred tasks want a token at once, and the authorization server is asked once: clone the handle, share the token.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod support;

use std::error::Error;

use client_credentials::{ClientAuth, ClientCredentials, TokenSource};
use support::{CLIENT_ID, CLIENT_SECRET, Servers};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = Servers::start()?;
    let auth = ClientAuth::client_secret_basic(CLIENT_ID, CLIENT_SECRET);
    let tokens = ClientCredentials::builder(&servers.token_url, auth).build()?;

    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        // A reference count. A source built anew here would ask for a token of its own.
        let tokens = tokens.clone();
        tasks.spawn(async move { tokens.token().await.map(|token| token.authorization()) });
    }
    let mut served = 0;
    while let Some(authorization) = tasks.join_next().await {
        authorization??;
        served += 1;
    }
    let asked = servers.token_requests();
    println!("tasks with a token: {served}, token requests: {asked}");
    Ok(())
}

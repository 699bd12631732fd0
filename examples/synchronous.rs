//! A synchronous program with a runtime of its own, whose thread fetches and refreshes the tokens. The feature `blocking` does
//! the same: `blocking::Tokens`.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use client_credentials::testing::AuthorizationServer;
use client_credentials::{AccessToken, ClientAuth, ClientCredentials, Error};
use tokio::runtime::{Builder, Runtime};

struct Tokens {
    source: ClientCredentials,
    runtime: Runtime,
}

impl Tokens {
    fn token(&self) -> Result<AccessToken, Error> {
        // Within the runtime, so that a refresh can start in the background while the current token is used.
        let _inside = self.runtime.enter();
        match self.source.token().now_or_never() {
            Some(at_hand) => at_hand,
            None => self.runtime.block_on(self.source.token()),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let source = ClientCredentials::builder(server.token_url(), auth).build()?;
    // Its worker thread drives refreshes in the background; a runtime from `new_current_thread` runs only within
    // `block_on`.
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build()?;
    let tokens = Tokens { source, runtime };
    for request in 1..=3 {
        println!("request {request}: {:?}", tokens.token()?);
    }
    println!("token requests: {}", server.token_requests());
    Ok(())
}

//! A client that adds tokens to its requests, and its error when no token can be obtained.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, Error};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Once, when the program starts.
fn client(server: &AuthorizationServer, secret: &str) -> Result<ClientWithMiddleware> {
    let auth = ClientAuth::client_secret_basic("example", secret);
    let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens)?;
    // The server is on this machine, so no proxy is used.
    let http = reqwest::Client::builder().no_proxy().build()?;
    Ok(ClientBuilder::new(http).with(bearer).build())
}

#[tokio::main]
async fn main() -> Result<()> {
    let server = AuthorizationServer::start().client("example", "only-for-examples");
    let url = format!("{}/greeting", server.api_origin());
    let http = client(&server, "only-for-examples")?;
    println!("{}", http.get(&url).send().await?.text().await?);
    // The token would be valid for an hour. The next request is refused once, and repeated with a new token.
    server.revoke_all();
    println!("{}", http.get(&url).send().await?.text().await?);
    println!("token requests: {}", server.token_requests());

    let http = client(&server, "not the secret")?;
    if let Err(error) = http.get(&url).send().await {
        // The error of reqwest-middleware contains that of the token.
        let ours = Error::find(&error).ok_or("not about tokens")?;
        println!("no token ({:?}): {ours}", ours.kind());
    }
    Ok(())
}

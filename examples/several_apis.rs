//! One client for two APIs with separate tokens: no token is sent to the other API or to another host.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, BearerAuthBuilder, ClientAuth, ClientCredentials, Error};
use reqwest_middleware::ClientBuilder;

fn bearer(server: &AuthorizationServer) -> Result<BearerAuthBuilder, Error> {
    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    let tokens = ClientCredentials::builder(server.token_url(), auth).build()?;
    Ok(BearerAuth::builder(tokens).origin(server.api_origin()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = || AuthorizationServer::start().client("example", "only-for-examples");
    let (orders, invoices) = (start(), start());
    let http = reqwest::Client::builder().no_proxy().build()?;
    let http = ClientBuilder::new(http)
        // The first one passes requests to other origins on to the second. The last one is strict: a request to no
        // known API fails.
        .with(bearer(&orders)?.pass_through(true).build()?)
        .with(bearer(&invoices)?.build()?)
        .build();
    for (name, api) in [("orders", &orders), ("invoices", &invoices)] {
        let request = http.post(format!("{}/{name}", api.api_origin()));
        let response = request.send().await?.error_for_status()?;
        println!("{}", response.text().await?);
    }
    let asked = (orders.token_requests(), invoices.token_requests());
    println!("token requests: {} and {}", asked.0, asked.1);

    if let Err(error) = http.get("https://elsewhere.example/").send().await {
        println!("{error}");
    }
    Ok(())
}

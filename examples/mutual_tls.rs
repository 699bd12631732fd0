//! The client proves itself by its certificate, and its tokens are good with that certificate only (RFC 8705): the
//! connection to the API shows the same one, and a thief, who has another, gets nothing.

#![expect(clippy::print_stdout, reason = "an example shows something")]

#[path = "support/tls.rs"]
mod tls;

use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, HttpClient, SameCertificate, TokenSource};
use reqwest_middleware::ClientBuilder;
use tls::{CLIENTS, TlsServers};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = TlsServers::start()?;
    let ca = reqwest::Certificate::from_pem(servers.ca.as_bytes())?;
    let http = move || reqwest::Client::builder().tls_certs_only([ca.clone()]);
    // In a service these are files: `Credential::file("/run/secrets/tls/tls.crt")`, read anew for each attempt.
    let [ours, thief] = CLIENTS;
    let auth = ClientAuth::mutual_tls("billing", ours.certificate, ours.key);
    let builder = ClientCredentials::builder(&servers.token_url, auth);
    let tokens = builder.http_client(HttpClient::from_reqwest_0_13(http.clone())).build()?;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(BearerAuth::for_origin(&servers.api_origin, tokens.clone())?)
        .with(SameCertificate::new(http.clone()))
        .build();
    let response = client.get(&servers.api_url).send().await?.text().await?;
    println!("with our certificate: {response}");

    let thief = reqwest::Identity::from_pem(thief.pem().as_bytes())?;
    let stolen = tokens.token().await?.authorization();
    let request = http().no_proxy().identity(thief).build()?.get(&servers.api_url);
    let response = request.header("authorization", stolen).send().await?;
    println!("with a thief's: {}", response.text().await?);
    Ok(())
}

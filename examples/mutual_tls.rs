//! The client proves itself by its certificate, and its tokens are good with that certificate only (RFC 8705): the
//! client of the API shows the same one.

#![expect(clippy::print_stdout, reason = "an example shows something")]

#[path = "support/tls.rs"]
mod tls;

use client_credentials::{BearerAuth, ClientAuth, ClientCredentials};
use reqwest_middleware::ClientBuilder;
use tls::{Pair, TlsServers};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let servers = TlsServers::start()?;
    let ca = reqwest::Certificate::from_pem(servers.ca.as_bytes())?;
    let http = move || reqwest::Client::builder().tls_certs_only([ca.clone()]);

    // In a service these are files: `Credential::file("/run/secrets/tls/tls.crt")`, read anew for each attempt.
    let ours = servers.client()?;
    let auth = ClientAuth::mutual_tls("billing", ours.certificate.as_str(), ours.key.as_str());
    let tokens = ClientCredentials::builder(&servers.token_url, auth)
        .http_client(http.clone())
        .build()?;

    for Pair { certificate, key } in [ours, servers.client()?] {
        let identity = reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes())?;
        let bearer = BearerAuth::for_origin(&servers.api_origin, tokens.clone())?;
        let client = ClientBuilder::new(http().no_proxy().identity(identity).build()?);
        let response = client.with(bearer).build().get(&servers.api_url).send();
        println!("{}", response.await?.text().await?);
    }
    Ok(())
}

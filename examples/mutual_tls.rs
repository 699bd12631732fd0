//! The client authenticates with its certificate, and its tokens are bound to that certificate (RFC 8705): the connection to
//! the API presents the same one, and a thief with another certificate is refused.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use client_credentials::testing::{AuthorizationServer, CA_PEM, CLIENT_CERTIFICATES};
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, HttpClient, SameCertificate};
use reqwest_middleware::ClientBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::start_https().public_client("billing");
    let url = format!("{}/invoices", server.api_origin());
    let ca = reqwest::Certificate::from_pem(CA_PEM.as_bytes())?;
    let http = move || reqwest::Client::builder().tls_certs_only([ca.clone()]);
    // In a service these are files, which are read for each attempt: `Credential::file("/run/secrets/tls/tls.crt")`.
    let [ours, thief] = CLIENT_CERTIFICATES;
    let auth = ClientAuth::mutual_tls("billing", ours.certificate, ours.key);
    let builder = ClientCredentials::builder(server.token_url(), auth);
    let tokens = builder.http_client(HttpClient::from_reqwest_0_13(http.clone())).build()?;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(BearerAuth::for_origin(server.api_origin(), tokens.clone())?)
        .with(SameCertificate::new(http.clone()))
        .build();
    let response = client.get(&url).send().await?;
    println!("with our certificate: {}", response.status());

    let thief = reqwest::Identity::from_pem(format!("{}{}", thief.certificate, thief.key).as_bytes())?;
    let stolen = tokens.token().await?.authorization();
    let request = http().no_proxy().identity(thief).build()?.get(&url);
    let response = request.header("authorization", stolen).send().await?;
    println!("with a thief's: {}", response.status());
    print!("{}", server.story());
    Ok(())
}

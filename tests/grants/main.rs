//! Grants by a token of the platform: token exchange (RFC 8693) and JWT assertions (RFC 7523 section 2.1), over the scripted
//! authorization server of the kit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/http.rs"]
mod http_server;

mod expired;
mod fapi;
mod issued_types;
mod on_demand;
mod platforms;
mod recipes;
mod step_up;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client_credentials::testing::{Answer, AuthorizationServer, RecordedRequest};
use client_credentials::{
    Backoff, ClientAuth, ClientCredentials, ClientCredentialsBuilder, Credential, HttpClient, RetryPolicy,
};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A valid response with additional `members`.
fn token(members: &str) -> Answer {
    let joint = if members.is_empty() { "" } else { "," };
    let token = harness::canary::TOKEN;
    Answer::Body(format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600{joint}{members}}}"#))
}

/// A server that issues a token for any request.
fn server() -> AuthorizationServer {
    let server = AuthorizationServer::start();
    server.until_changed(token(""));
    server
}

fn builder(server: &AuthorizationServer, auth: impl Into<ClientAuth>) -> ClientCredentialsBuilder {
    let soon = Duration::from_millis(1);
    ClientCredentials::builder(server.token_url(), auth)
        .retry(RetryPolicy::new().backoff(Backoff::new(soon, soon)))
        // No roots, since loading them takes a while and no server here has a public certificate.
        .http_client(HttpClient::from_reqwest_0_13(|| reqwest::Client::builder().no_proxy().tls_certs_only([])))
}

/// A credential with these values in order, of which the last one stays; and how often it was read.
fn rotating(values: impl IntoIterator<Item = impl Into<String>>) -> (Credential, Arc<AtomicUsize>) {
    let values: Vec<String> = values.into_iter().map(Into::into).collect();
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    let credential = Credential::from_fn(move || {
        let read = count.fetch_add(1, Ordering::SeqCst);
        let value = values.get(read).or(values.last()).cloned();
        async move { value.ok_or_else(|| std::io::Error::other("nothing to read")) }
    });
    (credential, reads)
}

/// The recorded parameters of a request, in order: name and value, or the length of a secret value.
fn params(request: &RecordedRequest) -> String {
    let text = format!("{request:?}");
    let params = text.split("params: {").nth(1).unwrap();
    params.split("}, headers: ").next().unwrap().to_owned()
}

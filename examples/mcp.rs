//! A tool of a server that speaks the Model Context Protocol, called with nothing at hand but the server's URL and a
//! credential: the server's metadata (RFC 9728) say where its tokens come from.

#![expect(clippy::print_stdout, reason = "an example shows something")]

mod support;

use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, ProtectedResource};
use reqwest_middleware::ClientBuilder;
use serde_json::{Value, json};
use support::mcp::McpServers;
use support::{CLIENT_ID, CLIENT_SECRET};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = McpServers::start()?;
    let auth = ClientAuth::client_secret_basic(CLIENT_ID, CLIENT_SECRET);
    // Who gave us the credential. Whatever the server says, it goes to nobody else.
    let allowed = [&servers.issuer];
    let tokens = ClientCredentials::builder(ProtectedResource::new(&servers.mcp_url, allowed), auth).build()?;
    let bearer = BearerAuth::for_origin(&servers.mcp_origin, tokens)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mcp = ClientBuilder::new(http).with(bearer).build();

    let params = json!({ "name": "weather", "arguments": { "city": "Vienna" } });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = mcp.post(&servers.mcp_url).body(call.to_string());
    let request = request.header("content-type", "application/json");
    let response = request.send().await?.error_for_status()?;
    let answer: Value = response.json().await?;
    let text = answer.pointer("/result/content/0/text");
    println!("{}", text.and_then(Value::as_str).unwrap_or_default());
    println!("asked: {}", servers.requests().join(", "));
    Ok(())
}

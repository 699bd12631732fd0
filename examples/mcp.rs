//! Calls a tool of a Model Context Protocol server, given only the server's URL and a credential: the server's metadata (RFC
//! 9728) names the authorization server.

#![expect(clippy::print_stdout, reason = "an example shows something")]

use client_credentials::testing::AuthorizationServer;
use client_credentials::{BearerAuth, ClientAuth, ClientCredentials, ProtectedResource};
use reqwest_middleware::ClientBuilder;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The response to one call is all that this example needs of the protocol.
    let result = json!({ "content": [{ "type": "text", "text": "It is sunny in Vienna." }] });
    let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": result });
    let server =
        AuthorizationServer::start().client("example", "only-for-examples").serve_at("/mcp", answer.to_string());
    let mcp_url = format!("{}/mcp", server.api_origin());

    let auth = ClientAuth::client_secret_basic("example", "only-for-examples");
    // The issuer at which the client is registered. Whatever the server's metadata says, the credential is sent to no
    // other.
    let allowed = [server.issuer()];
    let tokens = ClientCredentials::builder(ProtectedResource::new(&mcp_url, allowed), auth).build()?;
    let bearer = BearerAuth::for_origin(server.api_origin(), tokens)?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mcp = ClientBuilder::new(http).with(bearer).build();

    let params = json!({ "name": "weather", "arguments": { "city": "Vienna" } });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = mcp.post(&mcp_url).body(call.to_string());
    let request = request.header("content-type", "application/json");
    let response = request.send().await?.error_for_status()?;
    let answer: Value = response.json().await?;
    let text = answer.pointer("/result/content/0/text");
    println!("{}", text.and_then(Value::as_str).unwrap_or_default());
    print!("{}", server.story());
    Ok(())
}

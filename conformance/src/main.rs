//! The client that the conformance suite of the Model Context Protocol starts: this crate, and nothing else for tokens.
//!
//! The suite gives the URL of its server as the last argument, the scenario and its secrets in the environment. A
//! scenario passes if the server saw what the specification requires; some require that the client gives up.

use client_credentials::reqwest;
use client_credentials::{
    BearerAuth, ClientAuth, ClientCredentials, ClientCredentialsBuilder, DpopKey, HttpClient, JwtBearer,
    ProtectedResource, SigningAlgorithm,
};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::args().next_back().ok_or("the URL of the server is missing")?;
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO")?;
    let context = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_else(|_| "{}".to_owned());
    let context: Value = serde_json::from_str(&context)?;

    let plain = reqwest::Client::builder().no_proxy().build()?;
    let mut client = reqwest_middleware::ClientBuilder::new(plain.clone()).build();
    let mut is_authorized = false;
    let mut session: Option<String> = None;
    let hello = json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "client-credentials", "version": env!("CARGO_PKG_VERSION")},
    });
    for (id, method, params) in [
        (Some(1), "initialize", hello),
        (None, "notifications/initialized", json!({})),
        (Some(2), "tools/list", json!({})),
        (Some(3), "tools/call", json!({"name": "test-tool", "arguments": {}})),
    ] {
        let mut body = json!({"jsonrpc": "2.0", "method": method, "params": params});
        if let Some(id) = id {
            body["id"] = json!(id);
        }
        let request = |client: &ClientWithMiddleware| {
            let request = client
                .post(&url)
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2025-11-25")
                .body(body.to_string());
            match &session {
                Some(session) => request.header("mcp-session-id", session),
                None => request,
            }
        };
        let mut response = request(&client).send().await?;
        if response.status() == 401 && !is_authorized {
            // From here on with tokens, for the scopes that the API says it needs.
            let api = ProtectedResource::new(&url, named_issuers(&plain, &url).await?)
                .challenge(response.headers())
                .scopes_from_api(true);
            let tokens = builder(&scenario, &context, api)
                .http_client(HttpClient::from_reqwest_0_13(|| reqwest::Client::builder().no_proxy()))
                .build()?;
            let bearer = BearerAuth::for_origin(reqwest::Url::parse(&url)?.origin().ascii_serialization(), tokens)?;
            client = reqwest_middleware::ClientBuilder::new(plain.clone()).with(bearer).build();
            is_authorized = true;
            response = request(&client).send().await?;
        }
        let response = response.error_for_status()?;
        let given = response.headers().get("mcp-session-id").and_then(|id| id.to_str().ok());
        session = session.or(given.map(Into::into));
    }
    Ok(())
}

/// How each scenario authenticates. A user knows that; here the name of the scenario says it.
fn builder(scenario: &str, context: &Value, api: ProtectedResource) -> ClientCredentialsBuilder {
    let text = |name: &str| context[name].as_str().unwrap_or("unset").to_owned();
    if scenario.contains("wif") {
        // The token of the platform that runs the workload.
        let builder = ClientCredentials::builder(api, ClientAuth::none(text("client_id")));
        let builder = builder.grant(JwtBearer::new(text("valid_jwt")));
        return match context["scope"].as_str() {
            Some(scope) => builder.scope(scope),
            None => builder,
        };
    }
    let auth: ClientAuth = if scenario.contains("jwt") {
        let auth = ClientAuth::private_key_jwt(text("client_id"), text("private_key_pem"));
        auth.algorithm(SigningAlgorithm::ES256).into()
    } else {
        ClientAuth::client_secret_basic(text("client_id"), text("client_secret"))
    };
    let builder = ClientCredentials::builder(api, auth);
    match scenario.contains("dpop") {
        true => builder.dpop(DpopKey::generate()),
        false => builder,
    }
}

/// A user names the issuers that know the client; here they are taken from the API's metadata.
async fn named_issuers(client: &reqwest::Client, url: &str) -> Result<Vec<String>> {
    let parsed = reqwest::Url::parse(url)?;
    let base = format!("{}/.well-known/oauth-protected-resource", parsed.origin().ascii_serialization());
    for place in [format!("{base}{}", parsed.path()), base] {
        let response = client.get(place).send().await?;
        let Ok(metadata) = response.json::<Value>().await else { continue };
        let servers = metadata["authorization_servers"].as_array().into_iter().flatten();
        let servers: Vec<_> = servers.filter_map(Value::as_str).map(Into::into).collect();
        if !servers.is_empty() {
            return Ok(servers);
        }
    }
    Err("the server names no authorization server".into())
}

//! A server that speaks enough of the Model Context Protocol for one tool, and the authorization server that its
//! metadata (RFC 9728) name: two origins on a thread of their own.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde_json::{Value, json};

use super::{BASIC, Tokens, authorization, issued};

pub(crate) struct McpServers {
    /// Where the tools are called, which is also what the server calls itself.
    pub(crate) mcp_url: String,
    pub(crate) mcp_origin: String,
    /// Knows `CLIENT_ID` with `CLIENT_SECRET`.
    pub(crate) issuer: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl McpServers {
    pub(crate) fn start() -> io::Result<Self> {
        let (api, auth) = (listen()?, listen()?);
        let mcp_origin = format!("http://{}", api.local_addr()?);
        let issuer = format!("http://{}", auth.local_addr()?);
        let mcp_url = format!("{mcp_origin}/mcp");
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&requests);
        let logged = from_fn(move |request: Request, next: Next| {
            let line = format!("{} {}", request.method(), request.uri().path());
            log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            next.run(request)
        });
        let tokens = Arc::<Tokens>::default();
        let routers = [
            (api, api_router(&mcp_origin, &issuer, &tokens).layer(logged.clone())),
            (auth, issuer_router(&mcp_url, &issuer, &tokens).layer(logged)),
        ];
        for (listener, router) in routers {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            thread::spawn(move || -> io::Result<()> {
                runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await })
            });
        }
        Ok(McpServers { mcp_url, mcp_origin, issuer, requests })
    }

    /// What both were asked, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn api_router(origin: &str, issuer: &str, tokens: &Arc<Tokens>) -> Router {
    const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";
    let metadata = json!({ "resource": format!("{origin}/mcp"), "authorization_servers": [issuer] });
    let challenge = format!("Bearer resource_metadata=\"{origin}{METADATA}\"");
    let tokens = Arc::clone(tokens);
    let mcp = move |headers: HeaderMap, Json(call): Json<Value>| async move {
        if !tokens.accept(authorization(&headers)) {
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
        }
        answer(&call)
    };
    Router::new().route(METADATA, get(async move || Json(metadata))).route("/mcp", post(mcp))
}

/// JSON-RPC 2.0, and of the protocol what a call of the one tool needs.
fn answer(call: &Value) -> Response {
    let params = &call["params"];
    let result = match call["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": params["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "weather", "version": "1" },
        }),
        Some("tools/call") => {
            let city = params.pointer("/arguments/city").and_then(Value::as_str);
            let text = format!("It is sunny in {}.", city.unwrap_or("nowhere"));
            json!({ "content": [{ "type": "text", "text": text }] })
        }
        _ => {
            let error = json!({ "code": -32601, "message": "no such method" });
            return Json(json!({ "jsonrpc": "2.0", "id": call["id"], "error": error })).into_response();
        }
    };
    Json(json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })).into_response()
}

fn issuer_router(mcp_url: &str, issuer: &str, tokens: &Arc<Tokens>) -> Router {
    let metadata = json!({ "issuer": issuer, "token_endpoint": format!("{issuer}/token") });
    let (known, tokens) = (mcp_url.to_owned(), Arc::clone(tokens));
    let token = move |headers: HeaderMap, Form(form): Form<Vec<(String, String)>>| async move {
        let asked = form.iter().find(|(name, _)| name == "resource");
        let error = match authorization(&headers) {
            Some(sent) if sent != BASIC.as_bytes() => "invalid_client",
            None => "invalid_client",
            // RFC 8707: a token is for one API.
            _ if asked.is_none_or(|(_, resource)| *resource != known) => "invalid_target",
            _ => return issued(tokens.issue()),
        };
        (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
    };
    Router::new()
        .route("/.well-known/oauth-authorization-server", get(async move || Json(metadata)))
        .route("/token", post(token))
}

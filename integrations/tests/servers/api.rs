//! An API whose tokens are verified by third-party software (Auth0's express-oauth2-jwt-bearer).

use std::path::Path;
use std::process::Command;

use client_credentials::{
    BearerAuth, ClientAuth, ClientCredentials, ClientCredentialsBuilder, DpopKey, ErrorKind, ProtectedResource,
};
use reqwest_middleware::ClientBuilder;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::methods::{METHODS, random};
use crate::process::Process;
use crate::server::{Listener, SCOPE, Server, here};
use crate::stories::{check, full};

/// Running until it is dropped. It trusts one authorization server, under all its names.
pub(crate) struct Api {
    _process: Process,
    ports: Map<String, Value>,
    http: reqwest::Client,
}

impl Api {
    /// `folder`: as the authorization server's, whose issuers these are. `http` trusts the same CA.
    pub(crate) fn start(folder: &Path, issuers: &[String], http: reqwest::Client) -> Result<Api> {
        let mut command = Command::new("node");
        command.arg(here("express-oauth2-jwt-bearer/server.mjs"));
        command.arg(folder).args(issuers);
        command.env("NODE_EXTRA_CA_CERTS", folder.join("ca.pem"));
        let (process, line) = Process::start(&mut command)?;
        Ok(Api { ports: serde_json::from_str(&line)?, _process: process, http })
    }

    /// What it calls itself behind this port. Over `https` it asks for a certificate, and does not demand it.
    pub(crate) fn origin(&self, listener: Listener) -> Result<String> {
        let scheme = match listener {
            Listener::Http => "http",
            Listener::Https | Listener::MutualTls => "https",
        };
        let port = self.ports.get(scheme).ok_or("it has no such port")?;
        Ok(format!("{scheme}://localhost:{port}"))
    }

    /// A client with these tokens, for one of its origins.
    pub(crate) fn client(&self, listener: Listener, tokens: &ClientCredentials) -> Result<ClientBuilder> {
        let bearer = BearerAuth::for_origin(&self.origin(listener)?, tokens.clone())?;
        Ok(ClientBuilder::new(self.http.clone()).with(bearer))
    }

    /// Asks for this path: status and body.
    pub(crate) async fn ask(&self, path: &str, listener: Listener, tokens: &ClientCredentials) -> Result<(u16, Value)> {
        let client = self.client(listener, tokens)?.build();
        let url = format!("{}{path}", self.origin(listener)?);
        answer(client.get(url).send().await?).await
    }

    /// The same with what a thief would have.
    pub(crate) async fn ask_by(
        &self,
        path: &str,
        listener: Listener,
        authorization: http::HeaderValue,
    ) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.origin(listener)?);
        let request = self.http.get(url).header("authorization", authorization);
        answer(request.send().await?).await
    }

    /// From now on it requires another nonce; the previous one is still accepted.
    pub(crate) async fn refresh_nonce(&self) -> Result {
        let url = format!("{}/admin/nonce", self.origin(Listener::Http)?);
        self.http.put(url).send().await?.error_for_status()?;
        Ok(())
    }

    /// How often that happened so far.
    pub(crate) async fn count(&self) -> Result<[u64; 5]> {
        let url = format!("{}/admin/counters", self.origin(Listener::Http)?);
        let counters: Value = self.http.get(url).send().await?.json().await?;
        Ok(COUNTED.map(|one| counters[one].as_u64().unwrap_or(u64::MAX)))
    }
}

pub(crate) async fn answer(response: reqwest::Response) -> Result<(u16, Value)> {
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or_default()))
}

/// What [`Api::count`] returns, in order. Proofs are different ones that were accepted, challenges those for a nonce.
const COUNTED: [&str; 5] = ["accepted", "refused", "proofs", "replays", "challenges"];

/// A new client with a secret, at a new pair of servers.
async fn pair() -> Result<(Server, Api, ClientAuth)> {
    let server = Server::oidc_provider()?;
    let api = server.api()?;
    let method = METHODS.first().ok_or("there is no method")?;
    let client = format!("api-{}", random(6));
    let credentials = method.credentials(&client, &server.authority)?;
    credentials.put(&server.folder_of(&client))?;
    server.register(&client, &credentials).await?;
    let auth = method.auth(&client, &server.folder_of(&client));
    Ok((server, api, auth))
}

#[tokio::test]
#[ignore = "needs node: .ci/servers"]
async fn a_bearer_token_is_valid_at_the_api_that_it_was_requested_for() -> Result {
    let (server, api, auth) = pair().await?;
    for listener in [Listener::Http, Listener::Https] {
        let builder = server.builder(listener, auth.clone())?;
        let tokens = builder.resource(api.origin(listener)?).build()?;
        for _ in 0..2 {
            let (status, body) = api.ask("/weather", listener, &tokens).await?;
            check(status == 200 && body["weather"] == "sunny", || body.to_string())?;
            check(body["scheme"] == "Bearer" && body["bound"] == json!([]), || body.to_string())?;
        }
        // The audience is the other of its two origins: another API.
        let other = match listener {
            Listener::Http => Listener::Https,
            _ => Listener::Http,
        };
        let (status, body) = api.ask("/weather", other, &tokens).await?;
        check(status == 401, || format!("{status} {body}"))?;
    }
    // After each 401 another token was tried, once, and the second 401 was returned.
    let counted = api.count().await?;
    check(counted == [4, 4, 0, 0, 0], || format!("{counted:?}"))
}

#[tokio::test]
#[ignore = "needs node: .ci/servers"]
async fn a_narrower_scope_is_refused_by_the_api_and_costs_no_token() -> Result {
    let (server, api, auth) = pair().await?;
    let tokens = ClientCredentials::builder(format!("{}/token", server.issuer(Listener::Http)?), auth)
        .scope("weather:write")
        .resource(api.origin(Listener::Http)?)
        .build()?;
    let before = tokens.token().await?;
    let (status, _) = api.ask("/weather", Listener::Http, &tokens).await?;
    check(status == 403, || status.to_string())?;
    let after = tokens.token().await?;
    check(before.expose_secret() == after.expose_secret(), || "it was refreshed".into())
}

/// RFC 9728 from end to end: of the authorization server only the issuer is configured.
#[tokio::test]
#[ignore = "needs node: .ci/servers"]
async fn the_url_of_an_api_is_enough_to_call_it() -> Result {
    let (server, api, auth) = pair().await?;
    for (listener, issuer) in
        [(Listener::Http, Listener::Http), (Listener::Http, Listener::Https), (Listener::Https, Listener::Https)]
    {
        let issuer = server.issuer(issuer)?;
        let of_api = |allowed: &str| -> Result<ClientCredentialsBuilder> {
            let origin = api.origin(listener)?;
            server.set_up(ClientCredentials::builder(ProtectedResource::new(&origin, [allowed]), auth.clone()))
        };
        let (status, body) = api.ask("/weather", listener, &of_api(&issuer)?.build()?).await?;
        check(status == 200, || format!("{status} {body}"))?;

        let bound = of_api(&issuer)?.dpop(DpopKey::generate()).build()?;
        let (status, body) = api.ask("/dpop", listener, &bound).await?;
        check(status == 200, || format!("{status} {body}"))?;

        let almost = of_api(&format!("{issuer}/"))?.build()?;
        let error = almost.token().await.err().ok_or("a token of a server that is not allowed")?;
        let is_told = error.to_string().contains("is an allowed issuer");
        check(error.kind() == ErrorKind::Response && is_told, || full(error))?;
    }
    let tokens = server.builder(Listener::Http, auth)?.build()?;
    check(tokens.token().await?.scope() == Some(SCOPE), || "without a resource".into())
}

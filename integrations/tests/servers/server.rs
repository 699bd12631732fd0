//! The authorization servers: how to start them, how to register clients, what to query.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use client_credentials::{
    AccessToken, Backoff, CachePolicy, ClientAuth, ClientCredentials, ClientCredentialsBuilder, HttpClient, Issuer,
};
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::certificates::Authority;
use crate::methods::{self, AUTHLIB, Credentials, Method, OIDC_PROVIDER};
use crate::process::Process;
use crate::{Failure, Result};

/// One authorization server, running until it is dropped.
pub(crate) struct Server {
    /// Its column.
    pub(crate) name: &'static str,
    pub(crate) authority: Authority,
    process: Process,
    /// By name of the listener.
    ports: Map<String, Value>,
    folder: Folder,
    http: reqwest::Client,
}

/// Which of a server's ports.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listener {
    Http,
    Https,
    /// Asks for a client certificate. Not every server has it.
    MutualTls,
}

/// What is requested.
pub(crate) const SCOPE: &str = "weather:read";

impl Server {
    pub(crate) fn oidc_provider() -> Result<Server> {
        let mut command = Command::new("node");
        command.arg(here("oidc-provider/server.mjs"));
        Server::start(OIDC_PROVIDER, command)
    }

    pub(crate) fn authlib() -> Result<Server> {
        // Where .ci/servers put it: target/authlib.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
        let mut command = Command::new(target.join("authlib/bin/python"));
        command.arg(here("authlib/server.py"));
        Server::start(AUTHLIB, command)
    }

    fn start(name: &'static str, mut command: Command) -> Result<Server> {
        let folder = Folder::new()?;
        let authority = Authority::new()?;
        let identity = authority.server()?;
        for (name, content) in [
            ("ca.pem", authority.certificate()),
            ("server.pem", identity.certificate),
            ("server-key.pem", identity.key),
        ] {
            std::fs::write(folder.0.join(name), content)?;
        }
        let http = trusting(&authority)?().no_proxy().build()?;
        let (process, line) = Process::start(command.arg(&folder.0))?;
        let ports =
            serde_json::from_str(&line).map_err(|e| format!("{name} said {line:?} ({e})\n{}", process.stderr()))?;
        Ok(Server { name, authority, process, ports, folder, http })
    }

    /// An API that takes its tokens.
    pub(crate) fn api(&self) -> Result<Api> {
        let listeners = [Listener::Http, Listener::Https, Listener::MutualTls];
        let issuers: Result<Vec<_>> = listeners.map(|one| self.issuer(one)).into_iter().collect();
        Api::start(&self.folder.0, &issuers?, self.http.clone())
    }

    /// The issuer behind this port, which is its origin.
    pub(crate) fn issuer(&self, listener: Listener) -> Result<String> {
        let (scheme, name) = match listener {
            Listener::Http => ("http", "http"),
            Listener::Https => ("https", "https"),
            Listener::MutualTls => ("https", "mtls"),
        };
        let port = self.ports.get(name).ok_or_else(|| format!("{} has no port for {name}", self.name))?;
        Ok(format!("{scheme}://localhost:{port}"))
    }

    /// Registers a client, or replaces what was registered of it.
    pub(crate) async fn register(&self, client: &str, credentials: &Credentials) -> Result {
        self.register_with(client, credentials, json!({})).await
    }

    /// With further client metadata.
    pub(crate) async fn register_with(&self, client: &str, credentials: &Credentials, more: Value) -> Result {
        let mut metadata = credentials.registration.clone();
        for (name, value) in more.as_object().into_iter().flatten() {
            metadata[name] = value.clone();
        }
        let client = percent_encoding::utf8_percent_encode(client, percent_encoding::NON_ALPHANUMERIC);
        let url = format!("{}/admin/clients/{client}", self.issuer(Listener::Http)?);
        let response = self.http.put(url).body(metadata.to_string()).send().await?.error_for_status();
        response.map(drop).map_err(|e| self.says(e))
    }

    /// What the server says about a token (RFC 7662).
    pub(crate) async fn introspect(&self, token: &str) -> Result<Value> {
        let url = format!("{}/token/introspection", self.issuer(Listener::Http)?);
        let form = [("token", token)];
        let request = self.http.post(url).basic_auth("introspector", Some("introspects"));
        let response = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish())
            .send()
            .await?
            .error_for_status();
        Ok(response.map_err(|e| self.says(e))?.json().await?)
    }

    /// The server's metadata under `/.well-known/`.
    pub(crate) async fn metadata(&self, listener: Listener, document: &str) -> Result<Value> {
        let url = format!("{}/.well-known/{document}", self.issuer(listener)?);
        let response = self.http.get(url).send().await?.error_for_status();
        Ok(response.map_err(|e| self.says(e))?.json().await?)
    }

    /// That the server issued this token to this client, for this scope, until then, and considers it valid.
    pub(crate) async fn vouches_for(&self, token: &AccessToken, client: &str) -> Result {
        let told = self.introspect(token.expose_secret()).await?;
        let expected = json!({ "active": true, "client_id": client, "scope": SCOPE, "token_type": "Bearer" });
        for (member, value) in expected.as_object().into_iter().flatten() {
            if told.get(member) != Some(value) {
                return Err(format!("{} says of the token: {told}", self.name).into());
            }
        }
        let expires = told["exp"].as_u64().ok_or("no exp")?;
        let ours = token.expires_at().ok_or("the token does not expire")?;
        let ours = ours.duration_since(std::time::UNIX_EPOCH)?.as_secs();
        // Ours counts from before the request was sent, theirs from whole seconds.
        if ours > expires + 1 || ours + 10 < expires {
            return Err(format!("we say it expires at {ours}, the server at {expires}").into());
        }
        Ok(())
    }

    /// A source of tokens, by what is in the client's folder; it does not wait long after a denial.
    pub(crate) fn tokens(&self, method: &Method, client: &str) -> Result<ClientCredentialsBuilder> {
        let auth = method.auth(client, &self.folder_of(client));
        let listener = match method.is_mutual_tls() {
            true => Listener::MutualTls,
            false => Listener::Http,
        };
        self.builder(listener, auth)
    }

    /// The same, by any method, at any port.
    pub(crate) fn builder(&self, listener: Listener, auth: ClientAuth) -> Result<ClientCredentialsBuilder> {
        // The audience of an assertion is the issuer, which is not known from the token endpoint alone.
        if format!("{auth:?}").contains("_jwt") {
            return self.by_name(listener, auth);
        }
        let endpoint = format!("{}/token", self.issuer(listener)?);
        self.set_up(ClientCredentials::builder(endpoint, auth))
    }

    /// The same by the name of the server alone.
    pub(crate) fn by_name(&self, listener: Listener, auth: ClientAuth) -> Result<ClientCredentialsBuilder> {
        self.set_up(ClientCredentials::builder(Issuer::new(&self.issuer(listener)?), auth))
    }

    pub(crate) fn set_up(&self, builder: ClientCredentialsBuilder) -> Result<ClientCredentialsBuilder> {
        let wait = Duration::from_millis(1);
        Ok(builder.scope(SCOPE).http_client(HttpClient::from_reqwest_0_13(trusting(&self.authority)?)).cache(
            CachePolicy::new()
                .denied_backoff(Backoff::new(wait, wait))
                .expired_backoff(Backoff::new(wait, wait))
                .forced_refreshes(100)
                .forced_refresh_interval(wait),
        ))
    }

    /// What a client holds.
    pub(crate) fn folder_of(&self, client: &str) -> PathBuf {
        self.folder.0.join(client)
    }

    /// The error output of a server that misbehaves.
    fn says(&self, e: reqwest::Error) -> Failure {
        format!("{}: {e}; it says:\n{}", self.name, self.process.stderr()).into()
    }
}

/// For clients of servers with a certificate of this authority.
pub(crate) fn trusting(
    authority: &Authority,
) -> Result<impl Fn() -> reqwest::ClientBuilder + Clone + Send + Sync + 'static> {
    let ca = reqwest::Certificate::from_pem(authority.certificate().as_bytes())?;
    Ok(move || reqwest::Client::builder().tls_certs_only([ca.clone()]))
}

/// A file of the tests.
pub(crate) fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(path)
}

/// Removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("servers-{}", methods::random(12)));
        std::fs::create_dir_all(&folder)?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The pinned version: what follows `name` in the file that pins it.
pub(crate) fn version(column: &str) -> String {
    let after = match column {
        OIDC_PROVIDER => include_str!("oidc-provider/package.json").split_once("\"oidc-provider\": \""),
        _ => include_str!("authlib/requirements.txt").split_once("Authlib=="),
    };
    let version = after.map(|(_, rest)| rest.split(['"', '\n']).next().unwrap_or_default());
    version.unwrap_or_default().to_owned()
}

//! Eight mistakes of the first hour, made at each server: `diagnose` names the cause. The guide "getting started" shows
//! what it said; `BLESS=1` writes it there.

use client_credentials::{Cause, ClientAuth, ClientCredentials, ClientCredentialsBuilder, Diagnosis, Issuer};
use serde_json::json;

use crate::Result;
use crate::methods::{METHODS, Method, random};
use crate::server::{Listener, SCOPE, Server, version};
use crate::stories::check;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/docs/getting_started.md");
const BEGIN: &str = "<!-- begin: written by integrations/tests/servers/mistakes.rs -->\n";
const END: &str = "<!-- end: mistakes -->\n";

/// A client that is registered, and what its owner knows of it.
struct Client<'a> {
    server: &'a Server,
    id: String,
    secret: String,
}

impl<'a> Client<'a> {
    /// For `client_secret_post`, unless `more` says otherwise.
    async fn registered(server: &'a Server, more: serde_json::Value) -> Result<Client<'a>> {
        let (id, secret) = ("billing".to_owned(), random(64));
        server.register_with(&id, &method("client_secret_post").secret(&secret), more).await?;
        Ok(Client { server, id, secret })
    }

    fn post(&self, secret: &str) -> ClientAuth {
        ClientAuth::client_secret_post(&self.id, secret)
    }

    /// A correct configuration, except for the credential.
    fn with(&self, auth: ClientAuth) -> Result<ClientCredentialsBuilder> {
        self.server.builder(Listener::Http, auth)
    }

    fn right(&self) -> ClientAuth {
        self.post(&self.secret)
    }
}

fn method(name: &str) -> &'static Method {
    METHODS.iter().find(|method| method.name == name).unwrap()
}

struct Mistake {
    title: &'static str,
    causes: &'static [Cause],
    diagnosis: Diagnosis,
}

async fn mistakes(server: &Server) -> Result<Vec<Mistake>> {
    let mut all = Vec::new();
    let mut made = |title, causes, diagnosis| all.push(Mistake { title, causes, diagnosis });
    let client = Client::registered(server, json!({})).await?;
    let (issuer, token) = (server.issuer(Listener::Http)?, format!("{}/token", server.issuer(Listener::Http)?));

    let wrong = client.with(client.post("another-secret"))?.diagnose().await;
    made("The secret belongs to another client", &[Cause::ClientRefused][..], wrong);

    let blank = client.with(client.post(&format!("{} ", client.secret)))?.diagnose().await;
    made("The secret ends with a space", &[Cause::CredentialEdges], blank);

    let key = method("private_key_jwt").credentials("signer", &server.authority)?;
    server.register("signer", &key).await?;
    let secret = server.builder(Listener::Http, ClientAuth::client_secret_post("signer", "a-secret"))?.diagnose().await;
    made(
        "The client is registered for private_key_jwt, and a secret is used",
        &[Cause::MethodNotSupported, Cause::ClientRefused],
        secret,
    );

    let denied = Client::registered(server, json!({ "grant_types": ["authorization_code"] })).await?;
    made("The client may not use the grant", &[Cause::GrantNotAllowed], denied.with(denied.right())?.diagnose().await);

    let client = Client::registered(server, json!({})).await?;
    let elsewhere = ClientCredentials::builder(format!("{issuer}/oauth/token"), client.right());
    made(
        "The URL is not that of the token endpoint",
        &[Cause::NotATokenEndpoint],
        server.set_up(elsewhere)?.diagnose().await,
    );

    let realm = ClientCredentials::builder(Issuer::new(format!("{issuer}/realms/demo")), client.right());
    made("The issuer is that of another product", &[Cause::Metadata], server.set_up(realm)?.diagnose().await);

    let scope = ClientCredentials::builder(&*token, client.right()).scope(SCOPE).scope("admin");
    made("A scope is not granted", &[Cause::Scope], scope.diagnose().await);

    let untrusting = ClientCredentials::builder(format!("{}/token", server.issuer(Listener::Https)?), client.right());
    made("The company's CA is not known to the client", &[Cause::Tls], untrusting.diagnose().await);
    Ok(all)
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn the_guide_shows_what_diagnose_says_of_eight_mistakes_at_each_server() -> Result {
    let mut shown = String::new();
    for server in [Server::oidc_provider()?, Server::authlib()?] {
        shown += &format!("At {} {}:\n\n", server.name, version(server.name));
        for (number, mistake) in mistakes(&server).await?.iter().enumerate() {
            let Mistake { title, causes, diagnosis } = mistake;
            check(causes.contains(&diagnosis.cause), || {
                format!("{} at {}: {:?}\n{diagnosis}", title, server.name, diagnosis.cause)
            })?;
            check(diagnosis.token_requests <= 1, || format!("{title}: {} requests", diagnosis.token_requests))?;
            let mut text = diagnosis.summary.clone();
            diagnosis.advice.iter().for_each(|advice| text += &format!("\n  - {advice}"));
            for (listener, name) in [(Listener::Http, "http"), (Listener::Https, "https")] {
                let origin = server.issuer(listener)?;
                let port = origin.rsplit(':').next().unwrap();
                text = text.replace(&origin, &format!("{name}://localhost")).replace(port, "443");
            }
            shown += &format!("{}. {title}:\n\n```text\n{}\n```\n\n", number + 1, wrapped(&text));
        }
    }
    let guide = std::fs::read_to_string(GUIDE)?;
    let (before, rest) = guide.split_once(BEGIN).ok_or("the guide has lost its mark")?;
    let (written, after) = rest.split_once(END).ok_or("the guide has lost its mark")?;
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(GUIDE, format!("{before}{BEGIN}{shown}{END}{after}"))?;
        return Ok(());
    }
    check(written == shown, || format!("write it with BLESS=1:\n{shown}"))
}

/// At 80 columns: more would need a scroll bar in the guide.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut width = 0;
        for (n, word) in line.split(' ').enumerate() {
            if n > 0 {
                let fits = width + 1 + word.len() <= 80;
                out.push_str(if fits { " " } else { "\n    " });
                width = if fits { width + 1 } else { 4 };
            }
            out.push_str(word);
            width += word.len();
        }
        out.push('\n');
    }
    out.trim_end().to_owned()
}

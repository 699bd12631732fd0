//! What else is tested with real servers: awkward secrets, vaults, TLS, scopes, resources, short tokens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client_credentials::{
    AccessToken, ClientAuth, ClientCredentials, Credential, Error, ErrorKind, HttpClient, Issuer,
};
use serde_json::json;

use crate::Result;
use crate::methods::{ByOne, METHODS, Method, OIDC_PROVIDER, Proof, random, reason};
use crate::server::{Listener, Server};
use crate::stories::{check, denied, full};

/// Each function is a test at both servers.
macro_rules! at_both {
    ($($story:ident)*) => {
        mod at_oidc_provider {
            use super::{Result, Server};
            $(
                #[tokio::test]
                #[ignore = "needs node: npm ci in integrations/tests/servers/oidc-provider"]
                async fn $story() -> Result {
                    super::$story(Server::oidc_provider()?).await
                }
            )*
        }

        mod at_authlib {
            use super::{Result, Server};
            $(
                #[tokio::test]
                #[ignore = "needs python: .ci/servers makes target/authlib"]
                async fn $story() -> Result {
                    super::$story(Server::authlib()?).await
                }
            )*
        }
    };
}

at_both! {
    the_server_tells_real_tokens_from_others
    the_server_is_found_by_its_name
    every_method_finds_the_token_endpoint_by_the_servers_name
    an_id_and_a_secret_of_any_characters_arrive_as_they_are
    a_secret_that_a_vault_replaces_meanwhile_is_read_again_within_one_fetch
    over_https_the_certificate_is_verified
    a_narrower_scope_is_told_or_refused
    a_short_token_is_refreshed_before_the_server_forgets_it
}

/// The check on which all other tests rely.
async fn the_server_tells_real_tokens_from_others(server: Server) -> Result {
    let told = server.introspect("made-up").await?;
    check(told == json!({ "active": false }), || told.to_string())
}

/// RFC 8414, and OpenID Connect discovery where there is such a thing: what `Issuer` reads.
async fn the_server_is_found_by_its_name(server: Server) -> Result {
    let issuer = server.issuer(Listener::Https)?;
    let documents = match server.name {
        OIDC_PROVIDER => &["oauth-authorization-server", "openid-configuration"][..],
        _ => &["oauth-authorization-server"],
    };
    for document in documents {
        let metadata = server.metadata(Listener::Https, document).await?;
        let endpoint = format!("{issuer}/token");
        check(metadata["issuer"] == issuer && metadata["token_endpoint"] == endpoint, || metadata.to_string())?;
        if server.name == OIDC_PROVIDER {
            let alias = format!("{}/token", server.issuer(Listener::MutualTls)?);
            check(metadata["mtls_endpoint_aliases"]["token_endpoint"] == alias, || metadata.to_string())?;
        }
    }
    Ok(())
}

/// Over plain http at the issuer's own origin, and over https. For assertions the issuer is the audience, and the
/// certificates of oidc-provider's clients are asked for at another port only (`mtls_endpoint_aliases`).
async fn every_method_finds_the_token_endpoint_by_the_servers_name(server: Server) -> Result {
    for method in METHODS {
        if reason(method.name, server.name).is_some() {
            continue;
        }
        for listener in [Listener::Http, Listener::Https] {
            let client = format!("{}-{}", method.name, random(6));
            let credentials = method.credentials(&client, &server.authority)?;
            credentials.put(&server.folder_of(&client))?;
            server.register(&client, &credentials).await?;
            let auth = method.auth(&client, &server.folder_of(&client));
            let tokens = server.by_name(listener, auth)?.build()?;
            let token = token(&tokens).await.map_err(|e| format!("{} {listener:?}: {}", method.name, e.0))?;
            server.vouches_for(&token, &client).await?;
        }
    }
    // RFC 8414 section 3.3: an almost equal issuer is a different one.
    let issuer = format!("{}/", server.issuer(Listener::Http)?);
    let tokens = ClientCredentials::builder(Issuer::new(&issuer), ClientAuth::none("nobody")).build()?;
    let error = refusal(&tokens).await?;
    let is_told = error.to_string().contains("must be identical");
    check(error.kind() == ErrorKind::Response && is_told, || full(error))
}

/// QUIRKS row 1.
async fn an_id_and_a_secret_of_any_characters_arrive_as_they_are(server: Server) -> Result {
    let printable: String = (' '..='~').collect();
    let secret = match server.name {
        // It takes no secret with other characters: RFC 6749 appendix A.2 has none.
        OIDC_PROVIDER => printable,
        _ => format!("ü{printable}€"),
    };
    for (method, auth) in METHODS.iter().filter_map(with_secret) {
        if method.name == "client_secret_basic_raw" {
            continue; // of which the next two tests are
        }
        let client = format!("a+b/c%d:e&f g {}", random(6));
        server.register(&client, &method.secret(&secret)).await?;
        let tokens = server.builder(Listener::Http, auth(&client, secret.as_str().into()))?;
        let token = token(&tokens.build()?).await?;
        server.vouches_for(&token, &client).await?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs node: npm ci in integrations/tests/servers/oidc-provider"]
async fn oidc_provider_form_decodes_so_raw_basic_is_for_others() -> Result {
    let server = Server::oidc_provider()?;
    for (secret, code) in [
        ("a/b:c&d e=f", None),
        ("a+b", Some("invalid_client")),
        ("a%41b", Some("invalid_client")),
        ("a%b", Some("invalid_request")),
    ] {
        check(raw(&server, secret).await?.as_deref() == code, || secret.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs python: .ci/servers makes target/authlib"]
async fn authlib_percent_decodes_so_raw_basic_serves_all_but_percent_signs() -> Result {
    let server = Server::authlib()?;
    for (secret, code) in [("ü a/b:c&d+e=f", None), ("a%b", None), ("a%41b", Some("invalid_client"))] {
        check(raw(&server, secret).await?.as_deref() == code, || secret.to_owned())?;
    }
    Ok(())
}

/// The code of the error by which this secret is refused, if it is.
async fn raw(server: &Server, secret: &str) -> Result<Option<String>> {
    let raw = METHODS.iter().filter_map(with_secret);
    let (method, auth) =
        raw.clone().find(|(method, _)| method.name == "client_secret_basic_raw").ok_or("no raw method")?;
    let client = format!("raw-{}", random(6));
    server.register(&client, &method.secret(secret)).await?;
    let tokens = server.builder(Listener::Http, auth(&client, secret.into()))?;
    match tokens.build()?.token().await {
        Ok(_) => Ok(None),
        Err(e) if e.kind() == ErrorKind::Denied => Ok(e.oauth().map(|e| e.code().to_owned())),
        Err(e) => Err(full(e).into()),
    }
}

/// `Credential::from_fn`: the vault still has the old secret when the server has the new one already.
async fn a_secret_that_a_vault_replaces_meanwhile_is_read_again_within_one_fetch(server: Server) -> Result {
    for (method, auth) in METHODS.iter().filter_map(with_secret) {
        let client = format!("vault-{}", random(6));
        let (old, new) = (random(64), random(64));
        let answers = [old.clone(), old.clone(), new.clone()];
        let vault = Arc::new(Mutex::new(VecDeque::from(answers)));
        let asked = vault.clone();
        let secret = Credential::from_fn(move || {
            let answer = asked.lock().map_err(|e| e.to_string()).map(|mut v| v.pop_front());
            async move { answer?.ok_or("asked once too often".to_owned()) }
        });

        server.register(&client, &method.secret(&old)).await?;
        let tokens = server.builder(Listener::Http, auth(&client, secret))?.build()?;
        let first = token(&tokens).await?;
        server.register(&client, &method.secret(&new)).await?;
        tokens.reject(&first);
        let second = token(&tokens).await?;
        server.vouches_for(&second, &client).await?;
        let left = vault.lock().map_err(|e| e.to_string())?.len();
        check(left == 0, || format!("{}: {left} answers left", method.name))?;
    }
    Ok(())
}

async fn over_https_the_certificate_is_verified(server: Server) -> Result {
    let (client, secret) = (random(8), random(64));
    let auth = || ClientAuth::client_secret_basic(client.as_str(), secret.as_str());
    server.register(&client, &basic().secret(&secret)).await?;
    let tokens = server.builder(Listener::Https, auth())?.build()?;
    server.vouches_for(&token(&tokens).await?, &client).await?;

    let tokens = server
        .builder(Listener::Https, auth())?
        .http_client(HttpClient::from_reqwest_0_13(reqwest::Client::builder))
        .build()?;
    let error = refusal(&tokens).await?;
    check(error.kind() == ErrorKind::Tls, || full(error))
}

async fn a_narrower_scope_is_told_or_refused(server: Server) -> Result {
    let (client, secret) = (random(8), random(64));
    server.register(&client, &basic().secret(&secret)).await?;
    let auth = ClientAuth::client_secret_basic(client.as_str(), secret.as_str());
    let tokens = server.builder(Listener::Http, auth)?.scope("weather:control");
    let lenient = token(&tokens.clone().build()?).await?;
    check(lenient.scope() == Some("weather:read"), || format!("{:?}", lenient.scope()))?;
    let error = refusal(&tokens.refuse_narrower_scope(true).build()?).await?;
    check(!error.is_transient() && error.to_string().contains("scope"), || full(error))
}

async fn a_short_token_is_refreshed_before_the_server_forgets_it(server: Server) -> Result {
    let (client, secret) = (random(8), random(64));
    let short = json!({ "token_lifetime": 4 });
    server.register_with(&client, &basic().secret(&secret), short).await?;
    let auth = ClientAuth::client_secret_basic(client.as_str(), secret.as_str());
    let mut tokens = server.builder(Listener::Http, auth)?;
    if server.name == OIDC_PROVIDER {
        tokens = tokens.resource("https://weather.example.com/short");
    }
    let tokens = tokens.build()?;
    let first = token(&tokens).await?;
    let refresh = async {
        loop {
            let current = token(&tokens).await?;
            server.vouches_for(&current, &client).await?;
            if current.expose_secret() != first.expose_secret() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refresh).await?
}

#[tokio::test]
#[ignore = "needs node: npm ci in integrations/tests/servers/oidc-provider"]
async fn a_resource_chooses_the_api_and_one_too_many_is_denied() -> Result {
    let server = Server::oidc_provider()?;
    let (client, secret) = (random(8), random(64));
    server.register(&client, &basic().secret(&secret)).await?;
    let auth = ClientAuth::client_secret_basic(client.as_str(), secret.as_str());
    let tokens = server.builder(Listener::Http, auth)?.resource("https://weather.example.com/jwt");
    let jwt = token(&tokens.clone().build()?).await?;
    check(jwt.expose_secret().split('.').count() == 3, || "not a JWT".into())?;

    let error = refusal(&tokens.resource("https://weather.example.com/").build()?).await?;
    let code = error.oauth().map(|oauth| oauth.code());
    check(error.kind() == ErrorKind::Denied && code == Some("invalid_target"), || format!("{error:?}"))
}

#[tokio::test]
#[ignore = "needs node: npm ci in integrations/tests/servers/oidc-provider"]
async fn authorization_details_are_granted_and_reported() -> Result {
    let server = Server::oidc_provider()?;
    let (client, secret) = (random(8), random(64));
    let types = json!({ "authorization_details_types": ["weather"] });
    server.register_with(&client, &basic().secret(&secret), types).await?;
    let auth = ClientAuth::client_secret_basic(client.as_str(), secret.as_str());
    let details = json!([{ "type": "weather", "city": "Oslo" }]);
    let tokens = server.builder(Listener::Http, auth)?;
    let granted = token(&tokens.clone().authorization_details(details.clone()).build()?).await?;
    check(granted.extra("authorization_details") == Some(&details), || {
        format!("{:?}", granted.extra("authorization_details"))
    })?;
    let told = server.introspect(granted.expose_secret()).await?;
    check(told["authorization_details"] == details, || told.to_string())?;

    let unknown = json!([{ "type": "earthquake" }]);
    let error = refusal(&tokens.authorization_details(unknown).build()?).await?;
    let code = error.oauth().map(|oauth| oauth.code());
    check(code == Some("invalid_authorization_details"), || format!("{error:?}"))
}

/// RFC 8705 by what the user gives to `http_client`: without rotation, and without `ClientAuth` knowing of it.
#[tokio::test]
#[ignore = "needs node: npm ci in integrations/tests/servers/oidc-provider"]
async fn a_certificate_given_to_the_http_client_authenticates_the_client() -> Result {
    let server = Server::oidc_provider()?;
    let methods = [
        ("tls_client_auth", Proof::Certificate(|id, _, _| ClientAuth::none(id))),
        ("self_signed_tls_client_auth", Proof::SelfSigned(|id, _, _| ClientAuth::none(id))),
    ];
    for (name, proof) in methods {
        let method = Method { name, registered: name, proof };
        let client = format!("{name}-{}", random(6));
        let right = method.credentials(&client, &server.authority)?;
        let wrong = method.credentials(&client, &server.authority)?;
        let bound = json!({ "tls_client_certificate_bound_access_tokens": true });
        server.register_with(&client, &right, bound).await?;

        let ca = reqwest::Certificate::from_pem(server.authority.certificate().as_bytes())?;
        let with = |pem: Option<String>| -> Result<ClientCredentials> {
            let identity = pem.map(|pem| reqwest::Identity::from_pem(pem.as_bytes())).transpose()?;
            let ca = ca.clone();
            let tokens = server.tokens(&method, &client)?.http_client(HttpClient::from_reqwest_0_13(move || {
                let builder = reqwest::Client::builder().tls_certs_only([ca.clone()]);
                match &identity {
                    Some(identity) => builder.identity(identity.clone()),
                    None => builder,
                }
            }));
            Ok(tokens.build()?)
        };
        let token = token(&with(Some(right.pem()))?).await?;
        let told = server.introspect(token.expose_secret()).await?;
        check(told["active"] == true && told["cnf"]["x5t#S256"].is_string(), || told.to_string())?;
        denied(&refusal(&with(Some(wrong.pem()))?).await?)?;
        denied(&refusal(&with(None)?).await?)?;
    }
    Ok(())
}

/// A method whose credential is a secret, and its constructor.
fn with_secret(method: &Method) -> Option<(&Method, ByOne)> {
    match method.proof {
        Proof::Secret(auth) => Some((method, auth)),
        _ => None,
    }
}

/// For tests to which the method does not matter.
fn basic() -> Method {
    Method {
        name: "client_secret_basic",
        registered: "client_secret_basic",
        proof: Proof::Secret(|id, secret| ClientAuth::client_secret_basic(id, secret)),
    }
}

async fn token(tokens: &ClientCredentials) -> Result<AccessToken> {
    Ok(tokens.token().await?)
}

async fn refusal(tokens: &ClientCredentials) -> Result<Error> {
    Ok(tokens.token().await.err().ok_or("a token came")?)
}

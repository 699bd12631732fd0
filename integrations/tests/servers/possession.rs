//! Tokens that are bound to a key or a certificate, from oidc-provider to an API that verifies them by
//! express-oauth2-jwt-bearer.

use client_credentials::{ClientCredentials, DpopKey, ErrorKind, SameCertificate};
use serde_json::{Value, json};

use crate::Result;
use crate::api::{Api, answer};
use crate::methods::{METHODS, Method, random};
use crate::server::{Listener, Server, trusting};
use crate::stories::{check, full};

fn method(name: &str) -> Result<&'static Method> {
    let found = METHODS.iter().find(|method| method.name == name);
    Ok(found.ok_or("there is no such method")?)
}

/// Tokens of a new client with a secret, for the API over http. `name` decides whether it needs a nonce.
async fn tokens(
    (server, api): (&Server, &Api),
    name: &str,
    metadata: Value,
    key: Option<DpopKey>,
) -> Result<ClientCredentials> {
    let method = method("client_secret_basic")?;
    let client = format!("{}-{name}", random(6));
    let credentials = method.credentials(&client, &server.authority)?;
    credentials.put(&server.folder_of(&client))?;
    server.register_with(&client, &credentials, metadata).await?;
    let auth = method.auth(&client, &server.folder_of(&client));
    let mut builder = server.builder(Listener::Http, auth)?;
    if let Some(key) = key {
        builder = builder.dpop(key);
    }
    Ok(builder.resource(api.origin(Listener::Http)?).build()?)
}

fn required() -> Value {
    json!({ "dpop_bound_access_tokens": true })
}

async fn counted(api: &Api, expected: [u64; 5]) -> Result {
    let counted = api.count().await?;
    check(counted == expected, || format!("{counted:?} instead of {expected:?}"))
}

#[tokio::test]
#[ignore = "needs node: .ci/servers"]
async fn every_kind_of_dpop_client_gets_tokens_that_the_api_takes_with_the_key_only() -> Result {
    let server = Server::oidc_provider()?;
    let api = server.api()?;
    for (name, metadata) in [
        ("optional", json!({})),
        ("required", required()),
        ("optional-nonce", json!({})),
        ("required-nonce", required()),
    ] {
        let tokens = tokens((&server, &api), name, metadata, Some(DpopKey::generate())).await?;
        for path in ["/weather", "/dpop", "/nonce"] {
            let (status, body) = api.ask(path, Listener::Http, &tokens).await?;
            let is_bound = body["scheme"] == "DPoP" && body["bound"] == json!(["jkt"]);
            check(status == 200 && is_bound, || format!("{name} {path}: {status} {body}"))?;
        }
        let stolen = tokens.token().await?;
        let bearer = http::HeaderValue::try_from(format!("Bearer {}", stolen.expose_secret()))?;
        for authorization in [stolen.authorization(), bearer] {
            let (status, _) = api.ask_by("/weather", Listener::Http, authorization).await?;
            check(matches!(status, 400 | 401), || format!("{name}: {status} for a thief"))?;
        }
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs node: .ci/servers"]
async fn a_nonce_of_the_api_costs_one_round_trip_on_first_contact_and_none_later() -> Result {
    let server = Server::oidc_provider()?;
    let api = server.api()?;
    let tokens = tokens((&server, &api), "nonce", required(), Some(DpopKey::generate())).await?;
    let ask = async || -> Result {
        let (status, body) = api.ask("/nonce", Listener::Http, &tokens).await?;
        check(status == 200, || format!("{status} {body}"))
    };
    ask().await?;
    counted(&api, [1, 0, 1, 0, 1]).await?;
    for _ in 0..9 {
        ask().await?;
    }
    counted(&api, [10, 0, 10, 0, 1]).await?;
    // A new one that comes with a 200 is taken.
    for _ in 0..5 {
        api.refresh_nonce().await?;
        ask().await?;
    }
    counted(&api, [15, 0, 15, 0, 1]).await?;
    // The client's nonce is too old: the request is repeated.
    api.refresh_nonce().await?;
    api.refresh_nonce().await?;
    ask().await?;
    counted(&api, [16, 0, 16, 0, 2]).await
}

#[tokio::test]
#[ignore = "needs node: .ci/servers"]
async fn a_thousand_requests_have_a_thousand_proofs_and_none_is_refused() -> Result {
    let server = Server::oidc_provider()?;
    let api = server.api()?;
    let tokens = tokens((&server, &api), "nonce", required(), Some(DpopKey::generate())).await?;
    let client = api.client(Listener::Http, &tokens)?.build();
    let url = format!("{}/nonce", api.origin(Listener::Http)?);
    // The first learns the nonce.
    client.get(&url).send().await?.error_for_status()?;
    let (client, url) = (&client, &url);
    let caller = |_| async move {
        for _ in 0..37 {
            client.get(url).send().await?.error_for_status()?;
        }
        Result::Ok(())
    };
    futures_util::future::try_join_all((0..27).map(caller)).await?;
    counted(&api, [1000, 0, 1000, 0, 1]).await
}

#[tokio::test]
#[ignore = "needs node and python: .ci/servers"]
async fn nothing_is_downgraded_to_a_bearer_token() -> Result {
    let server = Server::oidc_provider()?;
    let api = server.api()?;
    let without = tokens((&server, &api), "x", required(), None).await?;
    let error = without.token().await.err().ok_or("a token without a proof")?;
    check(error.kind() == ErrorKind::Denied, || full(error))?;

    // It does not know DPoP, and issues bearer tokens.
    let other = Server::authlib()?;
    let with = tokens((&other, &api), "x", json!({}), Some(DpopKey::generate())).await?;
    let error = with.token().await.err().ok_or("a bearer token")?;
    check(error.kind() == ErrorKind::Response && error.to_string().contains("DPoP"), || full(error))
}

#[tokio::test]
#[ignore = "needs node: .ci/servers"]
async fn a_certificate_bound_token_is_valid_with_its_certificate_only_through_rotations() -> Result {
    let server = Server::oidc_provider()?;
    let api = server.api()?;
    let http = trusting(&server.authority)?;
    for name in ["tls_client_auth", "self_signed_tls_client_auth"] {
        let method = method(name)?;
        let client = format!("{name}-{}", random(6));
        let auth = method.auth(&client, &server.folder_of(&client));
        let builder = server.builder(Listener::MutualTls, auth)?;
        let origin = api.origin(Listener::Https)?;
        let tokens = builder.resource(&origin).build()?;
        let chain = api.client(Listener::Https, &tokens)?;
        let chain = chain.with(SameCertificate::new(http.clone())).build();
        let thief = server.authority.client("thief.example.com")?;
        let thief = reqwest::Identity::from_pem((thief.certificate + &thief.key).as_bytes())?;
        let thief = http().no_proxy().identity(thief).build()?;

        for _ in 0..2 {
            // The first certificate, and a new one in its place.
            let credentials = method.credentials(&client, &server.authority)?;
            credentials.put(&server.folder_of(&client))?;
            let bound = json!({ "tls_client_certificate_bound_access_tokens": true });
            server.register_with(&client, &credentials, bound).await?;
            for path in ["/weather", "/mtls"] {
                let sent = chain.get(format!("{origin}{path}")).send().await?;
                let (status, body) = answer(sent).await?;
                let is_bound = body["scheme"] == "Bearer" && body["bound"] == json!(["x5t#S256"]);
                check(status == 200 && is_bound, || format!("{name} {path}: {status} {body}"))?;
            }
            let token = tokens.token().await?;
            let stolen = thief.get(format!("{origin}/weather"));
            let stolen = stolen.header("authorization", token.authorization()).send().await?;
            check(stolen.status() == 401, || stolen.status().to_string())?;
            let bare = api.ask_by("/weather", Listener::Https, token.authorization()).await?;
            check(matches!(bare.0, 400 | 401), || format!("{bare:?} without a certificate"))?;
            tokens.reject(&token);
        }
    }
    Ok(())
}

//! The recipes of the guide `docs::providers`, at another address: each sends what the provider's documentation
//! requires.

use client_credentials::testing::{AuthorizationServer, Endpoint};
use client_credentials::{ClientAuth, ClientCredentialsBuilder, Credential, JwtBearer, TokenExchange, reqwest};

use crate::{ACCESS_TOKEN_TYPE, EXCHANGE, JWT_TYPE, builder, params, server, token};

const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Sends one token request, and compares all of its parameters, but not their order.
async fn sends(server: &AuthorizationServer, builder: ClientCredentialsBuilder, expected: &[(&str, &str)]) {
    builder.build().unwrap().token().await.unwrap();
    let requests = server.requests();
    let request = requests.iter().rev().find(|request| request.endpoint() == Endpoint::Token).unwrap();
    for (name, value) in expected {
        assert!(request.sent(name, value), "{name}: {request:?}");
    }
    assert_eq!(params(request).matches("\": \"").count(), expected.len(), "and no other: {request:?}");
}

#[tokio::test]
async fn kubernetes_to_entra_id() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("entra");
    std::fs::write(&path, "the.pods.token\n").unwrap();
    let server = server();
    let auth = ClientAuth::client_assertion(Credential::file(path)).client_id("5d1a3c5e");
    let builder = builder(&server, auth).scope("https://graph.microsoft.com/.default");
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "5d1a3c5e"),
        ("scope", "https://graph.microsoft.com/.default"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "the.pods.token"),
    ];
    sends(&server, builder, &expected).await;
}

#[tokio::test]
async fn github_actions() {
    // The kit's API stands for the runner's: it requires the job's key, which is a token of the kit.
    let job =
        AuthorizationServer::start().public_client("job").serve_at("/id", r#"{"count":1,"value":"the.jobs.token"}"#);
    let key = builder(&job, ClientAuth::none("job")).build().unwrap().token().await.unwrap();
    let url = format!("{}/id?api-version=2.0", job.api_origin());
    let id_token = move || {
        let (url, key) = (url.clone(), key.expose_secret().to_owned());
        async move {
            let url = format!("{url}&audience=https://auth.example.com");
            let client = reqwest::Client::builder().no_proxy().build()?;
            let answer = client.get(url).bearer_auth(key).send().await?;
            let body = answer.error_for_status()?.bytes().await?;
            let body: serde_json::Value = serde_json::from_slice(&body)?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(body["value"].as_str().ok_or("no token")?.to_owned())
        }
    };
    let server = server();
    let exchange = TokenExchange::new(Credential::from_fn(id_token));
    let builder = builder(&server, ClientAuth::anonymous()).grant(exchange);
    let expected = [("grant_type", EXCHANGE), ("subject_token_type", JWT_TYPE), ("subject_token", "the.jobs.token")];
    sends(&server, builder, &expected).await;
    assert_eq!(job.api_requests(), 1);
}

#[tokio::test]
async fn google_cloud() {
    let server = server();
    server.next(token(&format!(r#""issued_token_type":"{ACCESS_TOKEN_TYPE}""#)));
    let pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster";
    let exchange = TokenExchange::new("the.pods.token").requested_token_type(ACCESS_TOKEN_TYPE);
    let builder = builder(&server, ClientAuth::anonymous())
        .grant(exchange)
        .audience(pool)
        .scope("https://www.googleapis.com/auth/cloud-platform");
    let expected = [
        ("grant_type", EXCHANGE),
        ("audience", pool),
        ("scope", "https://www.googleapis.com/auth/cloud-platform"),
        ("requested_token_type", ACCESS_TOKEN_TYPE),
        ("subject_token_type", JWT_TYPE),
        ("subject_token", "the.pods.token"),
    ];
    sends(&server, builder, &expected).await;
    assert_eq!(server.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn cognito_and_auth0() {
    let server = server();
    let cognito = builder(&server, ClientAuth::client_secret_basic("djc98u", "secret")).scope("https://api/read");
    sends(&server, cognito, &[("grant_type", "client_credentials"), ("scope", "https://api/read")]).await;
    assert!(server.requests()[0].sent_header("authorization", "Basic ZGpjOTh1OnNlY3JldA=="));

    let auth0 = builder(&server, ClientAuth::client_secret_post("B2pq7c", "secret")).audience("https://api");
    let expected = [
        ("grant_type", "client_credentials"),
        ("audience", "https://api"),
        ("client_id", "B2pq7c"),
        ("client_secret", "secret"),
    ];
    sends(&server, auth0, &expected).await;
}

#[tokio::test]
async fn salesforce_and_docusign_send_a_jwt_and_nothing_else_and_box_its_client_too() {
    let assertion = || JwtBearer::new(Credential::from_fn(|| async { Ok::<_, std::io::Error>("a.signed.jwt") }));
    let server = server();
    let anonymous = builder(&server, ClientAuth::anonymous()).grant(assertion());
    sends(&server, anonymous, &[("grant_type", BEARER), ("assertion", "a.signed.jwt")]).await;

    let of_box = builder(&server, ClientAuth::client_secret_post("client-id", "secret")).grant(assertion());
    let expected = [
        ("grant_type", BEARER),
        ("assertion", "a.signed.jwt"),
        ("client_id", "client-id"),
        ("client_secret", "secret"),
    ];
    sends(&server, of_box, &expected).await;
}

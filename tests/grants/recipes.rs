//! The recipes of the guide `docs::providers`, at another address: each sends what the provider's documentation
//! requires.

use client_credentials::testing::{Answer, AuthorizationServer, Endpoint};
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
async fn openai_anthropic_and_openrouter() {
    let server = server();
    let openai = builder(&server, ClientAuth::anonymous())
        .grant(TokenExchange::new("the.pods.token"))
        .param("identity_provider_id", "idp_123")
        .param("service_account_id", "sa_123")
        .json_body(true);
    let expected = [
        ("grant_type", EXCHANGE),
        ("subject_token_type", JWT_TYPE),
        ("subject_token", "the.pods.token"),
        ("identity_provider_id", "idp_123"),
        ("service_account_id", "sa_123"),
    ];
    sends(&server, openai, &expected).await;

    let anthropic = builder(&server, ClientAuth::anonymous())
        .grant(JwtBearer::new("the.pods.token"))
        .param("federation_rule_id", "fdrl_123")
        .param("organization_id", "00000000-0000-0000-0000-000000000000")
        .param("service_account_id", "svac_123")
        .header("anthropic-beta", "oauth-2025-04-20,oidc-federation-2026-04-01")
        .json_body(true);
    let expected = [
        ("grant_type", BEARER),
        ("assertion", "the.pods.token"),
        ("federation_rule_id", "fdrl_123"),
        ("organization_id", "00000000-0000-0000-0000-000000000000"),
        ("service_account_id", "svac_123"),
    ];
    sends(&server, anthropic, &expected).await;
    assert!(server.requests()[1].sent_header("anthropic-beta", "oauth-2025-04-20,oidc-federation-2026-04-01"));
    for request in server.requests() {
        assert_eq!(request.header("content-type"), Some("application/json"));
    }

    // The response of its documentation.
    server.next(Answer::Body(format!(
        r#"{{"access_token":"a.b.c","issued_token_type":"{ACCESS_TOKEN_TYPE}","token_type":"Bearer","expires_in":900,"scope":"inference"}}"#
    )));
    let openrouter = builder(&server, ClientAuth::anonymous())
        .grant(TokenExchange::new("the.pods.token"))
        .param("federation_policy_id", "4b2f7d1e");
    let expected = [
        ("grant_type", EXCHANGE),
        ("subject_token_type", JWT_TYPE),
        ("subject_token", "the.pods.token"),
        ("federation_policy_id", "4b2f7d1e"),
    ];
    sends(&server, openrouter, &expected).await;
    assert_eq!(server.requests()[2].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(server.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn keycloak() {
    const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let server = server();
    let pod = builder(&server, ClientAuth::client_assertion("the.pods.token"));
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", "the.pods.token"),
    ];
    sends(&server, pod, &expected).await;

    server.next(token(&format!(r#""issued_token_type":"{ACCESS_TOKEN_TYPE}""#)));
    let exchange = TokenExchange::new("the.callers.token")
        .subject_token_type(ACCESS_TOKEN_TYPE)
        .requested_token_type(ACCESS_TOKEN_TYPE);
    let exchanged =
        builder(&server, ClientAuth::client_secret_basic("billing", "secret")).grant(exchange).audience("invoices");
    let expected = [
        ("grant_type", EXCHANGE),
        ("audience", "invoices"),
        ("subject_token_type", ACCESS_TOKEN_TYPE),
        ("requested_token_type", ACCESS_TOKEN_TYPE),
        ("subject_token", "the.callers.token"),
    ];
    sends(&server, exchanged, &expected).await;
    assert!(server.requests()[1].sent_header("authorization", "Basic YmlsbGluZzpzZWNyZXQ="));
}

#[tokio::test]
async fn buildkite() {
    const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    const USER: &str = "urn:buildkite:params:oauth:token-type:user-email";
    /// RFC 7515 appendix A.3.1, on P-256.
    const KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
    let server = server();
    let job = builder(&server, ClientAuth::client_assertion("the.jobs.token").client_id("YOUR_CLIENT_ID"));
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "YOUR_CLIENT_ID"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", "the.jobs.token"),
    ];
    sends(&server, job, &expected).await;

    let endpoint = "https://buildkite.com/oauth/token";
    let auth = ClientAuth::private_key_jwt("0123456789abcdef0123", KEY).audience(endpoint).typ("JWT");
    let user = TokenExchange::new("deploy@example.com").subject_token_type(USER);
    let of_user = builder(&server, auth).grant(user).audience("acme-inc").scope("read_builds");
    of_user.build().unwrap().token().await.unwrap();
    let request = &server.requests()[1];
    for (name, value) in [
        ("grant_type", EXCHANGE),
        ("scope", "read_builds"),
        ("audience", "acme-inc"),
        ("subject_token_type", USER),
        ("subject_token", "deploy@example.com"),
        ("client_assertion_type", ASSERTION_TYPE),
    ] {
        assert!(request.sent(name, value), "{name}: {request:?}");
    }
    assert_eq!(params(request).matches("\": \"").count(), 7, "and the assertion: {request:?}");
    assert_eq!(request.header("authorization"), None);
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

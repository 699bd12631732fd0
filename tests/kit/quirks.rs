//! The crate works with every server of the list.

use client_credentials::testing::{AuthorizationServer, Quirk};
use client_credentials::{ClientAuth, ClientCredentials, ClientCredentialsBuilder, RetryPolicy};

use crate::post_form;

fn builder(server: &AuthorizationServer, quirk: Quirk, secret: &str) -> ClientCredentialsBuilder {
    let auth = ClientAuth::client_secret_basic("billing", secret);
    let builder = ClientCredentials::builder(server.token_url(), auth).retry(RetryPolicy::new().attempts(1));
    quirk.demands().iter().fold(builder, |builder, (name, value)| match *name {
        "scope" => builder.scope(*value),
        "audience" => builder.audience(*value),
        "resource" => builder.resource(*value),
        "grant_type" => builder.grant_type(*value),
        _ => builder.param(*name, *value),
    })
}

#[tokio::test]
async fn one_test_runs_over_all_servers() {
    for &quirk in Quirk::ALL {
        let server = AuthorizationServer::start().client("billing", "a secret").quirk(quirk);
        let token = builder(&server, quirk, "a secret").build().unwrap().token().await;
        let token = token.unwrap_or_else(|error| panic!("{quirk:?}: {error:#}\n{}", server.story()));
        let headers = [("authorization".parse().unwrap(), token.authorization())].into_iter().collect();
        assert!(server.accepts(&headers), "{quirk:?}");
        let error = builder(&server, quirk, "wrong").build().unwrap().token().await;
        assert!(error.is_err(), "{quirk:?} takes a wrong secret");
    }
}

#[tokio::test]
async fn a_server_that_demands_something_refuses_without_it() {
    for &quirk in Quirk::ALL {
        let server = AuthorizationServer::start().quirk(quirk);
        let auth = ClientAuth::client_secret_basic("billing", "a secret");
        let token = ClientCredentials::builder(server.token_url(), auth).build().unwrap().token().await;
        assert_eq!(token.is_err(), !quirk.demands().is_empty(), "{quirk:?}: {token:?}");
    }
}

/// Status and body of a response to curl's defaults, for a right and for a wrong secret.
async fn raw(quirk: Quirk, secret: &str) -> (u16, String) {
    let server = AuthorizationServer::start().client("billing", "a secret").quirk(quirk);
    let mut form: Vec<_> = quirk.demands().to_vec();
    if !form.iter().any(|(name, _)| *name == "grant_type") {
        form.push(("grant_type", "client_credentials"));
    }
    let request = post_form(server.token_url(), &form).basic_auth("billing", Some(secret));
    let response = request.header("accept", "*/*").header("user-agent", "curl/8").send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn each_differs_from_the_rfc_as_it_is_known_to() {
    // Those that require a parameter are above, and these two below.
    let is_elsewhere = |quirk: &Quirk| !quirk.demands().is_empty() || [Quirk::Reddit, Quirk::Wso2].contains(quirk);
    let mut compared: Vec<_> = Quirk::ALL.iter().copied().filter(is_elsewhere).collect();
    for (quirk, seen) in [
        (Quirk::Apigee, r#""expires_in":"3600""#),
        (Quirk::Apigee, r#""token_type":"BearerToken""#),
        (Quirk::BlueButton, r#""expires_in":3600.5"#),
        (Quirk::EntraV1, r#""expires_on":""#),
        (Quirk::EntraV2, r#""ext_expires_in":3600"#),
        (Quirk::GitHub, "access_token="),
        (Quirk::Keycloak, r#""scope":"email profile""#),
        (Quirk::PayPal, r#""expires_in":"3600""#),
        (Quirk::Salesforce, r#""instance_url":"#),
        (Quirk::Salesforce, "!"),
        (Quirk::Slack, r#""ok":true"#),
    ] {
        compared.push(quirk);
        let (status, body) = raw(quirk, "a secret").await;
        assert!(status == 200 && body.contains(seen), "{quirk:?}: {body}");
    }
    for (quirk, missing) in [
        (Quirk::Doorkeeper, "expires_in"),
        (Quirk::Salesforce, "expires_in"),
        (Quirk::LinkedIn, "token_type"),
        (Quirk::Slack, "token_type"),
    ] {
        compared.push(quirk);
        assert!(!raw(quirk, "a secret").await.1.contains(missing), "{quirk:?}");
    }
    for (quirk, status, seen) in [
        (Quirk::Cognito, 400, "invalid_client"),
        (Quirk::EntraV2, 401, "AADSTS7000215"),
        (Quirk::GitHub, 200, "error=invalid_client"),
        (Quirk::Glewlwyd, 403, ""),
        (Quirk::Keycloak, 401, "unauthorized_client"),
        (Quirk::Slack, 200, r#""ok":false"#),
    ] {
        compared.push(quirk);
        let (told, body) = raw(quirk, "wrong").await;
        assert!(told == status && body.contains(seen), "{quirk:?}: {told} {body}");
    }
    for quirk in Quirk::ALL {
        assert!(compared.contains(quirk), "{quirk:?}: nothing shows how it differs");
    }
}

#[tokio::test]
async fn wso2_issues_the_same_token_until_it_expires() {
    let clock = client_credentials::ManualClock::new();
    let server = AuthorizationServer::start().quirk(Quirk::Wso2).clock(&clock);
    let token = async || {
        let request = post_form(server.token_url(), &[("grant_type", "client_credentials")]);
        let body: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
        (body["access_token"].to_string(), body["expires_in"].as_u64().unwrap())
    };
    let (first, left) = token().await;
    assert_eq!(left, 3600);
    clock.advance(std::time::Duration::from_secs(3590));
    assert_eq!(token().await, (first.clone(), 10));
    clock.advance(std::time::Duration::from_secs(10));
    let (second, left) = token().await;
    assert!(second != first && left == 3600);
}

#[tokio::test]
async fn some_quirks_check_more_than_the_parameters() {
    // Reddit: a client without a `User-Agent` of its own.
    let server = AuthorizationServer::start().quirk(Quirk::Reddit);
    let ask = post_form(server.token_url(), &[("grant_type", "client_credentials")]);
    assert_eq!(ask.send().await.unwrap().status(), 429);
    // Okta: credentials twice, even if one of them is only an id.
    let server = AuthorizationServer::start().quirk(Quirk::Okta);
    for (form, status) in [(&[][..], 200), (&[("client_id", "billing")][..], 400)] {
        let form = [&[("grant_type", "client_credentials"), ("scope", "read")], form].concat();
        let answer = post_form(server.token_url(), &form).basic_auth("billing", Some("x")).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-rate-limit-limit"]),
            (status, &"600".parse().unwrap())
        );
    }
    // Salesforce: the error of a token is in the body.
    let server = AuthorizationServer::start().quirk(Quirk::Salesforce);
    let refused = reqwest::Client::new().get(server.api_origin()).bearer_auth("unknown").send().await.unwrap();
    assert!(refused.status() == 401 && !refused.headers().contains_key("www-authenticate"));
    assert!(refused.text().await.unwrap().contains("INVALID_SESSION_ID"));
}

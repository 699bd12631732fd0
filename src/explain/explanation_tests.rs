use crate::client_auth::ClientAuth;
use crate::client_credentials::{ClientCredentials, Issuer, ProtectedResource};
use crate::credential::Credential;

#[test]
fn the_request_is_shown_with_the_shape_of_the_secret_and_not_the_secret() {
    let auth = ClientAuth::client_secret_basic("billing", "canary-hush");
    let builder = ClientCredentials::builder("https://auth.example.com/token?key=canary-query", auth)
        .scope("read")
        .param("account_id", "canary-param")
        .header("x-api-key", "canary-header")
        .secret_param("subject_token", "canary-token");
    let explained = builder.explain();
    assert!(explained.faults.is_empty(), "{explained}");
    let text = format!("{explained} {explained:?}");
    for expected in [
        "POST https://auth.example.com/token (its query is sent, too)",
        "authorization: Basic of client \"billing\" and the secret (a value in the program, 11 characters",
        "scope: read  [scope(..)]",
        "account_id: 12 characters  [param(..)]",
        "x-api-key: 13 bytes",
        "subject_token: a value in the program, 12 characters",
        "attempts: 3  [retry]",
        "- the credential is a value in the program",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn faults_are_listed_together_instead_of_failing() {
    let auth = ClientAuth::client_secret_post("", "se\ncret");
    let explained = ClientCredentials::builder("http://auth.example.com/token", auth).scope("a\"b").explain();
    let text = explained.to_string();
    for expected in ["token_endpoint", "client_id is empty", "client_secret has a control character", "scope"] {
        assert!(explained.faults.iter().any(|fault| fault.contains(expected)), "{expected}: {text}");
    }
    assert!(text.contains("build() refuses this") && !text.contains("cret\n"), "{text}");
}

#[test]
fn explain_finds_every_fault_that_build_finds() {
    let builder = ClientCredentials::builder("https://a.example/t?scope=x", ClientAuth::client_secret_post("c", "s"));
    let builder = builder.scope("y");
    let explained = builder.explain().faults.join("; ");
    let refused = builder.build().unwrap_err().to_string();
    assert!(!explained.is_empty() && refused.contains(&explained), "{explained:?}: {refused:?}");
}

#[test]
fn the_origin_of_the_scopes_is_shown() {
    let auth = || ClientAuth::client_secret_basic("agent", Credential::file("/nowhere/secret"));
    let api = ProtectedResource::new("https://mcp.example.com", ["https://auth.example.com"]).scopes_from_api(true);
    let text = ClientCredentials::builder(api.clone(), auth()).explain().to_string();
    assert!(text.contains("scope: scopes_supported of the API's metadata  [scopes_from_api]"), "{text}");
    assert!(text.contains("- scopes_from_api: "), "{text}");
    let text = ClientCredentials::builder(api, auth()).scope("read").explain().to_string();
    assert!(text.contains("scope: read  [scope(..)]") && !text.contains("scopes_supported"), "{text}");
}

#[test]
fn an_issuer_gets_no_request() {
    let auth = ClientAuth::client_secret_basic("billing", Credential::file("/nowhere/secret"));
    let explained = ClientCredentials::builder(Issuer::new("https://auth.example.com"), auth).explain();
    assert_eq!(explained.request, "POST to the token_endpoint in the metadata of \"https://auth.example.com\"");
    assert!(explained.to_string().contains("file /nowhere/secret, read for each attempt"));
}

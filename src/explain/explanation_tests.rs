use crate::client_auth::ClientAuth;
use crate::client_credentials::{
    ClientCredentials, ClientCredentialsBuilder, Issuer, ProtectedResource, TokenExchange,
};
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
fn an_exchange_is_explained_with_the_types_of_its_tokens() {
    let builder = ClientCredentials::builder("https://auth.example.com/token", ClientAuth::anonymous());
    let explained = builder.grant(TokenExchange::new("canary-token")).explain().to_string();
    for expected in [
        "grant_type: urn:ietf:params:oauth:grant-type:token-exchange  [grant_type(..), grant(..) or the default]",
        "subject_token_type: urn:ietf:params:oauth:token-type:jwt  [grant(..)]",
        "subject_token: a value in the program, 12 characters, with special characters  [secret_param(..) or grant(..)]",
    ] {
        assert!(explained.contains(expected), "{expected}: {explained}");
    }
    assert!(!explained.contains("canary"), "{explained}");
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
    assert!(text.contains("- scopes_from_api: ") && !text.contains("is a value in the program"), "{text}");
    let text = ClientCredentials::builder(api, auth()).scope("read").explain().to_string();
    assert!(text.contains("scope: read  [scope(..)]") && !text.contains("scopes_supported"), "{text}");
}

/// A builder with nothing unusual.
fn usual() -> ClientCredentialsBuilder {
    with(ClientAuth::client_secret_basic("billing", Credential::file("/nowhere/secret"))).scope("read")
}

fn with(auth: impl Into<ClientAuth>) -> ClientCredentialsBuilder {
    ClientCredentials::builder("https://auth.example.com/token", auth)
}

#[test]
fn each_unusual_setting_is_noted_and_no_usual_one() {
    let secret = || Credential::file("/nowhere/secret");
    let at = |endpoint: &str, scope: &str| {
        ClientCredentials::builder(endpoint, ClientAuth::client_secret_basic("billing", secret())).scope(scope)
    };
    let entra = "https://login.microsoftonline.com/contoso/oauth2/v2.0/token";
    let issuer = Issuer::new("https://auth.example.com").pin_token_endpoint_origin("https://auth.example.com");
    let keycloak = "http://keycloak/token";
    let unscoped = || with(ClientAuth::client_secret_basic("billing", secret()));
    for (builder, notes) in [
        (usual(), &[][..]),
        (unscoped(), &["neither scope, audience nor resource"]),
        (unscoped().audience("x"), &[]),
        (unscoped().resource("https://api.example.com"), &[]),
        (with(ClientAuth::client_secret_basic("billing", "x")).scope("read"), &["the credential is a value"]),
        (with(ClientAuth::client_secret_post("billing", secret())).scope("read"), &["client_secret_post"]),
        (with(ClientAuth::none("billing")).scope("read"), &["method none"]),
        (with(ClientAuth::anonymous()).scope("read"), &["anonymous"]),
        (usual().grant_type("password"), &["another grant_type"]),
        (usual().json_body(true), &["json_body"]),
        (usual().dangerously_allow_http("keycloak"), &["dangerously_allow_http"]),
        (at(keycloak, "read").dangerously_allow_http("keycloak"), &["plain http", "dangerously_allow_http"]),
        (at("http://127.0.0.1/token", "read"), &[]),
        (at("https://auth.example.com/token", "read,write"), &["the scope has a comma or semicolon"]),
        (usual().audience("'x'"), &["audience is in quotes: it is sent that way"]),
        (with(ClientAuth::client_secret_basic("\"billing\"", secret())).scope("read"), &["client_id is in quotes"]),
        (usual().authorization_details(serde_json::json!(["x"])), &[]),
        (at(entra, "read"), &["Entra ID requires"]),
        (at(entra, "api://x/.default"), &[]),
        (at("https://auth.example.com/token", "api://x/.default"), &[]),
        (
            ClientCredentials::builder(issuer, ClientAuth::client_secret_basic("billing", secret())).scope("read"),
            &["pin_token_endpoint_origin"],
        ),
    ] {
        let unusual = builder.explain().unusual;
        assert_eq!(unusual.len(), notes.len(), "{notes:?}: {unusual:?}");
        for (note, start) in unusual.iter().zip(notes) {
            assert!(note.starts_with(start), "{start}: {note}");
        }
    }
}

#[test]
fn headers_and_body_are_shown_with_the_setting_that_each_follows_from() {
    let file = || Credential::file("/nowhere/secret");
    let lines = |builder: ClientCredentialsBuilder| builder.explain().to_string();
    let count = |text: &str, start: &str| text.lines().filter(|line| line.trim().starts_with(start)).count();

    let text = lines(usual());
    assert!(text.starts_with("POST https://auth.example.com/token\n"), "{text}");
    for expected in [
        "accept: application/json  [default]",
        "content-type: application/x-www-form-urlencoded  [default]",
        "grant_type: client_credentials  [grant_type(..), grant(..) or the default]",
        "\nform\n",
        "strict: false  [builder]",
        "fapi: false  [builder]",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!((count(&text, "client_id:"), count(&text, "client certificate:")), (0, 0), "{text}");
    assert_eq!(usual().explain().encoding, "form");

    let text = lines(usual().json_body(true).header("accept", "*/*").header("content-type", "application/json"));
    assert!(text.contains("\nJSON\n") && text.contains("content-type: application/json  [default]"), "{text}");
    assert_eq!((count(&text, "accept:"), count(&text, "content-type:")), (1, 2), "{text}");
    let text = lines(usual().header("content-type", "application/x-www-form-urlencoded;charset=UTF-8"));
    assert_eq!(count(&text, "content-type:"), 1, "{text}");

    let text = lines(usual().client_id_in_body(true).strict(true));
    assert!(text.contains("client_id: billing  [client_id_in_body(true)]") && text.contains("strict: true"), "{text}");
    let text = lines(usual().fapi(true));
    assert!(text.contains("strict: true  [builder]") && text.contains("fapi: true  [builder]"), "{text}");

    let text = lines(with(ClientAuth::client_secret_post("billing", file())));
    assert!(text.contains("client_id: billing  [client_secret_post]"), "{text}");
    assert!(
        text.contains("client_secret: file /nowhere/secret, read for each attempt  [client_secret_post]"),
        "{text}"
    );
    let text = lines(with(ClientAuth::client_assertion(file())));
    assert!(
        text.contains("client_assertion: file /nowhere/secret, read for each attempt  [client_assertion]"),
        "{text}"
    );
    assert_eq!((count(&text, "client_id:"), count(&text, "client_assertion_type: urn:ietf:")), (0, 1), "{text}");
    #[cfg(feature = "jwt")]
    {
        let text = lines(with(ClientAuth::private_key_jwt("billing", file())));
        let signed = "client_assertion: a JWT, signed for each attempt with file /nowhere/secret";
        assert!(text.contains(signed) && text.contains("assertion-type:jwt-bearer  [private_key_jwt]"), "{text}");
    }
    #[cfg(feature = "mtls")]
    {
        let text = lines(with(ClientAuth::mutual_tls("billing", Credential::file("/nowhere/crt"), file())));
        assert!(text.contains("client certificate: file /nowhere/crt, read for each attempt"), "{text}");
    }
}

#[test]
fn what_binds_and_shares_the_token_is_shown_where_it_is_set() {
    let builder = || {
        let auth = ClientAuth::client_secret_basic("billing", Credential::file("/nowhere/secret"));
        ClientCredentials::builder("https://auth.example.com/token", auth)
    };
    let text = builder().explain().to_string();
    assert!(text.contains("shared: false  [builder]") && !text.contains("dpop"), "{text}");
    #[cfg(feature = "dpop")]
    {
        let text = builder().dpop(crate::dpop::DpopKey::generate()).explain().to_string();
        assert!(text.contains("dpop: a proof for this request, signed with the key  [dpop(..)]"), "{text}");
    }
    #[cfg(feature = "shared")]
    {
        use crate::shared::{FileStore, SealedStore};
        let store = SealedStore::new(FileStore::new("/nowhere"), "q4m2cH8q0yq3l8cT1d9m1tq2ZxM6m2t0v8uJp3b7XyA=");
        let text = builder().shared(store).explain().to_string();
        assert!(text.contains("shared: true  [builder]"), "{text}");
    }
}

#[test]
fn the_resource_of_the_api_is_shown_if_it_is_sent() {
    let explained = |api: fn(ProtectedResource) -> ProtectedResource, resource: Option<&str>| {
        let auth = ClientAuth::client_secret_basic("agent", Credential::file("/nowhere/secret"));
        let api = api(ProtectedResource::new("https://mcp.example.com", ["https://auth.example.com"]));
        let builder = ClientCredentials::builder(api, auth);
        resource.into_iter().fold(builder, |builder, uri| builder.resource(uri)).explain().to_string()
    };
    let ours = "resource: https://mcp.example.com  [ProtectedResource, RFC 8707]";
    let another = "resource: https://other.example  [resource(..)]";
    let omitted = |api: ProtectedResource| api.omit_resource(true);
    for (text, shown) in [
        (explained(|api| api, None), Some(ours)),
        (explained(omitted, None), None),
        (explained(|api| api, Some("https://other.example")), Some(another)),
        (explained(omitted, Some("https://other.example")), Some(another)),
    ] {
        let sent: Vec<_> = text.lines().map(str::trim).filter(|line| line.starts_with("resource: ")).collect();
        assert_eq!(sent, shown.into_iter().collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn an_issuer_gets_no_request() {
    let auth = ClientAuth::client_secret_basic("billing", Credential::file("/nowhere/secret"));
    let explained = ClientCredentials::builder(Issuer::new("https://auth.example.com"), auth).explain();
    assert_eq!(explained.request, "POST to the token_endpoint in the metadata of \"https://auth.example.com\"");
    assert!(explained.to_string().contains("file /nowhere/secret, read for each attempt"));
}

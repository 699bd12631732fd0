//! What is sent, when it is sent again, and what is never shown.

use std::sync::atomic::Ordering;

use client_credentials::testing::{Answer, Endpoint};
use client_credentials::{ClientAuth, Credential, ErrorKind, JwtBearer, TokenExchange};

use crate::harness::canary::{OTHER, SECRET, Watched, assert_no_canary};
use crate::{ACCESS_TOKEN_TYPE, EXCHANGE, JWT_TYPE, builder, params, rotating, server, token};

#[tokio::test]
async fn a_token_exchange_sends_the_parameters_of_rfc_8693_and_nothing_of_a_client() {
    let server = server();
    let exchange = TokenExchange::new("subject")
        .requested_token_type(ACCESS_TOKEN_TYPE)
        .actor_token("the-actor", "urn:example:actor");
    let tokens = builder(&server, ClientAuth::anonymous()).grant(exchange).audience("//iam.example").scope("read");
    tokens.build().unwrap().token().await.unwrap();

    let request = &server.requests()[0];
    assert_eq!(
        params(request),
        format!(
            r#""grant_type": "{EXCHANGE}", "scope": "read", "audience": "//iam.example", "subject_token_type": "{JWT_TYPE}", "requested_token_type": "{ACCESS_TOKEN_TYPE}", "actor_token_type": "urn:example:actor", "subject_token": "[7 characters]", "actor_token": "[9 characters]""#
        )
    );
    assert!(request.sent("subject_token", "subject") && request.sent("actor_token", "the-actor"));
    assert_eq!((request.client_id(), request.header("authorization")), (None, None));
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
}

#[tokio::test]
async fn a_subject_token_may_be_of_another_type() {
    let server = server();
    let exchange = TokenExchange::new("<saml/> &+=").subject_token_type("urn:ietf:params:oauth:token-type:saml2");
    builder(&server, ClientAuth::anonymous()).grant(exchange).build().unwrap().token().await.unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.param("subject_token_type"), Some("urn:ietf:params:oauth:token-type:saml2"));
    assert!(request.sent("subject_token", "<saml/> &+="), "encoded and decoded again");
}

#[tokio::test]
async fn a_jwt_bearer_grant_sends_the_assertion_and_the_client_id_alone() {
    let server = server();
    let tokens = builder(&server, ClientAuth::none("billing")).grant(JwtBearer::new("assertion")).build().unwrap();
    tokens.token().await.unwrap();
    let request = &server.requests()[0];
    assert_eq!(
        params(request),
        r#""grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": "billing", "assertion": "[9 characters]""#
    );
    assert!(request.sent("assertion", "assertion") && request.sent("client_id", "billing"));
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn a_grant_is_sent_with_the_authentication_of_the_client() {
    let server = server();
    let auth = ClientAuth::client_secret_basic("billing", "secret");
    builder(&server, auth).grant(TokenExchange::new("subject")).build().unwrap().token().await.unwrap();
    let request = &server.requests()[0];
    assert!(request.sent_header("authorization", "Basic YmlsbGluZzpzZWNyZXQ="));
    assert!(request.sent("subject_token", "subject") && request.param("client_secret").is_none());
}

#[tokio::test]
async fn a_json_body_has_the_parameters_of_the_form_under_its_own_type() {
    let server = server();
    let exchange = TokenExchange::new("sub\"ject\\");
    let builder = builder(&server, ClientAuth::anonymous()).grant(exchange).param("a", "ä").json_body(true);
    builder.secret_param("api_key", "k").build().unwrap().token().await.unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.header("content-type"), Some("application/json"));
    for (name, value) in [
        ("grant_type", EXCHANGE),
        ("subject_token_type", JWT_TYPE),
        ("a", "ä"),
        ("subject_token", "sub\"ject\\"),
        ("api_key", "k"),
    ] {
        assert!(request.sent(name, value), "{name}");
    }
    assert_eq!(params(request).matches(": \"").count(), 5, "and no other");
}

#[tokio::test]
async fn a_secret_param_is_read_for_each_token() {
    let server = server();
    let (key, reads) = rotating(["first", "second"]);
    let tokens = builder(&server, ClientAuth::none("billing")).secret_param("api_key", key).build().unwrap();
    let first = tokens.token().await.unwrap();
    tokens.token().await.unwrap();
    assert_eq!((server.token_requests(), reads.load(Ordering::SeqCst)), (1, 1), "the token is cached");
    tokens.reject(&first);
    // The same token as before: the requests are what is tested.
    let _ = tokens.token().await;
    let requests = server.requests();
    assert!(requests[0].sent("api_key", "first") && requests[1].sent("api_key", "second"));
}

#[tokio::test]
async fn a_secret_param_is_read_again_for_each_attempt_of_a_fetch() {
    let server = server();
    server.next(Answer::Status(503));
    let (key, reads) = rotating(["first", "second"]);
    builder(&server, ClientAuth::none("billing")).secret_param("api_key", key).build().unwrap().token().await.unwrap();
    let requests = server.requests();
    assert!(requests[0].sent("api_key", "first") && requests[1].sent("api_key", "second"));
    assert_eq!((requests.len(), reads.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test]
async fn a_subject_token_that_has_changed_is_sent_once_more_after_invalid_grant() {
    for json in [false, true] {
        let server = server();
        server.next(Answer::Refuse("invalid_grant"));
        let (subject, reads) = rotating(["old", "new"]);
        let tokens = builder(&server, ClientAuth::anonymous()).grant(TokenExchange::new(subject)).json_body(json);
        tokens.build().unwrap().token().await.unwrap();
        let requests = server.requests();
        assert!(requests[0].sent("subject_token", "old") && requests[1].sent("subject_token", "new"));
        assert_eq!((requests.len(), reads.load(Ordering::SeqCst)), (2, 2));
    }
}

#[tokio::test]
async fn a_server_may_also_call_a_token_to_exchange_invalid_as_rfc_8693_section_2_2_2_has_it() {
    let server = server();
    server.next(Answer::Refuse("invalid_request"));
    let (subject, reads) = rotating(["old", "new"]);
    let tokens = builder(&server, ClientAuth::anonymous()).grant(TokenExchange::new(subject)).build().unwrap();
    tokens.token().await.unwrap();
    let requests = server.requests();
    assert!(requests[0].sent("subject_token", "old") && requests[1].sent("subject_token", "new"));
    assert_eq!((requests.len(), reads.load(Ordering::SeqCst)), (2, 2));

    // Unchanged, it is not sent again; and of an assertion the code says something else.
    server.until_changed(Answer::Refuse("invalid_request"));
    let exchange = TokenExchange::new("same");
    let unchanged = builder(&server, ClientAuth::anonymous()).grant(exchange).build().unwrap();
    assert_eq!(unchanged.token().await.unwrap_err().kind(), ErrorKind::Denied);
    let (assertion, reads) = rotating(["a", "b"]);
    let asserted = builder(&server, ClientAuth::none("me")).grant(JwtBearer::new(assertion)).build().unwrap();
    asserted.token().await.unwrap_err();
    assert_eq!((server.token_requests(), reads.load(Ordering::SeqCst)), (2 + 1 + 1, 1));
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_not_sent_a_third_time() {
    let server = server();
    server.until_changed(Answer::Refuse("invalid_grant"));
    let (assertion, reads) = rotating(["a", "b", "c", "d"]);
    let tokens = builder(&server, ClientAuth::none("me")).grant(JwtBearer::new(assertion)).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!((error.kind(), error.oauth().unwrap().code()), (ErrorKind::Denied, "invalid_grant"));
    assert_eq!((server.token_requests(), reads.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test]
async fn an_unchanged_token_is_never_repeated_whatever_the_server_says() {
    for code in ["invalid_grant", "invalid_request", "invalid_target", "unauthorized_client", "invalid_scope"] {
        let server = server();
        server.until_changed(Answer::Refuse(code));
        let tokens = builder(&server, ClientAuth::none("me")).grant(JwtBearer::new("same")).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{code}: {error}");
        assert_eq!(server.token_requests(), 1, "{code}");
    }
}

#[tokio::test]
async fn of_two_assertions_the_second_is_sent_when_the_first_is_refused_and_then_first() {
    let server = server();
    server.answer_by(Endpoint::Token, |request| match request.sent("assertion", "second") {
        true => token(""),
        false => Answer::Refuse("invalid_grant"),
    });
    let grant = JwtBearer::new(Credential::from("first").or("second"));
    let tokens = builder(&server, ClientAuth::none("me")).grant(grant).build().unwrap();
    let first = tokens.token().await.unwrap();
    tokens.reject(&first);
    // The same token as before: the requests are what is tested.
    let _ = tokens.token().await;
    let sent: Vec<_> = server.requests().iter().map(|request| request.sent("assertion", "second")).collect();
    assert_eq!(sent[..3], [false, true, true]);
}

#[tokio::test]
async fn of_several_assertions_that_are_all_refused_each_is_sent_once() {
    let server = server();
    server.until_changed(Answer::Refuse("invalid_grant"));
    let exchange = TokenExchange::new(Credential::from("a").or("b").or("c"));
    let exchange = exchange.actor_token(Credential::from("x").or("y"), JWT_TYPE);
    let tokens = builder(&server, ClientAuth::anonymous()).grant(exchange).build().unwrap();
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Denied);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for (request, subject) in requests.iter().zip(["a", "b", "c"]) {
        assert!(request.sent("subject_token", subject), "{subject}");
    }
}

#[tokio::test]
async fn a_refusal_about_something_else_reads_no_assertion_again() {
    let server = server();
    server.until_changed(Answer::Refuse("invalid_scope"));
    let (assertion, reads) = rotating(["a", "b"]);
    let tokens = builder(&server, ClientAuth::none("me")).grant(JwtBearer::new(assertion)).build().unwrap();
    tokens.token().await.unwrap_err();
    assert_eq!((server.token_requests(), reads.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_reported_when_the_assertion_cannot_be_read_again() {
    let server = server();
    server.until_changed(Answer::Refuse("invalid_grant"));
    let reads = std::sync::atomic::AtomicUsize::new(0);
    let assertion = Credential::from_fn(move || {
        let first = reads.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if first { Ok("assertion") } else { Err(std::io::Error::other("the agent is gone")) } }
    });
    let tokens = builder(&server, ClientAuth::none("me")).grant(JwtBearer::new(assertion)).build().unwrap();
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(server.token_requests(), 1);
}

#[tokio::test]
async fn an_assertion_that_cannot_be_read_is_named_and_nothing_is_sent() {
    let server = server();
    let exchange = TokenExchange::new(Credential::file("/nowhere/token"));
    let tokens = builder(&server, ClientAuth::anonymous()).grant(exchange).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Credential, true));
    let text = error.to_string();
    assert!(text.contains("/nowhere/token") && text.contains("subject_token"), "{text}");
    assert_eq!(server.token_requests(), 0);
}

#[tokio::test]
async fn no_secret_is_in_debug_errors_or_events_even_if_the_server_repeats_it() {
    let _watched = Watched::default();
    for json in [false, true] {
        let server = server();
        let echo = format!(r#"{{"error":"invalid_grant","error_description":"{SECRET} and {OTHER} are bad"}}"#);
        let refusal = http::Response::builder().status(400).header("content-type", "application/json");
        server.next(Answer::Response(refusal.body(echo).unwrap()));
        let exchange = TokenExchange::new(SECRET).actor_token(OTHER, JWT_TYPE);
        let mut shown = vec![format!("{exchange:?}"), format!("{:?}", JwtBearer::new(SECRET))];
        let builder = builder(&server, ClientAuth::anonymous()).grant(exchange).secret_param("key", OTHER);
        let tokens = builder.json_body(json).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert!(error.to_string().contains("***"), "the echo was masked: {error}");
        shown.extend([format!("{tokens:?}"), format!("{:?}", tokens.status()), error.to_string()]);
        shown.extend([format!("{error:?}"), format!("{error:#}"), server.story(), format!("{:?}", server.requests())]);
        assert_no_canary(shown);
    }
}

#[tokio::test]
async fn a_secret_param_is_masked_however_the_server_encodes_what_it_repeats() {
    const KEY: &str = "Zq8/+ w=~\"k\\!*7";
    let upper = "Zq8%2F%2B%20w%3D~%22k%5C%21*7";
    for echo in [
        KEY.to_owned(),
        upper.to_owned(),
        upper.replace("%20", "+"),
        form_urlencoded::byte_serialize(KEY.as_bytes()).collect(),
        form_urlencoded::byte_serialize(KEY.as_bytes()).collect::<String>().to_lowercase().replace("zq8", "Zq8"),
        serde_json::Value::from(KEY).to_string(),
        serde_json::Value::from(KEY).to_string().replace('/', "\\/"),
    ] {
        for json in [false, true] {
            let server = server();
            let text = serde_json::json!({"error": "invalid_grant", "error_description": format!("bad: key={echo}.")});
            let refusal = http::Response::builder().status(400).header("content-type", "application/json");
            server.next(Answer::Response(refusal.body(text.to_string()).unwrap()));
            let builder = builder(&server, ClientAuth::none("me")).secret_param("key", KEY).json_body(json);
            let error = builder.build().unwrap().token().await.unwrap_err();
            let shown = format!("{error} {error:?} {error:#}");
            for part in ["Zq8", "w=", "w%3", "%3d", "k", "*7"].into_iter().filter(|part| part.len() > 1) {
                assert!(!shown.contains(part), "{echo}: {part}: {shown}");
            }
            assert!(shown.contains("key=***"), "{echo}: {shown}");
        }
    }
}

#[cfg(feature = "shared")]
#[tokio::test]
async fn replicas_with_different_secret_params_share_a_token_whose_name_has_none_of_them() {
    use client_credentials::{FileStore, SealedStore};
    let server = server();
    let place = tempfile::tempdir().unwrap();
    let replica = |subject: &str, key: &str| {
        let store = SealedStore::new(FileStore::new(place.path()), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
        let store = store.timeout(std::time::Duration::from_secs(5));
        let grant = TokenExchange::new(subject);
        builder(&server, ClientAuth::none("me")).grant(grant).secret_param("key", key).shared(store).build().unwrap()
    };
    let first = replica(SECRET, "one").token().await.unwrap();
    let second = replica(OTHER, "two").token().await.unwrap();
    assert_eq!(first.expose_secret(), second.expose_secret());
    assert_eq!(server.token_requests(), 1, "the second took it from the store");
    for file in std::fs::read_dir(place.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert_no_canary([path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()]);
    }
    let store = SealedStore::new(FileStore::new(place.path()), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    let error = builder(&server, ClientAuth::anonymous()).grant(TokenExchange::new("a")).shared(store).build();
    let text = error.unwrap_err().to_string();
    assert!(text.contains("shared is for clients with an id") && !text.contains("ClientAssertion"), "{text}");
}

#[test]
fn a_secret_param_cannot_take_the_place_of_what_is_sent_or_checked_elsewhere() {
    let server = server();
    for name in [
        "grant_type",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "scope",
        "audience",
        "resource",
        "authorization_details",
        "requested_token_type",
        "",
    ] {
        let builder = builder(&server, ClientAuth::none("me")).secret_param(name, "value-of-it");
        let error = builder.build().expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        let text = error.to_string();
        assert!(text.contains(name) && !text.contains("value-of-it"), "{name}: {text}");
    }
    let twice = builder(&server, ClientAuth::none("me")).secret_param("key", "a").secret_param("key", "b");
    assert!(twice.build().unwrap_err().to_string().contains("key is given twice"));
    let both = builder(&server, ClientAuth::none("me")).param("key", "a").secret_param("key", "b");
    assert!(both.build().unwrap_err().to_string().contains("key is given twice"));
    let grant = builder(&server, ClientAuth::none("me")).grant(JwtBearer::new("a")).secret_param("assertion", "b");
    assert!(grant.build().unwrap_err().to_string().contains("assertion is given twice"));
}

#[test]
fn a_parameter_of_the_grant_cannot_be_given_a_second_time() {
    let server = server();
    let exchange = TokenExchange::new("subject");
    for twice in ["subject_token", "subject_token_type"] {
        let builder = builder(&server, ClientAuth::anonymous()).grant(exchange.clone()).param(twice, "x");
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(&format!("{twice} is given twice")), "{error}");
    }
    let error = builder(&server, ClientAuth::anonymous()).grant(TokenExchange::new("")).build().unwrap_err();
    assert!(error.to_string().contains("subject_token"), "{error}");
}

#[tokio::test]
async fn a_source_is_the_subject_token_of_the_next_server() {
    let first = server();
    let upstream = builder(&first, ClientAuth::client_secret_basic("billing", "secret")).build().unwrap();
    let second = server();
    let source = upstream.clone();
    let subject = Credential::from_fn(move || {
        let source = source.clone();
        async move { source.token().await.map(|token| token.expose_secret().to_owned()) }
    });
    let exchange = TokenExchange::new(subject).subject_token_type(ACCESS_TOKEN_TYPE);
    let tokens = builder(&second, ClientAuth::anonymous()).grant(exchange).build().unwrap();
    second.next(token(&format!(r#""issued_token_type":"{ACCESS_TOKEN_TYPE}""#)));
    tokens.token().await.unwrap();
    assert!(second.requests()[0].sent("subject_token", upstream.token().await.unwrap().expose_secret()));
    assert_eq!((first.token_requests(), second.token_requests()), (1, 1));

    // A failure of the first server reaches neither the second nor hides behind it.
    first.until_changed(Answer::Refuse("unauthorized_client"));
    let refused = builder(&first, ClientAuth::client_secret_basic("other", "secret")).build().unwrap();
    let subject = Credential::from_fn(move || {
        let source = refused.clone();
        async move { source.token().await.map(|token| token.expose_secret().to_owned()) }
    });
    let tokens = builder(&second, ClientAuth::anonymous()).grant(TokenExchange::new(subject)).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!((error.kind(), second.token_requests()), (ErrorKind::Credential, 1));
    let text = error.to_string();
    for part in ["unauthorized_client", first.token_url(), second.token_url(), "subject_token"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

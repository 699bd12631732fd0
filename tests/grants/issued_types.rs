//! What a token exchange issued (RFC 8693 section 2.2.1).

use client_credentials::testing::Answer;
use client_credentials::{AccessToken, ClientAuth, Error, ErrorKind, JwtBearer, TokenExchange};

use crate::{ACCESS_TOKEN_TYPE, EXCHANGE, JWT_TYPE, builder, server, token};

const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";

async fn exchanged(requested: Option<&str>, answer: Answer) -> Result<AccessToken, Error> {
    let server = server();
    server.until_changed(answer);
    let exchange = TokenExchange::new("subject");
    let exchange = match requested {
        Some(uri) => exchange.requested_token_type(uri),
        None => exchange,
    };
    let tokens = builder(&server, ClientAuth::anonymous()).grant(exchange).build().unwrap();
    let result = tokens.token().await;
    assert_eq!(server.token_requests(), 1, "an answer of another type is not asked for again");
    result
}

fn issued(uri: &str) -> Answer {
    token(&format!(r#""issued_token_type":"{uri}""#))
}

#[tokio::test]
async fn a_token_of_the_requested_type_is_accepted_and_its_type_can_be_read() {
    for uri in [ACCESS_TOKEN_TYPE, JWT_TYPE, ID_TOKEN_TYPE, "urn:example:own"] {
        let token = exchanged(Some(uri), issued(uri)).await.unwrap();
        assert_eq!(token.extra("issued_token_type").and_then(|uri| uri.as_str()), Some(uri));
    }
}

#[tokio::test]
async fn a_token_of_another_type_than_requested_is_refused_with_both_types() {
    for (asked, other) in [
        (ACCESS_TOKEN_TYPE, "urn:ietf:params:oauth:token-type:refresh_token"),
        (ACCESS_TOKEN_TYPE, "URN:ietf:params:oauth:token-type:access_token"),
        (JWT_TYPE, "urn:ietf:params:oauth:token-type:saml2"),
        ("urn:example:own", ACCESS_TOKEN_TYPE),
        (ACCESS_TOKEN_TYPE, ""),
    ] {
        let error = exchanged(Some(asked), issued(other)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Response, false));
        let text = error.to_string();
        assert!(text.contains(asked) && text.contains(other) && text.contains("requested_token_type"), "{text}");
    }
}

#[tokio::test]
async fn a_type_chosen_by_the_server_must_be_an_access_token() {
    for name in ["id_token", "refresh_token", "saml1", "saml2"] {
        let uri = format!("urn:ietf:params:oauth:token-type:{name}");
        let error = exchanged(None, issued(&uri)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response);
        assert!(error.to_string().contains(&uri) && error.to_string().contains(ACCESS_TOKEN_TYPE), "{error}");
    }
    for uri in [ACCESS_TOKEN_TYPE, JWT_TYPE, "urn:example:own"] {
        exchanged(None, issued(uri)).await.unwrap();
    }
}

#[tokio::test]
async fn a_type_that_is_not_a_string_or_occurs_twice_is_refused() {
    for members in [
        r#""issued_token_type":1"#.to_owned(),
        r#""issued_token_type":["urn:example:own"]"#.to_owned(),
        format!(r#""issued_token_type":"{ACCESS_TOKEN_TYPE}","issued_token_type":"{ACCESS_TOKEN_TYPE}""#),
    ] {
        for requested in [None, Some(ACCESS_TOKEN_TYPE)] {
            let error = exchanged(requested, token(&members)).await.unwrap_err();
            assert!(error.to_string().contains("issued_token_type"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_server_that_names_no_type_is_trusted_unless_strict() {
    exchanged(Some(ACCESS_TOKEN_TYPE), token("")).await.unwrap();
    exchanged(None, token(r#""issued_token_type":null"#)).await.unwrap();
    let server = server();
    let exchange = TokenExchange::new("subject");
    let tokens = builder(&server, ClientAuth::anonymous()).grant(exchange).strict(true).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert!(error.to_string().contains("it has no issued_token_type (strict"), "{error}");
    server.until_changed(issued(ACCESS_TOKEN_TYPE));
    let exchange = TokenExchange::new("subject");
    let tokens = builder(&server, ClientAuth::anonymous()).grant(exchange).strict(true).build().unwrap();
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn an_exchange_built_from_parameters_is_checked_alike() {
    let server = server();
    server.until_changed(issued(JWT_TYPE));
    let builder = builder(&server, ClientAuth::anonymous())
        .grant_type(EXCHANGE)
        .param("requested_token_type", ACCESS_TOKEN_TYPE)
        .param("subject_token_type", JWT_TYPE)
        .secret_param("subject_token", "subject");
    assert_eq!(builder.build().unwrap().token().await.unwrap_err().kind(), ErrorKind::Response);
}

#[tokio::test]
async fn the_type_is_not_checked_for_other_grants() {
    let server = server();
    server.until_changed(issued(ID_TOKEN_TYPE));
    builder(&server, ClientAuth::none("me")).build().unwrap().token().await.unwrap();
    let tokens = builder(&server, ClientAuth::none("me")).grant(JwtBearer::new("assertion")).build().unwrap();
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn a_token_type_of_n_a_is_refused_and_the_error_says_why() {
    for n_a in ["N_A", "n_a"] {
        let body = format!(r#"{{"access_token":"abc","token_type":"{n_a}","issued_token_type":"{ID_TOKEN_TYPE}"}}"#);
        let error = exchanged(Some(ID_TOKEN_TYPE), Answer::Body(body)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Response, false));
        let text = error.to_string();
        for part in [n_a, "no API takes as Bearer", "RFC 8693 section 2.2.1", "requested_token_type"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

//! Family L: canaries through everything that can be printed or logged.
//!
//! Every scripted server of every test checks, when it is dropped, that no event of our own target has a canary (L01).

use std::error::Error as _;
use std::fmt::{Debug, Display};

use client_credentials::{
    AccessToken, Cached, ClientAuth, ClientCredentials, ClientCredentialsBuilder, Credential, Error, ErrorKind,
    HttpClient, RetryPolicy, TokenFuture, TokenSource, source_fn,
};
use serde::Serialize;

use crate::harness::canary::{self, OTHER, SECRET, TOKEN, assert_no_canary, found, render, render_all};
use crate::harness::server::{Server, Step, answer, json, ok, raw, response, token_json};
#[cfg(feature = "rustls")]
use crate::harness::tls::{self, Ca};
use crate::story::{bare, basic, builder, builder_with, post, recovers};

fn auths() -> Vec<ClientAuth> {
    vec![
        basic(),
        ClientAuth::client_secret_basic_raw("wire", SECRET),
        post(),
        ClientAuth::client_secret_post("wire", Credential::from_fn(|| async { Ok::<_, Error>(SECRET) })),
        ClientAuth::none("wire"),
    ]
}

#[tokio::test]
async fn no_public_value_shows_a_secret() {
    // L01, I1
    let credentials = [
        Credential::from(SECRET),
        Credential::from(SECRET.to_owned()),
        Credential::from(secrecy::SecretString::from(SECRET)),
        Credential::env("HOME"),
        Credential::file("/run/secrets/x"),
        Credential::from_fn(|| async { Ok::<_, Error>(SECRET) }),
    ];
    for credential in credentials {
        assert_no_canary([render(&credential), render(&credential.clone())]);
    }
    for auth in auths() {
        let server = Server::start([ok(TOKEN)]);
        let builder = builder_with(&server.url(&format!("/token?key={OTHER}")), auth.clone()).header("x-key", OTHER);
        let tokens = builder.clone().build().unwrap();
        assert_no_canary([render(&auth), render(&builder), render(&tokens), render(&tokens.token())]);
        let token = recovers("L01", &tokens).await;
        let ready = tokens.token();
        assert_no_canary([
            render(&tokens),
            render(&token),
            render(&token.authorization()),
            render(&ready),
            render(&ready.await),
            render(&TokenFuture::ready(Ok(token.clone()))),
            render(&Some(&token)),
        ]);
        let own = Cached::new(source_fn(move || {
            let token = token.clone();
            async move { Ok(token) }
        }));
        recovers("L01", &own).await;
        assert_no_canary([render(&own), render(&own.token())]);
        let constant: Box<dyn TokenSource> = Box::new(AccessToken::builder(TOKEN).build().unwrap());
        assert_no_canary([render(&constant)]);
    }
    for unfit in [format!("{TOKEN}\r\n"), format!(" {TOKEN}"), format!("{TOKEN}é")] {
        assert_no_canary([render_all(&AccessToken::builder(unfit).build().unwrap_err())]);
    }
}

/// An error of each kind from the wire, from a server that echoes secrets.
async fn errors(auth: &ClientAuth) -> Vec<Error> {
    let path = format!("/token?first={SECRET}&second={OTHER}");
    let echo = format!(r#""error_description":"{SECRET}","error_uri":"https://x.example/{SECRET}""#);
    let location = format!("http://evil.example/?code={OTHER}");
    let scripts = [
        raw("SSH-2.0-x\r\n"),
        vec![Step::ReadReq, Step::Rst],
        raw(format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}", token_json(TOKEN, 1))),
        raw(format!("HTTP/1.1 200 OK\r\nbroken{TOKEN}\r\n\r\n")),
        json(400, format!(r#"{{"error":"invalid_client",{echo}}}"#)),
        json(429, format!(r#"{{"error":"{SECRET}",{echo}}}"#)),
        json(400, format!(r#"{{"error":"{SECRET}",{echo}}}"#)),
        json(500, format!(r#"{{"token":"{TOKEN}"}}"#)),
        answer(307, &[("location", &location)], TOKEN),
        answer(200, &[("content-type", &format!("x/{SECRET}"))], TOKEN),
        answer(200, &[("content-encoding", SECRET)], TOKEN),
        json(200, format!(r#"{{"access_token":["{TOKEN}"]}}"#)),
        json(200, format!(r#"{{"access_token":"{TOKEN} "}}"#)),
        json(200, format!(r#"{{"access_token":"{TOKEN}","access_token":"{TOKEN}"}}"#)),
        json(200, format!(r#"{{"access_token":"{TOKEN}","token_type":"{SECRET}"}}"#)),
        json(200, format!(r#"{{"access_token":"{TOKEN}""#)),
        json(200, format!(r#""{TOKEN}""#)),
        json(200, format!("access_token={TOKEN}")),
        json(200, format!(r#"{{"access_token":"{}"}}"#, TOKEN.repeat(5000))),
    ];
    let mut errors = Vec::new();
    for script in scripts {
        let server = Server::start([script]);
        let tokens =
            builder_with(&server.url(&path), auth.clone()).retry(RetryPolicy::new().attempts(1)).build().unwrap();
        errors.push(tokens.token().await.unwrap_err());
        assert_no_canary([render(&tokens), render(&tokens.token())]);
    }
    let refusing = Server::refusing();
    let tokens = builder_with(&refusing.url(&path), auth.clone()).build().unwrap();
    errors.push(tokens.token().await.unwrap_err());

    #[cfg(feature = "rustls")]
    {
        let server = Server::start_tls(tls::self_signed(), [ok(TOKEN)]);
        let tokens = builder_with(&server.https(&path), auth.clone()).build().unwrap();
        errors.push(tokens.token().await.unwrap_err());
    }
    errors
}

#[tokio::test]
async fn no_error_shows_a_secret_a_token_or_a_query() {
    // L04, L06, S08, I1
    let mut kinds = std::collections::HashSet::new();
    for auth in auths() {
        // Without a secret there is nothing to recognize.
        if render(&auth).contains("none") {
            continue;
        }
        for error in errors(&auth).await {
            kinds.insert(error.kind());
            assert_no_canary([
                render_all(&error),
                render(&error.oauth()),
                error.oauth().map_or(String::new(), |e| render_all(e)),
            ]);
            let wrapped = std::io::Error::other(error);
            assert_no_canary([render_all(&wrapped)]);
        }
    }
    for kind in [
        ErrorKind::Denied,
        ErrorKind::Throttled,
        ErrorKind::Transport,
        #[cfg(feature = "rustls")]
        ErrorKind::Tls,
        ErrorKind::Response,
        ErrorKind::Other,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} did not come up");
    }
}

#[tokio::test]
async fn nothing_that_is_logged_shows_a_secret() {
    // L01, L02: every target at TRACE, hyper's, reqwest's and rustls' too; HTTP/1.1 and TLS, success and failure (HTTP/2:
    // integrations/tests/http2.rs). No target is excluded: what a dependency begins to log in its next version shows here.
    canary::watch();
    let clients: [fn(ClientCredentialsBuilder) -> ClientCredentialsBuilder; 2] = [
        |builder| builder,
        |builder| builder.http_client(HttpClient::from_reqwest_0_13(|| bare().connection_verbose(true))),
    ];
    for auth in [basic(), post()] {
        for client in clients {
            let server = Server::start([answer(503, &[], ""), json(400, r#"{"error":"slow_down"}"#), ok(TOKEN)]);
            let tokens = client(builder_with(&server.url(&format!("/token?x={OTHER}")), auth.clone())).build().unwrap();
            recovers("L02", &tokens).await;
        }
        #[cfg(feature = "rustls")]
        over_tls(auth).await;
    }
    let seen: Vec<_> = canary::said().into_iter().filter(|(_, text)| found(text).is_some()).collect();
    assert!(seen.is_empty(), "{seen:?}");
}

/// Over TLS, after a failure and after a rejection.
#[cfg(feature = "rustls")]
async fn over_tls(auth: ClientAuth) {
    let ca = Ca::new();
    let root = reqwest::Certificate::from_der(&ca.der()).unwrap();
    let server = Server::start_tls(ca.server("localhost"), [answer(500, &[], ""), ok(TOKEN)]);
    let tokens = builder_with(&server.https("/token"), auth)
        .http_client(HttpClient::from_reqwest_0_13(move || reqwest::Client::builder().tls_certs_only([root.clone()])))
        .build()
        .unwrap();
    let token = recovers("L02", &tokens).await;
    tokens.reject(&token);
    recovers("L02", &tokens).await;
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn what_an_operator_needs_is_logged() {
    // L01: the check works; without it the rows above would mean nothing
    let server = Server::start([answer(500, &[], "eye"), ok(TOKEN)]);
    let tokens = builder(&server).retry(RetryPolicy::new().attempts(1)).build().unwrap();
    assert!(tokens.token().await.is_err());
    recovers("L01", &tokens).await;
    let said = canary::said();
    for text in ["there is no access token", "status 500", "can be fetched again"] {
        assert!(
            said.iter().any(|(target, said)| target == "client_credentials" && said.contains(text)),
            "{text}: {said:?}"
        );
    }
}

#[cfg(all(feature = "tracing", feature = "reqwest-middleware"))]
#[tokio::test]
async fn an_api_that_refuses_new_tokens_is_reported_once_a_minute() {
    let server = Server::start([ok("t1"), ok("t2"), ok("t3"), ok("t4")]);
    let api = Server::start([answer(401, &[("www-authenticate", r#"Bearer error="invalid_token""#)], "")]);
    let bearer = client_credentials::BearerAuth::for_origin(api.url(""), builder(&server).build().unwrap()).unwrap();
    let client = reqwest_middleware::ClientBuilder::new(bare().build().unwrap()).with(bearer).build();
    let told = || {
        let said = canary::said().into_iter();
        said.filter(|(_, said)| said.contains("keeps refusing access tokens") && said.contains(&api.url(""))).count()
    };
    assert_eq!(told(), 0);
    for request in 1..=2 {
        assert_eq!(client.get(api.url("/")).send().await.unwrap().status(), 401);
        assert_eq!(api.hits(), 2 * request, "each with another token");
        assert_eq!(told(), 1);
    }
}

#[cfg(feature = "tracing")]
#[tokio::test]
async fn a_narrower_scope_is_reported_once() {
    let body = r#"{"access_token":"t","token_type":"Bearer","expires_in":0,"scope":"told:one"}"#;
    let server = Server::start([json(200, body)]);
    let tokens = builder(&server).scope("told:one told:two").build().unwrap();
    for time in ["the first", "and no other"] {
        assert_eq!(tokens.token().await.unwrap().scope(), Some("told:one"));
        let said = canary::said();
        let told = said.iter().filter(|(_, said)| said.contains("narrower scope") && said.contains("told:two"));
        assert_eq!(told.count(), 1, "{time}");
    }
}

#[test]
fn canaries_are_found_in_every_encoding() {
    use base64::Engine;
    let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
    for prefix in ["", "a", "ab", "abc", "wire:"] {
        for suffix in ["", "x", "yz"] {
            let text = format!("{prefix}{SECRET}{suffix}");
            assert_eq!(found(&text), Some(SECRET));
            assert_eq!(found(&base64(text)), Some(SECRET), "{prefix} {suffix}");
        }
    }
    assert_eq!(found("harmless"), None);
    let leaking = std::io::Error::other(Leaking(SECRET));
    assert_eq!(found(&render_all(&leaking)), Some(SECRET), "in a source");
    assert!(leaking.source().is_none(), "which io::Error does not show as one");
}

#[derive(Debug, thiserror::Error)]
#[error("harmless")]
struct Leaking(&'static str);

#[test]
fn no_function_is_instrumented_with_its_arguments() {
    // L03: #[instrument] records every argument by default
    let mut files = 0;
    let mut directories = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                for (number, line) in text.lines().enumerate() {
                    let bad = line.contains("instrument") && line.contains("#[") && !line.contains("skip_all");
                    assert!(!bad, "{}:{}", path.display(), number + 1);
                }
            }
        }
    }
    assert!(files > 10);
}

/// Compiles only if the type has none of the traits: with one, the call below is ambiguous.
trait HasNot<Marker> {
    fn proven() {}
}
struct ByDisplay;
struct BySerialize;
impl<T: ?Sized> HasNot<()> for T {}
impl<T: ?Sized + Display> HasNot<ByDisplay> for T {}
impl<T: ?Sized + Serialize> HasNot<BySerialize> for T {}

#[test]
fn types_that_hold_a_secret_can_be_neither_displayed_nor_serialized() {
    // L09
    <AccessToken as HasNot<_>>::proven();
    <Credential as HasNot<_>>::proven();
    <ClientAuth as HasNot<_>>::proven();
    <ClientCredentials as HasNot<_>>::proven();
    <ClientCredentialsBuilder as HasNot<_>>::proven();
    <Cached<AccessToken> as HasNot<_>>::proven();
    <TokenFuture<'static> as HasNot<_>>::proven();
    // They implement `Debug`, which the tests above check.
    fn debuggable<T: Debug>() {}
    debuggable::<(AccessToken, Credential, ClientAuth, ClientCredentials, ClientCredentialsBuilder)>();
}

#[tokio::test]
async fn a_response_is_never_part_of_an_error() {
    // L01: a successful response with an unusable body
    for body in [TOKEN.to_owned(), format!("{{\"access_token\": {TOKEN}}}"), format!("<p>{TOKEN}</p>")] {
        let server = Server::start([vec![Step::ReadReq, Step::Write(response(200, &[], body)), Step::Fin]]);
        let error = builder(&server).build().unwrap().token().await.unwrap_err();
        assert_no_canary([render_all(&error)]);
    }
}

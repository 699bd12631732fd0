//! Tests that need TLS: the certificates of family T, the version of family F.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client_credentials::{ClientAuth, Credential, ErrorKind, HttpClient, Limits};

use crate::credentials::Directory;
use crate::harness::canary::{OTHER, SECRET, TOKEN};
use crate::harness::server::{Server, Step, json, ok};
use crate::harness::tls::{self, Ca};
use crate::refreshed::refreshed;
use crate::story::{Failure, SOON, basic, builder_with, expect_failure, recovers};
use crate::transport::NOTHING_CAME;

pub(crate) fn trusting(ca: &Ca) -> impl Fn() -> reqwest::ClientBuilder + Send + Sync + 'static {
    let root = reqwest::Certificate::from_der(&ca.der()).unwrap();
    move || reqwest::Client::builder().tls_certs_only([root.clone()])
}

#[tokio::test]
async fn a_server_with_a_bad_certificate_gets_no_byte_and_is_not_tried_again() {
    // T24, F13: also when the user's client would accept it
    let ca = Ca::new();
    let untrusted = Failure { kind: ErrorKind::Tls, transient: false, status: None, attempts: 1 };
    for (row, config) in [
        ("self-signed", tls::self_signed()),
        ("expired", ca.expired()),
        ("another name", ca.server("elsewhere.example")),
        ("unknown authority", tls::unknown()),
    ] {
        let hostile = trusting(&ca);
        let server = Server::start_tls(config, [ok(TOKEN)]);
        let tokens = builder_with(&server.https("/token"), basic())
            .http_client(HttpClient::from_reqwest_0_13(move || {
                hostile().tls_danger_accept_invalid_certs(true).tls_danger_accept_invalid_hostnames(true)
            }))
            .build()
            .unwrap();
        let error = expect_failure(row, &tokens, &untrusted).await;
        assert_eq!(server.connections(), 1, "{row}: not tried again inside the fetch");
        assert_eq!(server.received(), 0, "{row}: bytes of HTTP");
        assert!(error.to_string().contains("certificate"), "{error}");
        // The source keeps trying: once the certificate is good, it returns a token.
        server.certify(ca.server("localhost"));
        recovers(row, &tokens).await;
        assert_eq!(server.hits(), 1, "{row}");
    }
}

#[tokio::test]
async fn an_error_that_is_not_about_the_secret_does_not_try_another_one() {
    let two = || ClientAuth::client_secret_post("wire", Credential::from(SECRET).or(OTHER));
    let ca = Ca::new();
    let server = Server::start_tls(ca.expired(), [ok(TOKEN)]);
    let tokens = builder_with(&server.https("/token"), two()).http_client(HttpClient::from_reqwest_0_13(trusting(&ca)));
    let error = tokens.build().unwrap().token().await.unwrap_err();
    assert_eq!((error.kind(), server.connections()), (ErrorKind::Tls, 1));

    let server = Server::start([json(400, r#"{"error":"invalid_scope"}"#)]);
    let tokens = builder_with(&server.url("/token"), two()).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!((error.kind(), server.hits()), (ErrorKind::Denied, 1));
}

#[tokio::test]
async fn a_refused_certificate_rebuilds_the_clients_once_a_minute() {
    // FE3
    let (ca, directory, made) = (Ca::new(), Directory::new("authority"), Arc::new(AtomicUsize::new(0)));
    let server = Server::start_tls(ca.server("localhost"), ["t1", "t2"].map(ok));
    let (count, file) = (Arc::clone(&made), directory.0.join("ca.crt"));
    std::fs::write(&file, tls::AUTHORITY).unwrap();
    let read = file.clone();
    let trusting = move || {
        count.fetch_add(1, Ordering::SeqCst);
        let authority = reqwest::Certificate::from_pem(&std::fs::read(&read).unwrap()).unwrap();
        reqwest::Client::builder().tls_certs_only([authority])
    };
    let tokens = builder_with(&server.https("/token"), basic()).http_client(HttpClient::from_reqwest_0_13(trusting));
    let tokens = tokens.build().unwrap();
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t1");

    // The server is first: while the file is the old one, clients are not rebuilt again and again.
    server.certify(tls::self_signed());
    for _ in 0..3 {
        assert_eq!(refreshed(&tokens).await.unwrap_err().kind(), ErrorKind::Tls);
    }
    assert_eq!(made.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_rebuilds_no_client() {
    // FE3
    let (ca, made) = (Ca::new(), Arc::new(AtomicUsize::new(0)));
    let server = Server::start_tls(ca.server("localhost"), [vec![Step::ReadReq, Step::Fin], ok("t1")]);
    let (count, trusted) = (Arc::clone(&made), trusting(&ca));
    let trusting = move || {
        count.fetch_add(1, Ordering::SeqCst);
        trusted()
    };
    let tokens = builder_with(&server.https("/token"), basic()).http_client(HttpClient::from_reqwest_0_13(trusting));
    assert_eq!(refreshed(&tokens.build().unwrap()).await.unwrap().expose_secret(), "t1");
    assert_eq!(made.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_replaced_authority_costs_one_failed_fetch() {
    // FE3
    let (ca, directory) = (Ca::new(), Directory::new("authorities"));
    let server = Server::start_tls(ca.server("localhost"), ["t1", "t2"].map(ok));
    let file = directory.0.join("ca.crt");
    std::fs::write(&file, tls::AUTHORITY).unwrap();
    let read = file.clone();
    let trusting = move || {
        let authority = reqwest::Certificate::from_pem(&std::fs::read(&read).unwrap()).unwrap();
        reqwest::Client::builder().tls_certs_only([authority])
    };
    let tokens = builder_with(&server.https("/token"), basic()).http_client(HttpClient::from_reqwest_0_13(trusting));
    let tokens = tokens.build().unwrap();
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t1");
    std::fs::write(&file, tls::SELF_SIGNED.certificate).unwrap();
    server.certify(tls::self_signed());
    assert_eq!(refreshed(&tokens).await.unwrap_err().kind(), ErrorKind::Tls);
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t2");
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_at_the_connect_timeout() {
    // T25
    let ca = Ca::new();
    let server = Server::start([vec![Step::Hang]]);
    let tokens = builder_with(&server.https("/token"), basic())
        .http_client(HttpClient::from_reqwest_0_13(trusting(&ca)))
        .limits(Limits::new().connect_timeout(SOON))
        .build()
        .unwrap();
    expect_failure("T25", &tokens, &NOTHING_CAME).await;
    server.connected(3).await;
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn an_interrupted_handshake_is_tried_again() {
    // T25
    let ca = Ca::new();
    for (row, step) in
        [("reset", Step::Rst), ("closed", Step::Fin), ("noise", Step::write("HTTP/1.1 400 Bad Request\r\n\r\n"))]
    {
        let server = Server::start([vec![Step::Read(5), step]]);
        let tokens = builder_with(&server.https("/token"), basic())
            .http_client(HttpClient::from_reqwest_0_13(trusting(&ca)))
            .build()
            .unwrap();
        expect_failure(row, &tokens, &NOTHING_CAME).await;
        server.connected(3).await;
        assert_eq!(server.connections(), 3, "{row}");
    }
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    // F16: a ServerHello of TLS 1.1, and a user who would accept it
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let server = Server::start([vec![Step::Read(5), Step::Write(hello), Step::Hang]]);
    let ca = reqwest::Certificate::from_der(&Ca::new().der()).unwrap();
    let tokens = builder_with(&server.https("/token"), basic())
        .http_client(HttpClient::from_reqwest_0_13(move || {
            reqwest::Client::builder().tls_certs_only([ca.clone()]).tls_version_min(reqwest::tls::Version::TLS_1_0)
        }))
        .build()
        .unwrap();
    let refused = Failure { kind: ErrorKind::Tls, transient: false, status: None, attempts: 1 };
    expect_failure("F16", &tokens, &refused).await;
    assert_eq!(server.connections(), 1);
}

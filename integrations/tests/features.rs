//! A reqwest with features that most services do not enable, configured to use all of them: the token request does not
//! change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../../tests/harness/mod.rs"]
mod harness;

use client_credentials::{ClientAuth, ClientCredentials, ErrorKind, HttpClient, RetryPolicy};
use harness::canary::{SECRET, TOKEN};
use harness::server::{Server, answer, ok, token_json};

fn tokens(server: &Server) -> ClientCredentials {
    let auth = ClientAuth::client_secret_post("wire", SECRET);
    let builder =
        ClientCredentials::builder(server.url("/token"), auth).http_client(HttpClient::from_reqwest_0_13(|| {
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::limited(10)).referer(true);
            client.cookie_store(true).gzip(true).brotli(true).deflate(true).zstd(true)
        }));
    builder.retry(RetryPolicy::new().attempts(1)).build().unwrap()
}

#[tokio::test]
async fn a_redirect_is_an_error_and_its_target_sees_no_cookie() {
    // S06, S07, S08, F13
    for status in [301, 302, 303, 307, 308] {
        let evil = Server::start([ok(TOKEN)]);
        let headers = [("location", &*evil.url("/collect")), ("set-cookie", "session=abc; Path=/")];
        let good = Server::start([answer(status, &headers, "")]);
        let error = tokens(&good).token().await.unwrap_err();
        assert!(error.to_string().contains("redirects are not followed"), "{error}");
        assert_eq!((good.hits(), evil.connections()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn an_encoded_body_is_refused_and_no_encoding_is_requested() {
    // T14, T15, F13
    for label in ["gzip", "br", "deflate", "zstd"] {
        let server = Server::start([answer(200, &[("content-encoding", label)], token_json(TOKEN, 3600))]);
        let error = tokens(&server).token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Response);
        assert!(error.to_string().contains("encoded"), "{label}: {error}");
        assert_eq!(server.requests()[0].header("accept-encoding"), Vec::<&str>::new());
    }
}

//! The client presents a certificate (RFC 8705), and other ones later: X11.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client_credentials::{
    CachePolicy, ClientAuth, ClientCredentials, ClientCredentialsBuilder, Credential, ErrorKind, HttpClient, Issuer,
};

use crate::certificates::trusting;
use crate::credentials::Directory;
use crate::harness::canary::{TOKEN, render, render_all};
#[cfg(feature = "reqwest-middleware")]
use crate::harness::server::answer;
use crate::harness::server::{Server, json, ok};
use crate::harness::tls::{Ca, Client};
use crate::refreshed::refreshed;
use crate::story::{MOMENT, basic, builder_with, recovers};

/// The two files of a client.
struct Pair(Directory);

impl Pair {
    fn new(name: &str, client: &Client) -> Pair {
        let pair = Pair(Directory::new(name));
        pair.replace(client);
        pair
    }

    fn replace(&self, client: &Client) {
        self.write("tls.crt", &client.certificate);
        self.write("tls.key", &client.key);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.0.join(name), text).unwrap();
    }

    fn auth(&self) -> ClientAuth {
        let file = |name| Credential::file(self.0.0.join(name));
        ClientAuth::mutual_tls("wire", file("tls.crt"), file("tls.key"))
    }
}

fn builder(server: &Server, ca: &Ca, auth: ClientAuth) -> ClientCredentialsBuilder {
    builder_with(&server.https("/token"), auth)
        .http_client(HttpClient::from_reqwest_0_13(trusting(ca)))
        .cache(CachePolicy::new().forced_refreshes(100).forced_refresh_interval(MOMENT))
}

fn shown(clients: &[&Client]) -> Vec<Option<Vec<u8>>> {
    clients.iter().map(|one| Some(one.der.clone())).collect()
}

#[tokio::test]
async fn a_rotated_certificate_is_presented_over_a_new_connection() {
    // X11
    let ca = Ca::new();
    let [one, two] = [ca.client(), ca.client()];
    let pair = Pair::new("mtls-rotated", &one);
    let server = Server::start_tls(ca.mutual(), ["t1", "t2", "t3"].map(ok));
    let made = Arc::new(AtomicUsize::new(0));
    let (count, trusting) = (Arc::clone(&made), trusting(&ca));
    let tokens = builder(&server, &ca, pair.auth())
        .http_client(HttpClient::from_reqwest_0_13(move || {
            count.fetch_add(1, Ordering::SeqCst);
            trusting()
        }))
        .build()
        .unwrap();

    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t1");
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t2");
    assert_eq!(made.load(Ordering::SeqCst), 2, "by build(), and for the pair");
    pair.replace(&two);
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t3");
    assert_eq!(made.load(Ordering::SeqCst), 3, "for the new pair");
    assert_eq!(server.shown(), shown(&[&one, &one, &two]));
    assert_eq!(server.connections(), 3);

    for request in server.requests() {
        assert_eq!(request.body(), "grant_type=client_credentials&client_id=wire");
        assert!(request.header("authorization").is_empty());
    }
}

#[tokio::test]
async fn a_half_rotated_pair_leaves_the_previous_one_in_use() {
    // X11
    let ca = Ca::new();
    let [one, two] = [ca.client(), ca.client()];
    let pair = Pair::new("mtls-half", &one);
    let server = Server::start_tls(ca.mutual(), ["t1", "t2", "t3", "t4"].map(ok));
    let tokens = builder(&server, &ca, pair.auth()).build().unwrap();
    refreshed(&tokens).await.unwrap();
    pair.write("tls.crt", &two.certificate);
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t2", "the key is not there yet");
    pair.write("tls.key", &two.key[..two.key.len() / 2]);
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t3", "half of the key");
    pair.write("tls.key", &two.key);
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), "t4");
    assert_eq!(server.shown(), shown(&[&one, &one, &one, &two]));
}

#[tokio::test]
async fn an_expired_certificate_is_not_a_permanent_failure() {
    // X11
    let ca = Ca::new();
    let (old, new) = (ca.expired_client(), ca.client());
    let pair = Pair::new("mtls-expired", &old);
    let server = Server::start_tls(ca.mutual(), [ok(TOKEN)]);
    let tokens = builder(&server, &ca, pair.auth()).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    // The server's alert may come after it has closed the connection on what we sent.
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Transport), "{error:#}");
    assert_eq!(server.hits(), 0);
    pair.replace(&new);
    recovers("X11", &tokens).await;
    assert_eq!(server.shown(), shown(&[&new]));
}

#[tokio::test]
async fn of_two_pairs_the_second_is_tried_when_the_first_is_refused() {
    let ca = Ca::new();
    let [one, two] = [ca.client(), ca.client()];
    let either = |a: &String, b: &String| Credential::from(a.as_str()).or(b.as_str());
    let auth = ClientAuth::mutual_tls("wire", either(&one.certificate, &two.certificate), either(&one.key, &two.key));
    let refused = json(401, r#"{"error":"invalid_client"}"#);
    let server = Server::start_tls(ca.mutual(), [refused, ok("t1"), ok("t2")]);
    let tokens = builder(&server, &ca, auth).build().unwrap();
    refreshed(&tokens).await.unwrap();
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.shown(), shown(&[&one, &two, &two]));
}

#[tokio::test]
async fn of_two_pairs_the_second_is_tried_when_the_handshake_refuses_the_first() {
    // X11
    let ca = Ca::new();
    let [old, new] = [ca.expired_client(), ca.client()];
    let either = |a: &String, b: &String| Credential::from(a.as_str()).or(b.as_str());
    let auth = ClientAuth::mutual_tls("wire", either(&old.certificate, &new.certificate), either(&old.key, &new.key));
    let server = Server::start_tls(ca.mutual(), [ok(TOKEN)]);
    let tokens = builder(&server, &ca, auth).build().unwrap();
    assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), TOKEN);
    assert_eq!(server.connections(), 2);
    assert_eq!(server.shown(), shown(&[&new]));
}

#[tokio::test]
async fn an_invalid_pair_is_a_transient_error_that_shows_no_key() {
    let ca = Ca::new();
    let [one, two] = [ca.client(), ca.client()];
    let pair = Pair::new("mtls-none", &one);
    pair.write("tls.crt", &two.certificate);
    let server = Server::start_tls(ca.mutual(), [ok(TOKEN)]);
    let tokens = builder(&server, &ca, pair.auth()).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.is_transient() && error.to_string().contains("do not belong together"));
    assert_eq!(server.connections(), 0);
    let canary = one.key.lines().nth(1).unwrap();
    for text in [render_all(&error), render(&tokens), render(&pair.auth())] {
        assert!(!text.contains(canary) && !text.contains("BEGIN"), "{text}");
    }
    pair.replace(&one);
    recovers("mtls", &tokens).await;
}

#[test]
fn without_tls_there_is_no_mutual_tls() {
    let client = Ca::new().client();
    for host in ["localhost", "keycloak"] {
        let auth = ClientAuth::mutual_tls("wire", client.certificate.as_str(), client.key.as_str());
        let error = ClientCredentials::builder(format!("http://{host}/token"), auth)
            .dangerously_allow_http("keycloak")
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("token_endpoint is not https"), "{error}");
    }
}

#[tokio::test]
async fn an_alias_of_the_token_endpoint_is_used_with_certificates_only() {
    // M10
    let ca = Ca::new();
    let client = ca.client();
    let issuer = Server::start_tls(ca.server("localhost"), []);
    let mutual = Server::start_tls(ca.mutual(), [ok("mutual")]);
    let body = format!(
        r#"{{"issuer":"{}","token_endpoint":"{}","mtls_endpoint_aliases":{{"token_endpoint":"{}"}}}}"#,
        issuer.https(""),
        issuer.https("/token"),
        mutual.https("/token")
    );
    issuer.now([json(200, &body), json(200, &body), ok("plain")]);
    let auth = ClientAuth::mutual_tls("wire", client.certificate.as_str(), client.key.as_str());
    for (auth, token) in [(auth, "mutual"), (basic(), "plain")] {
        let tokens = ClientCredentials::builder(Issuer::new(issuer.https("")), auth);
        let tokens = tokens.http_client(HttpClient::from_reqwest_0_13(trusting(&ca))).build().unwrap();
        assert_eq!(refreshed(&tokens).await.unwrap().expose_secret(), token);
    }
    assert_eq!(mutual.shown(), shown(&[&client]));
    assert_eq!(issuer.shown(), [None, None, None]);
    assert_eq!(mutual.hits(), 1);
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test]
async fn token_and_connection_have_the_same_certificate_through_a_rotation() {
    use client_credentials::{BearerAuth, SameCertificate};
    let ca = Ca::new();
    let [one, two] = [ca.client(), ca.client()];
    let pair = Pair::new("mtls-same", &one);
    let server = Server::start_tls(ca.mutual(), ["t1", "t2"].map(ok));
    let tokens = builder(&server, &ca, pair.auth()).build().unwrap();
    let refused = answer(401, &[("www-authenticate", "Bearer error=\"invalid_token\"")], "");
    let served = || answer(200, &[], "served");
    let api = Server::start_tls(ca.mutual(), [served(), refused, served()]);

    let (origin, trusting) = (api.https(""), trusting(&ca));
    let bearer = BearerAuth::for_origin(&origin, tokens.clone()).unwrap();
    let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
        .with(bearer)
        .with(SameCertificate::new(move || trusting().pool_max_idle_per_host(0)))
        .build();
    let call = async || client.get(&origin).send().await.unwrap().status();

    assert_eq!(call().await, 200);
    pair.replace(&two);
    assert_eq!(call().await, 200, "refused with the first, served with the second");
    assert_eq!(api.shown(), shown(&[&one, &one, &two]));
    let requests = api.requests();
    let sent = requests.iter().map(|one| one.header("authorization")[0]);
    assert_eq!(sent.collect::<Vec<_>>(), ["Bearer t1", "Bearer t1", "Bearer t2"]);

    let token = tokens.token().await.unwrap();
    let certificate = token.client_certificate().unwrap();
    assert_eq!(format!("{certificate:?}"), "ClientCertificate");
    assert_eq!(token.client_certificate(), Some(certificate));
}

#[cfg(feature = "reqwest-middleware")]
#[tokio::test]
async fn a_request_without_the_token_presents_no_certificate_whatever_was_sent_before() {
    use client_credentials::{BearerAuth, SameCertificate};
    let ca = Ca::new();
    let one = ca.client();
    let pair = Pair::new("mtls-elsewhere", &one);
    let server = Server::start_tls(ca.mutual(), [ok("t1")]);
    let tokens = builder(&server, &ca, pair.auth()).build().unwrap();
    let served = || answer(200, &[], "served");
    let api = Server::start_tls(ca.mutual(), [served()]);
    let elsewhere = Server::start_tls(ca.mutual(), [served(), served()]);

    let bearer = BearerAuth::builder(tokens).origin(api.https("")).pass_through(true).build().unwrap();
    let plain = trusting(&ca)().build().unwrap();
    let client =
        reqwest_middleware::ClientBuilder::new(plain).with(bearer).with(SameCertificate::new(trusting(&ca))).build();
    // Like a middleware that follows redirects: several requests, one set of extensions.
    let mut extensions = http::Extensions::new();
    let mut call = async |request: reqwest_middleware::RequestBuilder| {
        let request = request.build().unwrap();
        client.execute_with_extensions(request, &mut extensions).await
    };
    assert!(call(client.get(api.https(""))).await.is_ok());
    let own = client.get(elsewhere.https("")).header("authorization", "Basic own");
    for request in [client.get(elsewhere.https("")), own] {
        assert!(call(request).await.is_err(), "who shows none is refused");
    }
    assert_eq!(api.shown(), shown(&[&one]));
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn other_methods_present_no_certificate() {
    let server = Server::start([ok(TOKEN)]);
    let tokens = builder_with(&server.url("/token"), basic()).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().client_certificate(), None);
}

use std::sync::{Arc, Mutex};

use client_credentials::{ClientAuth, ClientCredentials, Credential};

use crate::keys::Key;
use crate::server::{Server, invalid_client};
use crate::{Directory, ISSUER, client, refreshed};

const SECRET: &str = "canary-secret-0123456789-abcdefgh";

/// Everything public about a client and its error, in every form.
fn shown(auth: &impl std::fmt::Debug, tokens: &ClientCredentials, error: &client_credentials::Error) -> String {
    let mut text = format!("{auth:?} {auth:#?} {tokens:?} {tokens:#?} {error} {error:#} {error:?} {error:#?}");
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text.push_str(&format!(" {source} {source:?}"));
        next = source.source();
    }
    text
}

#[tokio::test]
async fn keys_secrets_and_assertions_are_never_shown() {
    let log = Log::default();
    let _guard = log.listen();
    let key = Key::new("k");
    let elsewhere = format!("{SECRET}.{SECRET}.{SECRET}");
    // With the other values that the server knows.
    let cases: [(ClientAuth, &str); 5] = [
        (ClientAuth::private_key_jwt("me", key.pem.as_str()).audience(ISSUER).into(), "it"),
        (ClientAuth::private_key_jwt("me", key.jwk.as_str()).audience(ISSUER).into(), "it"),
        (ClientAuth::client_secret_jwt("me", SECRET).audience(ISSUER).into(), SECRET),
        (ClientAuth::client_assertion(elsewhere.as_str()).into(), "it"),
        (ClientAuth::client_assertion(Credential::from("wrong").or(elsewhere.as_str())).into(), "it"),
    ];
    let mut everything = String::new();
    let mut canaries = key.canaries();
    canaries.push(SECRET.to_owned());
    for (auth, known) in cases {
        let server = Server::start(move |seen| invalid_client(&format!("{known} refused {} !", seen.assertion())));
        let tokens = client(&server, auth.clone());
        let error = tokens.token().await.unwrap_err();
        let description = error.oauth().unwrap().description().unwrap();
        assert!(description.ends_with(" refused *** !"), "{description}");
        everything.push_str(&shown(&auth, &tokens, &error));
        let sent = server.seen();
        let signed = sent.iter().filter(|one| one.assertion() != "wrong");
        canaries.extend(signed.map(|one| one.assertion().to_owned()));
    }
    everything.push_str(&log.text());
    for canary in &canaries {
        assert!(!everything.contains(canary), "{canary} in {everything}");
    }
}

#[tokio::test]
async fn a_file_with_a_damaged_key_is_not_quoted() {
    let log = Log::default();
    let _guard = log.listen();
    let directory = Directory::new();
    let key = Key::new("k");
    let server = Server::which(|_| true);
    let damaged = [
        key.pem.replace("END", "canary"),
        key.pem.replace("BEGIN", "canary"),
        key.jwk.replace("\"d\"", "\"canary"),
        key.jwk.replace("P-256", "P-384"),
    ];
    for text in damaged {
        let auth = ClientAuth::private_key_jwt("me", Credential::file(directory.write("key", &text))).audience(ISSUER);
        let tokens = client(&server, auth.clone());
        let error = tokens.token().await.unwrap_err();
        directory.write("key", &key.pem);
        refreshed(&tokens).await.unwrap();
        directory.write("key", &text);
        refreshed(&tokens).await.unwrap();

        // The same as a value is a fault of the configuration.
        let value = ClientAuth::private_key_jwt("me", text.as_str()).audience(ISSUER);
        let built = ClientCredentials::builder(&server.url, value).build();
        let all = shown(&auth, &tokens, &error) + &format!("{:?}", built.unwrap_err()) + &log.text();
        for canary in key.canaries().iter().map(String::as_str).chain(["canary"]) {
            assert!(!all.contains(canary), "{canary} in {all}");
        }
    }
}

/// The crate's tracing events on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use client_credentials::{ClientAuth, Credential, ErrorKind};

use crate::keys::Key;
use crate::server::{self, Server};
use crate::{Directory, ISSUER, client, refreshed};

#[tokio::test]
async fn a_secret_that_was_replaced_is_used_for_the_next_token() {
    // X01
    let directory = Directory::new();
    let path = directory.write("secret", "A\n");
    let server = Server::which(|_| true);
    let auth = ClientAuth::client_secret_post("me", Credential::file(path));
    let tokens = client(&server, auth);
    refreshed(&tokens).await.unwrap();
    directory.replace("secret", "B\n");
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.secrets(), ["A", "B"]);
}

#[tokio::test]
#[cfg(unix)]
async fn the_data_link_of_kubernetes_is_followed_at_each_read() {
    // X01
    use std::os::unix::fs::symlink;
    let directory = Directory::new();
    for (version, secret) in [("..1", "A"), ("..2", "B")] {
        std::fs::create_dir(directory.path(version)).unwrap();
        directory.write(&format!("{version}/secret"), secret);
    }
    symlink("..1", directory.path("..data")).unwrap();
    symlink("..data/secret", directory.path("secret")).unwrap();
    let server = Server::which(|_| true);
    let auth = ClientAuth::client_secret_post("me", Credential::file(directory.path("secret")));
    let tokens = client(&server, auth);
    refreshed(&tokens).await.unwrap();
    symlink("..2", directory.path("..data_tmp")).unwrap();
    std::fs::rename(directory.path("..data_tmp"), directory.path("..data")).unwrap();
    std::fs::remove_dir_all(directory.path("..1")).unwrap();
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.secrets(), ["A", "B"]);
}

#[tokio::test]
async fn a_secret_that_was_revoked_meanwhile_is_read_again_at_once() {
    // X02
    let directory = Directory::new();
    let path = directory.write("secret", "A");
    let rotating = path.clone();
    let server = Server::which(move |seen| {
        std::fs::write(&rotating, "B").unwrap();
        seen.secret() == "B"
    });
    let auth = ClientAuth::client_secret_post("me", Credential::file(path));
    client(&server, auth).token().await.unwrap();
    assert_eq!(server.secrets(), ["A", "B"]);
}

#[tokio::test]
async fn a_secret_that_is_simply_wrong_is_tried_once() {
    let reads = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&reads);
    let server = Server::which(|_| false);
    let secret = Credential::from_fn(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, std::io::Error>("wrong") }
    });
    let tokens = client(&server, ClientAuth::client_secret_post("me", secret));
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(server.seen().len(), 1);
    assert_eq!(reads.load(Ordering::SeqCst), 2, "read once more");
}

#[tokio::test]
async fn a_file_that_is_missing_for_a_while_stops_nothing() {
    // X05
    let directory = Directory::new();
    let path = directory.path("secret");
    let server = Server::which(|_| true);
    let auth = ClientAuth::client_secret_post("me", Credential::file(&path));
    let tokens = client(&server, auth);
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert!(error.is_transient() && error.to_string().contains(&path.display().to_string()), "{error}");

    directory.write("secret", "A");
    refreshed(&tokens).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(tokens.token().await.is_ok(), "the token is still good");
    refreshed(&tokens).await.unwrap();

    directory.write("secret", "B");
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.secrets(), ["A", "A", "B"]);
}

#[tokio::test]
async fn a_secret_that_is_half_written_is_tried_and_then_the_last_good_one() {
    // FC3
    let directory = Directory::new();
    let path = directory.write("secret", "old-secret");
    let active = Arc::new(std::sync::Mutex::new("old-secret"));
    let accepted = Arc::clone(&active);
    let server = Server::which(move |seen| seen.secret() == *accepted.lock().unwrap());
    let auth = ClientAuth::client_secret_post("me", Credential::file(&path));
    let tokens = client(&server, auth);
    refreshed(&tokens).await.unwrap();
    for half in ["new-s", "", "new-s\n\nx"] {
        directory.write("secret", half);
        refreshed(&tokens).await.unwrap();
    }
    assert_eq!(server.secrets(), ["old-secret", "new-s", "old-secret", "old-secret", "old-secret"]);

    // The old secret is revoked: it is tried once more, and never again.
    *active.lock().unwrap() = "new-secret";
    directory.write("secret", "new-s");
    for _ in 0..3 {
        assert_eq!(refreshed(&tokens).await.unwrap_err().kind(), ErrorKind::Denied);
    }
    assert_eq!(server.secrets()[5..], ["new-s", "old-secret", "new-s", "new-s"]);
    directory.write("secret", "new-secret");
    refreshed(&tokens).await.unwrap();
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn a_corrected_secret_file_ends_the_backoff_of_a_denial() {
    // FB6
    use client_credentials::{ClientCredentials, ManualClock};
    let directory = Directory::new();
    let path = directory.write("secret", "wrong");
    let server = Server::which(|seen| seen.secret() == "right");
    let clock = ManualClock::new();
    let auth = ClientAuth::client_secret_post("me", Credential::file(&path));
    let tokens = ClientCredentials::builder(&server.url, auth).clock(&clock).build().unwrap();
    let second = std::time::Duration::from_secs(1);
    for _ in 0..20 {
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Denied);
        clock.advance(second);
    }
    let requests = server.secrets().len();
    assert!(requests <= 6, "{requests}");
    // The file has another modification time and the same secret: no request.
    directory.replace("secret", "wrong");
    assert!(tokens.token().await.is_err());
    assert_eq!(server.secrets().len(), requests);
    directory.replace("secret", "right");
    clock.advance(second);
    tokens.token().await.unwrap();
    assert_eq!(server.secrets().len(), requests + 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_fifo_as_a_secret_file_costs_no_thread() {
    // FA3
    let directory = Directory::new();
    let path = directory.path("secret");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let server = Server::which(|_| true);
    for _ in 0..100 {
        let auth = ClientAuth::client_secret_post("me", Credential::file(&path));
        let error = client(&server, auth).token().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("a FIFO") && text.contains(&path.display().to_string()), "{text}");
    }
    assert_eq!(server.seen().len(), 0);
    #[cfg(target_os = "linux")]
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        // It has ended meanwhile, so it does not hang.
        let name = std::fs::read_to_string(thread.unwrap().path().join("wchan")).unwrap_or_default();
        assert!(!name.contains("fifo"), "{name}");
    }
}

#[tokio::test]
async fn a_rotated_secret_keeps_the_valid_token() {
    // X12
    let directory = Directory::new();
    let path = directory.write("secret", "A");
    let server = Server::which(|_| true);
    let auth = ClientAuth::client_secret_post("me", Credential::file(path));
    let tokens = client(&server, auth);
    let before = tokens.token().await.unwrap();
    directory.replace("secret", "B");
    let after = tokens.token().await.unwrap();
    assert_eq!(before.expose_secret(), after.expose_secret());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn of_two_secrets_the_one_that_worked_is_remembered() {
    let active = Arc::new(std::sync::Mutex::new("old"));
    let accepted = Arc::clone(&active);
    let server = Server::which(move |seen| seen.secret() == *accepted.lock().unwrap());
    let secret = Credential::from("new").or("old");
    let auth = ClientAuth::client_secret_post("me", secret);
    let tokens = client(&server, auth.clone());
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.secrets(), ["new", "old"]);
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.secrets()[2..], ["old"], "asked first from then on");

    *active.lock().unwrap() = "new";
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.secrets()[3..], ["old", "new"]);
    // Another client with a clone of the credential.
    client(&server, auth).token().await.unwrap();
    assert_eq!(server.secrets()[5..], ["new"], "clones share what was learnt");

    *active.lock().unwrap() = "neither";
    assert_eq!(refreshed(&tokens).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(server.secrets()[6..], ["new", "old"], "each once");
}

#[tokio::test]
async fn of_two_secrets_one_may_be_missing() {
    let directory = Directory::new();
    let server = Server::which(|_| true);
    let secret = Credential::file(directory.path("new")).or("old");
    let tokens = client(&server, ClientAuth::client_secret_post("me", secret));
    tokens.token().await.unwrap();
    assert_eq!(server.secrets(), ["old"]);
}

#[tokio::test]
async fn a_key_is_rotated_together_with_its_kid() {
    // X09
    let directory = Directory::new();
    let [one, two] = [Key::new("one"), Key::new("two")];
    let path = directory.write("key", &one.jwk);
    let registered = [one.clone(), two.clone()];
    let server = Server::which(move |seen| registered.iter().any(|key| key.signed(seen)));
    let auth = ClientAuth::private_key_jwt("me", Credential::file(path)).audience(ISSUER);
    let tokens = client(&server, auth);
    for (key, kid) in [(&one, "one"), (&two, "two")] {
        directory.replace("key", &key.jwk);
        refreshed(&tokens).await.unwrap();
        let seen = server.last();
        assert_eq!(seen.header()["kid"], kid);
        assert!(key.signed(&seen));
    }
}

#[tokio::test]
async fn of_two_keys_the_registered_one_is_found() {
    let [new, old] = [Key::new("new"), Key::new("old")];
    let registered = old.clone();
    let server = Server::which(move |seen| registered.signed(seen));
    let keys = Credential::from(new.pem).or(old.pem);
    let tokens = client(&server, ClientAuth::private_key_jwt("me", keys).audience(ISSUER));
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.seen().len(), 2);
    refreshed(&tokens).await.unwrap();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_new_key_that_is_garbage_leaves_the_previous_one_in_use() {
    // X10
    let warnings = Warnings::default();
    let _guard = warnings.listen();
    let directory = Directory::new();
    let [one, two] = [Key::new("one"), Key::new("two")];
    let path = directory.write("key", &one.pem);
    let registered = [one.clone(), two.clone()];
    let server = Server::which(move |seen| registered.iter().any(|key| key.signed(seen)));
    let auth = ClientAuth::private_key_jwt("me", Credential::file(path)).audience(ISSUER);
    let tokens = client(&server, auth);
    refreshed(&tokens).await.unwrap();
    for half in [&two.pem[..100], "garbage"] {
        directory.write("key", half);
        for _ in 0..3 {
            refreshed(&tokens).await.unwrap();
            assert!(one.signed(&server.last()));
        }
    }
    if cfg!(feature = "tracing") {
        let texts = warnings.texts();
        assert_eq!(texts.len(), 2, "one for each unusable text: {texts:?}");
        assert!(texts[0].contains("the previous one stays in use"), "{texts:?}");
    }
    directory.write("key", &two.pem);
    refreshed(&tokens).await.unwrap();
    assert!(two.signed(&server.last()));
}

#[tokio::test]
async fn a_first_key_that_is_half_written_is_waited_for() {
    let directory = Directory::new();
    let key = Key::new("k");
    let path = directory.write("key", &key.pem[..100]);
    let server = Server::which(|_| true);
    let tokens = client(&server, ClientAuth::private_key_jwt("me", Credential::file(path)).audience(ISSUER));
    let error = tokens.token().await.unwrap_err();
    assert!(error.is_transient() && error.kind() == ErrorKind::Credential);
    assert!(error.to_string().contains("no complete private key"), "{error}");
    directory.write("key", &key.pem);
    refreshed(&tokens).await.unwrap();
}

#[tokio::test]
async fn an_assertion_made_elsewhere_is_read_for_each_token() {
    let directory = Directory::new();
    let path = directory.write("token", "header.one.signature");
    let server = Server::start(|_| server::token());
    let auth = ClientAuth::client_assertion(Credential::file(path))
        .assertion_type("urn:ietf:params:oauth:client-assertion-type:jwt-spiffe");
    let tokens = client(&server, auth);
    refreshed(&tokens).await.unwrap();
    directory.replace("token", "header.two.signature");
    refreshed(&tokens).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].assertion(), "header.one.signature");
    assert_eq!(seen[1].assertion(), "header.two.signature");
    assert_eq!(seen[1].param("client_assertion_type"), Some("urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"));
    assert!(seen[1].param("client_id").is_none());
}

/// The crate's warnings on this thread.
#[derive(Clone, Default)]
struct Warnings(Arc<std::sync::Mutex<Vec<u8>>>);

impl Warnings {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(move || lines.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn texts(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains("that was read is not usable")).map(str::to_owned).collect()
    }
}

impl std::io::Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

//! A real Redis: alive, killed and restarted, behind TLS, behind an ACL, as a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client_credentials::testing::AuthorizationServer;
use client_credentials::{ClientCredentials, Credential, RedisStore, SealedStore, Store};

use crate::harness::server::HANG_TIMEOUT;
use crate::harness::tls::{AUTHORITY, Ca, LOCALHOST, Pair, SELF_SIGNED};
use crate::redis_server::Redis;
use crate::{SEAL_KEY, redis, replica};

/// Far more than 100 ms: the timeout is not tested here, and the machine may be loaded.
const PATIENT: Duration = Duration::from_secs(5);

async fn token_of(server: &AuthorizationServer, store: SealedStore) -> Option<u32> {
    let tokens = replica(server.token_url(), store).build().unwrap();
    server.number_of(&tokens.token().await.unwrap())
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn a_token_is_kept_in_redis_for_as_long_as_it_is_usable() {
    let (server, real) = (crate::server(3600, Duration::ZERO), Redis::start(&[]));
    let store = || redis(&real.url()).timeout(PATIENT);
    let tokens = replica(server.token_url(), store()).build().unwrap();
    let first = tokens.token().await.unwrap();
    assert_eq!(token_of(&server, store()).await, Some(1));
    let names = real.cli(&["KEYS", "*"]);
    let name = names.trim();
    assert!(name.starts_with("{client-credentials}:") && name.lines().count() == 1, "{name}");
    let left: u64 = real.cli(&["TTL", name]).trim().parse().unwrap();
    assert!((3500..3600).contains(&left), "{left}");
    // The lease was released, and the refused token is replaced.
    tokens.reject(&first);
    assert_eq!(server.number_of(&tokens.token().await.unwrap()), Some(2));
    assert_eq!(token_of(&server, store()).await, Some(2));
    // D21
    real.cli(&["FLUSHALL"]);
    assert_eq!(token_of(&server, store()).await, Some(3));
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn a_lease_has_one_owner_that_may_ask_for_it_twice() {
    let real = Redis::start(&[]);
    let store = RedisStore::new(real.url()).unwrap();
    let hour = Duration::from_secs(3600);
    assert!(store.lease("a", "me", hour).await.unwrap());
    // As after a connection that was lost before the answer came.
    assert!(store.lease("a", "me", hour).await.unwrap());
    assert!(!store.lease("a", "you", hour).await.unwrap());
    assert!(store.lease("b", "you", hour).await.unwrap());
    store.release("a", "you").await.unwrap();
    assert!(!store.lease("a", "you", hour).await.unwrap());
    store.release("a", "me").await.unwrap();
    assert!(store.lease("a", "you", hour).await.unwrap());
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn redis_is_killed_and_restarted_and_no_call_fails() {
    // D02, with tokens of 2 s, of which one is needed every second
    let server = Arc::new(crate::server(2, Duration::from_millis(20)));
    let mut real = Redis::start(&[]);
    let calls = Arc::new(AtomicUsize::new(0));
    let replicas: Vec<_> = (0..20)
        .map(|_| {
            let tokens = replica(server.token_url(), redis(&real.url())).build().unwrap();
            let calls = Arc::clone(&calls);
            tokio::spawn(async move {
                loop {
                    let token = tokens.token().await;
                    assert!(token.is_ok(), "{token:?}");
                    calls.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    // Until so many more tokens were fetched.
    let more = async |tokens: usize| {
        let end = server.token_requests() + tokens;
        let wait = async {
            while server.token_requests() < end {
                assert!(!replicas.iter().any(tokio::task::JoinHandle::is_finished));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(HANG_TIMEOUT, wait).await.unwrap();
    };
    more(4).await;
    real.kill();
    // Each of them alone, several times.
    more(60).await;
    real.run();
    // Until it is used again.
    let empty = || real.cli(&["DBSIZE"]).trim().parse().unwrap_or(0) == 0;
    let used = async {
        while empty() {
            assert!(!replicas.iter().any(tokio::task::JoinHandle::is_finished));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HANG_TIMEOUT, used).await.unwrap();
    more(4).await;
    for replica in replicas {
        assert!(!replica.is_finished(), "a call failed");
        replica.abort();
    }
    assert!(calls.load(Ordering::SeqCst) > 1000);
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn over_tls_only_the_named_authorities_are_trusted() {
    let server = crate::server(3600, Duration::ZERO);
    let Pair { certificate, key } = SELF_SIGNED;
    let real = Redis::start_tls(certificate, key);
    let url = format!("rediss://localhost:{}", real.port);
    let store = || {
        let redis = RedisStore::new(&url).unwrap().root_certificates(certificate.as_bytes());
        SealedStore::new(redis, SEAL_KEY).timeout(PATIENT)
    };
    assert_eq!(token_of(&server, store()).await, Some(1));
    assert_eq!(token_of(&server, store()).await, Some(1));
    // The system's authorities did not sign it.
    let strange = SealedStore::new(RedisStore::new(&url).unwrap(), SEAL_KEY).timeout(PATIENT);
    assert_eq!(token_of(&server, strange).await, Some(2));
    assert_eq!(token_of(&server, store()).await, Some(1), "nothing was put there");
    let none = RedisStore::new(&url).unwrap().root_certificates("no certificate");
    assert_eq!(token_of(&server, SealedStore::new(none, SEAL_KEY)).await, Some(3));
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn the_acl_of_the_documentation_is_enough() {
    let server = crate::server(3600, Duration::ZERO);
    let real = Redis::start(&[]);
    let rule = "SETUSER tokens on >password ~{client-credentials}:* +get +getrange +set +del +eval +asking";
    let mut acl = vec!["ACL"];
    acl.extend(rule.split(' '));
    assert_eq!(real.cli(&acl).trim(), "OK");
    real.cli(&["ACL", "SETUSER", "default", "off"]);
    let url = format!("redis://tokens@127.0.0.1:{}", real.port);
    let store = |password: &str| {
        let redis = RedisStore::new(&url).unwrap().password(password);
        SealedStore::new(redis, SEAL_KEY).timeout(PATIENT)
    };
    let rotated = |new: &str, old: &str| {
        let both = Credential::from(new).or(old);
        let redis = RedisStore::new(&url).unwrap().password(both);
        SealedStore::new(redis, SEAL_KEY).timeout(PATIENT)
    };
    let tokens: ClientCredentials = replica(server.token_url(), store("password")).build().unwrap();
    let token = tokens.token().await.unwrap();
    tokens.reject(&token);
    assert_eq!(server.number_of(&tokens.token().await.unwrap()), Some(2));
    assert_eq!(token_of(&server, store("password")).await, Some(2));
    assert_eq!(token_of(&server, rotated("wrong", "password")).await, Some(2));
    assert_eq!(token_of(&server, rotated("password", "wrong")).await, Some(2));
    assert_eq!(token_of(&server, store("wrong")).await, Some(3));
    // Another database requires one more command.
    let other = || {
        let redis = RedisStore::new(format!("{url}/1")).unwrap();
        SealedStore::new(redis.password("password"), SEAL_KEY).timeout(PATIENT)
    };
    assert_eq!(token_of(&server, other()).await, Some(4));
    assert_eq!(token_of(&server, other()).await, Some(5), "nothing is shared");
    assert!(real.directory().exists());
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn any_node_of_a_cluster_leads_to_the_token() {
    let server = crate::server(3600, Duration::ZERO);
    let nodes = [(); 3].map(|()| Redis::start(&["--cluster-enabled", "yes"]));
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut create = vec!["--cluster", "create"];
    create.extend(addresses.iter().map(String::as_str));
    create.push("--cluster-yes");
    let made = nodes[0].cli(&create);
    assert!(made.contains("All 16384 slots covered"), "{made}");
    for _ in 0..1000 {
        if nodes.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for node in &nodes {
        let store = redis(&node.url()).timeout(PATIENT);
        let tokens = replica(server.token_url(), store).build().unwrap();
        assert_eq!(server.number_of(&tokens.token().await.unwrap()), Some(1));
    }
    let sizes: Vec<_> = nodes.iter().map(|node| node.cli(&["DBSIZE"]).trim().to_owned()).collect();
    assert_eq!(sizes.iter().filter(|size| *size == "1").count(), 1, "{sizes:?}");
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn a_client_certificate_is_presented_and_read_again_when_it_is_rotated() {
    let real = Redis::start_mutual_tls(LOCALHOST.certificate, LOCALHOST.key, AUTHORITY);
    let url = format!("rediss://localhost:{}", real.port);
    let store = || RedisStore::new(&url).unwrap().root_certificates(AUTHORITY);
    let hour = Duration::from_secs(3600);
    assert!(store().put("a", b"value", hour).await.is_err(), "without a certificate");

    let folder = tempfile::TempDir::new().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let write = |pair: (&str, &str)| {
        std::fs::write(&certificate, pair.0).unwrap();
        std::fs::write(&key, pair.1).unwrap();
    };
    // A store for each, since a connection is kept for a second.
    let shown = || store().client_certificate(Credential::file(&certificate), Credential::file(&key));
    let error = shown().put("a", b"value", hour).await.unwrap_err().to_string();
    assert!(error.contains("tls.crt"), "{error}");
    // Of an authority that the server does not trust.
    write((SELF_SIGNED.certificate, SELF_SIGNED.key));
    let one = shown();
    assert!(one.put("a", b"value", hour).await.is_err());
    let ca = Ca::new();
    let [first, second] = [ca.client(), ca.client()];
    write((&first.certificate, &first.key));
    one.put("a", b"value", hour).await.unwrap();
    // All connections are closed, and half of the next pair is there: the first one stays in use.
    write((&first.certificate, "-----BEGIN PRIVATE KEY-----"));
    real.cli_tls(&first, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    one.put("b", b"value", hour).await.unwrap();
    write((&second.certificate, &second.key));
    real.cli_tls(&first, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    one.put("c", b"value", hour).await.unwrap();
    assert_eq!(one.get("c", 100).await.unwrap().as_deref(), Some(&b"value"[..]));

    let mixed = store().client_certificate(&*first.certificate, SELF_SIGNED.key);
    let error = mixed.put("a", b"value", hour).await.unwrap_err().to_string();
    assert!(error.contains("do not belong together"), "{error}");
}

//! The master that sentinels name: scripted sentinels that hang, are wrong or name another one later, and a real
//! failover.

use std::time::Duration;

use client_credentials::{ErrorKind, RedisStore, Store};

use crate::harness::canary::{OTHER, SECRET, assert_no_canary, render};
use crate::harness::server::HANG_TIMEOUT;
use crate::redis_server::Redis;
use crate::resp::{Manner, Resp};

const HOUR: Duration = Duration::from_secs(3600);

/// A sentinel's answer: the address of the master.
fn at(master: &Resp) -> Vec<u8> {
    let port = master.port().to_string();
    format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()).into_bytes()
}

fn naming(master: &Resp) -> Resp {
    Resp::start(Manner::AnswerTo("SENTINEL", at(master)))
}

fn store(sentinels: &[&Resp]) -> RedisStore {
    RedisStore::new("redis://mymaster").unwrap().sentinels(sentinels.iter().map(|one| one.url())).unwrap()
}

async fn put(store: &RedisStore) -> Result<(), String> {
    store.put("a", b"value", HOUR).await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn the_master_is_asked_for_once_and_checked() {
    let master = Resp::start(Manner::Well);
    let sentinel = naming(&master);
    let store = store(&[&sentinel]);
    for _ in 0..3 {
        put(&store).await.unwrap();
    }
    assert_eq!(master.names(), ["ROLE", "SET", "SET", "SET"]);
    assert_eq!(sentinel.commands(), [["SENTINEL", "get-master-addr-by-name", "mymaster"].map(|word| word.as_bytes())]);
}

#[tokio::test]
async fn sentinel_and_master_each_get_their_own_user_and_password() {
    let master = Resp::start(Manner::Well);
    let sentinel = naming(&master);
    let store = RedisStore::new(format!("redis://tokens:{OTHER}@mymaster/2")).unwrap();
    let urls = [sentinel.url().replace("://", "://watcher@")];
    let store = store.sentinel_password("for the sentinel").sentinels(urls).unwrap().password("for the master");
    put(&store).await.unwrap();
    let said = |peer: &Resp| String::from_utf8_lossy(&peer.bytes()).into_owned();
    assert!(said(&sentinel).contains("watcher") && said(&sentinel).contains("for the sentinel"));
    assert!(!said(&sentinel).contains("for the master") && !said(&sentinel).contains("tokens"));
    assert!(said(&master).contains("tokens") && said(&master).contains("for the master"));
    assert_eq!(master.names()[..2], ["AUTH", "SELECT"]);
    assert!(!said(&master).contains("for the sentinel"));
    let shown = render(&store);
    assert!(shown.contains("mymaster") && shown.contains(&sentinel.url()), "{shown}");
    assert_no_canary([shown]);
}

#[tokio::test]
async fn a_sentinel_that_hangs_is_not_asked_first_again() {
    let master = Resp::start(Manner::Well);
    let (hangs, good) = (Resp::start(Manner::Hang), naming(&master));
    let store = store(&[&hangs, &good]);
    {
        let mut first = std::pin::pin!(store.put("a", b"value", HOUR));
        let asked = async {
            while hangs.names().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        // The caller gives up.
        tokio::select! { _ = &mut first => panic!("it hangs"), () = asked => {} }
    }
    put(&store).await.unwrap();
    assert_eq!(hangs.connections(), 1);
}

#[tokio::test]
async fn a_sentinel_without_that_master_or_with_an_invalid_answer_is_an_error_and_the_next_one_is_asked() {
    let master = Resp::start(Manner::Well);
    let good = naming(&master);
    for (answer, text) in [
        (&b"*-1\r\n"[..], "knows no master"),
        (b":7\r\n", ""),
        (b"*2\r\n$1\r\nx\r\n$1\r\ny\r\n", ""),
        (b"*0\r\n", ""),
        (b"-NOAUTH Authentication required.\r\n", "NOAUTH"),
        (b"-IDONTKNOW\r\n", ""),
    ] {
        let odd = Resp::start(Manner::AnswerTo("SENTINEL", answer.to_vec()));
        let error = put(&store(&[&odd])).await.unwrap_err();
        assert!(error.contains(text), "{error}");
        put(&store(&[&odd, &good])).await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_is_not_the_master_is_not_written_to_and_not_asked_for_ever() {
    let replica = Resp::start(Manner::AnswerTo("ROLE", b"*1\r\n$5\r\nslave\r\n".to_vec()));
    let error = put(&store(&[&naming(&replica)])).await.unwrap_err();
    assert!(error.contains("not the master"), "{error}");
    // As a simple string, as well.
    for (role, is_master) in [("master", true), ("slave", false)] {
        let node = Resp::start(Manner::AnswerTo("ROLE", format!("*1\r\n+{role}\r\n").into_bytes()));
        assert_eq!(put(&store(&[&naming(&node)])).await.is_ok(), is_master);
    }
    assert!(replica.connections() <= 4 && !replica.names().contains(&"SET".to_owned()), "{:?}", replica.names());
}

#[tokio::test]
async fn a_master_that_became_a_replica_or_is_gone_is_asked_for_again() {
    let demoted = Resp::start(Manner::Well);
    let next = Resp::start(Manner::Well);
    let sentinel = Resp::start(Manner::AnswersTo("SENTINEL", vec![at(&demoted), at(&next)]));
    let one = store(&[&sentinel]);
    put(&one).await.unwrap();
    demoted.now(Manner::AnswerTo("SET", b"-READONLY You can't write against a read only replica.\r\n".to_vec()));
    put(&one).await.unwrap();
    assert_eq!(next.names(), ["ROLE", "SET"]);

    let gone = Resp::start(Manner::Well);
    let sentinel = Resp::start(Manner::AnswersTo("SENTINEL", vec![at(&gone), at(&next)]));
    let one = store(&[&sentinel]);
    put(&one).await.unwrap();
    gone.now(Manner::Fin);
    put(&one).await.unwrap();
}

#[test]
fn an_invalid_sentinel_is_refused() {
    let redis = || RedisStore::new("redis://mymaster").unwrap();
    for urls in [vec![], vec![format!("https://x/{SECRET}")], vec!["redis://a#insecure".into()], vec![String::new()]] {
        let error = redis().sentinels(&urls).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("sentinels are not usable"), "{error}");
        assert_no_canary([error.to_string()]);
    }
    #[cfg(unix)]
    assert!(RedisStore::new("redis+unix:///tmp/x").unwrap().sentinels(["redis://a"]).is_err());
}

#[tokio::test]
#[ignore = "needs redis-server: .ci/stores"]
async fn the_store_continues_after_a_real_failover() {
    let master = Redis::start(&[]);
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &master.port.to_string()]);
    let sentinel = Redis::start_sentinel(master.port);
    let store = RedisStore::new("redis://mymaster").unwrap().sentinels([sentinel.url()]).unwrap();
    put(&store).await.unwrap();
    assert!(master.cli(&["KEYS", "*"]).contains("{client-credentials}:a"));
    let follows = || replica.cli(&["INFO", "replication"]).contains("master_link_status:up");
    let knows = || sentinel.cli(&["SENTINEL", "replicas", "mymaster"]).contains(&replica.port.to_string());
    eventually(|| follows() && knows()).await;
    // Refused while the sentinel has not heard enough of the replica.
    eventually(|| sentinel.cli(&["SENTINEL", "FAILOVER", "mymaster"]).contains("OK")).await;
    eventually(|| replica.cli(&["ROLE"]).contains("master")).await;
    // Until it hears of its successor, the old one accepts writes that will be lost: that is how Redis fails over.
    eventually(|| master.cli(&["ROLE"]).contains("slave")).await;
    store.put("b", b"after", HOUR).await.unwrap();
    assert!(replica.cli(&["KEYS", "*"]).contains("{client-credentials}:b"));
    assert_eq!(store.get("a", 100).await.unwrap().as_deref(), Some(&b"value"[..]), "it was replicated");
}

async fn eventually(condition: impl Fn() -> bool) {
    let again = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(HANG_TIMEOUT, again).await.is_ok(), "what was waited for did not happen");
}

//! Family D over the wire: a Redis that is unreachable, goes away, hangs and sends invalid data.

use client_credentials::{
    CachePolicy, ClientAuth, ClientCredentials, Credential, Error, ErrorKind, HttpClient, RedisStore, SealedStore,
    Store,
};

use crate::harness::canary::{self, OTHER, SECRET, TOKEN, assert_no_canary, found, render};
use crate::harness::server::{Server, json, ok};
use crate::resp::{Manner, Resp};
use crate::{SEAL_KEY, redis, replica};

async fn token_of(server: &Server, store: SealedStore) -> String {
    let tokens = replica(&server.url("/token"), store).build().unwrap();
    tokens.token().await.unwrap().expose_secret().to_owned()
}

#[tokio::test]
async fn a_second_replica_uses_the_token_of_the_first() {
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
    for _ in 0..3 {
        assert_eq!(token_of(&server, redis(&store.url())).await, TOKEN);
    }
    assert_eq!(server.hits(), 1);
    let expected = ["GETRANGE", "LEASE", "GETRANGE", "SET", "DELETE", "GETRANGE", "GETRANGE"];
    assert_eq!(store.names(), expected);
    assert_eq!(store.connections(), 3, "one for each replica");
    assert_eq!(store.values().len(), 1, "the lease was given back");
}

#[tokio::test]
async fn a_different_request_has_a_token_of_its_own() {
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
    let url = server.url("/token");
    let of = |scope: &str, audience: &str, secret: &str| {
        let auth = ClientAuth::client_secret_post("canary-client", secret);
        ClientCredentials::builder(&url, auth)
            .scope(scope)
            .audience(audience)
            .http_client(HttpClient::from_reqwest_0_13(|| reqwest::Client::builder().tls_certs_only([])))
            .shared(redis(&store.url()))
            .build()
            .unwrap()
    };
    for (tokens, hits) in [
        (of("a b", "x", SECRET), 1),
        (of("b a", "x", SECRET), 1),
        // A rotated secret keeps the token (X12).
        (of("a b", "x", "another secret"), 1),
        (of("a", "x", SECRET), 2),
        (of("a b", "y", SECRET), 3),
    ] {
        tokens.token().await.unwrap();
        assert_eq!(server.hits(), hits);
    }
}

#[tokio::test]
async fn a_strict_source_does_not_take_a_token_that_only_a_lenient_one_accepts() {
    let narrower = format!(r#"{{"access_token":"{TOKEN}","scope":"read","expires_in":3600}}"#);
    let (server, store) = (Server::start([json(200, narrower)]), Resp::start(Manner::Well));
    let replica = || replica(&server.url("/token"), redis(&store.url()));
    let lenient = replica().build().unwrap();
    assert_eq!(lenient.token().await.unwrap().scope(), Some("read"));
    let exacting = replica().refuse_narrower_scope(true).build().unwrap();
    assert!(exacting.token().await.is_err(), "it asked for `read write`");
    let strict = replica().strict(true).build().unwrap();
    assert!(strict.token().await.is_err(), "there is no token_type");
    assert!(server.hits() >= 3);
}

#[tokio::test]
async fn the_store_sees_nothing_in_clear_text() {
    // D23: everything that a MONITOR would show, a rejection included
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
    let password = RedisStore::new(store.url()).unwrap().password("let me in");
    let sealed = SealedStore::new(password, SEAL_KEY);
    let tokens = replica(&server.url("/token"), sealed).build().unwrap();
    let token = tokens.token().await.unwrap();
    tokens.reject(&token);
    tokens.token().await.unwrap();
    assert!(store.names().starts_with(&["AUTH".to_owned()]), "{:?}", store.names());
    let seen = String::from_utf8_lossy(&store.bytes()).into_owned();
    assert_eq!(found(&seen), None);
    for word in [SEAL_KEY, "canary-client", "read", "write", "/token", "client_secret"] {
        assert!(!seen.contains(word), "{word}");
    }
    for name in store.values().keys() {
        let name = String::from_utf8_lossy(name);
        let hash = name.strip_prefix("{client-credentials}:").unwrap();
        assert_eq!(hash.len(), 32, "{name}");
    }
}

#[tokio::test]
async fn an_unreachable_store_is_reported_once() {
    // D01
    let server = Server::start([ok(TOKEN)]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let url = format!("redis://user:{OTHER}@{address}");
    let store = redis(&url);
    for _ in 0..3 {
        assert_eq!(token_of(&server, store.clone()).await, TOKEN);
    }
    assert_eq!(server.hits(), 3);
    assert_no_canary([render(&store)]);
    assert!(render(&store).contains(&address.to_string()));
    let said = canary::said();
    let told =
        said.iter().filter(|(_, said)| said.contains("the shared store fails") && said.contains(&address.to_string()));
    let expected = if cfg!(feature = "tracing") { 1 } else { 0 };
    assert_eq!(told.count(), expected);
}

#[tokio::test]
async fn a_store_that_goes_away_between_two_commands_affects_no_caller() {
    // D02: after one command, after two, ..
    for commands in 0..5 {
        let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
        let tokens = replica(&server.url("/token"), redis(&store.url())).build().unwrap();
        let script = ["GETRANGE", "LEASE", "GETRANGE", "SET", "DELETE"];
        let fatal = script[commands];
        store.now(Manner::AnswerTo(fatal, b"-LOADING Redis is loading\r\n".to_vec()));
        assert_eq!(tokens.token().await.unwrap().expose_secret(), TOKEN);
        store.now(Manner::Fin);
        assert_eq!(token_of(&server, redis(&store.url())).await, TOKEN);
    }
}

#[tokio::test]
async fn a_store_that_hangs_is_left_alone() {
    // D03: that the wait is bounded by 100 ms is shown with tokio's time paused, in src/shared/tests/outages.rs
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Hang));
    let sealed = redis(&store.url());
    for _ in 0..20 {
        assert_eq!(token_of(&server, sealed.clone()).await, TOKEN);
    }
    // Loaded machines take more than the first pause for twenty tokens.
    assert!(store.connections() <= 5, "{}", store.connections());
}

#[tokio::test]
async fn a_value_that_is_too_large_is_not_read() {
    // D19: an honest server sends no more than was requested, and of a dishonest one no more is read
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
    assert_eq!(token_of(&server, redis(&store.url())).await, TOKEN);
    store.tamper(|value| *value = vec![7; 10 << 20]);
    let before = store.sent();
    let sealed = redis(&store.url());
    assert_eq!(token_of(&server, sealed.clone()).await, TOKEN);
    assert_eq!(server.hits(), 2);
    assert_eq!(sealed.invalid_records(), 1);
    let cap = 128 * 1024;
    // Twice: before the lease and with it.
    assert!(store.sent() - before < 2 * cap + 1024, "{}", store.sent() - before);
    let asked = store.commands();
    let range = asked.iter().find(|command| command[0] == b"GETRANGE").unwrap();
    assert_eq!(range[2..], [b"0".to_vec(), cap.to_string().into_bytes()]);

    let size = 64 << 20;
    let mut lie = format!("${size}\r\n").into_bytes();
    lie.resize(size, 7);
    let liar = Resp::start(Manner::AnswerTo("GETRANGE", lie));
    assert_eq!(token_of(&server, redis(&liar.url())).await, TOKEN);
    // What the kernel has taken; that we have read 132 KiB of it shows src/shared/redis/capped.rs.
    assert!(liar.sent() < size / 2, "{}", liar.sent());
}

#[tokio::test]
async fn unexpected_answers_count_as_no_record() {
    // D05 one level below: answers to another command, and what is not RESP
    let deep = "*1\r\n".repeat(1000);
    let answers: Vec<Vec<u8>> = vec![
        b"+OK\r\n".to_vec(),
        b":1\r\n".to_vec(),
        b"$-1\r\n".to_vec(),
        b"*0\r\n".to_vec(),
        b"*-1\r\n".to_vec(),
        b"-ERR no\r\n".to_vec(),
        b"-WRONGTYPE Operation against a key\r\n".to_vec(),
        b"-MOVED 1 \r\n".to_vec(),
        b"-MOVED 1 :\r\n".to_vec(),
        b"-ASK x y\r\n".to_vec(),
        b"-\r\n".to_vec(),
        b"$5\r\nabc".to_vec(),
        b"$-5\r\n".to_vec(),
        b"$99999999999999999999\r\n".to_vec(),
        b"$2147483647\r\n".to_vec(),
        b"*2147483647\r\n".to_vec(),
        b"%2147483647\r\n".to_vec(),
        b">2\r\n+a\r\n+b\r\n".to_vec(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        vec![0xff; 64],
        b"%1\r\n+a\r\n+b\r\n~1\r\n+c\r\n".to_vec(),
        deep.into_bytes(),
        format!("-ERR unknown command, with args beginning with: `{SECRET}` `{TOKEN}`\r\n").into_bytes(),
        format!("-{OTHER} {OTHER}\r\n").into_bytes(),
    ];
    for answer in answers {
        let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Answer(answer.clone())));
        // Some are waited for, like a lease that no replica gets.
        let tokens = replica(&server.url("/token"), redis(&store.url()))
            .cache(CachePolicy::new().fetch_timeout(std::time::Duration::from_secs(4)))
            .build()
            .unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), TOKEN, "{text}");
        assert_no_canary([render(&tokens)]);
    }
}

#[tokio::test]
async fn every_command_follows_a_redirection_of_a_cluster() {
    for (kind, asked) in [("MOVED", 2), ("ASK", 6)] {
        let (server, other) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
        let answer = format!("-{kind} 1234 127.0.0.1:{}\r\n", other.port());
        let first = Resp::start(Manner::Answer(answer.into_bytes()));
        assert_eq!(token_of(&server, redis(&first.url())).await, TOKEN);
        assert_eq!(token_of(&server, redis(&first.url())).await, TOKEN);
        assert_eq!(server.hits(), 1);
        // The same replica does not ask the old node again for what has moved.
        assert_eq!(first.names().len(), asked, "{kind}: {:?}", first.names());
        let asking = other.names().contains(&"ASKING".to_owned());
        assert_eq!(asking, kind == "ASK");
    }
}

#[tokio::test]
async fn a_cluster_that_redirects_in_circles_is_a_store_that_is_down() {
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Hang));
    let circle = format!("-MOVED 1234 127.0.0.1:{}\r\n", store.port());
    store.now(Manner::Answer(circle.into_bytes()));
    assert_eq!(token_of(&server, redis(&store.url())).await, TOKEN);
    // The first read of the record, and no other command.
    assert_eq!(store.names(), ["GETRANGE"; 4]);
}

#[tokio::test]
async fn a_cluster_that_closes_after_three_redirections_is_not_tried_again() {
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Hang));
    let circle = format!("-MOVED 1234 127.0.0.1:{}\r\n", store.port()).into_bytes();
    store.now(Manner::AnswersTo("GETRANGE", vec![circle.clone(), circle.clone(), circle, Vec::new()]));
    assert_eq!(token_of(&server, redis(&store.url())).await, TOKEN);
    assert_eq!(store.names(), ["GETRANGE"; 4]);
}

#[tokio::test]
async fn the_first_node_is_asked_about_a_node_that_is_gone() {
    let server = Server::start([ok(TOKEN)]);
    let (first, old, new) = (Resp::start(Manner::Well), Resp::start(Manner::Well), Resp::start(Manner::Well));
    let moved = |to: &Resp| {
        let answer = format!("-MOVED 1234 127.0.0.1:{}\r\n", to.port());
        Manner::Answer(answer.into_bytes())
    };
    first.now(moved(&old));
    let sealed = redis(&first.url());
    token_of(&server, sealed.clone()).await;
    old.ended(1).await;
    first.now(moved(&new));
    old.now(Manner::Fin);
    token_of(&server, sealed).await;
    assert_eq!(new.values().len(), 1, "the second replica's token");
}

#[tokio::test]
async fn a_connection_is_closed_when_it_is_not_needed_any_more() {
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
    let sealed = redis(&store.url());
    let tokens = replica(&server.url("/token"), sealed.clone()).build().unwrap();
    tokens.token().await.unwrap();
    // By itself: everything is still in use.
    store.ended(1).await;
    assert_eq!(token_of(&server, sealed).await, TOKEN);
    assert_eq!((server.hits(), store.connections()), (1, 2));
}

#[tokio::test]
async fn a_command_that_was_given_up_does_not_hold_up_the_next_one() {
    let store = Resp::start(Manner::Hang);
    let client = RedisStore::new(store.url()).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    {
        let mut first = std::pin::pin!(client.put("a", b"value", hour));
        let asked = async {
            while store.names().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { _ = &mut first => panic!("it hangs"), () = asked => {} }
    }
    store.now(Manner::Well);
    client.put("a", b"value", hour).await.unwrap();
    assert_eq!(store.connections(), 2);
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_not_tried_with_another_password() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends each handshake, which is a failure of the transport.
    let connections = std::thread::spawn(move || {
        listener.accept().map(drop).unwrap();
        listener.set_nonblocking(true).unwrap();
        move || listener.accept().is_ok()
    });
    let passwords = Credential::from("one").or("another");
    let client = RedisStore::new(format!("rediss://{address}")).unwrap().password(passwords);
    assert!(client.get("a", 100).await.is_err());
    let another = connections.join().unwrap();
    assert!(!another(), "one connection for both");
}

#[tokio::test]
async fn a_password_that_is_refused_is_followed_by_the_next_one() {
    let refused = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n".to_vec();
    let store = Resp::start(Manner::AnswersTo("AUTH", vec![refused, b"+OK\r\n".to_vec()]));
    let passwords = Credential::from("one").or("another");
    let client = RedisStore::new(store.url()).unwrap().password(passwords);
    client.get("a", 100).await.unwrap();
    assert_eq!(store.names(), ["AUTH", "AUTH", "GETRANGE"]);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_within_the_command() {
    let store =
        Resp::start(Manner::AnswersTo("GETRANGE", [&b"$0\r\n\r\n"[..], b"", b"$0\r\n\r\n"].map(Vec::from).into()));
    let client = RedisStore::new(store.url()).unwrap();
    for _ in 0..2 {
        assert_eq!(client.get("a", 100).await.unwrap(), None);
    }
    assert_eq!((store.names().len(), store.connections()), (3, 2));
}

#[tokio::test]
async fn names_and_times_are_sent_as_documented() {
    let store = Resp::start(Manner::Well);
    let (client, second) = (RedisStore::new(store.url()).unwrap(), std::time::Duration::from_secs(1));
    client.get("a", 9).await.unwrap();
    client.put("a", b"value", second).await.unwrap();
    assert!(client.lease("a", "me", second).await.unwrap());
    let text = |command: &Vec<Vec<u8>>| command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let commands: Vec<Vec<String>> = store.commands().iter().map(text).collect();
    assert_eq!(commands[0], ["GETRANGE", "{client-credentials}:a", "0", "9"]);
    assert_eq!(commands[1], ["SET", "{client-credentials}:a", "value", "PX", "1000"]);
    assert_eq!(commands[2][2..], ["1", "{client-credentials}:a:lease", "me", "1000"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_in_the_file_system_is_an_address() {
    let client = RedisStore::new("redis+unix:///no/such/socket").unwrap();
    let error = client.get("a", 100).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[test]
fn a_store_belongs_to_no_runtime() {
    // C10: the runtime that made the connection is gone, or idle
    let (server, store) = (Server::start([ok(TOKEN)]), Resp::start(Manner::Well));
    let sealed = redis(&store.url());
    let (idle, gone) = (runtime(), runtime());
    for runtime in [&idle, &gone] {
        assert_eq!(runtime.block_on(token_of(&server, sealed.clone())), TOKEN);
    }
    drop(gone);
    for _ in 0..2 {
        assert_eq!(runtime().block_on(token_of(&server, sealed.clone())), TOKEN);
    }
    assert_eq!(server.hits(), 1);
    drop(idle);
}

#[test]
fn build_refuses_what_cannot_be_shared() {
    let (url, store) = ("https://auth.example.com/token", redis("redis://127.0.0.1"));
    let error =
        ClientCredentials::builder(url, ClientAuth::client_assertion("e30")).shared(store.clone()).build().unwrap_err();
    assert!(error.to_string().contains("client_id"), "{error}");
    let redis = || RedisStore::new("redis://127.0.0.1").unwrap();
    for key in [SECRET, "", "YWJj"] {
        let error = ClientCredentials::builder(url, ClientAuth::none("x"))
            .shared(SealedStore::new(redis(), key))
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("openssl"), "{error}");
        assert_no_canary([error.to_string()]);
    }
    // One of two keys is enough at the start, but what is there has to be a key.
    let ring = |second: &str| Credential::env("NO_SUCH_VARIABLE").or(second);
    let build = |ring: Credential| -> Result<ClientCredentials, Error> {
        let store = SealedStore::new(redis(), ring);
        ClientCredentials::builder(url, ClientAuth::none("x")).shared(store).build()
    };
    assert!(build(ring(SEAL_KEY)).is_ok());
    assert!(build(ring("hunter2")).is_err());
}

#[test]
fn an_invalid_address_is_refused_without_being_shown() {
    for url in [
        format!("http://:{OTHER}@x"),
        OTHER.to_owned(),
        format!("rediss://:{OTHER}@x/#insecure"),
        format!("redis://:{OTHER}@x/database"),
        String::new(),
    ] {
        let error = RedisStore::new(&url).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_no_canary([format!("{error:?}{error:#}")]);
    }
    for url in ["redis://x", "rediss://x:7000/1", "valkey://u:p@x", "valkeys://x", "redis+unix:///run/x"] {
        assert!(RedisStore::new(url).is_ok(), "{url}");
    }
}

//! Family T: connections that fail in every way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use client_credentials::{
    ClientAuth, ClientCredentialsBuilder, Credential, ErrorKind, HttpClient, Limits, RetryPolicy,
};

use crate::harness::canary::{SECRET, TOKEN};
use crate::harness::child;
use crate::harness::server::{Script, Server, Step, answer, head, json_ok, ok, raw, response, token_json};
use crate::story::{
    Failure, SOON, as_it_is, bare, basic, builder, builder_with, expect_failure, fails, mended, recovers,
};

pub(crate) const NOTHING_CAME: Failure =
    Failure { kind: ErrorKind::Transport, transient: true, status: None, attempts: 3 };

fn hasty(builder: ClientCredentialsBuilder) -> ClientCredentialsBuilder {
    builder.limits(Limits::new().attempt_timeout(SOON))
}

fn body() -> String {
    token_json(TOKEN, 3600)
}

fn with_length(length: usize, body: &str) -> Vec<u8> {
    let length = length.to_string();
    let mut bytes = head(200, &[("content-type", "application/json"), ("content-length", &length)]);
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// Faults of one connection, each of which ends with another attempt.
fn broken() -> Vec<(&'static str, Script)> {
    let cut = &body()[..40];
    vec![
        // T04
        ("reset before any byte", vec![Step::ReadReq, Step::Rst]),
        ("closed before any byte", vec![Step::ReadReq, Step::Fin]),
        ("closed without reading", vec![Step::Fin]),
        // T06
        ("headers cut", raw("HTTP/1.1 200 OK\r\ncont")),
        // T07
        ("body cut", raw(with_length(100, &cut[..30]))),
        ("whole JSON, but less than announced", raw(with_length(1000, &body()))),
        // T08
        ("reset in the body", vec![Step::ReadReq, Step::Write(with_length(100, &cut[..30])), Step::Rst]),
        (
            "chunked body cut after its first chunk",
            raw(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n", body().len(), body())),
        ),
        // T17
        (
            "two different lengths",
            raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-length: 7\r\n\r\n{}", body().len(), body())),
        ),
        (
            "length and chunks",
            raw(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\ntransfer-encoding: chunked\r\n\r\n{len:x}\r\n{}\r\n0\r\n\r\n",
                body(),
                len = body().len()
            )),
        ),
        ("a length that is none", raw("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}")),
        (
            "a length with a sign",
            raw(format!("HTTP/1.1 200 OK\r\ncontent-length: +{}\r\n\r\n{}", body().len(), body())),
        ),
        ("a length beyond any number", raw("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n{}")),
        (
            "a chunk beyond any number",
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}"),
        ),
        ("a chunk without a size", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n{}")),
        (
            "an endless header",
            vec![
                Step::ReadReq,
                Step::write("HTTP/1.1 200 OK\r\nx: "),
                Step::Repeat(vec![Step::Write(vec![b'a'; 4096])]),
            ],
        ),
        (
            "endless headers",
            vec![
                Step::ReadReq,
                Step::write("HTTP/1.1 200 OK\r\n"),
                Step::Repeat(vec![Step::write("x: y\r\n".repeat(64))]),
            ],
        ),
        (
            "an endless chunk extension",
            vec![
                Step::ReadReq,
                Step::write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x="),
                Step::Repeat(vec![Step::Write(vec![b'a'; 4096])]),
            ],
        ),
        ("a header with a line break of its own", raw("HTTP/1.1 200 OK\r\nx: y\nevil\r\n\r\n")),
        // T20
        ("SSH", raw("SSH-2.0-OpenSSH_9.6\r\n")),
        ("HTTP/0.9", raw(body())),
        ("noise", raw([0xff; 64])),
    ]
}

#[tokio::test]
async fn a_broken_response_is_retried() {
    // T04, T06, T07, T08, T17, T20: one broken response, healthy afterwards
    for (row, fault) in broken() {
        mended(row, fault, as_it_is).await;
    }
}

#[tokio::test]
async fn a_response_that_is_broken_each_time_fails_after_three_attempts() {
    // T04, T06, T07, T08, T17, T20
    for (row, fault) in broken() {
        fails(row, fault, NOTHING_CAME, as_it_is).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_abandoned_at_the_attempt_timeout() {
    // T03, T10, T11, T18
    let tick = Duration::from_millis(20);
    let long = with_length(100_000, "");
    let hanging: Vec<(&str, Script)> = vec![
        ("T03 silence", vec![Step::ReadReq, Step::Hang]),
        ("T03 silence without reading", vec![Step::Hang]),
        ("T10 headers by the byte", vec![Step::ReadReq, Step::Drip(long.repeat(4), tick), Step::Hang]),
        ("T11 body by the byte", vec![Step::ReadReq, Step::Write(long), Step::Drip(vec![b' '; 100_000], tick)]),
        (
            "T18 endless 100",
            vec![Step::ReadReq, Step::Repeat(vec![Step::write("HTTP/1.1 100 Continue\r\n\r\n"), Step::Sleep(tick)])],
        ),
        (
            "T18 endless 103",
            vec![
                Step::ReadReq,
                Step::Repeat(vec![Step::write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(8)), Step::Sleep(tick)]),
            ],
        ),
    ];
    for (row, fault) in hanging {
        fails(row, fault, Failure { attempts: 2, ..NOTHING_CAME }, |builder| {
            hasty(builder).retry(RetryPolicy::new().attempts(2))
        })
        .await;
    }
}

#[tokio::test]
async fn a_hanging_server_is_retried_within_the_same_call() {
    // T03: with as many attempts as a slow machine needs
    let server = Server::start([vec![Step::ReadReq, Step::Hang], ok(TOKEN)]);
    let tokens = hasty(builder(&server)).retry(RetryPolicy::new().attempts(1000)).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().expose_secret(), TOKEN);
    assert!(server.connections() >= 2);
}

#[tokio::test]
async fn a_refused_connection_is_tried_three_times() {
    // T01
    let server = Server::refusing();
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    // One reading of the secret for each attempt: a refusing server cannot count.
    let secret = Credential::from_fn(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, std::io::Error>(SECRET) }
    });
    let auth = ClientAuth::client_secret_basic("wire", secret);
    let tokens = builder_with(&server.url("/token"), auth).build().unwrap();
    expect_failure("T01", &tokens, &NOTHING_CAME).await;
    assert_eq!(reads.load(Ordering::SeqCst), 3);

    server.now([ok(TOKEN)]);
    server.listen();
    recovers("T01", &tokens).await;
}

#[tokio::test]
async fn a_listener_that_goes_away_and_comes_back_needs_no_new_source() {
    // T01
    let first = Server::start([vec![Step::Fin], vec![Step::Refuse]]);
    let tokens = builder(&first).build().unwrap();
    expect_failure("T01", &tokens, &NOTHING_CAME).await;
    assert_eq!(first.connections(), 1, "the second attempt was refused");
}

#[tokio::test]
async fn a_connection_that_is_never_established_ends_at_the_connect_timeout() {
    // T02
    let Some((address, _full)) = Server::black_hole() else {
        return; // this system does not swallow connections
    };
    let tokens = builder_with(&format!("http://{address}/token"), basic())
        .limits(Limits::new().connect_timeout(SOON))
        .retry(RetryPolicy::new().attempts(2))
        .build()
        .unwrap();
    let error = expect_failure("T02", &tokens, &NOTHING_CAME).await;
    assert!(error.to_string().contains("could not be reached"), "the connect timeout, not the attempt's: {error}");
}

#[tokio::test]
async fn each_fetch_has_a_connection_of_its_own() {
    // T05, T28
    let kept_open = |token| {
        let bytes = response(200, &[("connection", "keep-alive")], token_json(token, 0));
        vec![Step::ReadReq, Step::Write(bytes), Step::Hang]
    };
    let server = Server::start([kept_open(TOKEN)]);
    let tokens = builder(&server).build().unwrap();
    for _ in 0..3 {
        recovers("T05", &tokens).await;
    }
    // The client ends them: no socket is left behind.
    server.ended(3).await;
    let connections: Vec<_> = server.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_source_belongs_to_no_runtime() {
    // C10: the one that made the connection is idle, or gone, or was left in the middle of a fetch
    let server =
        Server::start([vec![Step::ReadReq, Step::Write(response(200, &[], token_json(TOKEN, 0))), Step::Hang]]);
    let tokens = hasty(builder(&server)).build().unwrap();
    let (idle, gone) = (runtime(), runtime());
    idle.block_on(recovers("C10", &tokens));
    gone.block_on(recovers("C10", &tokens));
    drop(gone);
    runtime().block_on(recovers("C10 both", &tokens));

    // A fetch whose runtime no longer runs is taken over.
    for keep in [true, false] {
        let left = runtime();
        assert!(left.block_on(async { tokens.token().now_or_never() }).is_none());
        let left = keep.then_some(left);
        runtime().block_on(recovers("C10 in fetch", &tokens));
        drop(left);
    }
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_not_read() {
    // T12
    let too_large = Failure { kind: ErrorKind::Response, transient: false, status: Some(200), attempts: 1 };
    let gigabyte = vec![Step::ReadReq, Step::Write(with_length(1 << 30, "{")), Step::Hang];
    fails("T12", gigabyte, too_large, as_it_is).await;
}

#[tokio::test]
async fn a_response_of_the_largest_size_is_accepted_and_one_byte_more_is_not() {
    // T12, T13: the cap, with a length and in chunks
    let padded = |size: usize| format!("{}{}", body(), " ".repeat(size - body().len()));
    for (size, fits) in [(4096, true), (4097, false)] {
        let chunked =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{}\r\n0\r\n\r\n", padded(size));
        for script in [answer(200, &[], padded(size)), raw(chunked)] {
            let server = Server::start([script]);
            let tokens = builder(&server).limits(Limits::new().max_response_bytes(4096)).build().unwrap();
            assert_eq!(tokens.token().await.is_ok(), fits, "{size}");
            assert_eq!(server.hits(), 1, "not asked again");
        }
    }
}

#[test]
fn an_endless_body_is_abandoned_at_the_cap() {
    // T13: in a process of its own, so that the peak memory is that of this test
    const CAP: usize = 8 * 1024 * 1024;
    if let Some(output) = child::run::<&str>("transport::an_endless_body_is_abandoned_at_the_cap", &[]) {
        return child::assert_passed(&output);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        let endless = vec![
            Step::ReadReq,
            Step::write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Step::Repeat(vec![Step::write(chunk)]),
        ];
        let server = Server::start([json_ok(TOKEN, 0), endless]);
        let tokens = builder(&server).limits(Limits::new().max_response_bytes(CAP)).build().unwrap();
        // Once over everything, so that what is loaded once is loaded.
        tokens.token().await.unwrap();
        let before = peak_memory();
        let too_large = Failure { kind: ErrorKind::Response, transient: false, status: Some(200), attempts: 1 };
        expect_failure("T13", &tokens, &too_large).await;
        assert_eq!(server.connections(), 2, "an endless body is not fetched again");
        if let (Some(before), Some(after)) = (before, peak_memory()) {
            // The scripted server and its buffers are in the same process; a third copy of the body would be too much.
            assert!(after - before <= 2 * CAP + CAP / 2, "{} bytes more", after - before);
        }
    });
}

/// Of this process, in bytes; `None` where the system does not report it.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(|kib: usize| kib * 1024)
}

#[tokio::test]
async fn a_body_encoded_otherwise_than_labelled_is_refused_and_no_encoding_is_requested() {
    // T15: a server that encodes without being asked, and not as labelled
    let encoded: [(&str, &str, Vec<u8>); 3] = [
        ("T15 gzip that is none", "gzip", body().into()),
        ("T15 br that is none", "br", body().into()),
        ("T15 two of them", "gzip, identity", body().into()),
    ];
    for (row, label, bytes) in encoded {
        let bad = Failure { kind: ErrorKind::Response, transient: true, status: Some(200), attempts: 3 };
        let error = fails(row, answer(200, &[("content-encoding", label)], bytes), bad, as_it_is).await;
        let text = error.to_string();
        assert!(text.contains("compressed") || text.contains("encoded"), "{text}");
    }
    let server = Server::start([answer(200, &[("content-encoding", "identity")], body())]);
    let tokens = builder(&server).build().unwrap();
    assert!(tokens.token().await.is_ok(), "identity says that there is none");
    assert_eq!(server.requests()[0].header("accept-encoding"), Vec::<&str>::new());
}

#[tokio::test]
async fn switching_protocols_is_not_a_response() {
    // T18
    let switch = raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
    let bad = Failure { kind: ErrorKind::Response, transient: true, status: Some(101), attempts: 3 };
    fails("T18 101", switch, bad, as_it_is).await;
}

#[tokio::test]
async fn an_early_hint_before_the_response_is_skipped() {
    // T18
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_vec();
    bytes.extend(response(200, &[], body()));
    let server = Server::start([raw(bytes)]);
    let tokens = builder(&server).build().unwrap();
    recovers("T18", &tokens).await;
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn old_and_odd_framing_is_understood() {
    for (row, bytes) in [
        ("HTTP/1.0", format!("HTTP/1.0 200 OK\r\n\r\n{}", body())),
        ("to the end of the connection", format!("HTTP/1.1 200 OK\r\n\r\n{}", body())),
        (
            "chunked, with an extension and a trailer",
            format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\n{{\r\n{:X}\r\n{}\r\n0\r\nx-end: 1\r\n\r\n",
                body().len() - 1,
                &body()[1..]
            ),
        ),
    ] {
        let server = Server::start([raw(bytes)]);
        recovers(row, &builder(&server).build().unwrap()).await;
        assert_eq!(server.hits(), 1, "{row}");
    }
}

/// Resolves every name to one address, after so many failures.
struct Names {
    failures: AtomicUsize,
    address: Option<SocketAddr>,
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
        let address = self.address;
        Box::pin(async move {
            match address {
                _ if fails => Err("no such name".into()),
                Some(address) => Ok(Box::new(std::iter::once(address)) as reqwest::dns::Addrs),
                None => std::future::pending().await,
            }
        })
    }
}

fn named(names: Arc<Names>, port: u16) -> ClientCredentialsBuilder {
    builder_with(&format!("http://auth.example:{port}/token"), basic())
        .dangerously_allow_http("auth.example")
        .http_client(HttpClient::from_reqwest_0_13(move || bare().dns_resolver(Arc::clone(&names))))
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_resolved_again() {
    // T21
    let server = Server::start([ok(TOKEN)]);
    for (failures, heals_inside) in [(2, true), (4, false)] {
        let names = Names { failures: failures.into(), address: Some(server.address()) };
        let tokens = named(names.into(), server.address().port()).build().unwrap();
        if !heals_inside {
            expect_failure("T21", &tokens, &NOTHING_CAME).await;
        }
        recovers("T21", &tokens).await;
    }
    assert_eq!(server.requests()[0].header("host"), [format!("auth.example:{}", server.address().port())]);
}

#[tokio::test]
async fn a_resolver_that_hangs_is_bounded() {
    // T22
    let names = Names { failures: 0.into(), address: None };
    let tokens = named(names.into(), 1)
        .limits(Limits::new().connect_timeout(SOON))
        .retry(RetryPolicy::new().attempts(2))
        .build()
        .unwrap();
    expect_failure("T22", &tokens, &NOTHING_CAME).await;
}

#[cfg(feature = "rustls")]
const PROXY_TEST: &str = "transport::a_proxy_sees_no_secret";

#[cfg(feature = "rustls")]
#[test]
fn a_proxy_sees_no_secret() {
    // T29: http_proxy never, https_proxy by CONNECT only; a proxy that requires a password is a transport error
    let proxy = Server::start([answer(407, &[("proxy-authenticate", "Basic")], "")]);
    let origin = Server::start([ok(TOKEN)]);
    let variables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let url = proxy.url("");
    let mut env: Vec<_> = variables.iter().map(|name| (*name, url.clone())).collect();
    env.push(("NO_PROXY", String::new()));
    env.push(("ORIGIN", origin.address().port().to_string()));
    if let Some(output) = child::run(PROXY_TEST, &env) {
        child::assert_passed(&output);
        let seen = proxy.requests();
        assert_eq!(seen.len(), 3, "one for each attempt at https, none for plain http");
        for request in seen {
            assert_eq!(request.line(), "CONNECT auth.example:443 HTTP/1.1");
            assert_eq!(crate::harness::canary::found(&String::from_utf8_lossy(&request.raw)), None);
        }
        assert_eq!(origin.hits(), 2, "loopback and plain http: straight");
        return;
    }
    let port: u16 = std::env::var("ORIGIN").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tokens = builder_with("https://auth.example/token", basic()).build().unwrap();
        expect_failure("T29", &tokens, &NOTHING_CAME).await;
        let tokens = builder_with(&format!("http://127.0.0.1:{port}/token"), basic()).build().unwrap();
        recovers("T29 loopback", &tokens).await;
        let names = Names { failures: 0.into(), address: Some(([127, 0, 0, 1], port).into()) };
        let tokens = named(names.into(), port).build().unwrap();
        recovers("T29 plain http", &tokens).await;
    });
}

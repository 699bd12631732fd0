//! A small world in real time: an authorization server and an API that fail all the time, tokens of two seconds, and
//! callers that ask as fast as they can. What is asserted are counts; the report is for reading.
//!
//! `cargo test --release --test soak -- --nocapture` for 8 s, longer by `SOAK_SECONDS` (`.ci/soak`: five minutes).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod api;
mod authorization_server;
mod book;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use book::{Book, Watched};
use client_credentials::{BearerAuth, CachePolicy, ClientAuth, ClientCredentials, Error, Limits};
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
use tokio::runtime::{Builder, Runtime};

const CLIENTS: usize = 8;
const CALLERS: usize = 64;

/// What became of the requests.
#[derive(Default)]
struct Outcomes {
    good: AtomicU64,
    /// 503: the API's own trouble, handed through.
    unavailable: AtomicU64,
    /// No token, or a final 401, because the authorization server had failed this client in an outage.
    lost_in_outage: AtomicU64,
    /// A final 401, because the second token was revoked as well, or expired, before the API saw it.
    refused_twice: AtomicU64,
    /// The same at any other time: the crate could have saved them.
    lost: AtomicU64,
}

impl Outcomes {
    fn count(&self, which: &AtomicU64) {
        which.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn no_request_is_lost_that_could_have_been_saved() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(8, |text| text.parse().unwrap());
    let servers = runtime("servers", 1);
    let callers = runtime("callers", 2);
    let book = Book::new();
    let token_url = servers.block_on(authorization_server::start(Arc::clone(&book)));
    let api_url = servers.block_on(api::start(Arc::clone(&book)));
    let outcomes = Arc::new(Outcomes::default());
    let end = Instant::now() + Duration::from_secs(seconds);

    let clients: Vec<_> = (0..CLIENTS).map(|id| client(id, &token_url, &api_url, &book)).collect();
    let requests = Arc::new(AtomicU64::new(0));
    for number in 0..CALLERS {
        let id = number % CLIENTS;
        let (client, url, requests) = (clients[id].clone(), api_url.clone(), Arc::clone(&requests));
        let (book, outcomes) = (Arc::clone(&book), Arc::clone(&outcomes));
        callers.spawn(async move {
            while Instant::now() < end {
                let number = requests.fetch_add(1, Ordering::Relaxed);
                let request = client.get(&url).header("x-request", number);
                one_request(id, number, request, &book, &outcomes).await;
            }
        });
    }
    drop(clients);

    // A quarter is for everything to have reached its size.
    std::thread::sleep(Duration::from_secs(seconds) / 4);
    let (early, early_tasks) = (resident_kib(), alive(&callers));
    let mut most_tasks = early_tasks;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        most_tasks = most_tasks.max(alive(&callers));
    }
    let late = resident_kib();
    // The callers end, and with them the clients, their fetches and their connections.
    let patience = Instant::now() + Duration::from_secs(60);
    while alive(&callers) > 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }

    let [good, unavailable, lost_in_outage, refused_twice, lost] =
        [&outcomes.good, &outcomes.unavailable, &outcomes.lost_in_outage, &outcomes.refused_twice, &outcomes.lost]
            .map(|count| count.load(Ordering::Relaxed));
    let all = good + unavailable + lost_in_outage + refused_twice + lost;
    println!("soak: {seconds} s, {CLIENTS} clients with tokens of 2 s, {CALLERS} callers");
    println!("  requests {all} ({} a second): good {good}, 503 of the API's own {unavailable}", all / seconds);
    println!("  lost to the outages of the authorization server {lost_in_outage}, for no such reason {lost}");
    println!("  refused with two tokens, the second revoked or expired on its way {refused_twice}");
    println!("{}", book.report());
    println!("  resident memory after a quarter {early} KiB, at the end {late} KiB");
    println!("  tasks at most {most_tasks}, at the end {}", alive(&callers));

    assert_eq!(lost, 0, "requests that the crate could have saved: {:?}", book.complaints());
    assert_eq!(book.complaints(), Vec::<String>::new());
    assert_eq!(alive(&callers), 0, "tasks that outlive their handles");
    // What a busy machine does in any case.
    assert!(good > 100, "only {good} requests");
    // 8 MiB: allocators do not give everything back; a leak of ten bytes a request would be more in five minutes.
    assert!(late < early + 8 * 1024, "memory grows: {early} KiB, then {late} KiB");
    // A caller, its connection, one that is being closed, and a fetch for each client.
    assert!(most_tasks <= 4 * CALLERS, "{most_tasks} tasks");
}

fn client(id: usize, token_url: &str, api_url: &str, book: &Arc<Book>) -> ClientWithMiddleware {
    let auth = ClientAuth::client_secret_post(id.to_string(), "soak");
    let tokens = ClientCredentials::builder(token_url, auth)
        // A server that hangs is one of the faults; a machine under load is none.
        .limits(Limits::new().attempt_timeout(Duration::from_secs(5)))
        // Tokens are revoked all the time here.
        .cache(CachePolicy::new().forced_refreshes(1000).forced_refresh_interval(Duration::from_millis(10)))
        .build()
        .unwrap();
    let watched = Watched::new(tokens, Arc::clone(book));
    // The server may hang twice before it answers. Less than that would return a 401 that another token would have saved.
    let bearer = BearerAuth::builder(watched).origin(api_url).replacement_timeout(Duration::from_secs(30)).build();
    let bearer = bearer.unwrap();
    reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(bearer).build()
}

async fn one_request(client: usize, number: u64, request: RequestBuilder, book: &Book, outcomes: &Outcomes) {
    let outage = book.outage(client);
    let result = request.send().await;
    let tokens = book.refused_tokens(number);
    let complaint = match result {
        Ok(response) => match response.status().as_u16() {
            200 => return outcomes.count(&outcomes.good),
            503 => return outcomes.count(&outcomes.unavailable),
            // A repetition is one: two revocations are one too many for it.
            401 if tokens > 1 => return outcomes.count(&outcomes.refused_twice),
            other => format!("status {other}"),
        },
        Err(error) => match Error::find(&error) {
            Some(ours) => format!("{ours:#}"),
            None => format!("not ours: {error:?}"),
        },
    };
    if book.excuses_failure(client, outage) {
        outcomes.count(&outcomes.lost_in_outage);
        // As a caller does: not in a hot loop.
        tokio::time::sleep(Duration::from_millis(20)).await;
    } else {
        outcomes.count(&outcomes.lost);
        book.complain(complaint);
    }
}

fn runtime(name: &str, threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all().build().unwrap()
}

fn alive(runtime: &Runtime) -> usize {
    runtime.metrics().num_alive_tasks()
}

/// 0 where there is no `/proc`.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

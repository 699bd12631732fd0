//! Many real processes and one real Redis: the token expires for all of them at once.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use client_credentials::CachePolicy;
use client_credentials::testing::AuthorizationServer;

use crate::harness::child;
use crate::redis_server::Redis;
use crate::{redis, replica};

const PROCESSES: usize = 8;
const SOURCES: usize = 25;
/// The number of tokens that each source waits for.
const TOKENS: usize = 5;
/// Seconds.
const LIFETIME: u64 = 4;

/// A process of the fleet: nothing, unless the test below starts it.
#[test]
fn a_process_of_the_fleet() {
    let (Ok(store), Ok(endpoint)) = (std::env::var("FLEET_REDIS"), std::env::var("FLEET_ENDPOINT")) else {
        return;
    };
    let together = std::env::var("FLEET_TOGETHER").is_ok();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // Each source is like one of a process: it shares no connection and no state with the others.
        let sources = (0..SOURCES).map(|_| {
            // 200 processes on two cores: 100 ms would test the machine.
            let store = redis(&store).timeout(Duration::from_secs(2));
            let builder = replica(&endpoint, store);
            let builder = match together {
                // No early refresh: all tokens expire at the same instant.
                true => builder.cache(CachePolicy::new().refresh_window(Duration::from_millis(1))),
                false => builder,
            };
            let tokens = builder.build().unwrap();
            tokio::spawn(async move {
                let mut seen = BTreeSet::new();
                while seen.len() < TOKENS {
                    let token = tokens.token().await.unwrap();
                    seen.insert(token.expose_secret().to_owned());
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        });
        for source in sources.collect::<Vec<_>>() {
            source.await.unwrap();
        }
    });
}

async fn fleet(together: bool) -> Vec<usize> {
    let server = crate::server(LIFETIME, Duration::from_millis(50));
    let real = Redis::start(&[]);
    let processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut env = vec![("FLEET_REDIS", real.url()), ("FLEET_ENDPOINT", server.token_url().to_owned())];
            if together {
                env.push(("FLEET_TOGETHER", "yes".to_owned()));
            }
            tokio::task::spawn_blocking(move || {
                child::run("fleet::a_process_of_the_fleet", &env).expect("we are the parent")
            })
        })
        .collect();
    for process in processes {
        child::assert_passed(&process.await.unwrap());
    }
    // Tokens are refreshed after half their lifetime at the earliest.
    groups(&server, Duration::from_millis(LIFETIME * 1000 / 4))
}

/// How many requests came together, each time: a request less than `apart` after the first of a group belongs to it.
fn groups(server: &AuthorizationServer, apart: Duration) -> Vec<usize> {
    let mut groups: Vec<(Duration, usize)> = Vec::new();
    for request in server.requests() {
        match groups.last_mut() {
            Some((first, count)) if request.at() - *first < apart => *count += 1,
            _ => groups.push((request.at(), 1)),
        }
    }
    groups.into_iter().map(|(_, count)| count).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs redis-server: .ci/stores"]
async fn two_hundred_sources_in_eight_processes_make_at_most_three_requests_per_expiry() {
    // D16
    for together in [true, false] {
        let groups = fleet(together).await;
        let what = if together { "expiring together" } else { "refreshing" };
        let sources = PROCESSES * SOURCES;
        writeln!(
            std::io::stdout().lock(),
            "{sources} sources in {PROCESSES} processes, {what}: token requests each time {groups:?}"
        )
        .unwrap();
        assert!(groups.len() >= TOKENS, "{groups:?}");
        assert!(groups.iter().all(|requests| *requests <= 3), "{groups:?}");
    }
}

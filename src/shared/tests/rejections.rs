//! Rejections: the token is no longer used by any replica, and others are not affected.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_deleted_once_and_replaced_once() {
    // D18: both hosts have the token, and the API rejects it from both
    let fleet = Fleet::new();
    let hosts = [fleet.host(), fleet.host()];
    let mut tokens = Vec::new();
    for host in &hosts {
        tokens.push(host.token().await.unwrap());
    }
    for (host, token) in hosts.iter().zip(&tokens) {
        host.reject(token);
        assert_eq!(value(host).await, "t2", "the second takes the first one's");
    }
    assert_eq!(fleet.server.hits(), 2);
    assert_eq!(Memory::count(&fleet.store.deletes), 1);
    // From here on nothing changes.
    for host in hosts.iter().cycle().take(10) {
        assert_eq!(value(host).await, "t2");
    }
    assert_eq!(fleet.server.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn caches_that_see_a_401_at_once_fetch_one_token() {
    let fleet = Fleet::new();
    fleet.server.takes(100);
    let hosts: Vec<_> = (0..20).map(|_| fleet.cached()).collect();
    let ask = |refuse: bool| {
        let asked: Vec<_> = hosts
            .iter()
            .cloned()
            .map(|host| {
                tokio::spawn(async move {
                    let token = host.token().await.unwrap();
                    if refuse {
                        host.reject(&token);
                    }
                    value(&host).await
                })
            })
            .collect();
        async move {
            let mut values = Vec::new();
            for token in asked {
                values.push(token.await.unwrap());
            }
            values.sort();
            values.dedup();
            values
        }
    };
    assert_eq!(ask(false).await, ["t1"]);
    assert_eq!(ask(true).await, ["t2"]);
    assert_eq!(fleet.server.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_newer_record_is_not_deleted_by_a_late_rejection() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.host(), fleet.host());
    let old = one.token().await.unwrap();
    fleet.advance(3300);
    assert_eq!(value(&other).await, "t2");
    one.reject(&old);
    assert_eq!(value(&one).await, "t2");
    assert_eq!(Memory::count(&fleet.store.deletes), 0);
    assert_eq!(fleet.server.hits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_does_no_io() {
    let fleet = Fleet::new();
    let host = fleet.host();
    let token = host.token().await.unwrap();
    let operations = fleet.store.operations();
    for _ in 0..10 {
        host.reject(&token);
    }
    assert_eq!(fleet.store.operations(), operations);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_does_not_come_back_from_the_store() {
    // D09: a store that returns former records, with the rejected token and an older one
    let fleet = Fleet::new();
    let host = fleet.host();
    value(&host).await;
    let (_, older) = fleet.store.value();
    fleet.advance(600);
    fleet.store.values.lock().unwrap().clear();
    let token = host.token().await.unwrap();
    let (_, refused) = fleet.store.value();
    host.reject(&token);
    assert_eq!(value(&host).await, "t3");
    let current = fleet.store.value().1;
    for (n, record) in [&older, &refused].into_iter().enumerate() {
        fleet.store.tamper(|value| value.clone_from(record));
        assert_eq!(value(&host).await, format!("t{}", n + 4));
    }
    fleet.store.tamper(|value| value.clone_from(&current));
    assert_eq!(value(&host).await, "t3", "which is newer than the refused one");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_server_insists_on_is_not_stored_again() {
    let fleet = Fleet::new();
    *fleet.server.insists.lock().unwrap() = Some("same");
    let host = fleet.host();
    let token = host.token().await.unwrap();
    host.reject(&token);
    assert_eq!(value(&host).await, "same");
    assert!(fleet.store.values.lock().unwrap().is_empty());
    assert_eq!(Memory::count(&fleet.store.puts), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_source_is_not_rejected() {
    let fleet = Fleet::new();
    let host = fleet.host();
    value(&host).await;
    fleet.advance(10);
    let foreign =
        Client { server: Arc::clone(&fleet.server), clock: fleet.clock.clone(), possession: BoundTo::default() };
    host.reject(&foreign.token().await.unwrap());
    assert_eq!(value(&host).await, "t1");
    assert_eq!(Memory::count(&fleet.store.deletes), 0);
}

#[tokio::test(start_paused = true)]
async fn of_two_rejected_tokens_neither_comes_back() {
    let fleet = Fleet::new();
    let host = fleet.host();
    let old = host.token().await.unwrap();
    fleet.advance(3000);
    let new = host.token().await.unwrap();
    // The response to an earlier request arrives last.
    host.reject(&new);
    host.reject(&old);
    assert_eq!(value(&host).await, "t3");
}

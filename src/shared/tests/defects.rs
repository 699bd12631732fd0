//! Unusable records: damaged, or of another tenant.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_invalid_record_is_counted_and_overwritten() {
    // D05, D06, D11
    let changes: [fn(&mut Vec<u8>); 5] = [
        |value| *value = vec![7; 100],
        |value| value.truncate(20),
        |value| value.push(0),
        |value| value[0] = 255,
        |value| value.clear(),
    ];
    for change in changes {
        let fleet = Fleet::new();
        let host = fleet.host();
        assert_eq!(value(&host).await, "t1");
        assert_eq!(host.store.invalid_records(), 0);
        fleet.store.tamper(change);
        assert_eq!(value(&host).await, "t2");
        assert_eq!(host.store.invalid_records(), 1);
        assert_eq!(value(&fleet.host()).await, "t2");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_record_is_counted_once_per_fetch_however_often_it_is_read() {
    let fleet = Fleet::new();
    value(&fleet.host()).await;
    fleet.store.tamper(|value| value.truncate(20));
    fleet.server.takes(1000);
    let dying = fleet.host();
    let dying = tokio::spawn(async move { value(&dying).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    dying.abort();
    // It waits for the replica that died.
    let host = fleet.host();
    value(&host).await;
    assert_eq!(host.store.invalid_records(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_of_one_client_does_not_open_under_the_name_of_another() {
    // D08, D22: the store returns the record of another tenant
    let fleet = Fleet::new();
    let of = |name| fleet.host_with(SEAL_KEY, name, BoundTo::default(), fleet.clock.clone());
    value(&of("one")).await;
    let (_, stolen) = fleet.store.value();
    value(&of("other")).await;
    fleet.store.tamper(|value| *value = stolen.clone());
    let other = of("other");
    assert_eq!(value(&other).await, "t3");
    assert_eq!(other.store.invalid_records(), 1);
}

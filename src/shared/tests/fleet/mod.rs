//! The protocol of the shared store, run by a model checker (stateright) through every order of events:
//! `RUSTFLAGS='--cfg model' CARGO_TARGET_DIR=target/model cargo test --release --no-default-features --features shared --lib fleet:: --
//! --nocapture`

#![expect(clippy::print_stdout, reason = "the states, and the way to each broken promise")]

mod world;

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use world::{Fault, Fleet, Mutant};

/// Of one tenant, with one seal key.
const TWO: &[(&[u8], u8)] = &[(&[0], 0), (&[0], 0)];
const THREE: &[(&[u8], u8)] = &[(&[0], 0), (&[0], 0), (&[0], 0)];
/// Of two tenants.
const TENANTS: &[(&[u8], u8)] = &[(&[0], 0), (&[1], 1)];
/// One has the next seal key already.
const ROTATION: &[(&[u8], u8)] = &[(&[0], 0), (&[1, 0], 0)];

const CALM: Fleet = Fleet {
    replicas: TWO,
    ticks: 3,
    faults: 0,
    possible: &[],
    rejections: 1,
    skewed: false,
    progress: true,
    mutant: None,
};

const NETWORK: &[Fault] =
    &[Fault::RequestLost, Fault::AnswerLost, Fault::Delayed, Fault::Duplicated, Fault::Partitioned];
const PROCESSES: &[Fault] = &[Fault::Crashed, Fault::Cancelled, Fault::Slow];
const SERVER: &[Fault] = &[Fault::ServerFailed, Fault::ServerThrottled, Fault::Stalled];
const STORE: &[Fault] = &[Fault::RecordForgotten, Fault::LeaseForgotten, Fault::RecordReplayed];
const CLOCKS: &[Fault] = &[Fault::ClockSet, Fault::Stalled];
const EVERY: &[Fault] = &[
    Fault::RequestLost,
    Fault::AnswerLost,
    Fault::Delayed,
    Fault::Duplicated,
    Fault::Partitioned,
    Fault::Crashed,
    Fault::Cancelled,
    Fault::Slow,
    Fault::ServerFailed,
    Fault::ServerThrottled,
    Fault::Stalled,
    Fault::RecordForgotten,
    Fault::LeaseForgotten,
    Fault::RecordReplayed,
];

/// Every state, or as far as `MODEL_SECONDS` for each fleet suffice.
fn check(name: &str, fleet: Fleet) {
    let start = Instant::now();
    let mut checker = fleet.checker().threads(2);
    let limit = std::env::var("MODEL_SECONDS").map(|most| Duration::from_secs(most.parse().expect("a number")));
    if let Ok(limit) = limit {
        checker = checker.timeout(limit);
    }
    let checker = checker.spawn_bfs().join();
    println!(
        "{name}: {} states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64(),
    );
    let is_failure =
        |name: &str| fleet.properties().iter().any(|one| one.name == name && one.expectation.discovery_is_failure());
    for (name, path) in checker.discoveries() {
        if is_failure(name) {
            println!("{name}: {:?}", path.into_actions());
        }
    }
    if limit.is_err() {
        checker.assert_properties();
    }
}

#[test]
fn without_faults_there_is_one_request_per_lifetime() {
    check("two replicas", CALM);
    check("two replicas, clocks that differ", Fleet { skewed: true, ..CALM });
    check("three replicas", Fleet { replicas: THREE, ticks: 2, rejections: 0, ..CALM });
    check("three replicas, a rejection", Fleet { replicas: THREE, ticks: 1, ..CALM });
    check("two replicas, two rejections", Fleet { ticks: 2, rejections: 2, ..CALM });
    check("a seal key is rotated", Fleet { replicas: ROTATION, ticks: 2, ..CALM });
}

#[test]
fn a_fault_costs_one_request_for_each_replica_and_no_token() {
    let one = Fleet { faults: 1, ticks: 2, ..CALM };
    check("two replicas, the network", Fleet { possible: NETWORK, ..one });
    check("two replicas, a process", Fleet { possible: PROCESSES, ..one });
    check("two replicas, the server", Fleet { possible: SERVER, ..one });
    check("two replicas, the store", Fleet { possible: STORE, ..one });
    check("two replicas, clocks", Fleet { possible: CLOCKS, rejections: 0, skewed: true, ..one });
    check("two tenants, exchanged records", Fleet { replicas: TENANTS, possible: &[Fault::RecordsExchanged], ..one });
}

#[test]
fn two_faults_cost_at_most_twice_as_much() {
    let two = Fleet { faults: 2, ticks: 1, rejections: 0, ..CALM };
    check("two replicas, any two faults", Fleet { possible: EVERY, ..two });
    check("two replicas, the server and time", Fleet { possible: SERVER, ticks: 2, ..two });
}

#[test]
fn three_replicas_survive_a_fault() {
    let one = Fleet { replicas: THREE, faults: 1, ticks: 1, rejections: 0, ..CALM };
    check("three replicas, the network", Fleet { possible: NETWORK, ..one });
    check("three replicas, a process", Fleet { possible: PROCESSES, ..one });
    check("three replicas, the server", Fleet { possible: SERVER, ..one });
    check("three replicas, the store", Fleet { possible: STORE, ..one });
    check("three replicas that start, two faults", Fleet { possible: EVERY, faults: 2, ticks: 0, ..one });
}

/// The checker finds that `mutant` breaks the promise.
fn finds(mutant: Mutant, promise: &'static str, fleet: Fleet) {
    let fleet = Fleet { mutant: Some(mutant), ticks: 2, ..fleet };
    let until = HasDiscoveries::AnyOf([promise].into());
    let checker = fleet.checker().threads(2).finish_when(until).spawn_bfs().join();
    let path = checker.discovery(promise).unwrap_or_else(|| panic!("{mutant:?} does not break: {promise}"));
    let (states, path) = (checker.unique_state_count(), path.into_actions());
    println!("{mutant:?}: {promise} is broken in {} steps, found after {states} states: {path:?}", path.len());
}

#[test]
fn each_wrong_decision_is_found() {
    finds(Mutant::RejectionForgotten, "no rejected token", CALM);
    finds(Mutant::OnlyTheLastRejectionRemembered, "no rejected token", Fleet { rejections: 2, ..CALM });
    let failing = Fleet { faults: 2, possible: SERVER, rejections: 0, ..CALM };
    finds(Mutant::NotJudgedAgainBeforeUse, "no expired token", failing);
    let late = Fleet { faults: 1, possible: &[Fault::Stalled], skewed: true, rejections: 0, ..CALM };
    finds(Mutant::ClocksTakenForEqual, "no expired token", late);
    finds(Mutant::LeaseNotChecked, "few requests", CALM);
    finds(Mutant::NoLookUnderTheLease, "few requests", CALM);
    let crash = Fleet { faults: 1, possible: &[Fault::Crashed], ..CALM };
    finds(Mutant::WaitsForEver, "progress", crash);
    let exchange = Fleet { replicas: TENANTS, faults: 1, possible: &[Fault::RecordsExchanged], ..CALM };
    finds(Mutant::ForeignRecordOpened, "no foreign token", exchange);
}

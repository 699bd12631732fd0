//! The protocol of the shared store, run by a model checker (stateright) through every order of events:
//! `RUSTFLAGS='--cfg model' CARGO_TARGET_DIR=target/model cargo test --release --features shared --lib fleet -- --nocapture`

mod world;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use world::{Fault, Fleet, Mutant};

/// Of one tenant, with one seal key.
const TWO: &[(&[u8], u8)] = &[(&[0], 0), (&[0], 0)];
const THREE: &[(&[u8], u8)] = &[(&[0], 0), (&[0], 0), (&[0], 0)];

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

const NETWORK: &[Fault] = &[Fault::RequestLost, Fault::AnswerLost, Fault::Delayed, Fault::Duplicated, Fault::Partitioned];

fn check(name: &str, fleet: Fleet) {
    let start = Instant::now();
    let checker = fleet.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64(),
    );
    checker.assert_properties();
}

#[test]
fn without_faults_there_is_one_request_per_lifetime() {
    check("two replicas", CALM);
    check("three replicas", Fleet { replicas: THREE, ..CALM });
}

#[test]
fn probe() {
    check("two replicas, network 1", Fleet { faults: 1, possible: NETWORK, ..CALM });
}

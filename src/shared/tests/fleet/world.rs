//! A fleet, its store and its authorization server as one value, and everything that can happen to it next.
//!
//! Replicas run `protocol::Turn` and judge records by `record::Dates`, which is the code that `Shared` runs. Everything
//! else is a model: the store is one record and one lease per name, a sealed record opens under its own name only, and
//! a token is a number. Time goes in ticks of half a lifetime: a token is due after one and expired after two.

mod faults;
mod promises;
mod replica;

use std::collections::BTreeMap;
use std::time::Duration;

use stateright::{Model, Property};

use crate::cache::CachePolicy;
use crate::clock::Moment;
use crate::shared::protocol::{Found, Memory, Turn, WAIT};
pub(super) use faults::Fault;

/// In seconds. Clocks of replicas differ by one second, the most that tokens of ten seconds allow.
const LIFETIME: u32 = 10;
const TICK: u32 = 5;
const START: u32 = 1000;

/// The fleet that is checked, and how far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet {
    /// For each replica the names of its records, that of its sealing key first, and its tenant.
    pub(super) replicas: &'static [(&'static [u8], u8)],
    /// How many ticks there are.
    pub(super) ticks: u8,
    /// The largest number of faults.
    pub(super) faults: u8,
    pub(super) possible: &'static [Fault],
    /// How many tokens an API rejects.
    pub(super) rejections: u8,
    /// Whether clocks differ from the start.
    pub(super) skewed: bool,
    /// Whether each state is continued without faults until all replicas have a token.
    pub(super) progress: bool,
    pub(super) mutant: Option<Mutant>,
}

/// A wrong decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    RejectionForgotten,
    /// A bug that the model checker has found.
    OnlyTheLastRejectionRemembered,
    /// A bug that the model checker has found.
    NotJudgedAgainBeforeUse,
    ClocksTakenForEqual,
    LeaseNotChecked,
    NoLookUnderTheLease,
    WaitsForEver,
    ForeignRecordOpened,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    ticks: u8,
    faults: u8,
    rejections: u8,
    /// Token requests so far.
    requests: u8,
    /// When each token was issued, in seconds, its tenant, and the replica that requested it.
    issued: Vec<(u32, u8, u8)>,
    /// The tokens that an API rejected, one bit each.
    rejected: u16,
    replicas: Vec<Replica>,
    /// By name.
    records: [Option<Record>; 2],
    overwritten: Option<(u8, Record)>,
    leases: [Option<Lease>; 2],
    /// Operations whose result no replica waits for, sorted.
    under_way: Vec<Op>,
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wrong {
    Expired,
    Rejected,
    Foreign,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Replica {
    /// How far its clock is ahead.
    ahead: u32,
    memory: Memory<u8>,
    turn: Option<Running>,
    cached: Option<Token>,
    /// The tokens that it obtained, and when each was received on its own clock.
    given: BTreeMap<u8, u32>,
    /// The tokens that it rejected, one bit each.
    rejected: u16,
}

/// A token in a replica, due and expired on its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Token {
    id: u8,
    received: u32,
    due: u32,
    end: u32,
}

/// A call of `Shared::token`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Running {
    turn: Turn<Token, u8>,
    op: Op,
    answer: Option<Answer>,
    failed: bool,
    /// The best record under the names that were read.
    found: Option<Found<Token, u8>>,
    fetched: Option<Token>,
    /// Tokens that were rejected before it began.
    rejected: u16,
    /// When the records were last read.
    looked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Op {
    /// The record of the n-th name of the replica.
    Get(u8),
    Delete(u8, Record),
    Lease,
    /// Sent at this second of its own clock.
    Fetch(u32),
    Put(u8, Record),
    /// A lease for a turn that has ended.
    DeadLease(u8),
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Record(Option<Record>),
    Granted(bool),
    Token(u8),
    Failed,
    Throttled,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Record {
    token: u8,
    /// On the clock of the replica that stored it.
    received: u32,
    /// When the store deletes it; in a request, how long it keeps it.
    kept: u32,
    /// The name that it was sealed for.
    name: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Lease {
    /// `None`: a turn that has ended.
    owner: Option<u8>,
    /// A tick has passed: it may end.
    old: bool,
}

impl Lease {
    /// No replica will release it in time.
    fn is_dead(self) -> bool {
        self.owner.is_none() || self.old
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Begin(u8),
    /// The store or the server carries out what a replica asked for, and the replica continues with the answer. The
    /// latter changes only the replica, so what others do in between may as well happen before or after.
    CarryOut(u8),
    /// The same for a lease that the replica does not get, after it has waited for the longest time.
    CarryOutAfterTheWait(u8),
    /// The same, but time may pass before the replica continues.
    Linger(u8),
    GoOn(u8),
    Reject(u8, u8),
    Tick,
    LeaseEnds(u8),
    /// The n-th pending operation is carried out.
    Arrive(u8),
    Break(Fault, u8),
}

impl Fleet {
    fn policy(&self) -> CachePolicy {
        // Due after one tick. No safety margin: the only one is for clocks that differ.
        CachePolicy::new().safety_margin(Duration::ZERO).refresh_window(seconds(5))
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn lifetime(&self) -> Duration {
        match self.is(Mutant::ClocksTakenForEqual) {
            // Less the margin for clocks that differ, this is ten.
            true => seconds(LIFETIME) * 10 / 9,
            false => seconds(LIFETIME),
        }
    }

    fn can(&self, world: &World, fault: Fault) -> bool {
        world.faults < self.faults && self.possible.contains(&fault)
    }

    fn go(&self, world: &mut World, action: &Action) {
        match *action {
            Action::Begin(r) => self.begin(world, r),
            Action::CarryOut(r) => {
                self.linger(world, r);
                self.go_on(world, r, Duration::ZERO);
            }
            Action::CarryOutAfterTheWait(r) => {
                let dead = world.lease_of(self, r).is_some_and(|lease| lease.is_dead());
                world.faults += u8::from(!dead);
                self.linger(world, r);
                self.go_on(world, r, WAIT);
            }
            Action::Linger(r) => self.linger(world, r),
            Action::GoOn(r) => self.go_on(world, r, Duration::ZERO),
            Action::Reject(r, token) => {
                world.rejections += 1;
                world.rejected |= 1 << token;
                let replica = &mut world.replicas[usize::from(r)];
                replica.rejected |= 1 << token;
                replica.cached.take_if(|cached| cached.id == token);
                let received = replica.given[&token];
                if !self.is(Mutant::RejectionForgotten) {
                    replica.memory.refuse(token, seconds(received));
                }
                if self.is(Mutant::OnlyTheLastRejectionRemembered) {
                    replica.memory.refused.truncate(1);
                }
            }
            Action::Tick => {
                let at_work = world.replicas.iter().any(|replica| replica.turn.is_some());
                world.faults += u8::from(at_work);
                world.ticks += 1;
                let now = world.now();
                for record in &mut world.records {
                    record.take_if(|record| record.kept <= now);
                }
                for lease in world.leases.iter_mut().flatten() {
                    lease.old = true;
                }
            }
            Action::LeaseEnds(name) => {
                let lease = world.leases[usize::from(name)].take();
                world.faults += u8::from(!lease.is_some_and(|lease| lease.is_dead()));
            }
            Action::Arrive(n) => {
                let op = world.under_way.remove(usize::from(n));
                self.carry_out(world, op, u8::MAX);
            }
            Action::Break(fault, r) => self.break_it(world, fault, r),
        }
    }

    fn linger(&self, world: &mut World, r: u8) {
        if let Some((op, false)) = world.op(r) {
            let answer = self.carry_out(world, op, r);
            world.running(r).answer = Some(answer);
        }
    }

    /// `by`: the replica that asked.
    fn carry_out(&self, world: &mut World, op: Op, by: u8) -> Answer {
        let now = world.now();
        let name = |n: u8| self.replicas[usize::from(by)].0[usize::from(n)];
        match op {
            Op::Get(n) => Answer::Record(world.records[usize::from(name(n))]),
            Op::Delete(name, there) => {
                world.records[usize::from(name)].take_if(|record| *record == there);
                Answer::Done
            }
            Op::Put(name, record) => {
                let record = Record { kept: now + record.kept, ..record };
                let before = world.records[usize::from(name)].replace(record);
                if self.possible.contains(&Fault::RecordReplayed) {
                    world.overwritten = before.map(|record| (name, record)).or(world.overwritten);
                }
                Answer::Done
            }
            Op::Lease => {
                let lease = &mut world.leases[usize::from(name(0))];
                let lease = lease.get_or_insert(Lease { owner: Some(by), old: false });
                Answer::Granted(lease.owner == Some(by))
            }
            Op::DeadLease(name) => {
                world.leases[usize::from(name)].get_or_insert(Lease { owner: None, old: false });
                Answer::Done
            }
            Op::Release => {
                world.leases[usize::from(name(0))].take_if(|lease| lease.owner == Some(by));
                Answer::Done
            }
            Op::Fetch(_) => {
                world.issued.push((now, self.replicas[usize::from(by)].1, by));
                Answer::Token(world.issued.len() as u8 - 1)
            }
        }
    }
}

impl World {
    fn now(&self) -> u32 {
        START + u32::from(self.ticks) * TICK
    }

    fn running(&mut self, r: u8) -> &mut Running {
        self.replicas[usize::from(r)].turn.as_mut().expect("it has a turn")
    }

    /// The operation of a replica, and whether it was answered.
    fn op(&self, r: u8) -> Option<(Op, bool)> {
        let running = self.replicas[usize::from(r)].turn.as_ref()?;
        Some((running.op, running.answer.is_some()))
    }

    fn lease_of(&self, fleet: &Fleet, r: u8) -> Option<Lease> {
        self.leases[usize::from(fleet.replicas[usize::from(r)].0[0])]
    }

    /// The operation failed. A failure of the store ends its use in this turn.
    fn fail(&mut self, r: u8) {
        let running = self.running(r);
        running.answer = Some(Answer::Failed);
        running.failed |= !matches!(running.op, Op::Fetch(_));
    }

    /// The turn has ended, and its lease has no owner.
    fn end(&mut self, r: u8) {
        self.replicas[usize::from(r)].turn = None;
        for lease in self.leases.iter_mut().flatten() {
            lease.owner.take_if(|owner| *owner == r);
        }
    }

    fn is_due(&self, r: u8) -> bool {
        let replica = &self.replicas[usize::from(r)];
        replica.cached.is_none_or(|cached| cached.due <= self.now() + replica.ahead)
    }

    fn has_token(&self, r: u8) -> bool {
        let replica = &self.replicas[usize::from(r)];
        replica.cached.is_some_and(|cached| self.now() + replica.ahead < cached.end)
    }
}

impl Model for Fleet {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let count = self.replicas.len();
        let clocks = if self.skewed { 0..1_u32 << count } else { 0..1 };
        let world = |clocks: u32| World {
            ticks: 0,
            faults: 0,
            rejections: 0,
            requests: 0,
            issued: Vec::new(),
            rejected: 0,
            replicas: (0..count).map(|r| Replica { ahead: clocks >> r & 1, ..Replica::default() }).collect(),
            records: [None; 2],
            overwritten: None,
            leases: [None; 2],
            under_way: Vec::new(),
            wrong: None,
        };
        clocks.map(world).collect()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let mut at_work = false;
        let can = |fault| self.can(world, fault);
        for r in 0..self.replicas.len() as u8 {
            match world.op(r) {
                None => {
                    if world.is_due(r) {
                        actions.push(Action::Begin(r));
                        actions.extend(can(Fault::Partitioned).then_some(Action::Break(Fault::Partitioned, r)));
                    }
                }
                Some((op, answered)) => {
                    at_work = true;
                    if answered {
                        actions.push(Action::GoOn(r));
                        actions.extend(can(Fault::Cancelled).then_some(Action::Break(Fault::Cancelled, r)));
                    } else {
                        actions.push(Action::CarryOut(r));
                        let lease = world.lease_of(self, r).filter(|_| op == Op::Lease);
                        if lease.is_some_and(|lease| lease.is_dead() || can(Fault::Slow)) {
                            actions.push(Action::CarryOutAfterTheWait(r));
                        }
                        if can(Fault::Stalled) && world.ticks < self.ticks {
                            actions.push(Action::Linger(r));
                        }
                        let mut faults = vec![Fault::Cancelled, Fault::RequestLost, Fault::AnswerLost];
                        match op {
                            Op::Put(..) | Op::Delete(..) => faults.extend([Fault::Delayed, Fault::Duplicated]),
                            Op::Lease => faults.push(Fault::Delayed),
                            Op::Fetch(_) => faults.extend([Fault::ServerFailed, Fault::ServerThrottled]),
                            _ => {}
                        }
                        actions.extend(
                            faults.into_iter().filter(|fault| can(*fault)).map(|fault| Action::Break(fault, r)),
                        );
                    }
                }
            }
            let faults = [Fault::Crashed, Fault::ClockSet].into_iter().filter(|fault| can(*fault));
            actions.extend(faults.map(|fault| Action::Break(fault, r)));
            if world.rejections < self.rejections {
                let replica = &world.replicas[usize::from(r)];
                let tokens = replica.given.keys().filter(|token| replica.rejected >> **token & 1 == 0);
                actions.extend(tokens.map(|token| Action::Reject(r, *token)));
            }
        }
        if world.ticks < self.ticks && (!at_work || can(Fault::Stalled)) {
            actions.push(Action::Tick);
        }
        for name in 0..2 {
            if let Some(lease) = world.leases[usize::from(name)] {
                actions.extend((lease.is_dead() || can(Fault::Slow)).then_some(Action::LeaseEnds(name)));
                actions.extend(can(Fault::LeaseForgotten).then_some(Action::Break(Fault::LeaseForgotten, name)));
            }
            if world.records[usize::from(name)].is_some() && can(Fault::RecordForgotten) {
                actions.push(Action::Break(Fault::RecordForgotten, name));
            }
        }
        actions.extend((0..world.under_way.len() as u8).map(Action::Arrive));
        if world.overwritten.is_some() && can(Fault::RecordReplayed) {
            actions.push(Action::Break(Fault::RecordReplayed, 0));
        }
        if world.records[0] != world.records[1] && can(Fault::RecordsExchanged) {
            actions.push(Action::Break(Fault::RecordsExchanged, 0));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.go(&mut next, &action);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        self.promises()
    }
}

fn seconds(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

fn moment(now: u32) -> Moment {
    Moment::new(seconds(now), seconds(now))
}

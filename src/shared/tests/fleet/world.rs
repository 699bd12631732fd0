//! A fleet, its store and its authorization server as one value, and everything that can happen to it next.
//!
//! Replicas run `protocol::Turn` and judge records by `record::Dates`, which is the code that `Shared` runs. Everything
//! else is a model: the store is one record and one lease per name, a sealed record opens under its own name only, and a
//! token is a number. Time goes in ticks of half a lifetime: a token is due after one and expired after two.

use std::collections::BTreeMap;
use std::time::Duration;

use stateright::{Model, Property};

use super::super::super::protocol::{Admission, Event, Found, Memory, Step, Turn, WAIT, newer};
use super::super::super::record::{self, Dates};
use crate::cache::{CachePolicy, Schedule};
use crate::clock::Moment;

/// In seconds. Clocks of replicas differ by one second, the most that tokens of ten seconds allow.
const LIFETIME: u32 = 10;
const TICK: u32 = 5;
const START: u32 = 1000;

/// What is checked, and how far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fleet {
    /// For each replica the names of its records, that of its sealing key first, and its tenant.
    pub(super) replicas: &'static [(&'static [u8], u8)],
    /// How many ticks there are.
    pub(super) ticks: u8,
    /// How many of the faults happen at most.
    pub(super) faults: u8,
    pub(super) possible: &'static [Fault],
    /// How many times an API rejects a token.
    pub(super) rejections: u8,
    /// Clocks differ from the start.
    pub(super) skewed: bool,
    /// Whether each state is continued without faults until everybody has a token.
    pub(super) progress: bool,
    pub(super) mutant: Option<Mutant>,
}

/// A decision made wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mutant {
    RejectionForgotten,
    /// As before the model checker was there.
    OnlyTheLastRejectionRemembered,
    /// As before the model checker was there.
    NotJudgedAgainBeforeUse,
    ClocksTakenForEqual,
    LeaseNotChecked,
    NoLookUnderTheLease,
    WaitsForEver,
    ForeignRecordOpened,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Fault {
    /// A request to the store or the server is lost.
    RequestLost,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is given up and carried out later, at any time.
    Delayed,
    /// It is carried out, and once more at any time.
    Duplicated,
    /// The store forgets the record, the lease.
    RecordForgotten,
    LeaseForgotten,
    /// The record that was overwritten last is back.
    RecordReplayed,
    /// The records of two names are exchanged.
    RecordsExchanged,
    /// A replica does not reach the store, or leaves it alone.
    Partitioned,
    /// A process starts anew.
    Crashed,
    /// The future of a call is dropped.
    Cancelled,
    /// Half a lifetime passes while somebody is at work.
    Stalled,
    /// A holder takes longer than the others wait; than its lease lasts.
    Slow,
    /// The server issues nothing; asks for fewer requests.
    ServerFailed,
    ServerThrottled,
    /// A wall clock is set, within what clocks may differ.
    ClockSet,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    ticks: u8,
    faults: u8,
    rejections: u8,
    /// Token requests so far.
    requests: u8,
    /// Each token's issue, in seconds, its tenant, and who requested it.
    issued: Vec<(u32, u8, u8)>,
    /// The tokens that an API rejected, a bit each.
    rejected: u16,
    replicas: Vec<Replica>,
    /// By name.
    records: [Option<Record>; 2],
    overwritten: Option<(u8, Record)>,
    leases: [Option<Lease>; 2],
    /// What nobody waits for any more, sorted.
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
    /// What it was given, and when each was received on its own clock.
    given: BTreeMap<u8, u32>,
    /// What it rejected, a bit for each token.
    rejected: u16,
}

/// As a replica knows it: due and expired on its own clock.
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
    /// What was found under the names that were read.
    found: Option<Found<Token, u8>>,
    fetched: Option<Token>,
    /// Tokens that were rejected before it began.
    rejected: u16,
    /// The time of the last look.
    looked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Op {
    /// The record of the n-th name of the replica.
    Get(u8),
    Delete(u8, Record),
    Lease,
    /// Sent at that second of its own clock.
    Fetch(u32),
    Put(u8, Record),
    /// On behalf of nobody any more.
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
    /// On the clock of whoever put it there.
    received: u32,
    /// Until then the store keeps it; in a request for how long.
    kept: u32,
    /// What it was sealed for.
    name: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Lease {
    /// `None`: of a turn that is over.
    owner: Option<u8>,
    /// A tick has passed: it may end.
    old: bool,
}

impl Lease {
    /// Nobody will release it in time.
    fn is_dead(self) -> bool {
        self.owner.is_none() || self.old
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Begin(u8),
    /// The store or the server carries out what a replica asked for, and it goes on with the answer. Going on touches
    /// nothing but the replica, so that whatever others do in between might as well be done before or after.
    CarryOut(u8),
    /// The same for a lease that it does not get, and it has waited for as long as it waits.
    CarryOutAfterTheWait(u8),
    /// The same, but time may pass before it goes on.
    Linger(u8),
    GoOn(u8),
    Reject(u8, u8),
    Tick,
    LeaseEnds(u8),
    /// The n-th of what is under way is carried out.
    Arrive(u8),
    Break(Fault, u8),
}

impl Fleet {
    fn policy(&self) -> CachePolicy {
        // Due after one tick. No margin for the way to the API: what clocks may differ is all there is.
        CachePolicy::new().safety_margin(Duration::ZERO).refresh_window(seconds(5))
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn lifetime(&self) -> Duration {
        match self.is(Mutant::ClocksTakenForEqual) {
            // What is taken from it for the clocks leaves ten.
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

    fn begin(&self, world: &mut World, r: u8) {
        let replica = &mut world.replicas[usize::from(r)];
        let rejected = replica.rejected;
        let mut turn = Turn::new(&mut replica.memory, WAIT);
        if self.is(Mutant::WaitsForEver) {
            turn.wait = Duration::MAX;
        }
        replica.turn = Some(Running {
            turn,
            op: Op::Get(0),
            answer: None,
            failed: false,
            found: None,
            fetched: None,
            rejected,
            looked: 0,
        });
    }

    fn linger(&self, world: &mut World, r: u8) {
        if let Some((op, false)) = world.op(r) {
            let answer = self.carry_out(world, op, r);
            world.running(r).answer = Some(answer);
        }
    }

    /// `by`: on whose behalf.
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

    /// The replica gets its answer.
    fn go_on(&self, world: &mut World, r: u8, waited: Duration) {
        let now = world.now() + world.replicas[usize::from(r)].ahead;
        let Some((op, true)) = world.op(r) else {
            return;
        };
        let Some(answer) = world.running(r).answer.take() else {
            return;
        };
        let (names, _) = self.replicas[usize::from(r)];
        let running = world.running(r);
        let event = match (op, answer) {
            (Op::Lease, Answer::Granted(granted)) => {
                let granted = granted || self.is(Mutant::LeaseNotChecked);
                Event::Leased { granted, waited }
            }
            (Op::Lease, _) => Event::Failed,
            (Op::Put(..), _) => Event::Put,
            (Op::Release | Op::DeadLease(_), _) => Event::Released,
            (Op::Fetch(sent), Answer::Token(id)) => {
                let schedule = Schedule::of(seconds(LIFETIME), None, &self.policy(), 1.0);
                let at = |age: Duration| sent + age.as_secs() as u32;
                running.fetched =
                    Some(Token { id, received: sent, due: at(schedule.refresh), end: at(schedule.unusable) });
                let worth = record::left(seconds(sent), Some(self.lifetime()), None, &self.policy(), moment(now));
                Event::Fetched { token: id, worth, ours: true }
            }
            (Op::Fetch(_), answer) => Event::Refused { throttled: answer == Answer::Throttled },
            (Op::Get(n), answer) => {
                running.looked = now;
                let name = names[usize::from(n)];
                let record = match answer {
                    Answer::Record(record) => record,
                    _ => None,
                };
                let opened = record.filter(|record| record.name == name || self.is(Mutant::ForeignRecordOpened));
                if let Some(record) = opened.and_then(|record| Some((record, self.arrive(record, now)?))) {
                    let (record, found) = record;
                    let memory = &world.replicas[usize::from(r)].memory;
                    match memory.admit(&found.id, found.received) {
                        Admission::Use => {
                            let running = world.running(r);
                            running.found = newer(running.found.take(), Some(found));
                        }
                        Admission::Delete if !world.running(r).failed => {
                            world.running(r).op = Op::Delete(name, record);
                            return;
                        }
                        Admission::Delete | Admission::Ignore => {}
                    }
                }
                return self.look_on(world, r, n);
            }
            (Op::Delete(name, _), _) => {
                let n = names.iter().position(|one| *one == name).unwrap_or_default();
                return self.look_on(world, r, n as u8);
            }
        };
        self.next(world, r, event);
    }

    /// The next name, or the end of a look.
    fn look_on(&self, world: &mut World, r: u8, n: u8) {
        let (names, _) = self.replicas[usize::from(r)];
        let running = world.running(r);
        if usize::from(n) + 1 < names.len() && !running.failed {
            running.op = Op::Get(n + 1);
            return;
        }
        let found = running.found.take();
        self.next(world, r, Event::Looked(found));
    }

    fn arrive(&self, record: Record, now: u32) -> Option<Found<Token, u8>> {
        let received = seconds(record.received);
        let dates = Dates::on_our_clocks(received, Some(self.lifetime()), None, &self.policy(), moment(now))?;
        let schedule = Schedule::of(dates.lifetime, None, &self.policy(), 1.0);
        let at = |age: Duration| dates.received.plus(age).wall().as_secs() as u32;
        let received_here = dates.received.wall().as_secs() as u32;
        let token =
            Token { id: record.token, received: received_here, due: at(schedule.refresh), end: at(schedule.unusable) };
        Some(Found { token, id: record.token, received, unusable: dates.unusable, fresh: dates.fresh })
    }

    /// The decision, and what it asks for.
    fn next(&self, world: &mut World, r: u8, event: Event<Token, u8>) {
        let now = world.now() + world.replicas[usize::from(r)].ahead;
        let (names, tenant) = self.replicas[usize::from(r)];
        let replica = &mut world.replicas[usize::from(r)];
        let Some(running) = &mut replica.turn else {
            return;
        };
        let failed = running.failed;
        let judged = if self.is(Mutant::NotJudgedAgainBeforeUse) { running.looked } else { now };
        let mut step = running.turn.next(event, failed, &mut replica.memory, moment(judged));
        if self.is(Mutant::NoLookUnderTheLease) && step == Step::Look && running.op == Op::Lease {
            step = running.turn.next(Event::Looked(None), failed, &mut replica.memory, moment(judged));
        }
        if step == Step::Pause {
            step = running.turn.next(Event::Paused, failed, &mut replica.memory, moment(judged));
        }
        running.op = match step {
            Step::Look | Step::Pause => Op::Get(0),
            Step::Lease => Op::Lease,
            Step::Release => Op::Release,
            Step::Fetch => {
                world.requests += 1;
                Op::Fetch(now)
            }
            Step::Put(expiry) => {
                let Op::Fetch(sent) = running.op else {
                    return;
                };
                let Some(token) = running.fetched else {
                    return;
                };
                let kept = expiry.as_secs() as u32;
                Op::Put(names[0], Record { token: token.id, received: sent, kept, name: names[0] })
            }
            Step::Use(token) => {
                let (issued, whose, _) = world.issued[usize::from(token.id)];
                if world.now() >= issued + LIFETIME {
                    world.wrong = Some(Wrong::Expired);
                } else if whose != tenant {
                    world.wrong = Some(Wrong::Foreign);
                }
                return self.hand_out(world, r, token);
            }
            Step::Fetched => {
                return match running.fetched {
                    Some(token) => self.hand_out(world, r, token),
                    None => world.end(r),
                };
            }
        };
    }

    fn hand_out(&self, world: &mut World, r: u8, token: Token) {
        let replica = &mut world.replicas[usize::from(r)];
        let before = replica.turn.as_ref().map_or(0, |running| running.rejected);
        if before & (1 << token.id) != 0 {
            world.wrong = Some(Wrong::Rejected);
        }
        replica.memory.hand_out(token.id);
        replica.given.insert(token.id, token.received);
        // A cache that was told so while the fetch was under way does not take it.
        replica.cached = Some(token).filter(|token| replica.rejected & (1 << token.id) == 0);
        world.end(r);
    }

    fn break_it(&self, world: &mut World, fault: Fault, r: u8) {
        world.faults += 1;
        match fault {
            Fault::RequestLost | Fault::AnswerLost => {
                if fault == Fault::AnswerLost {
                    self.linger(world, r);
                }
                world.fail(r);
                self.go_on(world, r, Duration::ZERO);
            }
            Fault::Delayed | Fault::Duplicated => {
                let Some((op, _)) = world.op(r) else {
                    return;
                };
                match op {
                    Op::Lease if fault == Fault::Delayed => {
                        world.under_way.push(Op::DeadLease(self.replicas[usize::from(r)].0[0]));
                    }
                    Op::Put(..) | Op::Delete(..) => world.under_way.push(op),
                    _ => {}
                }
                world.under_way.sort();
                match fault {
                    Fault::Delayed => world.fail(r),
                    _ => self.linger(world, r),
                }
                self.go_on(world, r, Duration::ZERO);
            }
            Fault::RecordForgotten => world.records[usize::from(r)] = None,
            Fault::LeaseForgotten => world.leases[usize::from(r)] = None,
            Fault::RecordReplayed => {
                if let Some((name, record)) = world.overwritten {
                    world.records[usize::from(name)] = Some(record);
                }
            }
            Fault::RecordsExchanged => world.records.swap(0, 1),
            Fault::Partitioned => {
                self.begin(world, r);
                let running = world.running(r);
                running.failed = true;
                let names = self.replicas[usize::from(r)].0.len();
                self.look_on(world, r, names as u8 - 1);
            }
            Fault::Crashed => {
                world.end(r);
                let ahead = world.replicas[usize::from(r)].ahead;
                world.replicas[usize::from(r)] = Replica { ahead, ..Replica::default() };
            }
            Fault::Cancelled => world.end(r),
            Fault::ServerFailed | Fault::ServerThrottled => {
                let throttled = fault == Fault::ServerThrottled;
                world.running(r).answer = Some(if throttled { Answer::Throttled } else { Answer::Failed });
                self.go_on(world, r, Duration::ZERO);
            }
            Fault::ClockSet => {
                let replica = &mut world.replicas[usize::from(r)];
                replica.ahead = 1 - replica.ahead;
            }
            Fault::Stalled | Fault::Slow => {}
        }
    }

    /// What happens of itself, fairly, when nothing breaks any more. `true`: everybody has a token in the end.
    fn recovers(&self, world: &World) -> bool {
        let mut world = world.clone();
        let everybody = 0..self.replicas.len() as u8;
        for _ in 0..40 {
            for r in everybody.clone() {
                let dead = world.lease_of(self, r).is_some_and(|lease| lease.is_dead());
                match world.op(r) {
                    Some((_, true)) => self.go(&mut world, &Action::GoOn(r)),
                    Some((Op::Lease, _)) if dead => self.go(&mut world, &Action::CarryOutAfterTheWait(r)),
                    Some(_) => self.go(&mut world, &Action::CarryOut(r)),
                    None if !world.has_token(r) => self.go(&mut world, &Action::Begin(r)),
                    None => {}
                }
            }
            if everybody.clone().all(|r| world.has_token(r)) {
                return true;
            }
        }
        false
    }

    /// The most requests there may be. Without faults: one for each lifetime, which is one at the start and one each time
    /// that the token is due, and one for each token that was rejected; for each tenant and seal key. A fault costs at
    /// most one for each replica, and so does a rejection where clocks differ: a token that was fetched after it may seem
    /// older than the rejected one.
    fn most(&self, world: &World) -> u32 {
        let replicas = self.replicas.len() as u32;
        let names = self.replicas.iter().flat_map(|(names, _)| *names).max().map_or(1, |name| u32::from(*name) + 1);
        let lifetimes = (1 + u32::from(world.ticks)) * names;
        let skewed = self.skewed || self.possible.contains(&Fault::ClockSet);
        let rejected = world.rejected.count_ones() * if skewed { replicas } else { 1 };
        lifetimes + rejected + u32::from(world.faults) * replicas
    }
}

impl World {
    fn now(&self) -> u32 {
        START + u32::from(self.ticks) * TICK
    }

    fn running(&mut self, r: u8) -> &mut Running {
        self.replicas[usize::from(r)].turn.as_mut().expect("it is at work")
    }

    /// What a replica asked for, and whether it was answered.
    fn op(&self, r: u8) -> Option<(Op, bool)> {
        let running = self.replicas[usize::from(r)].turn.as_ref()?;
        Some((running.op, running.answer.is_some()))
    }

    fn lease_of(&self, fleet: &Fleet, r: u8) -> Option<Lease> {
        self.leases[usize::from(fleet.replicas[usize::from(r)].0[0])]
    }

    /// What was asked for failed: of the store's operations, the last one in this turn.
    fn fail(&mut self, r: u8) {
        let running = self.running(r);
        running.answer = Some(Answer::Failed);
        running.failed |= !matches!(running.op, Op::Fetch(_));
    }

    /// The turn is over, and its lease nobody's.
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
        let mut properties = vec![
            Property::always("no expired token", |_, world: &World| world.wrong != Some(Wrong::Expired)),
            Property::always("no rejected token", |_, world: &World| world.wrong != Some(Wrong::Rejected)),
            Property::always("no foreign token", |_, world: &World| world.wrong != Some(Wrong::Foreign)),
            Property::always("few requests", |fleet: &Fleet, world: &World| {
                u32::from(world.requests) <= fleet.most(world)
            }),
        ];
        if self.progress {
            properties.push(Property::always("progress", Fleet::recovers));
        }
        if self.mutant.is_some() {
            return properties;
        }
        // What would make the rest mean little, if it did not happen.
        properties.push(Property::sometimes("as many requests as there may be", |fleet: &Fleet, world: &World| {
            u32::from(world.requests) == fleet.most(world)
        }));
        if self.replicas.iter().all(|(_, tenant)| *tenant == 0) {
            properties.push(Property::sometimes("another's token is used", |_: &Fleet, world: &World| {
                let of_another = |(r, replica): (usize, &Replica)| {
                    let token = replica.cached?;
                    Some(usize::from(world.issued[usize::from(token.id)].2) != r)
                };
                world.replicas.iter().enumerate().any(|one| of_another(one) == Some(true))
            }));
        }
        if self.possible.contains(&Fault::Delayed) {
            properties.push(Property::sometimes("a late record replaces a newer one", |_: &Fleet, world: &World| {
                world.records.iter().flatten().any(|record| usize::from(record.token) + 1 < world.issued.len())
                    && world.under_way.is_empty()
            }));
        }
        properties
    }
}

fn seconds(n: u32) -> Duration {
    Duration::from_secs(n.into())
}

fn moment(now: u32) -> Moment {
    Moment::new(seconds(now), seconds(now))
}

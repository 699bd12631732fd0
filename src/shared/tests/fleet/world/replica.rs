//! The replica: decisions of `protocol` and `record`, and the operations that they ask for.

use std::time::Duration;

use super::{Answer, Fleet, LIFETIME, Mutant, Op, Record, Running, Token, World, Wrong, moment, seconds};
use crate::cache::Schedule;
use crate::shared::protocol::{Admission, Event, Found, Step, Turn, WAIT, newer};
use crate::shared::record::{self, Dates};

impl Fleet {
    pub(super) fn begin(&self, world: &mut World, r: u8) {
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

    /// The replica gets its answer.
    pub(super) fn go_on(&self, world: &mut World, r: u8, waited: Duration) {
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

    /// Reads the next name, or decides.
    pub(super) fn look_on(&self, world: &mut World, r: u8, n: u8) {
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

    /// Decides, and starts the next operation.
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
                return self.return_token(world, r, token);
            }
            Step::Fetched => {
                return match running.fetched {
                    Some(token) => self.return_token(world, r, token),
                    None => world.end(r),
                };
            }
        };
    }

    fn return_token(&self, world: &mut World, r: u8, token: Token) {
        let replica = &mut world.replicas[usize::from(r)];
        let before = replica.turn.as_ref().map_or(0, |running| running.rejected);
        if before & (1 << token.id) != 0 {
            world.wrong = Some(Wrong::Rejected);
        }
        replica.memory.note_returned(token.id);
        replica.given.insert(token.id, token.received);
        // A cache does not accept a token that was rejected during the fetch.
        replica.cached = Some(token).filter(|token| replica.rejected & (1 << token.id) == 0);
        world.end(r);
    }
}

//! The faults, and their effects on the world.

use std::time::Duration;

use super::{Answer, Fleet, Op, Replica, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) enum Fault {
    /// A request to the store or the server is lost.
    RequestLost,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It is abandoned and carried out at any later time.
    Delayed,
    /// It is carried out, and once more at any later time.
    Duplicated,
    /// The store loses the record, the lease.
    RecordForgotten,
    LeaseForgotten,
    /// The store returns the record that was overwritten last.
    RecordReplayed,
    /// The records of two names are exchanged.
    RecordsExchanged,
    /// A replica cannot reach the store, or skips it.
    Partitioned,
    /// A process starts again.
    Crashed,
    /// The future of a call is dropped.
    Cancelled,
    /// Half a lifetime passes during a turn.
    Stalled,
    /// A replica with the lease takes longer than the others wait, or than its lease lasts.
    Slow,
    /// The server issues no token; asks for fewer requests.
    ServerFailed,
    ServerThrottled,
    /// A wall clock is set, by no more than clocks may differ.
    ClockSet,
}

impl Fleet {
    pub(super) fn break_it(&self, world: &mut World, fault: Fault, r: u8) {
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
}

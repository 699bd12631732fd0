//! The properties that hold in every state, and those that hold in some, without which the former would mean little.

use stateright::Property;

use super::{Action, Fault, Fleet, Op, Replica, World, Wrong};

impl Fleet {
    pub(super) fn promises(&self) -> Vec<Property<Self>> {
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
        // Without these, the properties above would mean little.
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

    /// Continues without faults, each replica in turn. Returns whether all of them have a token in the end.
    fn recovers(&self, world: &World) -> bool {
        let mut world = world.clone();
        let replicas = 0..self.replicas.len() as u8;
        for _ in 0..40 {
            for r in replicas.clone() {
                let dead = world.lease_of(self, r).is_some_and(|lease| lease.is_dead());
                match world.op(r) {
                    Some((_, true)) => self.go(&mut world, &Action::GoOn(r)),
                    Some((Op::Lease, _)) if dead => self.go(&mut world, &Action::CarryOutAfterTheWait(r)),
                    Some(_) => self.go(&mut world, &Action::CarryOut(r)),
                    None if !world.has_token(r) => self.go(&mut world, &Action::Begin(r)),
                    None => {}
                }
            }
            if replicas.clone().all(|r| world.has_token(r)) {
                return true;
            }
        }
        false
    }

    /// The largest number of requests. Without faults, for each tenant and seal key: one for each lifetime, which is
    /// one at the start and one each time that the token is due, and one for each token that was rejected. A fault
    /// costs at most one for each replica, and so does a rejection if clocks differ: a token that was fetched later may
    /// seem older than the rejected one.
    fn most(&self, world: &World) -> u32 {
        let replicas = self.replicas.len() as u32;
        let names = self.replicas.iter().flat_map(|(names, _)| *names).max().map_or(1, |name| u32::from(*name) + 1);
        let lifetimes = (1 + u32::from(world.ticks)) * names;
        let skewed = self.skewed || self.possible.contains(&Fault::ClockSet);
        let rejected = world.rejected.count_ones() * if skewed { replicas } else { 1 };
        lifetimes + rejected + u32::from(world.faults) * replicas
    }
}

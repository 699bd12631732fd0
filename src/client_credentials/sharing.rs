//! What of the configuration a shared store needs.

use crate::cache::CachePolicy;
use crate::clock::Clock;
use crate::observer::Observers;
use crate::shared::key::Key;
use crate::shared::{BoundTo, SealedStore, Shared};
use crate::source::TokenSource;

pub(super) struct Sharing {
    pub(super) store: SealedStore,
    pub(super) key: Key,
    pub(super) bound_to: BoundTo,
}

impl Sharing {
    pub(super) fn around(
        self,
        source: Box<dyn TokenSource>,
        policy: CachePolicy,
        clock: Clock,
        observers: Observers,
    ) -> Box<dyn TokenSource> {
        Box::new(Shared::assemble(source, self.store, self.key, self.bound_to, policy, clock, observers))
    }
}

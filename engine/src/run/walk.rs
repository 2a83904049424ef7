//! The targets of a run in the order of their turns.

use std::sync::Arc;

use megaping_probe::Targets;
use megaping_wire::Addr;

use crate::targets::{Permutation, TargetSet};

/// A target set, walked in a seeded pseudo-random order; shards share the set.
#[derive(Clone, Debug)]
pub struct Walk {
    set: Arc<TargetSet>,
    order: Permutation,
}

impl Walk {
    /// The walk over `set` that belongs to `seed`.
    #[must_use]
    pub fn new(set: Arc<TargetSet>, seed: u64) -> Walk {
        let order = Permutation::new(set.len(), seed);
        Walk { set, order }
    }
}

impl Targets for Walk {
    #[inline]
    fn len(&self) -> u64 {
        self.set.len()
    }

    #[inline]
    fn index(&self, turn: u64) -> u64 {
        self.order.at(turn)
    }

    fn turn(&self, index: u64) -> u64 {
        self.order.step_of(index)
    }

    #[inline]
    fn address(&self, index: u64) -> Addr {
        self.set.get(index)
    }
}

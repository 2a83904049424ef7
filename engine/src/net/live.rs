//! The targets that next hops are looked up for, where they may change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::targets::TargetSet;

/// A set that is replaced as a whole.
#[derive(Debug)]
pub struct LiveTargets {
    generation: AtomicU64,
    current: Mutex<Arc<TargetSet>>,
}

impl LiveTargets {
    /// The first set.
    #[must_use]
    pub fn new(targets: Arc<TargetSet>) -> LiveTargets {
        LiveTargets { generation: AtomicU64::new(0), current: Mutex::new(targets) }
    }

    /// Another set; routes and neighbours follow within a second.
    pub fn replace(&self, targets: Arc<TargetSet>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = targets;
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The set as it is.
    #[must_use]
    pub fn current(&self) -> Arc<TargetSet> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts the sets.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

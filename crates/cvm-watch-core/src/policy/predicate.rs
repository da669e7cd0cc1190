//! A caller's own idea of the target.

use alloc::sync::Arc;
use core::fmt;

use crate::cvm_state::CvmState;

/// Decides whether a state counts as the target.
#[derive(Clone)]
pub(crate) struct Predicate(Arc<dyn Fn(&CvmState) -> bool + Send + Sync>);

impl Predicate {
    pub(super) fn new(holds: impl Fn(&CvmState) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    pub(crate) fn holds(&self, state: &CvmState) -> bool {
        (self.0)(state)
    }
}

impl fmt::Debug for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Predicate")
    }
}

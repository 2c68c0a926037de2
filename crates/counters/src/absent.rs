//! Counters that are shared somewhere, and nobody has said where yet.

use sekisho_policy::Unavailable;
use sekisho_policy::op::Cause;

use crate::memory::{Limits, Memory};

/// Never answers; counts in this process for what counts alone.
#[derive(Debug)]
pub struct Absent {
    why: String,
    pub(crate) alone: Memory,
}

impl Absent {
    pub(crate) fn new(why: &str, alone: Limits) -> Self {
        Self {
            why: why.to_owned(),
            alone: Memory::new(alone),
        }
    }

    pub(crate) fn unavailable(&self) -> Unavailable {
        Unavailable {
            dependency: "counters".to_owned(),
            why: self.why.clone(),
            cause: Cause::Connection,
            alone: None,
        }
    }
}

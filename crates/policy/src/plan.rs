//! Seam 2: from an event to the counter operations it needs, and from their results to a decision.

use crate::decision::Decision;
use crate::event::Event;
use crate::op::{Op, Results, Unavailable};
use crate::ruleset::Ruleset;

/// What the rules ask of counters for one event, and what remains to be decided. `Send + Sync`.
#[derive(Debug)]
pub struct Plan<'a> {
    event: &'a Event,
    ops: Vec<Op>,
}

impl Ruleset {
    /// What the rules ask of counters for `event`, which has the facts that [`Ruleset::needs`] named.
    #[must_use]
    pub fn plan<'a>(&'a self, event: &'a Event) -> Plan<'a> {
        Plan {
            event,
            ops: Vec::new(),
        }
    }
}

impl Plan<'_> {
    /// The operations to run, all in one call. May be empty: then nothing needs to be called.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Decides. `results` answer [`Plan::ops`] in their order.
    ///
    /// Where the decision refuses although all gates passed, the caller gives the receipt back if
    /// [`crate::event::Stage::gives_back`] says so. [`Decision::records`] are applied whatever the verdict.
    #[must_use]
    pub fn decide(&self, _results: Result<&Results, &Unavailable>) -> Decision {
        todo!("{:?}", self.event)
    }
}

//! The brake: a rule that refuses too many known-good sessions falls back to `Shadow` until somebody resets it.

use std::sync::Arc;

use crate::decision::Decision;
use crate::ruleset::Ruleset;
use crate::snapshot::ObjectRef;
use crate::time::{Millis, Timestamp};

/// Over which time refusals are compared with sessions.
pub const WINDOW: Millis = Millis(5 * Millis::MINUTE.0);
/// So many known-good sessions at least must have been refused by one rule.
pub const MIN_REFUSED: u64 = 20;
/// More than one in so many known-good sessions must have been refused (1 %).
pub const ONE_IN: u64 = 100;

/// Watches the refusals of one gateway. A pure state machine: time is an argument.
#[derive(Clone, Debug, Default)]
pub struct Brake {}

/// What the brake has already counted of one session; kept with the session.
#[derive(Clone, Debug, Default)]
pub struct Watched {}

/// A rule that has tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// The rule's object.
    pub object: Arc<ObjectRef>,
    /// When.
    pub at: Timestamp,
    /// Known-good sessions that it refused in the window.
    pub refused: u64,
    /// Known-good sessions in the window.
    pub sessions: u64,
}

impl Brake {
    /// Counts one decision of a session; answers with the rules that trip by it.
    ///
    /// A session counts once, and once for each rule that refuses it, as soon as its network is known good
    /// ([`Decision::network`]). Rules with `brake: Off` never trip.
    pub fn observe(
        &mut self,
        _rules: &Ruleset,
        _at: Timestamp,
        _decision: &Decision,
        _session: &mut Watched,
    ) -> Vec<Trip> {
        todo!()
    }

    /// The rules that have tripped, for [`crate::Event::tripped`].
    #[must_use]
    pub fn tripped(&self) -> &[Trip] {
        todo!()
    }

    /// Puts a rule back in force and forgets its refusals; whether it had tripped.
    pub fn reset(&mut self, _object: &ObjectRef) -> bool {
        todo!()
    }
}

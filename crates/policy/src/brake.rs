//! The brake: a rule that refuses too many known-good users falls back to `Shadow` until somebody resets it.
//!
//! A bad country file must not refuse a nation. What is compared is accounts, each once in the window however many sessions it opens
//! and from however many networks: neither an infected machine that reconnects all day nor a stolen account trips a limit or hides that a
//! rule has gone wrong. Nor does whoever only claims to be others: before somebody was logged in, only a refusal for where the client
//! comes from counts, since no guess brings it about.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::decision::{Decision, Reason, Said};
use crate::event::{Event, Network};
use crate::matching::account_of;
use crate::ruleset::Ruleset;
use crate::snapshot::{self, Enforcement, ObjectRef};
use crate::time::{Millis, Timestamp};

/// Over which time refusals are compared with logins.
pub const WINDOW: Millis = Millis(5 * Millis::MINUTE.0);
/// So many accounts in known-good networks at least must have been refused by one rule.
pub const MIN_REFUSED: u64 = 20;
/// More than one in so many of such accounts must have been refused (1 %).
pub const ONE_IN: u64 = 100;
/// The most accounts that are remembered for the gateway, and for each rule; those beyond are not counted.
pub const MAX_ACCOUNTS: usize = 1 << 18;

/// The grain of the window.
const GRAIN: Millis = Millis::from_secs(10);

/// Watches the refusals of one gateway. A pure state machine: time is the events'.
#[derive(Clone, Debug, Default)]
pub struct Brake {
    seen: Recent,
    refused: HashMap<Arc<ObjectRef>, Recent>,
    trips: Vec<Trip>,
}

/// A rule that has tripped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trip {
    /// The rule's object.
    pub object: Arc<ObjectRef>,
    /// When.
    pub at: Timestamp,
    /// Accounts in known-good networks that it refused in the window.
    pub refused: u64,
    /// Accounts in known-good networks in the window.
    pub seen: u64,
}

impl Brake {
    /// Counts one decision; answers with the rules that trip by it.
    ///
    /// Every decision of a session is shown here; only those of known-good networks ([`Decision::network`]) count. Rules with
    /// `brake: Off` never trip.
    pub fn observe(&mut self, rules: &Ruleset, event: &Event, decision: &Decision) -> Vec<Trip> {
        let Some(account) = account_of(event).filter(|_| decision.network == Network::KnownGood)
        else {
            return Vec::new();
        };
        let mut hasher = DefaultHasher::new();
        account.hash(&mut hasher);
        let account = hasher.finish();
        self.seen.add(account, event.at);
        let is_proven = event.account.is_some();
        let mut tripped = Vec::new();
        for finding in &decision.findings {
            let refuses = matches!(finding.said, Said::Defer(_) | Said::Reject(_))
                && finding.enforcement == Enforcement::Enforce
                && (is_proven || is_for_origin(finding.said));
            if refuses && rules.brake(&finding.object) == Some(snapshot::Brake::Default) {
                tripped.extend(self.refuse(&finding.object, account, event.at));
            }
        }
        tripped
    }

    fn refuse(&mut self, object: &Arc<ObjectRef>, account: u64, at: Timestamp) -> Option<Trip> {
        if self.trips.iter().any(|trip| trip.object == *object) {
            return None;
        }
        let refused = self.refused.entry(object.clone()).or_default();
        refused.add(account, at);
        let (refused, seen) = (refused.len(at), self.seen.len(at));
        if refused < MIN_REFUSED || refused * ONE_IN <= seen {
            return None;
        }
        let trip = Trip {
            object: object.clone(),
            at,
            refused,
            seen,
        };
        self.refused.remove(object);
        self.trips.push(trip.clone());
        Some(trip)
    }

    /// The rules that have tripped, for [`crate::Event::tripped`].
    #[must_use]
    pub fn tripped(&self) -> &[Trip] {
        &self.trips
    }

    /// Puts a rule back in force and forgets its refusals; whether it had tripped.
    pub fn reset(&mut self, object: &ObjectRef) -> bool {
        let before = self.trips.len();
        self.trips.retain(|trip| *trip.object != *object);
        self.refused.remove(object);
        self.trips.len() < before
    }

    /// Forgets rules that `rules` no longer has.
    pub fn retain(&mut self, rules: &Ruleset) {
        self.trips
            .retain(|trip| rules.brake(&trip.object).is_some());
        self.refused
            .retain(|object, _| rules.brake(object).is_some());
    }
}

/// Whether it is refused for where the client comes from.
const fn is_for_origin(said: Said) -> bool {
    matches!(
        said,
        Said::Defer(Reason::CountryRefused | Reason::AbroadRefused)
            | Said::Reject(Reason::CountryRefused | Reason::AbroadRefused)
    )
}

/// The accounts of the last [`WINDOW`], each with the grain in which it was last seen.
#[derive(Clone, Debug, Default)]
struct Recent {
    last_seen: HashMap<u64, u64>,
    newest: u64,
}

impl Recent {
    fn add(&mut self, account: u64, at: Timestamp) {
        self.advance(at);
        // A clock that stepped back counts as now, not as long ago.
        let grain = self.newest;
        if self.last_seen.len() < MAX_ACCOUNTS || self.last_seen.contains_key(&account) {
            self.last_seen.insert(account, grain);
        }
    }

    fn len(&mut self, at: Timestamp) -> u64 {
        self.advance(at);
        self.last_seen.len() as u64
    }

    /// Forgets what has left the window, once in a grain.
    fn advance(&mut self, at: Timestamp) {
        let grain = at.0 / GRAIN.0;
        if grain > self.newest {
            self.newest = grain;
            let oldest = grain.saturating_sub(WINDOW.0 / GRAIN.0);
            self.last_seen.retain(|_, &mut seen| seen > oldest);
        }
    }
}

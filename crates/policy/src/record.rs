//! What the ledger keeps of one transaction: every event with its results and decision, so that it can be explained and replayed.

mod steps;

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{Account, Address};
use crate::decision::{Class, Decision};
use crate::event::{Event, Stage};
use crate::id::DecisionId;
use crate::op::{Op, Outcome, Unavailable};
use crate::snapshot::ObjectRef;
use crate::time::{Millis, Timestamp};

/// The most steps of one transaction that a record holds; what is left out is counted.
pub const MAX_STEPS: usize = 64;

/// One transaction, or one refusal outside a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Names the record; given to the client with the final 250.
    pub id: DecisionId,
    /// The gateway.
    pub gateway: Arc<ObjectRef>,
    /// The snapshot's generation, pinned for the transaction.
    pub generation: u64,
    /// Digest of that snapshot.
    pub digest: Arc<str>,
    /// When the first event happened.
    pub at: Timestamp,
    /// From the first event to the outcome.
    pub took: Millis,
    /// The account, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// The client's address.
    pub source: IpAddr,
    /// The class at the end.
    pub class: Class,
    /// What was asked and answered, in order.
    #[serde(with = "steps")]
    pub steps: Vec<Step>,
    /// Steps over [`MAX_STEPS`] that were left out (accepted recipients first).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps_left_out: u32,
    /// How it ended.
    pub end: End,
}

const fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One event, what counters answered, and what was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The event. Recipients are hashed unless the gateway says otherwise.
    pub event: Event,
    /// The counter operations of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<Op>,
    /// What they answered.
    pub answers: Result<Vec<Outcome>, Unavailable>,
    /// The decision.
    pub decision: Decision,
}

impl Step {
    /// What it takes of memory beside what it shares with others, in octets; an estimate that errs on the high side.
    #[must_use]
    pub fn octets(&self) -> u64 {
        // Two addresses of the greatest length, and what a short list of any kind has allocated.
        const TEXTS: usize = 1024;
        // An operation with its framed key, or a finding with its words.
        const ENTRY: usize = 256;
        let entries = self.ops.len()
            + self.answers.as_ref().map_or(1, Vec::len)
            + self.decision.findings.len()
            + self.decision.records.len();
        (size_of::<Self>() + TEXTS + ENTRY * entries) as u64
    }
}

/// `event` as the ledger keeps it where `privacy.recipients` is `Hashed`: recipients as `hash` gives them (the local part as a
/// keyed hash). Rules that look at a recipient's local part see the hash in a replay.
#[must_use]
pub fn redact(event: &Event, hash: &dyn Fn(&Address) -> Address) -> Event {
    let mut redacted = event.clone();
    if let Stage::Rcpt { recipient, .. } = &mut redacted.stage {
        *recipient = hash(recipient);
    }
    redacted
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The next hop took it.
    Delivered(Hop),
    /// We refused it.
    RefusedByPolicy {
        /// The reply, as the client saw it.
        reply: String,
    },
    /// The next hop refused it.
    RefusedByNextHop {
        /// Where.
        hop: Hop,
        /// The reply that the client got.
        reply: String,
    },
    /// The final dot was sent, and no reply came: it may have been delivered.
    Uncertain(Hop),
    /// Something of ours failed.
    Failed {
        /// What failed, for the operator.
        why: String,
        /// The reply that the client got.
        reply: String,
    },
    /// The client went away or started over before the end.
    Abandoned,
    /// Nothing was refused, and nothing was sent: a login that was let in, or a message that came back. The record is there for what
    /// rules made of it.
    Noted,
}

/// The next hop of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// The pool's name; absent for the gateway's upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Arc<str>>,
    /// The member's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<Arc<str>>,
    /// Where it was.
    pub address: String,
    /// The local address that the connection left from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// Its last reply, with its queue id.
    pub reply: String,
}

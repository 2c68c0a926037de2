//! How transactions ended since the start, and the last of them: what the start page shows. No account, no address.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sekisho_policy::decision::{Class, Said};
use sekisho_policy::record::{End, Record};
use sekisho_policy::{DecisionId, Timestamp};
use serde::Serialize;

const LATEST: usize = 20;

/// Counts records as they go to the ledger. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counted>>);

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counted {
    pub(crate) delivered: u64,
    pub(crate) refused_by_policy: u64,
    pub(crate) refused_by_next_hop: u64,
    pub(crate) uncertain: u64,
    pub(crate) failed: u64,
    pub(crate) abandoned: u64,
    /// The last ones, newest first.
    pub(crate) latest: VecDeque<Latest>,
}

/// One transaction, without the people in it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latest {
    pub(crate) id: DecisionId,
    pub(crate) at: Timestamp,
    pub(crate) class: Class,
    pub(crate) end: &'static str,
    /// The pool that took it, or the rule that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
}

impl Tally {
    /// Counts one record.
    pub fn count(&self, record: &Record) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, end) = match &record.end {
            End::Delivered(_) => (&mut counted.delivered, "delivered"),
            End::RefusedByPolicy { .. } => (&mut counted.refused_by_policy, "refused"),
            End::RefusedByNextHop { .. } => {
                (&mut counted.refused_by_next_hop, "refused by next hop")
            }
            End::Uncertain(_) => (&mut counted.uncertain, "uncertain"),
            End::Failed { .. } => (&mut counted.failed, "failed"),
            End::Abandoned => (&mut counted.abandoned, "abandoned"),
        };
        *count += 1;
        counted.latest.truncate(LATEST - 1);
        counted.latest.push_front(Latest {
            id: record.id,
            at: record.at,
            class: record.class,
            end,
            by: by(record),
        });
    }

    pub(crate) fn read(&self) -> Counted {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn by(record: &Record) -> Option<String> {
    match &record.end {
        End::Delivered(hop) | End::Uncertain(hop) | End::RefusedByNextHop { hop, .. } => {
            Some(hop.pool.as_deref().unwrap_or("upstream").to_owned())
        }
        End::RefusedByPolicy { .. } => record
            .steps
            .iter()
            .rev()
            .find(|step| step.decision.verdict.refusal().is_some())
            .and_then(|step| {
                step.decision
                    .findings
                    .iter()
                    .rev()
                    .find(|finding| matches!(finding.said, Said::Defer(_) | Said::Reject(_)))
            })
            .map(|finding| finding.object.to_string()),
        End::Failed { .. } | End::Abandoned => None,
    }
}

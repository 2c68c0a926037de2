//! How transactions ended since the start, and the last of them: what the start page shows. No account, no address.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use sekisho_policy::decision::{Class, Said};
use sekisho_policy::record::{End, Record};
use sekisho_policy::snapshot::Enforcement;
use sekisho_policy::{DecisionId, Timestamp};
use serde::{Serialize, Serializer};

const LATEST: usize = 20;
/// Parts of rules, and pools, that are told apart; the configuration has far fewer.
const MOST_PARTS: usize = 1000;
/// Names of objects and of parts are shorter. Records of other processes may say anything.
const LONGEST_NAME: usize = 600;

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
    /// Delivered messages by pool and class.
    #[serde(serialize_with = "by_pool_and_class")]
    pub(crate) by_pool_and_class: BTreeMap<PoolAndClass, u64>,
    /// What rules did, by object and part.
    #[serde(serialize_with = "by_rule")]
    pub(crate) by_rule: BTreeMap<Part, Effects>,
    /// The last ones, newest first.
    pub(crate) latest: VecDeque<Latest>,
}

/// A pool, or the upstream, and a class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct PoolAndClass {
    pub(crate) pool: String,
    pub(crate) class: Class,
}

/// A part of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Part {
    pub(crate) rule: String,
    pub(crate) part: String,
}

/// How often a part of a rule did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Effects {
    pub(crate) deferred: u64,
    pub(crate) refused: u64,
    pub(crate) worsened: u64,
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
            // It is no transaction.
            End::Noted => return,
        };
        *count += 1;
        if let End::Delivered(hop) = &record.end {
            let pool = short(hop.pool.as_deref().unwrap_or("upstream"));
            let class = record.class;
            let left = PoolAndClass { pool, class };
            let by = &mut counted.by_pool_and_class;
            if by.len() < MOST_PARTS || by.contains_key(&left) {
                *by.entry(left).or_default() += 1;
            }
        }
        counted.count_effects(record);
        counted.latest.truncate(LATEST - 1);
        counted.latest.push_front(Latest {
            id: record.id,
            at: record.at,
            class: record.class,
            end,
            by: by(record).map(|name| short(&name)),
        });
    }

    pub(crate) fn read(&self) -> Counted {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Counted {
    fn count_effects(&mut self, record: &Record) {
        let findings = record
            .steps
            .iter()
            .flat_map(|step| &step.decision.findings)
            .filter(|finding| finding.enforcement == Enforcement::Enforce);
        for finding in findings {
            let count: fn(&mut Effects) -> &mut u64 = match finding.said {
                Said::Defer(_) => |effects| &mut effects.deferred,
                Said::Reject(_) => |effects| &mut effects.refused,
                Said::Worsen(..) => |effects| &mut effects.worsened,
                _ => continue,
            };
            let part = Part {
                rule: short(&finding.object.to_string()),
                part: short(&finding.part),
            };
            if self.by_rule.len() < MOST_PARTS || self.by_rule.contains_key(&part) {
                *count(self.by_rule.entry(part).or_default()) += 1;
            }
        }
    }
}

/// A list, since keys of JSON objects are texts: `{"pool", "class", "messages"}`.
fn by_pool_and_class<S: Serializer>(
    counts: &BTreeMap<PoolAndClass, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        #[serde(flatten)]
        of: &'a PoolAndClass,
        messages: u64,
    }
    serializer.collect_seq(counts.iter().map(|(of, &messages)| Entry { of, messages }))
}

/// A list of `{"rule", "part", "deferred", "refused", "worsened"}`.
fn by_rule<S: Serializer>(
    effects: &BTreeMap<Part, Effects>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        #[serde(flatten)]
        of: &'a Part,
        #[serde(flatten)]
        effects: Effects,
    }
    serializer.collect_seq(effects.iter().map(|(of, &effects)| Entry { of, effects }))
}

fn short(name: &str) -> String {
    let mut end = LONGEST_NAME.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
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
                step.decision.findings.iter().find(|finding| {
                    finding.enforcement == Enforcement::Enforce
                        && matches!(finding.said, Said::Defer(_) | Said::Reject(_))
                })
            })
            .map(|finding| finding.object.to_string()),
        End::Failed { .. } | End::Abandoned | End::Noted => None,
    }
}

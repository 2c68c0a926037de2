//! What became of each message, as the ledger has it: its pool, and the rules that refused it or made its class worse.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Result;
use sekisho_policy::decision::Said;
use sekisho_policy::event::{Fact, Stage};
use sekisho_policy::record::{End, Record};
use sekisho_policy::snapshot::Enforcement;
use sekisho_policy::{DecisionId, Opinion};
use tokio::time::{Instant, sleep};

use super::run::Traffic;
use crate::server::Server;

/// What the ledger says of one message.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    /// The pool that it left by; the upstream has no name.
    pub(super) pool: Option<String>,
    /// What rules did to it, each once.
    pub(super) effects: BTreeSet<(RuleEffect, String)>,
    /// What content engines said, in their order; nothing if they were not asked.
    pub(super) opinions: Vec<Opinion>,
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RuleEffect {
    Deferred,
    Refused,
    /// It made the class `Suspect` or `Spam`.
    Worsened,
}

/// What is known of each message, by the ids that its client was told.
pub(super) type Outcomes = HashMap<DecisionId, Outcome>;

/// Asks the ledger for every id that a client was told, until it has written them down or `within` is over.
///
/// # Errors
/// The server does not answer.
pub(super) async fn learn(
    server: &Server,
    traffic: &Traffic,
    within: Duration,
) -> Result<Outcomes> {
    let until = Instant::now() + within;
    let ids: BTreeSet<DecisionId> = traffic
        .messages
        .iter()
        .flat_map(|message| [message.answer.id, message.answer.held_back])
        .flatten()
        .collect();
    let mut outcomes = Outcomes::new();
    for id in ids {
        let path = format!("/v1/records/{id}");
        loop {
            if let Some(record) = server.fetch::<Record>(&path).await? {
                outcomes.insert(id, Outcome::of(&record));
                break;
            }
            if Instant::now() >= until {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(outcomes)
}

impl Outcome {
    fn of(record: &Record) -> Self {
        let mut outcome = Self::default();
        if let End::Delivered(hop) | End::Uncertain(hop) = &record.end {
            let pool = hop.pool.as_deref().unwrap_or("the gateway's upstream");
            outcome.pool = Some(pool.to_owned());
        }
        for step in &record.steps {
            if let Stage::End(facts) = &step.event.stage
                && let Fact::Known(opinions) = &facts.opinions
            {
                outcome.opinions.clone_from(opinions);
            }
            let enforced = step
                .decision
                .findings
                .iter()
                .filter(|finding| finding.enforcement == Enforcement::Enforce);
            for finding in enforced {
                let effect = match finding.said {
                    Said::Defer(_) => RuleEffect::Deferred,
                    Said::Reject(_) => RuleEffect::Refused,
                    Said::Worsen(..) => RuleEffect::Worsened,
                    _ => continue,
                };
                let rule = format!(
                    "{}/{} {}",
                    finding.object.kind, finding.object.name, finding.part
                );
                outcome.effects.insert((effect, rule));
            }
        }
        outcome
    }

    /// Whether some rule made the class worse.
    pub(super) fn is_worsened(&self) -> bool {
        self.effects
            .iter()
            .any(|(effect, _)| *effect == RuleEffect::Worsened)
    }
}

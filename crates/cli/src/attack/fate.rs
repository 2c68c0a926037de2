//! What became of each message, as the ledger has it: its pool, and the rules that refused it or sent it another way.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Result;
use sekisho_policy::decision::Said;
use sekisho_policy::event::{Fact, Stage};
use sekisho_policy::record::{End, Record};
use sekisho_policy::snapshot::Enforcement;
use sekisho_policy::{DecisionId, Opinion};
use tokio::time::{Instant, sleep};

use super::play::Played;
use crate::server::Server;

/// What the ledger says of one message.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    /// The pool that it left by; the upstream has no name.
    pub(super) pool: Option<String>,
    /// What rules did to it, each once.
    pub(super) deeds: BTreeSet<(Deed, String)>,
    /// Whether some content engine gave it a score.
    pub(super) scored: Scored,
}

/// What a rule did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    Deferred,
    Refused,
    Rerouted,
}

/// Whether content engines had their say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scored {
    /// The policy has none, or the message never came so far.
    #[default]
    NotAsked,
    Out,
    Yes,
}

/// What is known of each message, by the ids that its client was told.
pub(super) type Fates = HashMap<DecisionId, Fate>;

/// Asks the ledger for every id that a client was told, until it has written them down or `within` is over.
///
/// # Errors
/// The server does not answer.
pub(super) async fn learn(server: &Server, played: &Played, within: Duration) -> Result<Fates> {
    let until = Instant::now() + within;
    let ids: BTreeSet<DecisionId> = played
        .messages
        .iter()
        .flat_map(|message| [message.answer.id, message.answer.held_back])
        .flatten()
        .collect();
    let mut fates = Fates::new();
    for id in ids {
        while let Some(record) = server
            .fetch::<Record>(&format!("/v1/records/{id}"))
            .await?
            .map_or_else(
                || (Instant::now() < until).then_some(None),
                |record| Some(Some(record)),
            )
        {
            if let Some(record) = record {
                fates.insert(id, Fate::of(&record));
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(fates)
}

impl Fate {
    fn of(record: &Record) -> Self {
        let mut fate = Self::default();
        if let End::Delivered(hop) | End::Uncertain(hop) = &record.end {
            fate.pool = Some(
                hop.pool
                    .as_deref()
                    .unwrap_or("the gateway's upstream")
                    .to_owned(),
            );
        }
        for step in &record.steps {
            if let Stage::End(facts) = &step.event.stage
                && let Fact::Known(opinions) = &facts.opinions
            {
                fate.scored = if opinions
                    .iter()
                    .any(|opinion| matches!(opinion, Opinion::Scored(_)))
                {
                    Scored::Yes
                } else {
                    Scored::Out
                };
            }
            let enforced = step
                .decision
                .findings
                .iter()
                .filter(|finding| finding.enforcement == Enforcement::Enforce);
            for finding in enforced {
                let deed = match finding.said {
                    Said::Defer(_) => Deed::Deferred,
                    Said::Reject(_) => Deed::Refused,
                    Said::Worsen(..) => Deed::Rerouted,
                    _ => continue,
                };
                let rule = format!(
                    "{:?}/{} {}",
                    finding.object.kind, finding.object.name, finding.part
                );
                fate.deeds.insert((deed, rule));
            }
        }
        fate
    }
}

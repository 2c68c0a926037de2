//! What runs in a cluster, as the local server shows it: nothing in this process, proxies elsewhere, which are asked what only they know.

use std::sync::Arc;

use sekisho_policy::errand::{Bounced, Done, Work};
use sekisho_policy::snapshot::{Kind, Snapshot};
use sekisho_policy::{Account, Fleet, ObjectRef};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::errands::{Errands, Undone};
use super::sources::Ready;
use crate::configs::Configs;
use crate::state::{Answer, NotHere, Points, Running, RunningGateway, Tallied, Unanswered};

/// Gateways that are asked at once about one account.
const ASKED_AT_ONCE: usize = 32;
/// So many reasons are given why something is not known.
const MOST_REASONS: usize = 3;

/// The gateways of a cluster.
pub struct FleetRunning {
    configs: Configs,
    fleet: watch::Receiver<Arc<Fleet>>,
    errands: Errands,
    ready: Ready,
}

impl FleetRunning {
    /// What is published, with the proxies that are connected. What sessions they have, they say themselves at `/metrics`. Until `ready` is
    /// set, nobody knows what there is.
    pub fn new(
        configs: Configs,
        fleet: watch::Receiver<Arc<Fleet>>,
        errands: Errands,
        ready: Ready,
    ) -> Self {
        Self {
            configs,
            fleet,
            errands,
            ready,
        }
    }

    async fn points(&self, namespace: &str, account: &Account) -> Points {
        if !self.ready.is_set() {
            return Points {
                known: Vec::new(),
                unknown: Some(UNREADY.to_owned()),
            };
        }
        let mut asked = JoinSet::new();
        let mut answers = Answers::default();
        for published in self.configs.of_namespace(namespace) {
            let snapshot = &published.envelope().snapshot;
            if !counts_points(snapshot) {
                continue;
            }
            while asked.len() >= ASKED_AT_ONCE {
                answers.take(asked.join_next().await);
            }
            let object = &snapshot.gateway.object;
            let gateway = format!("{}/{}", object.namespace, object.name);
            let (errands, account) = (self.errands.clone(), account.clone());
            asked.spawn(async move {
                let done = errands.ask(&gateway, Work::Scores { account }).await;
                (gateway, done)
            });
        }
        while let Some(answer) = asked.join_next().await {
            answers.take(Some(answer));
        }
        answers.points()
    }
}

const UNREADY: &str = "this replica of the control plane has not yet seen what there is; try again";

/// Where no rule counts, nothing speaks against anybody.
fn counts_points(snapshot: &Snapshot) -> bool {
    let mut rules = snapshot.rules.iter();
    rules.any(|rule| rule.object.kind == Kind::AbuseRule)
}

type Asked = Result<(String, Result<Done, Undone>), tokio::task::JoinError>;

/// What the gateways of a namespace said of an account.
#[derive(Default)]
struct Answers {
    known: Vec<Tallied>,
    unknown: Vec<String>,
}

impl Answers {
    fn take(&mut self, asked: Option<Asked>) {
        match asked {
            None => {}
            Some(Ok((gateway, Ok(Done::Scores { scores, .. })))) => {
                let of_gateway = scores.into_iter().map(|score| Tallied {
                    gateway: Some(gateway.clone()),
                    score,
                });
                self.known.extend(of_gateway);
            }
            Some(Ok((gateway, Err(why)))) => self.unknown.push(why.words(&gateway)),
            // The board takes no answer to another question.
            Some(Ok((gateway, Ok(_)))) => {
                self.unknown.push(Undone::NotAnswered.words(&gateway));
            }
            Some(Err(_)) => self.unknown.push("a gateway could not be asked".to_owned()),
        }
    }

    fn points(mut self) -> Points {
        self.known.sort_by(|a, b| {
            let place = |one: &Tallied| (one.score.rule.clone(), one.gateway.clone());
            place(a).cmp(&place(b))
        });
        // What is true of the control plane is true of all.
        self.unknown.sort();
        self.unknown.dedup();
        let more = self.unknown.len().saturating_sub(MOST_REASONS);
        self.unknown.truncate(MOST_REASONS);
        let mut unknown = self.unknown.join("; ");
        if more > 0 {
            unknown.push_str(&format!("; and so of {more} more gateways"));
        }
        Points {
            known: self.known,
            unknown: Some(unknown).filter(|why| !why.is_empty()),
        }
    }
}

impl Running for FleetRunning {
    fn gateways(&self) -> Answer<'_, Vec<RunningGateway>> {
        let fleet = Arc::clone(&self.fleet.borrow());
        let gateways = self.configs.all().into_iter().map(|published| {
            let object = &published.envelope().snapshot.gateway.object;
            let name = format!("{}/{}", object.namespace, object.name);
            RunningGateway {
                proxies: Some(fleet.get(&name).cloned().unwrap_or_default()),
                name,
                listeners: Vec::new(),
                tripped: Vec::new(),
            }
        });
        let gateways = gateways.collect();
        Box::pin(async { gateways })
    }

    fn reset_brake<'a>(&'a self, _rule: &'a ObjectRef) -> Answer<'a, Result<Vec<String>, NotHere>> {
        Box::pin(async {
            Err(NotHere(
                "in a cluster each proxy holds its own brakes, and the control plane has no way to them: set the rule's brake to Off, or delete the proxy's pod, which starts with the rule in force",
            ))
        })
    }

    fn scores<'a>(&'a self, namespace: &'a str, account: &'a Account) -> Answer<'a, Points> {
        Box::pin(self.points(namespace, account))
    }

    fn bounced<'a>(
        &'a self,
        gateway: &'a str,
        account: &'a Account,
        count: u64,
        of: Option<Bounced>,
    ) -> Answer<'a, Result<Option<u64>, Unanswered>> {
        Box::pin(async move {
            if !self.ready.is_set() {
                return Err(Unanswered {
                    why: UNREADY.to_owned(),
                    may_be_done: false,
                });
            }
            if !self.configs.has(gateway) {
                return Ok(None);
            }
            let work = Work::Bounced {
                account: account.clone(),
                count,
                message: of,
            };
            match self.errands.ask(gateway, work).await {
                Ok(Done::Bounced { counted }) => Ok(Some(counted)),
                // The board takes no answer to another question.
                Ok(_) => Err(unanswered(Undone::NotAnswered, gateway)),
                Err(why) => Err(unanswered(why, gateway)),
            }
        })
    }
}

fn unanswered(why: Undone, gateway: &str) -> Unanswered {
    Unanswered {
        why: why.words(gateway),
        may_be_done: !why.is_certain(),
    }
}

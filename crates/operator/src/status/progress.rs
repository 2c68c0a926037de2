//! How far the proxies of a gateway are with an object.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sekisho_policy::report::Revision;
use sekisho_policy::snapshot::{LadderStep, Rule, RuleSpec};
use sekisho_policy::{Envelope, ObjectRef, Report, Snapshot};
use sha2::{Digest as _, Sha256};

/// Of the connected proxies so many enforce it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) enforcing: usize,
    pub(crate) connected: usize,
    /// Which proxy refused it, and why.
    pub(crate) refused: Option<String>,
    /// A Secret that a proxy waits for.
    pub(crate) lacks: Option<String>,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.enforcing, self.connected)
    }
}

impl Progress {
    /// With that of another gateway that the object is attached to.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.enforcing += other.enforcing;
        self.connected += other.connected;
        self.refused = self.refused.or(other.refused);
        self.lacks = self.lacks.or(other.lacks);
        self
    }
}

/// What a proxy must have to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Rule,
    RuleAndSecrets,
}

/// Who of `proxies` enforces what came with the generation `since`. One that claims the newest generation must have its digest.
pub(crate) fn progress(
    since: u64,
    newest: Option<&Envelope>,
    proxies: Option<&BTreeMap<String, Arc<Report>>>,
    needs: Needs,
) -> Progress {
    let mut progress = Progress::default();
    for (name, report) in proxies.into_iter().flatten() {
        progress.connected += 1;
        let is_true = |revision: &&Revision| {
            newest.is_none_or(|newest| {
                newest.generation != revision.generation || newest.digest == revision.digest
            })
        };
        if report
            .in_force
            .as_ref()
            .filter(is_true)
            .is_some_and(|revision| revision.generation >= since)
        {
            match report
                .pending
                .first()
                .filter(|_| needs == Needs::RuleAndSecrets)
            {
                None => progress.enforcing += 1,
                Some(secret) => {
                    progress.lacks.get_or_insert_with(|| secret.clone());
                }
            }
        } else if let Some(refused) = report
            .refused
            .as_ref()
            .filter(|refused| refused.revision.generation >= since)
            && progress.refused.is_none()
        {
            progress.refused = Some(format!("the proxy {name} did not take it: {}", refused.why));
        }
    }
    progress
}

/// With which generation of a gateway's snapshot each object came to be as it is. A proxy that has that generation or a later
/// one enforces it, whatever else has changed since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Since(BTreeMap<ObjectRef, (Print, u64)>);

type Print = [u8; 32];

impl Since {
    /// Takes note of a gateway's newest snapshot.
    pub(crate) fn note(&mut self, snapshot: &Snapshot, generation: u64) {
        let mut next = BTreeMap::new();
        for (object, print) in prints(snapshot) {
            let since = match self.0.get(&object) {
                Some((before, since)) if *before == print => *since,
                _ => generation,
            };
            next.insert(object, (print, since));
        }
        self.0 = next;
    }

    /// Each object, and since which generation it is as it is.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ObjectRef, u64)> + '_ {
        self.0
            .iter()
            .map(|(object, (_, since))| (object.clone(), *since))
    }
}

fn prints(snapshot: &Snapshot) -> impl Iterator<Item = (ObjectRef, Print)> + '_ {
    let gateway = (snapshot.gateway.object.clone(), print(&snapshot.gateway));
    let rules = snapshot
        .rules
        .iter()
        .map(|rule| (rule.object.clone(), print(rule)));
    let pools = snapshot
        .pools
        .values()
        .map(|pool| (pool.object.clone(), print(pool)));
    let channels: BTreeMap<_, _> = snapshot
        .rules
        .iter()
        .flat_map(steps)
        .flat_map(|step| &step.notify)
        .map(|channel| (channel.object.clone(), print(channel)))
        .collect();
    std::iter::once(gateway)
        .chain(rules)
        .chain(pools)
        .chain(channels)
}

fn steps(rule: &Rule) -> &[LadderStep] {
    match &rule.spec {
        RuleSpec::AbuseRule(abuse) => &abuse.ladder,
        _ => &[],
    }
}

fn print(value: &impl serde::Serialize) -> Print {
    // Snapshots are plain data: they serialize.
    let json = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(&json).into()
}

//! Who is told of what a rule imposed: a letter for each channel that the rule's step names, in whichever published snapshot.

use sekisho_policy::restriction::Origin;
use sekisho_policy::snapshot::{Channel, LadderStep, Rule, RuleSpec};
use sekisho_policy::states::Imposition;
use sekisho_policy::{Millis, Timestamp};
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::NoticeResult;
use sekisho_store::{Letter, Posted};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::configs::Configs;

/// A message is given up after so long; what began before is not told at all. A proxy tells a new store all that its rules imposed, and
/// nobody wants to hear of last month's.
pub const GIVE_UP: Millis = Millis(72 * Millis::HOUR.0);

/// The messages about what a rule imposed on an account of a namespace.
pub fn letters(
    configs: &Configs,
    namespace: &str,
    imposition: &Imposition,
    now: Timestamp,
) -> Vec<Letter> {
    if now.since(imposition.restriction.since) > GIVE_UP {
        return Vec::new();
    }
    let channels = channels(configs, namespace, imposition);
    channels
        .iter()
        .map(|channel| letter(namespace, imposition, channel, now))
        .collect()
}

/// A channel as it is now; nothing where no step of a rule names it any more.
pub fn channel(configs: &Configs, namespace: &str, name: &str) -> Option<Channel> {
    configs
        .of_namespace(namespace)
        .iter()
        .find_map(|published| {
            let rules = &published.envelope().snapshot.rules;
            let mut channels = rules.iter().flat_map(ladder).flat_map(|step| &step.notify);
            channels
                .find(|channel| channel.object.name == name)
                .cloned()
        })
}

/// Says which messages found no room, to whoever looks after this process.
pub fn note(metrics: &Metrics, namespace: &str, posted: &Posted) {
    for (channel, count) in &posted.refused {
        metrics.notices(NoticeResult::NoRoom, u64::from(*count));
        tracing::error!(
            namespace,
            channel,
            count,
            "too many messages wait for channels of this namespace: these are not told"
        );
    }
}

/// The channels that the rule's step names, at whichever gateway.
fn channels(configs: &Configs, namespace: &str, imposition: &Imposition) -> Vec<Channel> {
    let restriction = &imposition.restriction;
    let Origin::Rule(rule) = &restriction.origin else {
        return Vec::new();
    };
    let mut channels: Vec<Channel> = Vec::new();
    for published in configs.of_namespace(namespace) {
        let rules = published.envelope().snapshot.rules.iter();
        let steps = rules.filter(|own| own.object == *rule).flat_map(ladder);
        let steps = steps.filter(|step| step.level == restriction.level);
        channels.extend(steps.flat_map(|step| step.notify.iter().cloned()));
    }
    channels.sort_by(|one, other| one.object.cmp(&other.object));
    channels.dedup_by(|one, other| one.object == other.object);
    channels
}

fn ladder(rule: &Rule) -> &[LadderStep] {
    match &rule.spec {
        RuleSpec::AbuseRule(abuse) => &abuse.ladder,
        _ => &[],
    }
}

fn letter(namespace: &str, imposition: &Imposition, channel: &Channel, now: Timestamp) -> Letter {
    let Imposition {
        account,
        restriction,
    } = imposition;
    // The same restriction is the same message, whoever brings it, to whichever store, and however often. The decision has 60 random
    // bits, so that nobody who sees an id in a log finds the account by trying names.
    let name = json!([
        namespace,
        account,
        restriction.origin,
        restriction.since,
        restriction.decision,
        channel.object
    ]);
    let digest = Sha256::digest(name.to_string());
    let id: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    let body = json!({
        "id": id,
        "type": "account.restricted",
        "at": now,
        "namespace": namespace,
        "account": account,
        "restriction": restriction.clone().bounded().begun_by(now),
    });
    Letter {
        id,
        namespace: namespace.to_owned(),
        channel: channel.object.name.clone(),
        created: now,
        attempts: 0,
        body: body.to_string(),
    }
}

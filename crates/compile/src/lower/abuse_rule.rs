//! `AbuseRule`.

use sekisho_crd::{AbuseRuleSpec, RestrictionLevel, SignalName};
use sekisho_policy::Signal;
use sekisho_policy::restriction::Level;
use sekisho_policy::snapshot::{AbuseRule, Exempt, LadderStep, SignalMark};

use super::shared::{Context, exempt, millis, sorted};

/// The rule.
pub(crate) fn abuse_rule(spec: &AbuseRuleSpec, context: &Context) -> AbuseRule {
    let mark = |mark: &sekisho_crd::SignalMark| SignalMark {
        signal: signal(mark.signal),
        count: mark.count,
        per: millis(&mark.per),
        points: mark.points,
    };
    let step = |step: &sekisho_crd::LadderStep| LadderStep {
        at: step.at,
        requires: sorted(step.requires.iter().copied().map(signal)),
        level: level(step.restrict.level),
        term: step.restrict.term.as_ref().map(millis),
        recipients_per_hour: step.restrict.recipients_per_hour,
        notify: step
            .notify
            .iter()
            .filter_map(|to| context.channels.get(to.name.as_str()).cloned())
            .collect(),
    };
    let mut signals: Vec<SignalMark> = spec.signals.iter().map(mark).collect();
    signals.sort_by_key(|mark| mark.signal);
    let mut ladder: Vec<LadderStep> = spec.ladder.iter().map(step).collect();
    ladder.sort_by_key(|step| step.at);
    AbuseRule {
        exempt: spec
            .exempt
            .as_ref()
            .map_or_else(Exempt::default, |spec| exempt(spec, context)),
        signals,
        decay: millis(&spec.decay),
        growth: spec.growth,
        max_for: millis(&spec.max_for),
        ladder,
    }
}

pub(super) fn level(level: RestrictionLevel) -> Level {
    match level {
        RestrictionLevel::Watch => Level::Watch,
        RestrictionLevel::Limit => Level::Limit,
        RestrictionLevel::Quarantine => Level::Quarantine,
        RestrictionLevel::Suspend => Level::Suspend,
    }
}

fn signal(name: SignalName) -> Signal {
    match name {
        SignalName::UnknownRecipients => Signal::UnknownRecipients,
        SignalName::FirstTimeRecipients => Signal::FirstTimeRecipients,
        SignalName::DistinctCountries => Signal::DistinctCountries,
        SignalName::DistinctSources => Signal::DistinctSources,
        SignalName::DistinctAsns => Signal::DistinctAsns,
        SignalName::SpamVerdicts => Signal::SpamVerdicts,
        SignalName::AuthFailures => Signal::AuthFailures,
        SignalName::SenderMismatch => Signal::SenderMismatch,
        SignalName::DecoyTouched => Signal::DecoyTouched,
    }
}

//! Signals that nothing can set off at a gateway, and steps that anybody can bring an account to.

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, Enforcement, LoginGuardSpec, MailGatewaySpec,
    NotificationChannelSpec, RestrictionLevel, SenderCheck, SignalMark, SignalName,
    SubmissionPolicySpec,
};

use super::applies::{NAME_DATABASE, has_asns, no_database};
use super::names;
use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::objects::{Objects, name_of};
use crate::rules::RuleKind;
use crate::suggest::did_you_mean;
use crate::view::{View, valid};

pub(super) fn check(index: &Index<'_>, out: &mut Vec<Diagnostic>) {
    for gateway in valid::<MailGatewaySpec>(index.objects) {
        for &view in index.attached::<AbuseRuleSpec>(gateway.key) {
            for (at, mark) in view.spec.signals.iter().enumerate() {
                if let Some((why, remedy)) = never_seen(mark.signal, gateway, index) {
                    let (name, gateway) = (
                        mark.signal.as_str(),
                        name_of::<MailGatewaySpec>(gateway.key),
                    );
                    let message = format!("{name} is never seen at {gateway}: {why}");
                    let field = format!("signals[{at}].signal");
                    let diagnostic = view.warning(Code::SignalNeverSeen, &field, message);
                    out.push(diagnostic.mend(remedy));
                }
            }
        }
    }
    for view in valid::<AbuseRuleSpec>(index.objects) {
        others_doing(view, out);
        channels(view, index.objects, out);
    }
}

/// Why a signal cannot come, and what would let it.
fn never_seen(
    signal: SignalName,
    gateway: View<'_, MailGatewaySpec>,
    index: &Index<'_>,
) -> Option<(String, &'static str)> {
    match signal {
        SignalName::DistinctAsns if !has_asns(gateway) => {
            Some((no_database(gateway), NAME_DATABASE))
        }
        SignalName::SpamVerdicts if !classifies(gateway, index) => Some((
            "nothing there classifies messages".to_owned(),
            "give its SubmissionPolicy spec.classify",
        )),
        SignalName::DecoyTouched if !has_decoys(gateway, index) => Some((
            "there are no decoys".to_owned(),
            "name some in spec.decoys of its LoginGuard",
        )),
        SignalName::SenderMismatch if !checks_senders(gateway, index) => Some((
            "no rule there checks senders".to_owned(),
            "give its SubmissionPolicy sender.envelope or sender.header MustMatchAccount",
        )),
        _ => None,
    }
}

/// The rules of a kind that look at something.
fn live<'i, 'a: 'i, S: RuleKind>(
    gateway: View<'_, MailGatewaySpec>,
    index: &'i Index<'a>,
) -> impl Iterator<Item = &'a S> + 'i {
    let attached = index.attached::<S>(gateway.key).iter();
    attached
        .map(|view| view.spec)
        .filter(|spec| spec.enforcement() != Enforcement::Off)
}

fn classifies(gateway: View<'_, MailGatewaySpec>, index: &Index<'_>) -> bool {
    live::<SubmissionPolicySpec>(gateway, index).any(|policy| policy.classify.is_some())
}

fn has_decoys(gateway: View<'_, MailGatewaySpec>, index: &Index<'_>) -> bool {
    live::<LoginGuardSpec>(gateway, index).any(|guard| guard.decoys.is_some())
}

fn checks_senders(gateway: View<'_, MailGatewaySpec>, index: &Index<'_>) -> bool {
    let own = SenderCheck::MustMatchAccount;
    let policies = &mut live::<SubmissionPolicySpec>(gateway, index);
    let countries = &mut live::<CountryRuleSpec>(gateway, index);
    policies.any(|policy| policy.sender.envelope == own || policy.sender.header == own)
        || countries.any(|country| country.then.sender == Some(own))
}

/// Channels that are not there. The rule restricts all the same: a typo in a name frees nobody.
fn channels(view: View<'_, AbuseRuleSpec>, objects: &Objects, out: &mut Vec<Diagnostic>) {
    let namespace = &view.key.namespace;
    let known = names::<NotificationChannelSpec>(objects, namespace);
    for (at, step) in view.spec.ladder.iter().enumerate() {
        for (which, to) in step.notify.iter().enumerate() {
            let name = to.name.as_str();
            if known.clone().any(|known| known == name) {
                continue;
            }
            let remedy = did_you_mean(name, known.clone(), || "add one".to_owned());
            let message =
                format!("there is no NotificationChannel {name} in the namespace {namespace}");
            let field = format!("ladder[{at}].notify[{which}].name");
            out.push(
                view.error(Code::ChannelNotFound, &field, message)
                    .mend(remedy),
            );
        }
    }
}

/// Wrong passwords are anybody's to try: a step that they alone lead to lets a stranger stop a customer's mail.
fn others_doing(view: View<'_, AbuseRuleSpec>, out: &mut Vec<Diagnostic>) {
    let spec = view.spec;
    let failures = spec
        .signals
        .iter()
        .find(|mark| mark.signal == SignalName::AuthFailures);
    let Some(failures) = failures else { return };
    let most = most_points(failures, spec.decay.as_millis());
    for (at, step) in spec.ladder.iter().enumerate() {
        let alone = step
            .requires
            .iter()
            .all(|signal| *signal == SignalName::AuthFailures);
        if alone && step.restrict.level != RestrictionLevel::Watch && u64::from(step.at) <= most {
            let message = format!(
                "AuthFailures alone lead here (up to {most} points), and anybody can try passwords: a stranger could have an account \
                 restricted"
            );
            let field = format!("ladder[{at}].at");
            let diagnostic = view.warning(Code::OthersDoing, &field, message);
            out.push(
                diagnostic
                    .mend("name a signal in requires that takes the password, or use fewer points"),
            );
        }
    }
}

/// The most points of one signal that an account can have at once.
fn most_points(mark: &SignalMark, decay: u64) -> u64 {
    let (per, points) = (mark.per.as_millis().max(1), u128::from(mark.points));
    let (decay, per) = (u128::from(decay.max(1)), u128::from(per));
    // Counters keep no more awards than that.
    let awards = (0..64u128).take_while(|nth| nth * per < decay);
    let sum: u128 = awards.map(|nth| points * (decay - nth * per)).sum();
    u64::try_from(sum.div_ceil(decay)).unwrap_or(u64::MAX)
}

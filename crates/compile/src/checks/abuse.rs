//! Signals that nothing can set off at a gateway, and steps that anybody can bring an account to.

use sekisho_crd::{
    AbuseRuleSpec, CountersType, CountryRuleSpec, Enforcement, LoginGuardSpec, MailGatewaySpec,
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
                if mark.signal == SignalName::FirstTimeRecipients
                    && gateway.spec.counters.type_ == CountersType::Memory
                {
                    out.push(forgets(view, at, gateway));
                }
            }
        }
    }
    for view in valid::<AbuseRuleSpec>(index.objects) {
        others_doing(view, out);
        channels(view, index.objects, out);
    }
}

/// Whom accounts write to is forgotten with the process, and nobody is new for the fortnight that it takes to learn it again.
fn forgets(
    view: View<'_, AbuseRuleSpec>,
    at: usize,
    gateway: View<'_, MailGatewaySpec>,
) -> Diagnostic {
    let gateway = name_of::<MailGatewaySpec>(gateway.key);
    let message = format!(
        "{gateway} counts in memory: after each restart FirstTimeRecipients only learns, and is not seen for 14 days"
    );
    let diagnostic = view.warning(
        Code::SignalForgotten,
        &format!("signals[{at}].signal"),
        message,
    );
    diagnostic.mend("let the gateway count in Redis (spec.counters)")
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

/// What strangers can set off: wrong passwords are anybody's to try, and decoys anybody's to touch who shares an address with a
/// customer. A step that such signals alone lead to, together or each, lets a stranger stop a customer's mail.
const OTHERS: [(SignalName, &str); 2] = [
    (SignalName::AuthFailures, "try passwords"),
    (
        SignalName::DecoyTouched,
        "touch decoys from an address that many share",
    ),
];

fn others_doing(view: View<'_, AbuseRuleSpec>, out: &mut Vec<Diagnostic>) {
    let spec = view.spec;
    let marks: Vec<(&SignalMark, &str)> = OTHERS
        .iter()
        .filter_map(|(signal, how)| {
            let mark = spec.signals.iter().find(|mark| mark.signal == *signal)?;
            Some((mark, *how))
        })
        .collect();
    let most = |(mark, _): &(&SignalMark, &str)| most_points(mark, spec.decay.as_millis());
    let all: u64 = marks.iter().map(most).fold(0, u64::saturating_add);
    for (at, step) in spec.ladder.iter().enumerate() {
        let is_theirs = |signal: &SignalName| marks.iter().any(|(mark, _)| mark.signal == *signal);
        let refuses = step.restrict.level != RestrictionLevel::Watch;
        let reached = !marks.is_empty() && u64::from(step.at) <= all;
        if !refuses || !reached || !step.requires.iter().all(is_theirs) {
            continue;
        }
        // Those that suffice alone are named; where none does, it takes all of them.
        let suffices = |one: &&(&SignalMark, &str)| {
            let needed = step.requires.iter().all(|signal| *signal == one.0.signal);
            needed && u64::from(step.at) <= most(one)
        };
        let alone: Vec<_> = marks.iter().filter(suffices).collect();
        let (named, how) = match alone.is_empty() {
            true => (marks.iter().collect(), "together"),
            false => (alone, "alone"),
        };
        out.push(warn_of_others(view, at, &named, how, most));
    }
}

fn warn_of_others<'m>(
    view: View<'_, AbuseRuleSpec>,
    at: usize,
    named: &[&'m (&'m SignalMark, &'m str)],
    how: &str,
    most: impl Fn(&(&'m SignalMark, &'m str)) -> u64,
) -> Diagnostic {
    let list = |of: &dyn Fn(&(&'m SignalMark, &'m str)) -> String, glue: &str| {
        let each: Vec<String> = named.iter().map(|one| of(one)).collect();
        each.join(glue)
    };
    let signals = list(&|(mark, _)| mark.signal.as_str().to_owned(), " and ");
    let points = list(&|one| most(one).to_string(), " and ");
    let doings = list(&|(_, doing)| (*doing).to_owned(), " and ");
    let message = format!(
        "{signals} {how} can lead here (up to {points} points), and anybody can {doings}: a stranger could have an account restricted"
    );
    let field = format!("ladder[{at}].at");
    let diagnostic = view.warning(Code::OthersDoing, &field, message);
    diagnostic.mend("name a signal in requires that takes the password, or use fewer points")
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

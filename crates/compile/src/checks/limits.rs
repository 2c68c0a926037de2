//! Limits that are there twice, and limits that another one always reaches first.

use sekisho_crd::{
    CountryRuleSpec, Enforcement, KeyPart, Limit, OnExceed, OwnLimits, RateLimitSpec,
    SubmissionPolicySpec,
};

use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::objects::{Spec, name_of};
use crate::view::{View, valid};

pub(super) fn check(index: &Index<'_>, out: &mut Vec<Diagnostic>) {
    let objects = index.objects;
    for view in valid::<RateLimitSpec>(objects) {
        within(view, "limits", &view.spec.limits, out);
        for (index, each) in view.spec.overrides.iter().enumerate() {
            within(
                view,
                &format!("overrides[{index}].limits"),
                &each.limits,
                out,
            );
        }
    }
    for view in valid::<CountryRuleSpec>(objects) {
        within(view, "then.limits", &view.spec.then.limits, out);
    }
    for gateway in objects.gateways.keys() {
        let limits = index.attached::<RateLimitSpec>(gateway);
        let countries = index.attached::<CountryRuleSpec>(gateway);
        for tight in limits.iter().filter(|view| always_refuses(view.spec)) {
            for loose in limits.iter().filter(|loose| loose.key != tight.key) {
                if same_key(&loose.spec.key, &tight.spec.key) {
                    across(*loose, "limits", &loose.spec.limits, *tight, out);
                }
            }
            for loose in countries
                .iter()
                .filter(|_| tight.spec.key == [KeyPart::Account])
            {
                across(*loose, "then.limits", &loose.spec.then.limits, *tight, out);
            }
        }
        for &policy in index.attached::<SubmissionPolicySpec>(gateway) {
            countries
                .iter()
                .for_each(|loose| recipients(*loose, policy, out));
        }
    }
}

/// Whether nothing that this object counts gets past its limits.
fn always_refuses(spec: &RateLimitSpec) -> bool {
    spec.enforcement == Enforcement::Enforce
        && spec.matching.is_none()
        && spec.overrides.is_empty()
        && spec.own_limits != OwnLimits::Replace
        // A release forgets what was used of one that restricts, and of others nothing.
        && matches!(spec.on_exceed, OnExceed::Defer | OnExceed::Reject)
}

fn same_key(one: &[KeyPart], other: &[KeyPart]) -> bool {
    one.len() == other.len() && one.iter().all(|part| other.contains(part))
}

/// Whether `tight` lets so little through that `loose` is never reached: in a window of `loose`, at most as many times
/// `tight.count` as windows of `tight` cover it.
fn never_reached(loose: &Limit, tight: &Limit) -> bool {
    if loose.unit != tight.unit {
        return false;
    }
    let windows = loose.per.as_millis().div_ceil(tight.per.as_millis().max(1));
    tight.count.saturating_mul(windows) <= loose.count
}

/// Two limits of one list.
fn within<S: Spec>(view: View<'_, S>, list: &str, limits: &[Limit], out: &mut Vec<Diagnostic>) {
    for (index, limit) in limits.iter().enumerate() {
        let twin = |other: &Limit| other.unit == limit.unit && other.per == limit.per;
        if limits[..index].iter().any(twin) {
            let message = format!(
                "there is already a limit of {} in a window as long as {}",
                limit.unit.as_str(),
                limit.per
            );
            out.push(
                view.error(Code::DuplicateItem, &format!("{list}[{index}]"), message)
                    .mend("keep one of them"),
            );
            continue;
        }
        let tighter = limits
            .iter()
            .find(|other| !twin(other) && never_reached(limit, other));
        if let Some(tight) = tighter {
            out.push(unreached(
                view,
                list,
                index,
                limit,
                &format!("{} in {}", tight.count, tight.per),
            ));
        }
    }
}

/// A limit that is never reached because of another object.
fn across<S: Spec>(
    loose: View<'_, S>,
    list: &str,
    limits: &[Limit],
    tight: View<'_, RateLimitSpec>,
    out: &mut Vec<Diagnostic>,
) {
    for (index, limit) in limits.iter().enumerate() {
        // Of two that are alike, the later by name is the one too many.
        let alike = |other: &Limit| other.count == limit.count && other.per == limit.per;
        let name = (name_of::<S>(loose.key), name_of::<RateLimitSpec>(tight.key));
        let reaches =
            |other: &&Limit| never_reached(limit, other) && (!alike(other) || name.0 > name.1);
        if let Some(other) = tight.spec.limits.iter().find(reaches) {
            let by = format!("{} in {} of {}", other.count, other.per, name.1);
            out.push(unreached(loose, list, index, limit, &by));
        }
    }
}

fn unreached<S: Spec>(
    view: View<'_, S>,
    list: &str,
    index: usize,
    limit: &Limit,
    by: &str,
) -> Diagnostic {
    let message = format!(
        "{} {} in {} are never reached",
        limit.count,
        limit.unit.as_str(),
        limit.per
    );
    let diagnostic = view.warning(Code::NeverTriggers, &format!("{list}[{index}]"), message);
    diagnostic.mend(format!(
        "{by} is reached first; leave this one out or make it smaller"
    ))
}

/// A cap for some countries that is above the cap for everybody.
fn recipients(
    loose: View<'_, CountryRuleSpec>,
    policy: View<'_, SubmissionPolicySpec>,
    out: &mut Vec<Diagnostic>,
) {
    let Some(cap) = loose.spec.then.recipients_per_message else {
        return;
    };
    let most = policy.spec.message.max_recipients;
    let everybody =
        policy.spec.matching.is_none() && policy.spec.enforcement == Enforcement::Enforce;
    if everybody && cap >= most {
        let message = format!("{cap} recipients are never reached");
        let name = name_of::<SubmissionPolicySpec>(policy.key);
        let diagnostic = loose.warning(Code::NeverTriggers, "then.recipientsPerMessage", message);
        out.push(diagnostic.mend(format!("spec.message.maxRecipients of {name} is {most}")));
    }
}

#[cfg(test)]
mod tests {
    use sekisho_crd::LimitUnit;

    use super::*;

    fn limit(count: u64, per: &str) -> Limit {
        Limit {
            unit: LimitUnit::Recipients,
            count,
            per: per.parse().unwrap(),
        }
    }

    #[test]
    fn a_limit_is_reached_unless_the_other_always_is_first() {
        for (loose, tight, never) in [
            (limit(1000, "24h"), limit(200, "1h"), false),
            (limit(4800, "24h"), limit(200, "1h"), true),
            (limit(4799, "24h"), limit(200, "1h"), false),
            (limit(200, "30m"), limit(200, "1h"), true),
            (limit(199, "30m"), limit(200, "1h"), false),
            (limit(400, "90m"), limit(200, "1h"), true),
            (limit(399, "90m"), limit(200, "1h"), false),
            (limit(u64::MAX, "8784h"), limit(u64::MAX, "1s"), true),
        ] {
            assert_eq!(never_reached(&loose, &tight), never, "{loose:?} {tight:?}");
        }
    }
}

//! Limits of accounts' own that no rule goes by. They are taken all the same, since the rule may come later; whoever sets one is told.

use std::collections::BTreeSet;

use sekisho_policy::Millis;
use sekisho_policy::settings::OwnLimit;
use sekisho_policy::snapshot::{KeyPart, Limit, OwnLimits, RateLimit, RuleSpec, Unit};

use crate::configs::Configs;

/// The most warnings of one answer.
const MOST: usize = 20;

/// What is to be said of limits that accounts of a namespace have of their own, by the rules that its gateways have now. Where none of
/// them is known here, nothing.
pub(crate) fn warnings<'l>(
    configs: &Configs,
    namespace: &str,
    limits: impl IntoIterator<Item = &'l OwnLimit>,
) -> Vec<String> {
    let places = |own: &'l OwnLimit| (&*own.rule, own.unit, own.per);
    let named: BTreeSet<(&str, Unit, Millis)> = limits.into_iter().map(places).collect();
    if named.is_empty() {
        return Vec::new();
    }
    let published = configs.of_namespace(namespace);
    if published.is_empty() {
        return Vec::new();
    }
    let rules: Vec<(&str, &RateLimit)> = published
        .iter()
        .flat_map(|published| &published.envelope().snapshot.rules)
        .filter_map(|rule| match &rule.spec {
            RuleSpec::RateLimit(limit) => Some((rule.object.name.as_str(), limit)),
            _ => None,
        })
        .collect();
    let unheeded = |&(rule, unit, per): &(&str, Unit, Millis)| {
        let why = unheeded(&rules, rule, unit, per)?;
        Some(format!("{unit:?} in {per} of {rule} does nothing: {why}"))
    };
    named.iter().filter_map(unheeded).take(MOST).collect()
}

/// Why nothing goes by a limit, if nothing does.
fn unheeded(rules: &[(&str, &RateLimit)], rule: &str, unit: Unit, per: Millis) -> Option<String> {
    let of_name = || rules.iter().filter(|(name, _)| *name == rule);
    if of_name().next().is_none() {
        let names: BTreeSet<&str> = rules.iter().map(|(name, _)| *name).collect();
        let names: Vec<&str> = names.into_iter().take(MOST).collect();
        return Some(match names[..] {
            [] => "the gateways here have no RateLimit".to_owned(),
            _ => format!(
                "the gateways here have no such RateLimit; there is {}",
                names.join(", ")
            ),
        });
    }
    if of_name().all(|(_, limit)| !limit.key.contains(&KeyPart::Account)) {
        return Some("it does not count accounts apart: its key has no Account".to_owned());
    }
    if of_name().all(|(_, limit)| limit.own_limits == OwnLimits::Ignore) {
        return Some("it goes by no limits of accounts' own (ownLimits: Ignore)".to_owned());
    }
    let has: BTreeSet<(Unit, Millis)> = of_name()
        .flat_map(|(_, limit)| all_limits(limit))
        .map(|limit| (limit.unit, limit.per))
        .collect();
    if has.contains(&(unit, per)) {
        return None;
    }
    let has = has.iter().map(|(unit, per)| format!("{unit:?} in {per}"));
    Some(format!("it has {}", has.collect::<Vec<_>>().join(", ")))
}

fn all_limits(limit: &RateLimit) -> impl Iterator<Item = &Limit> {
    let overrides = limit.overrides.iter().flat_map(|each| &each.limits);
    limit.limits.iter().chain(overrides)
}

#[cfg(test)]
mod tests {
    use sekisho_policy::snapshot::{OnCountersUnavailable, OnExceed, Override};

    use super::*;

    fn rate(key: &[KeyPart], own_limits: OwnLimits) -> RateLimit {
        let limit = |per| Limit {
            unit: Unit::Recipients,
            count: 9,
            per,
        };
        RateLimit {
            key: key.to_vec(),
            limits: vec![limit(Millis::HOUR)],
            overrides: vec![Override {
                name: "more".into(),
                applies: Default::default(),
                limits: vec![limit(Millis::DAY)],
            }],
            own_limits,
            on_exceed: OnExceed::Defer,
            restrict: None,
            on_unavailable: OnCountersUnavailable::LocalOnly,
        }
    }

    #[test]
    fn what_no_rule_goes_by_is_told_and_why() {
        let (own, ignored) = (
            rate(&[KeyPart::Account], OwnLimits::Lower),
            rate(&[KeyPart::Account], OwnLimits::Ignore),
        );
        let by_source = rate(&[KeyPart::Source], OwnLimits::Lower);
        let rules = [
            ("own", &own),
            ("ignored", &ignored),
            // Another gateway's, where it is heeded.
            ("ignored-here", &ignored),
            ("ignored-here", &own),
            ("by-source", &by_source),
        ];
        for (rule, unit, per, why) in [
            ("own", Unit::Recipients, Millis::HOUR, None),
            ("own", Unit::Recipients, Millis::DAY, None),
            ("ignored-here", Unit::Recipients, Millis::HOUR, None),
            (
                "own",
                Unit::Messages,
                Millis::HOUR,
                Some("it has Recipients in 1h, Recipients in 24h"),
            ),
            ("ignored", Unit::Recipients, Millis::HOUR, Some("Ignore")),
            (
                "by-source",
                Unit::Recipients,
                Millis::HOUR,
                Some("no Account"),
            ),
            (
                "onw",
                Unit::Recipients,
                Millis::HOUR,
                Some("there is by-source, ignored, ignored-here, own"),
            ),
        ] {
            let said = unheeded(&rules, rule, unit, per);
            match (&said, why) {
                (None, None) => {}
                (Some(said), Some(why)) if said.contains(why) => {}
                _ => panic!("{rule}: {said:?}"),
            }
        }
        assert!(unheeded(&[], "own", Unit::Bytes, Millis::DAY).is_some());
        assert_eq!(
            warnings(&Configs::default(), "default", &[]),
            Vec::<String>::new()
        );
    }
}

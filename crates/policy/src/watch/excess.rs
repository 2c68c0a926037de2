//! What is over a limit that restricts. Counters said so when the event was judged, and the limit refused it.

use super::{Reached, Watch};
use crate::decision::{Decision, Finding, Reason, Said};
use crate::event::Event;
use crate::ruleset::{Ruleset, Spec};
use crate::snapshot::Enforcement;

impl<'a> Watch<'a> {
    /// Adds what `decision` says of limits that restrict: once for each object, however many of its limits are reached.
    pub(super) fn exceeded(&mut self, rules: &'a Ruleset, event: &'a Event, decision: &Decision) {
        for rule in rules.restricting.iter().map(|&at| &rules.rules[at]) {
            let Spec::Rate(rate) = &rule.spec else {
                continue;
            };
            let restricts = |finding: &&Finding| {
                finding.enforcement == Enforcement::Enforce
                    && matches!(
                        finding.said,
                        Said::Defer(Reason::Restricted) | Said::Reject(Reason::Restricted)
                    )
                    && *finding.object == *rule.object
            };
            let found = decision.findings.iter().find(restricts);
            let (Some(finding), Some(penalty)) = (found, rate.restricts()) else {
                continue;
            };
            let of = rate.unit_of(&finding.part);
            let of = of.map_or_else(String::new, |unit| format!(" of {unit:?}"));
            self.event = Some(event);
            self.reached.push(Reached {
                object: &rule.object,
                part: "spec.restrict".into(),
                enforcement: finding.enforcement,
                penalty,
                why: format!("over a limit{of}: {}", finding.saw),
                op: None,
            });
        }
    }

    /// The same without what is over a limit by what people have forgiven meanwhile.
    #[must_use]
    pub fn letting_off(mut self) -> Self {
        self.reached.clear();
        self
    }
}

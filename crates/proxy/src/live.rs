//! One snapshot in force: its rules, its next hops, its accounts, and the handles of what it counts.

use std::collections::HashMap;
use std::sync::Arc;

use sekisho_policy::decision::Decision;
use sekisho_policy::event::Event;
use sekisho_policy::snapshot::GatewayLimits;
use sekisho_policy::{ObjectRef, Ruleset};
use sekisho_runtime::metrics::{Enforcement, GatewayMetrics, NO_NAME, RuleMetrics};

use crate::auth::Backends;
use crate::engine::{said_labels, stage_label, verdict_label};
use crate::memory::MessageMemory;
use crate::upstream::NextHops;

/// What a transaction pins while it lasts.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) rules: Ruleset,
    pub(crate) hops: NextHops,
    pub(crate) backends: Arc<Backends>,
    pub(crate) metrics: GatewayMetrics,
    /// What clients may cost. A session keeps those it began with.
    pub(crate) limits: Arc<GatewayLimits>,
    /// What clients may make us keep.
    pub(crate) memory: MessageMemory,
    rule_metrics: HashMap<Arc<ObjectRef>, RuleMetrics>,
    no_rule: RuleMetrics,
}

impl Live {
    pub(crate) fn new(
        rules: Ruleset,
        hops: NextHops,
        backends: Arc<Backends>,
        metrics: GatewayMetrics,
        memory: MessageMemory,
    ) -> Self {
        let rule_metrics = rules
            .objects()
            .map(|object| (object.clone(), metrics.rule(&object.to_string())))
            .collect();
        let no_rule = metrics.rule(NO_NAME);
        let limits = Arc::new(rules.gateway().limits);
        Self {
            rules,
            hops,
            backends,
            metrics,
            limits,
            memory,
            rule_metrics,
            no_rule,
        }
    }

    /// The domain of logins that name none.
    pub(crate) fn default_domain(&self) -> Option<&str> {
        let authentication = &self.rules.gateway().authentication;
        authentication.default_domain.as_deref()
    }

    /// Counts what each rule said of an event.
    pub(crate) fn count(&self, event: &Event, decision: &Decision) {
        let stage = stage_label(&event.stage);
        if decision.findings.is_empty() {
            self.no_rule.decided(
                stage,
                verdict_label(&decision.verdict),
                Enforcement::Enforce,
            );
        }
        for finding in &decision.findings {
            let (verdict, enforcement) = said_labels(finding.said, finding.enforcement);
            let rule = self
                .rule_metrics
                .get(&finding.object)
                .unwrap_or(&self.no_rule);
            rule.decided(stage, verdict, enforcement);
        }
    }
}

//! What the kinds of rules have in common, seen from `compile`.

use sekisho_crd::{
    AbuseRuleSpec, Brake, CountryRuleSpec, Enforcement, LoginGuardSpec, Match, RateLimitSpec,
    SubmissionPolicySpec, TargetRef,
};

use crate::index::{Attachments, Index};
use crate::objects::Spec;

/// The spec of a kind that attaches to gateways.
pub(crate) trait RuleKind: Spec {
    /// The gateways that it attaches to.
    fn targets(&self) -> &[TargetRef];
    /// What its verdict does.
    fn enforcement(&self) -> Enforcement;
    /// Whether the brake watches it.
    fn brake(&self) -> Brake;
    /// To what it applies, where the kind can say.
    fn matching(&self) -> Option<&Match>;
    /// The rules of the kind by their gateways.
    fn attachments<'i, 'a>(index: &'i Index<'a>) -> &'i Attachments<'a, Self>;
}

macro_rules! rule_kind {
    ($type:ty, $table:ident, |$spec:ident| $matching:expr) => {
        rule_kind!($type, $table, |$spec| $matching, |spec| spec.brake);
    };
    ($type:ty, $table:ident, |$spec:ident| $matching:expr, |$braked:ident| $brake:expr) => {
        impl RuleKind for $type {
            fn targets(&self) -> &[TargetRef] {
                &self.target_refs
            }

            fn enforcement(&self) -> Enforcement {
                self.enforcement
            }

            fn brake(&self) -> Brake {
                let $braked = self;
                $brake
            }

            fn matching(&self) -> Option<&Match> {
                let $spec = self;
                $matching
            }

            fn attachments<'i, 'a>(index: &'i Index<'a>) -> &'i Attachments<'a, Self> {
                &index.$table
            }
        }
    };
}

rule_kind!(SubmissionPolicySpec, submission_policies, |spec| spec
    .matching
    .as_ref());
rule_kind!(RateLimitSpec, rate_limits, |spec| spec.matching.as_ref());
rule_kind!(CountryRuleSpec, country_rules, |_spec| None);
// What anybody can have refused by guessing is no sign of a rule that has gone wrong.
rule_kind!(LoginGuardSpec, login_guards, |_spec| None, |_spec| {
    Brake::Off
});
// What refuses nobody has nothing to be braked.
rule_kind!(
    AbuseRuleSpec,
    abuse_rules,
    |spec| spec.matching.as_ref(),
    |_spec| Brake::Off
);

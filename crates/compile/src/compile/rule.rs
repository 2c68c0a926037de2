//! Kinds of rules, one object to one rule of the snapshot.

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, FromCountry, LoginGuardSpec, RateLimitSpec,
    SubmissionPolicySpec,
};
use sekisho_policy::snapshot::{Brake, Enforcement, Match, RouteTo, Rule, RuleSpec};

use super::run::Run;
use crate::diagnostic::Code;
use crate::lower::{self, Context};
use crate::objects::ObjectKey;
use crate::rules::RuleKind;
use crate::view::object_ref;

/// How many objects of a kind apply to a gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// The oldest, then the first by namespace and name.
    One,
    All,
}

/// Why a valid rule cannot be in force at a gateway just now.
pub(super) struct Obstacle {
    pub(super) code: Code,
    /// A field below `spec`.
    pub(super) field: String,
    pub(super) message: String,
}

/// A kind of rules that can be lowered.
pub(super) trait Lower: RuleKind {
    const NUMBER: Number;

    /// The rule, or nothing if it asks for what this version does not do.
    fn lower(&self, context: &Context) -> Option<RuleSpec>;

    /// What stands in its way.
    fn obstacle(&self, _run: &Run<'_>, _context: &Context) -> Option<Obstacle> {
        None
    }
}

impl Lower for SubmissionPolicySpec {
    const NUMBER: Number = Number::One;

    fn lower(&self, context: &Context) -> Option<RuleSpec> {
        lower::submission_policy(self, context).map(RuleSpec::SubmissionPolicy)
    }

    fn obstacle(&self, run: &Run<'_>, context: &Context) -> Option<Obstacle> {
        let rule = lower::submission_policy(self, context)?;
        let missing = rule.route.iter().find_map(|(class, to)| match to {
            RouteTo::Pool(pool) if run.pool(pool).is_none() => Some((class, pool)),
            _ => None,
        });
        missing.map(|(class, pool)| {
            let field = format!("route.{}.pool", format!("{class:?}").to_lowercase());
            let message =
                format!("the EgressPool {pool} has errors, and no earlier rules to go on with");
            Obstacle {
                code: Code::PoolNotFound,
                field,
                message,
            }
        })
    }
}

impl Lower for CountryRuleSpec {
    const NUMBER: Number = Number::All;

    fn lower(&self, context: &Context) -> Option<RuleSpec> {
        lower::country_rule(self, context).map(RuleSpec::CountryRule)
    }

    fn obstacle(&self, _: &Run<'_>, context: &Context) -> Option<Obstacle> {
        let homeless = self.from == (FromCountry::Abroad {}) && context.home.is_empty();
        homeless.then(|| Obstacle {
            code: Code::NeverApplies,
            field: "from.abroad".to_owned(),
            message: "nothing is abroad, because the gateway has no home".to_owned(),
        })
    }
}

impl Lower for RateLimitSpec {
    const NUMBER: Number = Number::All;

    fn lower(&self, context: &Context) -> Option<RuleSpec> {
        lower::rate_limit(self, context).map(RuleSpec::RateLimit)
    }
}

impl Lower for LoginGuardSpec {
    const NUMBER: Number = Number::One;

    fn lower(&self, context: &Context) -> Option<RuleSpec> {
        Some(RuleSpec::LoginGuard(lower::login_guard(self, context)))
    }
}

impl Lower for AbuseRuleSpec {
    const NUMBER: Number = Number::All;

    fn lower(&self, context: &Context) -> Option<RuleSpec> {
        Some(RuleSpec::AbuseRule(lower::abuse_rule(self, context)))
    }
}

/// The rule of a spec, or nothing if it asks for what this version does not do.
pub(super) fn assemble<S: Lower>(key: &ObjectKey, spec: &S, context: &Context) -> Option<Rule> {
    Some(Rule {
        object: object_ref::<S>(key),
        enforcement: match spec.enforcement() {
            sekisho_crd::Enforcement::Enforce => Enforcement::Enforce,
            sekisho_crd::Enforcement::Shadow => Enforcement::Shadow,
            sekisho_crd::Enforcement::Off => Enforcement::Off,
        },
        brake: match spec.brake() {
            sekisho_crd::Brake::Default => Brake::Default,
            sekisho_crd::Brake::Off => Brake::Off,
        },
        applies: match spec.matching() {
            Some(matching) => lower::matching(matching, context)?,
            None => Match::default(),
        },
        spec: spec.lower(context)?,
    })
}

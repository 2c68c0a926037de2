//! Which rules attach to which gateway, gathered once for all gateways.

use std::collections::BTreeMap;

use sekisho_crd::{CountryRuleSpec, LoginGuardSpec, RateLimitSpec, SubmissionPolicySpec};

use crate::objects::{Object, ObjectKey, Objects};
use crate::rules::RuleKind;
use crate::view::View;

/// All objects, and the rules by their gateways.
pub(crate) struct Index<'a> {
    pub(crate) objects: &'a Objects,
    pub(crate) submission_policies: Attachments<'a, SubmissionPolicySpec>,
    pub(crate) country_rules: Attachments<'a, CountryRuleSpec>,
    pub(crate) rate_limits: Attachments<'a, RateLimitSpec>,
    pub(crate) login_guards: Attachments<'a, LoginGuardSpec>,
}

/// The rules of one kind.
pub(crate) struct Attachments<'a, S> {
    /// The valid ones by namespace and name of a gateway, in the order of their own keys.
    by_gateway: BTreeMap<&'a str, BTreeMap<&'a str, Vec<View<'a, S>>>>,
    /// Those that are not valid: to what they attach is known from the last snapshot alone.
    invalid: Vec<(&'a ObjectKey, &'a Object<S>)>,
}

impl<'a> Index<'a> {
    pub(crate) fn of(objects: &'a Objects) -> Self {
        Self {
            objects,
            submission_policies: Attachments::of(objects),
            country_rules: Attachments::of(objects),
            rate_limits: Attachments::of(objects),
            login_guards: Attachments::of(objects),
        }
    }

    /// The valid rules of a kind that attach to a gateway, whether or not it exists.
    pub(crate) fn attached<S: RuleKind>(&self, gateway: &ObjectKey) -> &[View<'a, S>] {
        S::attachments(self)
            .by_gateway
            .get(gateway.namespace.as_str())
            .and_then(|of_namespace| of_namespace.get(gateway.name.as_str()))
            .map_or(&[], Vec::as_slice)
    }

    /// The rules of a kind that are not valid.
    pub(crate) fn invalid<S: RuleKind>(&self) -> &[(&'a ObjectKey, &'a Object<S>)] {
        &S::attachments(self).invalid
    }
}

impl<'a, S: RuleKind> Attachments<'a, S> {
    fn of(objects: &'a Objects) -> Self {
        let mut by_gateway = BTreeMap::<_, BTreeMap<_, Vec<View<'a, S>>>>::new();
        let mut invalid = Vec::new();
        for (key, object) in S::table(objects) {
            let Some(spec) = object.spec() else {
                invalid.push((key, object));
                continue;
            };
            let view = View { key, object, spec };
            for target in spec.targets() {
                let of_gateway = by_gateway
                    .entry(key.namespace.as_str())
                    .or_default()
                    .entry(target.name.as_str())
                    .or_default();
                // A rule that names a gateway twice attaches to it once.
                if of_gateway.last().is_none_or(|last| last.key != key) {
                    of_gateway.push(view);
                }
            }
        }
        Self {
            by_gateway,
            invalid,
        }
    }
}

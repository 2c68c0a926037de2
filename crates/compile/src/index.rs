//! Which rules attach to which gateway, gathered once for all gateways.

use std::collections::{BTreeMap, BTreeSet};

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, LoginGuardSpec, RateLimitSpec, SubmissionPolicySpec,
};

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
    pub(crate) abuse_rules: Attachments<'a, AbuseRuleSpec>,
}

/// The rules of one kind.
pub(crate) struct Attachments<'a, S> {
    /// The valid ones by namespace and name of a gateway, in the order of their own keys.
    by_gateway: BTreeMap<&'a str, BTreeMap<&'a str, Vec<View<'a, S>>>>,
    /// Those that are not valid: to what they attach is known from the last snapshot alone.
    invalid: Vec<(&'a ObjectKey, &'a Object<S>)>,
    /// The valid ones that name a gateway that does not exist, by namespace: it may be a typo for one that does.
    adrift: BTreeMap<&'a str, Vec<View<'a, S>>>,
}

impl<'a> Index<'a> {
    pub(crate) fn of(objects: &'a Objects) -> Self {
        let gateways = objects.gateways.keys();
        let gateways: Gateways<'_> = gateways
            .map(|key| (key.namespace.as_str(), key.name.as_str()))
            .collect();
        Self {
            objects,
            submission_policies: Attachments::of(objects, &gateways),
            country_rules: Attachments::of(objects, &gateways),
            rate_limits: Attachments::of(objects, &gateways),
            login_guards: Attachments::of(objects, &gateways),
            abuse_rules: Attachments::of(objects, &gateways),
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

    /// The valid rules of a kind that name a gateway that does not exist, and do not name this one.
    pub(crate) fn adrift<S: RuleKind>(
        &self,
        gateway: &ObjectKey,
    ) -> impl Iterator<Item = View<'a, S>> {
        let of_namespace = S::attachments(self).adrift.get(gateway.namespace.as_str());
        let is_attached = |view: &View<'_, S>| {
            view.spec
                .targets()
                .iter()
                .any(|to| to.name.as_str() == gateway.name)
        };
        of_namespace
            .into_iter()
            .flatten()
            .copied()
            .filter(move |view| !is_attached(view))
    }
}

/// The gateways that exist, by namespace and name.
type Gateways<'a> = BTreeSet<(&'a str, &'a str)>;

impl<'a, S: RuleKind> Attachments<'a, S> {
    fn of(objects: &'a Objects, gateways: &Gateways<'a>) -> Self {
        let mut by_gateway = BTreeMap::<_, BTreeMap<_, Vec<View<'a, S>>>>::new();
        let mut invalid = Vec::new();
        let mut adrift = BTreeMap::<_, Vec<View<'a, S>>>::new();
        for (key, object) in S::table(objects) {
            let Some(spec) = object.spec() else {
                invalid.push((key, object));
                continue;
            };
            let view = View { key, object, spec };
            let namespace = key.namespace.as_str();
            let exists = |name: &str| gateways.contains(&(namespace, name));
            if spec.targets().iter().any(|to| !exists(to.name.as_str())) {
                adrift.entry(namespace).or_default().push(view);
            }
            for target in spec.targets() {
                let of_gateway = by_gateway
                    .entry(namespace)
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
            adrift,
        }
    }
}

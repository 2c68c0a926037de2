//! One attempt at a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, EgressPoolSpec, LoginGuardSpec, MailGatewaySpec,
    NotificationChannelSpec, RateLimitSpec, SubmissionPolicySpec,
};
use sekisho_policy::Snapshot;
use sekisho_policy::snapshot::{Channel, Gateway, Pool, RouteTo, Rule, RuleSpec, SCHEMA};

use super::rule::{Lower, Number, Obstacle, assemble};
use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::lower::{self, Context};
use crate::objects::{Completeness, Object, ObjectKey, ObjectName, Objects, Spec, name_of};
use crate::path::FieldPath;
use crate::view::{View, object_ref, wire_kind};

/// One attempt.
pub(super) struct Run<'a> {
    pub(super) index: &'a Index<'a>,
    pub(super) objects: &'a Objects,
    pub(super) gateway: &'a ObjectKey,
    pub(super) previous: Option<&'a Snapshot>,
    pub(super) rejected: &'a BTreeSet<ObjectName>,
    pub(super) out: Vec<Diagnostic>,
}

/// A rule that could be in force, and the age of its object.
struct Candidate<'a> {
    rule: Rule,
    key: ObjectKey,
    created: Option<&'a str>,
}

impl<'a> Candidate<'a> {
    fn of<S>(rule: Rule, key: &ObjectKey, object: &'a Object<S>) -> Self {
        Self {
            rule,
            key: key.clone(),
            created: object.created.as_deref(),
        }
    }

    /// The smallest applies where only one does. Objects from files have no age and come last.
    fn rank(&self) -> (bool, Option<&str>, &ObjectKey) {
        (self.created.is_none(), self.created, &self.key)
    }
}

impl<'a> Run<'a> {
    pub(super) fn snapshot(&mut self) -> Option<Snapshot> {
        let gateway = self.own_gateway()?;
        let default_domain = gateway.authentication.default_domain.clone();
        let context = Context {
            default_domain,
            home: gateway.home.clone(),
            channels: self.channels(),
        };
        let mut rules = self.rules::<SubmissionPolicySpec>(&context);
        rules.extend(self.rules::<CountryRuleSpec>(&context));
        rules.extend(self.rules::<LoginGuardSpec>(&context));
        rules.extend(self.rules::<RateLimitSpec>(&context));
        rules.extend(self.rules::<AbuseRuleSpec>(&context));
        let pools = self.pools(&rules);
        Some(Snapshot {
            schema: SCHEMA,
            gateway,
            rules,
            pools,
        })
    }

    /// The channels of the namespace as they are, or as they were.
    fn channels(&self) -> BTreeMap<String, Channel> {
        let objects = &self.objects.notification_channels;
        let own = objects
            .iter()
            .filter(|(key, _)| key.namespace == self.gateway.namespace);
        let channel = |(key, object): (&ObjectKey, &Object<NotificationChannelSpec>)| {
            let current = object.spec().map(|spec| Channel {
                object: object_ref::<NotificationChannelSpec>(key),
                url: spec.url.clone(),
                secret: spec.secret_ref.name.clone(),
            });
            let channel = current.or_else(|| self.former_channel(key))?;
            Some((key.name.clone(), channel))
        };
        own.filter_map(channel).collect()
    }

    /// A channel that is not valid now, as some step had it.
    fn former_channel(&self, key: &ObjectKey) -> Option<Channel> {
        let object = object_ref::<NotificationChannelSpec>(key);
        let rules = self.previous?.rules.iter();
        let steps = rules.flat_map(|rule| match &rule.spec {
            RuleSpec::AbuseRule(abuse) => &abuse.ladder[..],
            _ => &[],
        });
        let mut channels = steps.flat_map(|step| &step.notify);
        channels.find(|channel| channel.object == object).cloned()
    }

    fn own_gateway(&mut self) -> Option<Gateway> {
        let object = self.objects.gateways.get(self.gateway);
        let own = object
            .filter(|_| self.accepts::<MailGatewaySpec>(self.gateway))
            .and_then(Object::spec);
        let lowered = own.and_then(|spec| {
            let object = object_ref::<MailGatewaySpec>(self.gateway);
            lower::gateway(spec, object, &self.objects.cluster_networks)
        });
        if lowered.is_some() || !self.may_keep::<MailGatewaySpec>(self.gateway) {
            return lowered;
        }
        let kept = self.previous?.gateway.clone();
        self.note_kept::<MailGatewaySpec>(self.gateway);
        Some(kept)
    }

    /// The rules of a kind in the order of their names, or the one that applies.
    fn rules<S: Lower>(&mut self, context: &Context) -> Vec<Rule> {
        let mut candidates = Vec::new();
        for view in self.index.attached::<S>(self.gateway) {
            let rule = if self.accepts::<S>(view.key) {
                self.current(*view, context)
            } else {
                self.kept::<S>(view.key)
            };
            candidates.extend(rule.map(|rule| Candidate::of(rule, view.key, view.object)));
        }
        for (key, object) in self.index.invalid::<S>() {
            let rule = self.kept::<S>(key);
            candidates.extend(rule.map(|rule| Candidate::of(rule, key, object)));
        }
        for view in self.index.adrift::<S>(self.gateway) {
            let rule = self.kept_adrift::<S>(view.key);
            candidates.extend(rule.map(|rule| Candidate::of(rule, view.key, view.object)));
        }
        candidates.extend(self.unread::<S>());
        candidates.sort_by(|a, b| a.key.cmp(&b.key));
        match S::NUMBER {
            Number::All => candidates
                .into_iter()
                .map(|candidate| candidate.rule)
                .collect(),
            Number::One => self.oldest::<S>(candidates),
        }
    }

    /// The rule of a valid object.
    fn current<S: Lower>(&mut self, view: View<'_, S>, context: &Context) -> Option<Rule> {
        let View { key, spec, .. } = view;
        let obstacle = spec.obstacle(self, context);
        let rule = if obstacle.is_none() {
            assemble(key, spec, context)
        } else {
            None
        };
        if rule.is_some() {
            return rule;
        }
        let kept = self.kept::<S>(key);
        if let Some(Obstacle {
            code,
            field,
            message,
        }) = obstacle.filter(|_| kept.is_none())
        {
            self.out.push(view.error(code, &field, message));
        }
        kept
    }

    /// The rule that an object had in the last snapshot.
    fn kept<S: Spec>(&mut self, key: &ObjectKey) -> Option<Rule> {
        let rule = self.former::<S>(key)?;
        self.note_kept::<S>(key);
        Some(rule)
    }

    /// The rule that an object had here, if it leads elsewhere now and there is no such place: a typo in the name of a gateway
    /// takes no limit away.
    fn kept_adrift<S: Spec>(&mut self, key: &ObjectKey) -> Option<Rule> {
        let rule = self.former::<S>(key)?;
        let message = format!(
            "names a gateway that does not exist, and keeps the rules that it had at MailGateway/{}",
            self.gateway.name
        );
        self.note::<S>(key, message);
        Some(rule)
    }

    fn former<S: Spec>(&self, key: &ObjectKey) -> Option<Rule> {
        let object = object_ref::<S>(key);
        let mut rules = self.previous?.rules.iter();
        rules.find(|rule| rule.object == object).cloned()
    }

    /// The last snapshot's rules of objects that are not here, while not everything could be read.
    fn unread<S: Spec>(&mut self) -> Vec<Candidate<'static>> {
        let Some(previous) = self
            .previous
            .filter(|_| self.objects.completeness == Completeness::Partial)
        else {
            return Vec::new();
        };
        let of_kind = previous
            .rules
            .iter()
            .filter(|rule| rule.object.kind == wire_kind(S::KIND));
        let keys = of_kind.map(|rule| ObjectKey::new(&rule.object.namespace, &rule.object.name));
        let missing: Vec<ObjectKey> = keys
            .filter(|key| !S::table(self.objects).contains_key(key))
            .collect();
        let keep = |key: ObjectKey| {
            self.kept::<S>(&key).map(|rule| Candidate {
                rule,
                key,
                created: None,
            })
        };
        missing.into_iter().filter_map(keep).collect()
    }

    fn oldest<S: Spec>(&mut self, mut candidates: Vec<Candidate<'_>>) -> Vec<Rule> {
        candidates.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let mut candidates = candidates.into_iter();
        let Some(winner) = candidates.next() else {
            return Vec::new();
        };
        for loser in candidates {
            let message = format!(
                "one {} applies to a gateway, and {} is the one of MailGateway/{}",
                S::KIND,
                name_of::<S>(&winner.key),
                self.gateway.name
            );
            let position = S::table(self.objects)
                .get(&loser.key)
                .and_then(|object| object.position(&FieldPath::root()));
            let diagnostic =
                Diagnostic::error(Code::Conflicted, message).of(name_of::<S>(&loser.key));
            let remedy = "join the two, or attach this one to another gateway";
            self.out.push(diagnostic.mend(remedy).in_file(position));
        }
        vec![winner.rule]
    }

    /// The pools that routes name.
    fn pools(&mut self, rules: &[Rule]) -> BTreeMap<String, Pool> {
        let routes = rules.iter().flat_map(|rule| match &rule.spec {
            RuleSpec::SubmissionPolicy(policy) => policy.route.values().collect(),
            _ => Vec::new(),
        });
        let names: BTreeSet<&String> = routes
            .filter_map(|to| match to {
                RouteTo::Pool(name) => Some(name),
                RouteTo::Reject => None,
            })
            .collect();
        let mut pools = BTreeMap::new();
        for name in names {
            let Some((pool, standing)) = self.pool(name) else {
                continue;
            };
            if standing == Standing::Kept {
                self.note_kept::<EgressPoolSpec>(&ObjectKey::new(&self.gateway.namespace, name));
            }
            pools.insert(name.clone(), pool);
        }
        pools
    }

    /// A pool as it is, or as it was: a route never leads to nowhere, and never past its pool.
    pub(super) fn pool(&self, name: &str) -> Option<(Pool, Standing)> {
        let key = ObjectKey::new(&self.gateway.namespace, name);
        let own = self
            .objects
            .egress_pools
            .get(&key)
            .filter(|_| self.accepts::<EgressPoolSpec>(&key));
        let current = own
            .and_then(Object::spec)
            .map(|spec| lower::pool(spec, object_ref::<EgressPoolSpec>(&key)));
        let kept = || {
            self.previous
                .and_then(|previous| previous.pools.get(name))
                .cloned()
        };
        current
            .map(|pool| (pool, Standing::Current))
            .or_else(|| kept().map(|pool| (pool, Standing::Kept)))
    }

    fn accepts<S: Spec>(&self, key: &ObjectKey) -> bool {
        !self.rejected.contains(&name_of::<S>(key))
    }

    /// Whether an object that gives nothing now is still there, as far as anybody can tell.
    fn may_keep<S: Spec>(&self, key: &ObjectKey) -> bool {
        S::table(self.objects).contains_key(key)
            || self.objects.completeness == Completeness::Partial
    }

    fn note_kept<S: Spec>(&mut self, key: &ObjectKey) {
        let object = S::table(self.objects).get(key);
        let message = match (object, self.objects.completeness) {
            (Some(_), _) => "is not valid and keeps the rules that it had",
            (None, Completeness::Partial) => "could not be read and keeps the rules that it had",
            (None, Completeness::Complete) => "is gone, and stays until no route leads to it",
        };
        self.note::<S>(key, message);
    }

    fn note<S: Spec>(&mut self, key: &ObjectKey, message: impl Into<String>) {
        let object = S::table(self.objects).get(key);
        let position = object.and_then(|object| object.position(&FieldPath::root()));
        self.out.push(
            Diagnostic::warning(Code::KeptPrevious, message)
                .of(name_of::<S>(key))
                .in_file(position),
        );
    }
}

/// Where a pool in the next snapshot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Current,
    Kept,
}

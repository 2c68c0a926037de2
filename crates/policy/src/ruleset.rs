//! A snapshot made ready to judge: bounded patterns, indexes, shared names. Immutable, `Send + Sync`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::by_stage::ByStage;
use crate::content::ContentNeeds;
use crate::decision::Class;
use crate::event::{ConfigState, Event, Stage};
use crate::explain::Skip;
use crate::key::Scope;
use crate::matching::Matcher;
use crate::needs::{Need, Needs};
use crate::netset::Networks;
use crate::op::Op;
use crate::plan::Plan;
use crate::route::Route;
use crate::rules::Stages;
use crate::rules::abuse::Abuse;
use crate::rules::country::Abroad;
use crate::rules::known_good::Learner;
use crate::rules::limit::LimitPart;
use crate::rules::login::Guard;
use crate::rules::rate::Rate;
use crate::rules::submission::{Submission, Target};
use crate::senders::Senders;
use crate::snapshot::{
    BareNewlines, Brake, Enforcement, Engine, Gateway, MissingHeaders, ObjectRef,
    OnConfigUnavailable, Pool, RecipientDomains,
};

/// One gateway's rules, in force.
#[derive(Debug)]
pub struct Ruleset {
    pub(crate) generation: u64,
    pub(crate) digest: Arc<str>,
    pub(crate) gateway: Gateway,
    pub(crate) gateway_ref: Arc<ObjectRef>,
    pub(crate) cluster: Networks,
    pub(crate) rules: Vec<Armed>,
    pub(crate) by_stage: ByStage,
    pub(crate) pools: BTreeMap<Arc<str>, ReadyPool>,
    /// The one SubmissionPolicy.
    pub(crate) policy: Option<usize>,
    pub(crate) senders: Senders,
    pub(crate) learner: Learner,
    /// The AbuseRules.
    pub(crate) abuse: Vec<usize>,
    /// The RateLimits that restrict.
    pub(crate) restricting: Vec<usize>,
    /// Whom accounts write to, whichever rule asks.
    pub(crate) correspondents: Scope,
    pub(crate) reads_before_greeting: bool,
}

/// A rule made ready.
#[derive(Debug)]
pub(crate) struct Armed {
    pub(crate) object: Arc<ObjectRef>,
    pub(crate) enforcement: Enforcement,
    pub(crate) brake: Brake,
    pub(crate) applies: Matcher,
    pub(crate) stages: Stages,
    pub(crate) spec: Spec,
}

#[derive(Debug)]
pub(crate) enum Spec {
    Submission(Box<Submission>),
    Country(Box<Abroad>),
    Rate(Box<Rate>),
    Login(Box<Guard>),
    Abuse(Box<Abuse>),
}

#[derive(Debug)]
pub(crate) struct ReadyPool {
    pub(crate) object: Arc<ObjectRef>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) rate: Option<LimitPart>,
}

/// A rule as its parts' findings name it: the object, and how it is judged at this event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleView<'a> {
    pub(crate) object: &'a Arc<ObjectRef>,
    pub(crate) enforcement: Enforcement,
}

/// What a message must keep to, as far as the session has to know it ahead of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageLimits {
    /// Largest message in octets (RFC 1870).
    pub max_size: Option<u64>,
    /// Most recipients of one message (RFC 9422 RCPTMAX).
    pub max_recipients: Option<u32>,
    /// What happens to a bare CR or LF.
    pub bare_newlines: BareNewlines,
    /// What happens to a message without Message-ID or Date.
    pub missing_headers: MissingHeaders,
}

impl Ruleset {
    /// The snapshot's generation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The snapshot's digest.
    #[must_use]
    pub const fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The checkpoint.
    #[must_use]
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The checkpoint's object, shared.
    #[must_use]
    pub const fn gateway_ref(&self) -> &Arc<ObjectRef> {
        &self.gateway_ref
    }

    /// Whether an address is one of the cluster's own, and so no client's.
    #[must_use]
    pub fn is_of_cluster(&self, ip: IpAddr) -> bool {
        self.cluster.contains(ip)
    }

    /// Whether the cluster's own addresses are known.
    #[must_use]
    pub fn knows_cluster(&self) -> bool {
        !self.gateway.cluster_networks.is_empty()
    }

    /// Whether a rule looks at [`crate::event::SessionFacts::before_greeting`], so that it is worth finding out.
    #[must_use]
    pub const fn reads_before_greeting(&self) -> bool {
        self.reads_before_greeting
    }

    /// The rules' objects in evaluation order.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<ObjectRef>> {
        self.rules.iter().map(|rule| &rule.object)
    }

    /// The pools by name.
    pub fn pools(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Pool>)> {
        self.pools.iter().map(|(name, ready)| (name, &ready.pool))
    }

    /// Whether the brake watches the rule from this object; `None` if there is none.
    #[must_use]
    pub fn brake(&self, object: &ObjectRef) -> Option<Brake> {
        self.rules
            .iter()
            .find(|rule| *rule.object == *object)
            .map(|rule| rule.brake)
    }

    /// The costly facts that the rules need for `event` and that it lacks.
    #[must_use]
    pub fn needs(&self, event: &Event) -> Needs {
        let mut needs = Needs::default();
        for rule in self.rules_at(event) {
            let Ok(enforcement) = rule.standing(self, event) else {
                continue;
            };
            match (&rule.spec, &event.stage) {
                (Spec::Abuse(abuse), _) if abuse.asks_reverse_names(event) => {
                    needs.add(Need::ReverseNames)
                }
                (Spec::Country(abroad), _) if abroad.asks_reverse_names(event) => {
                    needs.add(Need::ReverseNames)
                }
                (Spec::Submission(policy), Stage::Rcpt { domain, .. })
                    if policy.recipient_domains == RecipientDomains::MustResolve
                        && domain.is_unasked() =>
                {
                    needs.add(Need::RecipientDomain);
                }
                (Spec::Submission(policy), Stage::End(facts))
                    if facts.opinions.is_unasked()
                        && policy
                            .classifies(event)
                            .is_some_and(|by| !by.engines.is_empty())
                        && !(enforcement == Enforcement::Enforce && policy.refuses_end(facts)) =>
                {
                    needs.add(Need::Opinions);
                }
                _ => {}
            }
        }
        needs
    }

    /// What of the message's content the rules look at, asked from MAIL on (a `when` may depend on the transaction).
    #[must_use]
    pub fn content(&self, event: &Event) -> ContentNeeds {
        let mut needs = ContentNeeds::default();
        for rule in &self.rules {
            // What cannot be known yet may hold later: then it is examined.
            if !matches!(
                rule.standing_at_any_stage(self, event),
                Ok(_) | Err(Skip::WhenUnknown)
            ) {
                continue;
            }
            match &rule.spec {
                Spec::Submission(policy) => {
                    needs.headers |= policy.asks_headers();
                    needs.attachments |= policy.asks_attachments();
                    if let Some(classify) = policy.classifies(event) {
                        needs.text |= classify.asks_text();
                        needs.engines |= !classify.engines.is_empty();
                    }
                }
                Spec::Country(abroad) => needs.headers |= abroad.asks_headers(),
                Spec::Rate(rate) => needs.end_routes |= rate.routes_at_end(),
                Spec::Login(_) | Spec::Abuse(_) => {}
            }
        }
        needs
    }

    /// The content engines of the policy, in the order of [`crate::event::EndFacts::opinions`].
    #[must_use]
    pub fn engines(&self) -> &[Engine] {
        self.submission()
            .and_then(|policy| policy.classify.as_ref())
            .map_or(&[], |classify| &classify.engines)
    }

    /// What the session has to know of the policy that is enforced on `event`: at EHLO for the SIZE that is announced, at DATA
    /// for framing. Nothing where no policy applies yet, as one for named accounts before the login.
    #[must_use]
    pub fn message_limits(&self, event: &Event) -> MessageLimits {
        self.enforced_policy(event)
            .map_or_else(MessageLimits::default, |(_, policy)| MessageLimits {
                max_size: policy.max_size,
                max_recipients: policy.max_recipients,
                bare_newlines: policy.bare_newlines,
                missing_headers: policy.missing_headers,
            })
    }

    /// Where a message of `class` goes: as the policy that is enforced on `event` says, else the gateway's next hop.
    #[must_use]
    pub fn route(&self, event: &Event, class: Class) -> Route<'_> {
        match self
            .enforced_policy(event)
            .and_then(|(_, policy)| policy.target(class))
        {
            None => Route::Upstream,
            Some(Target::Reject) => Route::Reject,
            Some(Target::Pool(name)) => {
                self.pools
                    .get_key_value(name)
                    .map_or(Route::Upstream, |(name, ready)| Route::Pool {
                        name,
                        pool: &ready.pool,
                    })
            }
        }
    }

    /// The SubmissionPolicy, if it is enforced on `event`.
    pub(crate) fn enforced_policy(&self, event: &Event) -> Option<(&Arc<ObjectRef>, &Submission)> {
        let rule = &self.rules[self.policy?];
        let enforced = rule.standing_at_any_stage(self, event) == Ok(Enforcement::Enforce);
        self.submission()
            .filter(|_| enforced)
            .map(|policy| (&rule.object, policy))
    }

    /// Every SubmissionPolicy.
    pub(crate) fn submissions(&self) -> impl Iterator<Item = &Submission> {
        self.rules.iter().filter_map(|rule| match &rule.spec {
            Spec::Submission(policy) => Some(&**policy),
            Spec::Country(_) | Spec::Rate(_) | Spec::Login(_) | Spec::Abuse(_) => None,
        })
    }

    pub(crate) fn submission(&self) -> Option<&Submission> {
        match &self.rules[self.policy?].spec {
            Spec::Submission(policy) => Some(policy),
            Spec::Country(_) | Spec::Rate(_) | Spec::Login(_) | Spec::Abuse(_) => None,
        }
    }

    /// Whether some rule counts logins before a backend is asked, so that [`Stage::LoginShown`] is to be judged.
    #[must_use]
    pub fn counts_logins_shown(&self, event: &Event) -> bool {
        self.rules_at(event).next().is_some()
    }

    /// What takes back what [`Stage::LoginShown`] counted, once a backend said yes.
    #[must_use]
    pub fn forgive_login(&self, shown: &Event) -> Vec<Op> {
        let guards = self.rules_at(shown).filter_map(|rule| match &rule.spec {
            Spec::Login(guard) => guard.forgive(shown),
            Spec::Submission(_) | Spec::Country(_) | Spec::Rate(_) | Spec::Abuse(_) => None,
        });
        guards.collect()
    }

    /// Whether the pool that a message of `class` leaves by has a rate, so that [`Stage::Route`] is to be judged.
    #[must_use]
    pub fn asks_route(&self, event: &Event, class: Class) -> bool {
        self.pool_rate(event, class).is_some()
    }

    /// The rate of the pool that a message of `class` leaves by.
    pub(crate) fn pool_rate(
        &self,
        event: &Event,
        class: Class,
    ) -> Option<(&Arc<ObjectRef>, &LimitPart)> {
        let Route::Pool { name, .. } = self.route(event, class) else {
            return None;
        };
        let ready = self.pools.get(name)?;
        ready.rate.as_ref().map(|rate| (&ready.object, rate))
    }

    pub(crate) const fn senders(&self) -> &Senders {
        &self.senders
    }

    pub(crate) const fn learner(&self) -> &Learner {
        &self.learner
    }

    pub(crate) fn rules_at(&self, event: &Event) -> impl Iterator<Item = &Armed> {
        self.by_stage.places(event).map(|at| &self.rules[at])
    }
}

impl Armed {
    /// How the rule is judged at `event`, or why it is not.
    pub(crate) fn standing(&self, rules: &Ruleset, event: &Event) -> Result<Enforcement, Skip> {
        if self.enforcement != Enforcement::Off && !self.stages.contains(Stages::of(&event.stage)) {
            return Err(Skip::Stage);
        }
        self.standing_at_any_stage(rules, event)
    }

    pub(crate) fn standing_at_any_stage(
        &self,
        rules: &Ruleset,
        event: &Event,
    ) -> Result<Enforcement, Skip> {
        if self.enforcement == Enforcement::Off {
            return Err(Skip::Off);
        }
        self.applies.check(event)?;
        if let Spec::Country(abroad) = &self.spec {
            if !event.session.source.trust.is_trusted() {
                return Err(Skip::SourceUntrusted);
            }
            if !abroad.is_about(event) {
                return Err(Skip::Origin);
            }
            abroad.is_about_account(event)?;
        }
        let tripped = self.brake == Brake::Default && event.tripped.contains(&self.object);
        let stale = event.config == ConfigState::Unavailable
            && rules.gateway.on_unavailable.config == OnConfigUnavailable::Shadow;
        Ok(if tripped || stale {
            Enforcement::Shadow
        } else {
            self.enforcement
        })
    }

    /// The part of the rule that goes by the source's address.
    pub(crate) const fn part_by_address(&self) -> &'static str {
        match self.spec {
            Spec::Country(_) => "spec.from",
            Spec::Submission(_) | Spec::Rate(_) | Spec::Login(_) | Spec::Abuse(_) => "spec.match",
        }
    }

    pub(crate) fn ask<'a>(&'a self, view: RuleView<'a>, plan: &mut Plan<'a>) {
        match &self.spec {
            Spec::Submission(policy) => policy.ask(view, plan),
            Spec::Country(abroad) => abroad.ask(view, plan),
            Spec::Rate(rate) => rate.ask(view, plan),
            Spec::Login(guard) => guard.ask(view, plan),
            // Asked once it is judged: see `watch`.
            Spec::Abuse(_) => {}
        }
    }
}

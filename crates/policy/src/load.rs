//! From a snapshot to a [`Ruleset`]: everything that could fail fails here, by name.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::by_stage::ByStage;
use crate::error::LoadError;
use crate::expr::Field;
use crate::expr_eval;
use crate::glob;
use crate::key::{Scope, Tally};
use crate::matching::Matcher;
use crate::netset::Networks;
use crate::rules::abuse::Abuse;
use crate::rules::country::Abroad;
use crate::rules::known_good::Learner;
use crate::rules::limit::LimitPart;
use crate::rules::login::Guard;
use crate::rules::rate::Rate;
use crate::rules::submission::Submission;
use crate::rules::{Defect, Stages};
use crate::ruleset::{Armed, ReadyPool, Ruleset, Spec};
use crate::senders::Senders;
use crate::snapshot::{
    Enforcement, Envelope, Exempt, Kind, KnownGood, LoginGuard, Match, ObjectRef, Pool, Rule,
    RuleSpec, SCHEMA, Snapshot, Unit,
};
use crate::time::Millis;

/// The most rules of one snapshot.
pub(crate) const MAX_RULES: usize = 4096;
/// The most members of one list.
pub(crate) const MAX_LIST: usize = 100_000;

impl Ruleset {
    /// Makes a snapshot ready, or says what in which object cannot be put in force. It does not look at the digest;
    /// [`Envelope::read`] does.
    ///
    /// # Errors
    /// [`LoadError`] names the object and the field.
    pub fn load(envelope: &Envelope) -> Result<Self, LoadError> {
        let snapshot = &envelope.snapshot;
        if snapshot.schema == 0 || snapshot.schema > SCHEMA {
            return Err(LoadError::Schema {
                found: snapshot.schema,
                newest: SCHEMA,
            });
        }
        check_set(snapshot)?;
        check_list(
            &snapshot.gateway.object,
            "clusterNetworks",
            snapshot.gateway.cluster_networks.len(),
        )?;
        let gateway_ref = Arc::new(snapshot.gateway.object.clone());
        let rules = snapshot
            .rules
            .iter()
            .map(arm)
            .collect::<Result<Vec<_>, _>>()?;
        let policy = rules
            .iter()
            .position(|rule| matches!(rule.spec, Spec::Submission(_)));
        let pools = ready_pools(snapshot)?;
        check_routes(&rules, &pools)?;
        Ok(Self {
            generation: envelope.generation,
            digest: envelope.digest.as_str().into(),
            gateway: snapshot.gateway.clone(),
            cluster: Networks::new(&snapshot.gateway.cluster_networks),
            learner: Learner::new(&gateway_ref, known_good(snapshot, &rules)),
            correspondents: Scope::new(&gateway_ref, Tally::Correspondents, Millis(0)),
            gateway_ref,
            by_stage: ByStage::new(&rules),
            reads_before_greeting: reads_before_greeting(&rules),
            abuse: abuse(&rules),
            restricting: restricting(&rules),
            rules,
            pools,
            policy,
            senders: senders(snapshot)?,
        })
    }
}

/// The places of the AbuseRules that are not `Off`.
fn abuse(rules: &[Armed]) -> Vec<usize> {
    places(rules, |spec| matches!(spec, Spec::Abuse(_)))
}

/// The places of the RateLimits that restrict, and are not `Off`.
fn restricting(rules: &[Armed]) -> Vec<usize> {
    places(
        rules,
        |spec| matches!(spec, Spec::Rate(rate) if rate.restricts().is_some()),
    )
}

fn places(rules: &[Armed], is_meant: fn(&Spec) -> bool) -> Vec<usize> {
    let is_meant = |rule: &Armed| rule.enforcement != Enforcement::Off && is_meant(&rule.spec);
    let places = rules.iter().enumerate();
    places
        .filter(|(_, rule)| is_meant(rule))
        .map(|(at, _)| at)
        .collect()
}

fn reads_before_greeting(rules: &[Armed]) -> bool {
    rules.iter().any(|rule| {
        rule.enforcement != Enforcement::Off && rule.applies.reads(Field::SourceBeforeGreeting)
    })
}

fn invalid(object: &ObjectRef, part: impl Into<String>, why: impl Into<String>) -> LoadError {
    LoadError::Invalid {
        object: object.clone(),
        part: part.into(),
        why: why.into(),
    }
}

/// What concerns the rules together: their number, one object each, one policy and one guard.
fn check_set(snapshot: &Snapshot) -> Result<(), LoadError> {
    if snapshot.rules.len() > MAX_RULES {
        return Err(invalid(
            &snapshot.gateway.object,
            "rules",
            format!("{} rules, {MAX_RULES} is the most", snapshot.rules.len()),
        ));
    }
    let mut seen = HashSet::new();
    for rule in &snapshot.rules {
        if !seen.insert(&rule.object) {
            return Err(LoadError::Duplicate(rule.object.clone()));
        }
        let found = kind_of(&rule.spec);
        if rule.object.kind != found {
            return Err(LoadError::KindMismatch {
                object: rule.object.clone(),
                found,
            });
        }
    }
    for kind in [Kind::SubmissionPolicy, Kind::LoginGuard] {
        let mut of_kind = snapshot
            .rules
            .iter()
            .map(|rule| &rule.object)
            .filter(|object| object.kind == kind);
        if let (Some(first), Some(second)) = (of_kind.next(), of_kind.next()) {
            return Err(LoadError::Conflict {
                first: first.clone(),
                second: second.clone(),
            });
        }
    }
    Ok(())
}

const fn kind_of(spec: &RuleSpec) -> Kind {
    match spec {
        RuleSpec::SubmissionPolicy(_) => Kind::SubmissionPolicy,
        RuleSpec::CountryRule(_) => Kind::CountryRule,
        RuleSpec::RateLimit(_) => Kind::RateLimit,
        RuleSpec::LoginGuard(_) => Kind::LoginGuard,
        RuleSpec::AbuseRule(_) => Kind::AbuseRule,
    }
}

fn arm(rule: &Rule) -> Result<Armed, LoadError> {
    let object = &rule.object;
    check_match(object, "spec.match", &rule.applies)?;
    let (spec, stages) = ready(object, &rule.spec)?;
    Ok(Armed {
        object: Arc::new(object.clone()),
        enforcement: rule.enforcement,
        brake: rule.brake,
        applies: Matcher::new(&rule.applies),
        stages,
        spec,
    })
}

fn ready(object: &ObjectRef, spec: &RuleSpec) -> Result<(Spec, Stages), LoadError> {
    let named = |Defect { part, why }| invalid(object, part, why);
    Ok(match spec {
        RuleSpec::SubmissionPolicy(spec) => {
            check_list(
                object,
                "spec.attachments.blockedExtensions",
                spec.blocked_extensions.len(),
            )?;
            let policy = Submission::new(spec).map_err(named)?;
            let stages = policy.stages();
            (Spec::Submission(Box::new(policy)), stages)
        }
        RuleSpec::CountryRule(spec) => {
            check_exempt(object, &spec.exempt)?;
            let abroad = Abroad::new(object, spec).map_err(named)?;
            let stages = abroad.stages();
            (Spec::Country(Box::new(abroad)), stages)
        }
        RuleSpec::RateLimit(spec) => {
            check_list(object, "spec.limits", spec.limits.len())?;
            for each in &spec.overrides {
                check_match(
                    object,
                    &format!("spec.overrides[{}].match", each.name),
                    &each.applies,
                )?;
            }
            let rate = Rate::new(object, spec).map_err(named)?;
            let stages = rate.stages();
            (Spec::Rate(Box::new(rate)), stages)
        }
        RuleSpec::LoginGuard(spec) => {
            let decoys = spec
                .decoys
                .as_ref()
                .map_or(&[][..], |decoys| &decoys.accounts);
            check_globs(object, "spec.decoys.accounts", decoys)?;
            let guard = Guard::new(object, spec).map_err(named)?;
            let stages = guard.stages();
            (Spec::Login(Box::new(guard)), stages)
        }
        RuleSpec::AbuseRule(spec) => {
            check_exempt(object, &spec.exempt)?;
            check_list(object, "spec.ladder", spec.ladder.len())?;
            let abuse = Abuse::new(object, spec).map_err(named)?;
            let stages = abuse.stages();
            (Spec::Abuse(Box::new(abuse)), stages)
        }
    })
}

fn check_exempt(object: &ObjectRef, exempt: &Exempt) -> Result<(), LoadError> {
    let sources = exempt.networks.len().max(exempt.asns.len());
    check_list(object, "spec.exempt", sources)?;
    let names = exempt.reverse_names.len();
    check_list(object, "spec.exempt.reverseNames", names)?;
    check_globs(object, "spec.exempt.accounts", &exempt.accounts)
}

fn check_match(object: &ObjectRef, part: &str, applies: &Match) -> Result<(), LoadError> {
    check_globs(object, &format!("{part}.accounts"), &applies.accounts)?;
    check_list(object, &format!("{part}.networks"), applies.networks.len())?;
    check_list(
        object,
        &format!("{part}.listeners"),
        applies.listeners.len(),
    )?;
    match applies.when.as_ref().and_then(expr_eval::defect) {
        Some(why) => Err(invalid(object, format!("{part}.when"), why)),
        None => Ok(()),
    }
}

fn check_globs(object: &ObjectRef, part: &str, globs: &[String]) -> Result<(), LoadError> {
    check_list(object, part, globs.len())?;
    match globs
        .iter()
        .find(|glob| glob.is_empty() || glob.len() > glob::MAX_LEN)
    {
        Some(glob) => Err(invalid(
            object,
            part,
            format!(
                "a glob has 1 to {} octets, one has {}",
                glob::MAX_LEN,
                glob.len()
            ),
        )),
        None => Ok(()),
    }
}

fn check_list(object: &ObjectRef, part: &str, len: usize) -> Result<(), LoadError> {
    if len > MAX_LIST {
        Err(invalid(
            object,
            part,
            format!("{len} members, {MAX_LIST} is the most"),
        ))
    } else {
        Ok(())
    }
}

/// The aliases say which addresses are an account's, to every rule that asks, however the policy itself is enforced.
fn senders(snapshot: &Snapshot) -> Result<Senders, LoadError> {
    for rule in &snapshot.rules {
        if let RuleSpec::SubmissionPolicy(policy) = &rule.spec {
            let part = "spec.sender.aliases";
            let accounts = policy
                .aliases
                .iter()
                .map(|alias| alias.account.clone())
                .collect::<Vec<_>>();
            check_globs(&rule.object, part, &accounts)?;
            check_list(
                &rule.object,
                part,
                policy
                    .aliases
                    .iter()
                    .map(|alias| alias.addresses.len())
                    .sum(),
            )?;
            return Senders::new(&policy.aliases).map_err(|bad| {
                invalid(
                    &rule.object,
                    part,
                    format!("{bad:?} is no address; one is local@domain or *@domain"),
                )
            });
        }
    }
    Ok(Senders::default())
}

/// The guard's own numbers, unless it is `Off`.
fn known_good<'a>(
    snapshot: &Snapshot,
    rules: &'a [Armed],
) -> Option<(&'a Arc<ObjectRef>, KnownGood)> {
    snapshot
        .rules
        .iter()
        .zip(rules)
        .find_map(|(rule, armed)| match &rule.spec {
            RuleSpec::LoginGuard(LoginGuard { known_good, .. })
                if rule.enforcement != Enforcement::Off =>
            {
                Some((&armed.object, *known_good))
            }
            _ => None,
        })
}

fn ready_pools(snapshot: &Snapshot) -> Result<BTreeMap<Arc<str>, ReadyPool>, LoadError> {
    let ready = |(name, pool): (&String, &Pool)| Ok((name.as_str().into(), ready_pool(pool)?));
    snapshot.pools.iter().map(ready).collect()
}

fn ready_pool(pool: &Pool) -> Result<ReadyPool, LoadError> {
    let object = &pool.object;
    if pool.members.is_empty() {
        return Err(invalid(
            object,
            "spec.members",
            "a pool without members sends nothing",
        ));
    }
    check_list(object, "spec.members", pool.members.len())?;
    let mut names = HashSet::new();
    if let Some(twice) = pool
        .members
        .iter()
        .find(|member| !names.insert(&member.name))
    {
        return Err(invalid(
            object,
            "spec.members",
            format!("{:?} is there twice", twice.name),
        ));
    }
    let rate = pool.rate.map(|rate| match rate.unit {
        Unit::Messages | Unit::Bytes => LimitPart::new(object, "spec.rate", rate),
        other => Err(format!("{other:?} are not what a pool sends")),
    });
    Ok(ReadyPool {
        object: Arc::new(object.clone()),
        pool: Arc::new(pool.clone()),
        rate: rate
            .transpose()
            .map_err(|why| invalid(object, "spec.rate", why))?,
    })
}

fn check_routes(rules: &[Armed], pools: &BTreeMap<Arc<str>, ReadyPool>) -> Result<(), LoadError> {
    for rule in rules {
        if let Spec::Submission(policy) = &rule.spec
            && let Some(missing) = policy.pools().find(|name| !pools.contains_key(*name))
        {
            return Err(LoadError::UnknownPool {
                object: (*rule.object).clone(),
                pool: missing.to_string(),
            });
        }
    }
    Ok(())
}

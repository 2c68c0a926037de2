//! LoginGuard: password errors by account, by source and by both.
//!
//! A lock is asked before the password is looked at, and answers alike whether the account exists. Where shared counters do not
//! answer, each proxy keeps tallies and locks for itself; where those do not answer either, the password check goes on: refusing every
//! login because a counter is out would turn a small failure into an outage, while an attacker gains no more than the time until it is back. A `Shadow` guard keeps the same tallies and locks, so that it shows what
//! it would refuse; enforced later, it goes on from there.

use std::net::IpAddr;

use crate::address::Account;
use crate::decision::{Reason, Said};
use crate::event::Stage;
use crate::explain::UNTRUSTED;
use crate::glob::Globs;
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::matching::{account_of, prefix};
use crate::op::{Key, Op};
use crate::plan::{Ask, KnownGoodPass, LockStep, Plan};
use crate::rules::failure::Failure;
use crate::rules::{Defect, Stages};
use crate::ruleset::RuleView;
use crate::snapshot::{DecoyAction, LoginGuard, ObjectRef, PerAccount, PerPair, PerSource};
use crate::time::Millis;

/// A [`LoginGuard`] made ready.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    account: Option<(PerAccount, Scope)>,
    source: Option<(PerSource, Scope, Scope)>,
    pair: Option<(PerPair, Scope)>,
    account_lock: Scope,
    source_lock: Scope,
    pair_lock: Scope,
    growth: u32,
    max_lock: Millis,
    decoys: Globs,
    /// How long a touched decoy locks the source.
    decoy_lock: Option<Millis>,
    ipv4_prefix: u8,
    ipv6_prefix: u8,
}

impl Guard {
    /// Makes the guard ready, or names the field that cannot be put in force.
    pub(crate) fn new(object: &ObjectRef, spec: &LoginGuard) -> Result<Self, Defect> {
        check(spec)?;
        let scope = |tally, per| Scope::new(object, tally, per);
        let lock = |tally| Scope::new(object, tally, Millis(0));
        let (ipv4_prefix, ipv6_prefix) = spec
            .per_source
            .map_or((32, 64), |source| (source.ipv4_prefix, source.ipv6_prefix));
        let decoys = spec.decoys.as_ref();
        Ok(Self {
            account: spec
                .per_account
                .map(|part| (part, scope(Tally::WrongPasswords, part.per))),
            source: spec.per_source.map(|part| {
                (
                    part,
                    scope(Tally::FailedAccounts, part.per),
                    scope(Tally::FailedPairs, part.per),
                )
            }),
            pair: spec
                .per_account_and_source
                .map(|part| (part, scope(Tally::Failures, part.per))),
            account_lock: lock(Tally::AccountLock),
            source_lock: lock(Tally::SourceLock),
            pair_lock: lock(Tally::PairLock),
            growth: spec.lock_growth,
            max_lock: spec.max_lock,
            decoys: Globs::new(decoys.map_or(&[][..], |decoys| &decoys.accounts)),
            decoy_lock: match decoys.map(|decoys| decoys.action) {
                Some(DecoyAction::LockSource) => spec.per_source.map(|source| source.lock),
                Some(DecoyAction::Points) | None => None,
            },
            ipv4_prefix,
            ipv6_prefix,
        })
    }

    pub(crate) fn is_decoy(&self, account: &Account) -> bool {
        self.decoys.contains(account.as_str())
    }

    pub(crate) fn stages(&self) -> Stages {
        Stages::LOGIN
            .and(Stages::LOGIN_FAILED)
            .and(Stages::LOGIN_SUCCEEDED)
    }

    pub(crate) fn ask<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let event = plan.event;
        let source = event.session.source.own_ip().map(|ip| self.whom(ip));
        match &event.stage {
            Stage::Login { account } => {
                self.ask_locks(rule, plan, account.as_ref(), source);
                if let Some(account) = account {
                    self.ask_decoys(rule, plan, account, source);
                }
            }
            Stage::LoginSucceeded => {
                if let Some(account) = account_of(event) {
                    self.ask_locks(rule, plan, Some(account), source);
                }
            }
            Stage::LoginFailed { account, password } => {
                let hidden_by = self.whom(event.session.source.ip);
                let account = account.as_ref();
                let failure = Failure::new(account, *password, hidden_by, event.at);
                self.ask_failed(rule, plan, account, source, &failure);
                self.ask_locks(rule, plan, account, source);
            }
            _ => {}
        }
    }

    /// What goes by the source stands still while nobody knows who that is: one guesser would lock out everybody behind
    /// the same address.
    fn leave_sources<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let parts = [
            (self.source.is_some(), "spec.perSource"),
            (self.pair.is_some(), "spec.perAccountAndSource"),
        ];
        for (_, part) in parts.into_iter().filter(|(given, _)| *given) {
            plan.say(rule, part, Said::Unjudged, UNTRUSTED);
        }
    }

    /// What of an address makes a source.
    fn whom(&self, ip: IpAddr) -> Subject<'static> {
        Subject::Prefix(prefix(ip, self.ipv4_prefix, self.ipv6_prefix))
    }

    /// Asked before the password is looked at, and again afterwards: of many guesses that were let in at once, those that
    /// come back once the lock is set are answered alike, right or wrong.
    fn ask_locks<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        account: Option<&Account>,
        source: Option<Subject<'_>>,
    ) {
        let account = account.map(|account| Subject::Account(account.as_str()));
        if let (Some(_), Some(account)) = (&self.account, account) {
            let key = self.account_lock.key(&Subjects::of(&[account]));
            ask_lock(
                rule,
                plan,
                "spec.perAccount",
                key,
                Reason::AccountLocked,
                KnownGoodPass::Passes,
            );
        }
        let Some(source) = source else {
            return self.leave_sources(rule, plan);
        };
        if self.source.is_some() {
            let key = self.source_lock.key(&Subjects::of(&[source]));
            ask_lock(
                rule,
                plan,
                "spec.perSource",
                key,
                Reason::SourceLocked,
                KnownGoodPass::Passes,
            );
        }
        if let (Some(_), Some(account)) = (&self.pair, account) {
            let key = self.pair_lock.key(&Subjects::of(&[account, source]));
            ask_lock(
                rule,
                plan,
                "spec.perAccountAndSource",
                key,
                Reason::AccountLocked,
                KnownGoodPass::Stays,
            );
        }
    }

    fn ask_decoys<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        account: &Account,
        source: Option<Subject<'_>>,
    ) {
        if self.is_decoy(account) {
            plan.say(
                rule,
                "spec.decoys",
                Said::Noted(Reason::DecoyTouched),
                "a decoy account was asked for",
            );
            if let (Some(base), Some(source)) = (self.decoy_lock, source) {
                let key = self.source_lock.key(&Subjects::of(&[source]));
                plan.record(self.lock(key, base));
                plan.say(
                    rule,
                    "spec.decoys.action",
                    Said::Noted(Reason::SourceLocked),
                    format!("locked for at least {base}"),
                );
            }
        }
    }

    fn ask_failed<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        account: Option<&Account>,
        source: Option<Subject<'_>>,
        failure: &Failure,
    ) {
        let account = account.map(|account| Subject::Account(account.as_str()));
        if let (Some((part, scope)), Some(account)) = (&self.account, account) {
            let subjects = Subjects::of(&[account]);
            let key = scope.key(&subjects);
            let lock = self.account_lock.key(&subjects);
            let lock = self.step(Reason::AccountLocked, lock, part.lock, vec![key.clone()]);
            let count = Op::Distinct {
                key,
                item: failure.password,
                window: part.per,
            };
            let mark = Mark {
                what: "distinct passwords",
                at: part.distinct_passwords,
                per: part.per,
            };
            ask_tally(rule, plan, "spec.perAccount", count, mark, lock);
        }
        // That the source is left out is said by the locks that are asked next.
        let Some(source) = source else { return };
        if let Some((part, accounts, pairs)) = &self.source {
            self.ask_source(
                rule,
                plan,
                &Subjects::of(&[source]),
                failure,
                (part, accounts, pairs),
            );
        }
        if let (Some((part, scope)), Some(account)) = (&self.pair, account) {
            let subjects = Subjects::of(&[account, source]);
            let key = scope.key(&subjects);
            let lock = self.pair_lock.key(&subjects);
            let lock = self.step(Reason::AccountLocked, lock, part.lock, vec![key.clone()]);
            let count = Op::Meter {
                key,
                cost: 1,
                window: part.per,
            };
            let mark = Mark {
                what: "failures of the account from this source",
                at: part.failures,
                per: part.per,
            };
            ask_tally(rule, plan, "spec.perAccountAndSource", count, mark, lock);
        }
    }

    fn ask_source<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        subjects: &Subjects,
        failure: &Failure,
        (part, accounts, pairs): (&PerSource, &Scope, &Scope),
    ) {
        let (accounts, pairs) = (accounts.key(subjects), pairs.key(subjects));
        let (lock, window) = (self.source_lock.key(subjects), part.per);
        let step = || {
            self.step(
                Reason::SourceLocked,
                lock.clone(),
                part.lock,
                vec![accounts.clone(), pairs.clone()],
            )
        };
        if let Some(at) = part.distinct_accounts {
            let count = Op::Distinct {
                key: accounts.clone(),
                item: failure.account,
                window,
            };
            let mark = Mark {
                what: "distinct accounts",
                at,
                per: window,
            };
            ask_tally(
                rule,
                plan,
                "spec.perSource.distinctAccounts",
                count,
                mark,
                step(),
            );
        }
        if let Some(at) = part.failed_pairs {
            let count = Op::Distinct {
                key: pairs.clone(),
                item: failure.pair,
                window,
            };
            let mark = Mark {
                what: "distinct pairs of account and password",
                at,
                per: window,
            };
            ask_tally(
                rule,
                plan,
                "spec.perSource.failedPairs",
                count,
                mark,
                step(),
            );
        }
    }

    fn step(&self, reason: Reason, key: Key, base: Millis, clear: Vec<Key>) -> Box<LockStep> {
        Box::new(LockStep {
            reason,
            lock: self.lock(key, base),
            clear,
        })
    }

    const fn lock(&self, key: Key, base: Millis) -> Op {
        Op::Lock {
            key,
            base,
            growth: self.growth,
            max: self.max_lock,
        }
    }
}

/// The number of failures that locks.
struct Mark {
    what: &'static str,
    at: u64,
    per: Millis,
}

fn ask_tally<'a>(
    rule: RuleView<'a>,
    plan: &mut Plan<'a>,
    part: &'static str,
    count: Op,
    mark: Mark,
    lock: Box<LockStep>,
) {
    let op = plan.run(count);
    let Mark { what, at, per } = mark;
    plan.check(
        rule,
        part.into(),
        Ask::Tally {
            op,
            what,
            at,
            per,
            lock,
        },
    );
}

fn ask_lock<'a>(
    rule: RuleView<'a>,
    plan: &mut Plan<'a>,
    part: &'static str,
    key: Key,
    reason: Reason,
    pass: KnownGoodPass,
) {
    let op = plan.run(Op::Locked { key });
    plan.check(rule, part.into(), Ask::Lock { op, reason, pass });
}

fn check(spec: &LoginGuard) -> Result<(), Defect> {
    let bad = |part: &str, why: &str| Err(Defect::new(part, why));
    if spec.lock_growth == 0 {
        return bad(
            "spec.lockGrowth",
            "a lock cannot grow by 0; 1 means that all are alike",
        );
    }
    if spec.known_good.keep.0 == 0 || spec.known_good.after_days == 0 {
        return bad(
            "spec.knownGood",
            "needs at least one day, and a time to keep it",
        );
    }
    let windows = [
        (
            "spec.perAccount",
            spec.per_account
                .map(|part| (part.per, part.distinct_passwords)),
        ),
        (
            "spec.perSource",
            spec.per_source
                .map(|part| (part.per, part.distinct_accounts.unwrap_or(1))),
        ),
        (
            "spec.perSource",
            spec.per_source
                .map(|part| (part.per, part.failed_pairs.unwrap_or(1))),
        ),
        (
            "spec.perAccountAndSource",
            spec.per_account_and_source
                .map(|part| (part.per, part.failures)),
        ),
    ];
    for (part, window) in windows {
        if window.is_some_and(|(per, at)| per.0 == 0 || at == 0) {
            return bad(part, "needs a window, and at least one failure to lock");
        }
    }
    let locks = spec
        .decoys
        .as_ref()
        .is_some_and(|decoys| decoys.action == DecoyAction::LockSource);
    if locks && spec.per_source.is_none() {
        return bad(
            "spec.decoys.action",
            "LockSource locks for as long as spec.perSource says, and that is not there",
        );
    }
    Ok(())
}

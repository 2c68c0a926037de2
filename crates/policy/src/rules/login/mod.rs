//! LoginGuard: password errors by account, by source and by both.
//!
//! A lock is asked before the password is looked at, and answers alike whether the account exists. Then the attempt is counted as if it had
//! failed, so that of many that come at once no more are looked at than the guard lets fail, and taken back if it was right. Where shared counters do not
//! answer, each proxy keeps tallies and locks for itself; where those do not answer either, the password check goes on: refusing every
//! login because a counter is out would turn a small failure into an outage, while an attacker gains no more than the time until it is back. A `Shadow` guard keeps the same tallies and locks, so that it shows what
//! it would refuse; enforced later, it goes on from there.

mod check;
mod locks;
mod tallies;

use std::net::IpAddr;

use crate::address::Account;
use crate::event::{Event, Stage};
use crate::glob::Globs;
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::matching::{account_of, prefix};
use crate::op::{Item, Key, Op};
use crate::plan::Plan;
use crate::rules::failure::{Failure, Hidden};
use crate::rules::{Defect, Stages};
use crate::ruleset::RuleView;
use crate::snapshot::{DecoyAction, LoginGuard, ObjectRef, PerAccount, PerPair, PerSource};
use crate::time::{Millis, Timestamp};

pub(crate) use tallies::taken_back;

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
        check::check(spec)?;
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
            .with(self.account.is_some(), Stages::LOGIN_SHOWN)
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
            Stage::LoginShown { account, .. } => {
                if let Some(failure) = self.shown(event) {
                    self.ask_shown(rule, plan, account, &failure);
                }
            }
            Stage::LoginSucceeded => {
                if let Some(account) = account_of(event) {
                    self.ask_locks(rule, plan, Some(account), source);
                    self.ask_proven(rule, plan, account, source);
                }
            }
            Stage::LoginFailed { account, password } => {
                let account = account.as_ref();
                let failure = self.failure(event, account, *password);
                self.ask_failed(rule, plan, account, source, &failure);
                self.ask_locks(rule, plan, account, source);
            }
            _ => {}
        }
    }

    /// What takes back what was counted of a login before a backend was asked.
    pub(crate) fn forgive(&self, shown: &Event) -> Option<Op> {
        let (_, scope) = self.account.as_ref()?;
        let item = self.shown(shown)?.password;
        let account = Subject::Account(account_of(shown)?.as_str());
        let key = scope.key(&Subjects::of(&[account]));
        Some(Op::Forget { key, item })
    }

    /// What ends the account's lock if it began at `before` or earlier, and forgets the failures until then. Locks and failures of pairs
    /// stay: nobody knows the sources of one account.
    pub(crate) fn pardon(&self, account: &Account, before: Timestamp) -> Vec<Op> {
        let Some((_, failures)) = &self.account else {
            return Vec::new();
        };
        let subjects = Subjects::of(&[Subject::Account(account.as_str())]);
        let keys = [&self.account_lock, failures].map(|scope| scope.key(&subjects));
        keys.map(|key| Op::Forgive { key, before }).into()
    }

    /// The failure that a login is counted as before a backend is asked.
    fn shown(&self, event: &Event) -> Option<Failure> {
        match &event.stage {
            Stage::LoginShown { account, password } => {
                Some(self.failure(event, Some(account), *password))
            }
            _ => None,
        }
    }

    fn failure(&self, event: &Event, account: Option<&Account>, password: Option<Item>) -> Failure {
        let source = &event.session.source;
        let hidden = if self.pair.is_some() && source.own_ip().is_some() {
            Hidden::OnePerSource
        } else {
            Hidden::OnePerMinute
        };
        Failure::new(account, password, self.whom(source.ip), event.at, hidden)
    }

    /// What of an address makes a source.
    fn whom(&self, ip: IpAddr) -> Subject<'static> {
        Subject::Prefix(prefix(ip, self.ipv4_prefix, self.ipv6_prefix))
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

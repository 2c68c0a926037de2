//! What a guard asks before anything that was shown is looked at, and again at the end: locks and decoys.

use super::Guard;
use crate::address::Account;
use crate::decision::{Reason, Said};
use crate::explain::UNTRUSTED;
use crate::key::{Subject, Subjects};
use crate::op::{Key, Op};
use crate::plan::{Ask, KnownGoodPass, Plan};
use crate::ruleset::RuleView;

impl Guard {
    /// What goes by the source stands still while nobody knows who that is: one guesser would lock out everybody behind
    /// the same address.
    pub(super) fn leave_sources<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let parts = [
            (self.source.is_some(), "spec.perSource"),
            (self.pair.is_some(), "spec.perAccountAndSource"),
        ];
        for (_, part) in parts.into_iter().filter(|(given, _)| *given) {
            plan.say(rule, part, Said::Unjudged, UNTRUSTED);
        }
    }

    /// Asked before the password is looked at, and again afterwards: of many guesses that were let in at once, those that
    /// come back once the lock is set are answered alike, right or wrong.
    pub(super) fn ask_locks<'a>(
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

    pub(super) fn ask_decoys<'a>(
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
}

pub(super) fn ask_lock<'a>(
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

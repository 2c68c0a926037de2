//! What a guard counts of a login: before a backend is asked, when one said no, and when one said yes.

use super::Guard;
use super::locks::ask_lock;
use crate::address::Account;
use crate::decision::Reason;
use crate::key::{Subject, Subjects};
use crate::op::{Key, Op};
use crate::plan::{Ask, Check, KnownGoodPass, LockStep, Plan, Turn};
use crate::rules::failure::Failure;
use crate::ruleset::RuleView;
use crate::signal::MAX_DISTINCT;
use crate::snapshot::PerSource;
use crate::time::Millis;

/// A tally of failures, and the lock that it leads to.
struct Counted {
    part: &'static str,
    what: &'static str,
    at: u64,
    per: Millis,
    lock: Box<LockStep>,
}

impl Guard {
    /// The account's part alone: a source can be an office whose people all begin at nine.
    ///
    /// The lock is asked again, in one call with the set that it clears: of what was let in before it fell, nothing gets into the new set
    /// and past the lock.
    pub(super) fn ask_shown<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        account: &Account,
        failure: &Failure,
    ) {
        let Some((counted, key)) = self.of_account(account) else {
            return;
        };
        let lock = self.account_lock.key(&of_account(account));
        let (reason, pass) = (Reason::AccountLocked, KnownGoodPass::Passes);
        ask_lock(rule, plan, counted.part, lock, reason, pass);
        let count = Op::Admit {
            key,
            item: failure.password,
            most: counted.at,
            window: counted.per,
        };
        counted.ask(rule, plan, count, Turn::Shown);
    }

    pub(super) fn ask_failed<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        account: Option<&Account>,
        source: Option<Subject<'_>>,
        failure: &Failure,
    ) {
        let turn = Turn::Failed;
        let distinct = |key, item, window| Op::Distinct { key, item, window };
        if let Some((counted, key)) = account.and_then(|account| self.of_account(account)) {
            let count = distinct(key, failure.password, counted.per);
            counted.ask(rule, plan, count, turn);
        }
        // That the source is left out is said by the locks that are asked next.
        let Some(source) = source else { return };
        if let Some((counted, key)) = self.accounts_of(source) {
            let count = distinct(key, failure.account, counted.per);
            counted.ask(rule, plan, count, turn);
        }
        if let Some((counted, key)) = self.pairs_of(source) {
            let count = distinct(key, failure.pair, counted.per);
            counted.ask(rule, plan, count, turn);
        }
        if let Some((counted, key)) = account.and_then(|account| self.of_pair(account, source)) {
            let (cost, window) = (1, counted.per);
            counted.ask(rule, plan, Op::Meter { key, cost, window }, turn);
        }
    }

    /// The account's own set needs no second look: what was right is not in it, and no more than it holds were let in.
    pub(super) fn ask_proven<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        account: &Account,
        source: Option<Subject<'_>>,
    ) {
        let Some(source) = source else { return };
        for (counted, key) in [self.accounts_of(source), self.pairs_of(source)]
            .into_iter()
            .flatten()
        {
            let window = counted.per;
            counted.ask(rule, plan, Op::Count { key, window }, Turn::Proven);
        }
        if let Some((counted, key)) = self.of_pair(account, source) {
            let window = counted.per;
            counted.ask(rule, plan, Op::Read { key, window }, Turn::Proven);
        }
    }

    /// The distinct passwords of an account, and how many lock.
    fn of_account(&self, account: &Account) -> Option<(Counted, Key)> {
        let (part, scope) = self.account.as_ref()?;
        let subjects = of_account(account);
        let key = scope.key(&subjects);
        let lock = self.account_lock.key(&subjects);
        let counted = Counted {
            part: "spec.perAccount",
            what: "distinct passwords",
            at: part.distinct_passwords.min(MAX_DISTINCT),
            per: part.per,
            lock: self.step(Reason::AccountLocked, lock, part.lock, vec![key.clone()]),
        };
        Some((counted, key))
    }

    fn accounts_of(&self, source: Subject<'_>) -> Option<(Counted, Key)> {
        let (part, accounts, _) = self.source.as_ref()?;
        let counted = Counted {
            part: "spec.perSource.distinctAccounts",
            what: "distinct accounts",
            at: part.distinct_accounts?.min(MAX_DISTINCT),
            per: part.per,
            lock: self.source_step(part, source)?,
        };
        Some((counted, accounts.key(&Subjects::of(&[source]))))
    }

    fn pairs_of(&self, source: Subject<'_>) -> Option<(Counted, Key)> {
        let (part, _, pairs) = self.source.as_ref()?;
        let counted = Counted {
            part: "spec.perSource.failedPairs",
            what: "distinct pairs of account and password",
            at: part.failed_pairs?.min(MAX_DISTINCT),
            per: part.per,
            lock: self.source_step(part, source)?,
        };
        Some((counted, pairs.key(&Subjects::of(&[source]))))
    }

    fn of_pair(&self, account: &Account, source: Subject<'_>) -> Option<(Counted, Key)> {
        let (part, scope) = self.pair.as_ref()?;
        let subjects = Subjects::of(&[Subject::Account(account.as_str()), source]);
        let key = scope.key(&subjects);
        let lock = self.pair_lock.key(&subjects);
        let mut lock = self.step(Reason::AccountLocked, lock, part.lock, vec![key.clone()]);
        lock.pass = KnownGoodPass::Stays;
        // A program that goes on with an old password would lock out its owner, who comes from the same address, for longer and longer.
        // The pair's number bounds guesses from one place as well by locks that are all alike.
        if let Op::Lock { growth, .. } = &mut lock.lock {
            *growth = 1;
        }
        let counted = Counted {
            part: "spec.perAccountAndSource",
            what: "failures of the account from this source",
            at: part.failures,
            per: part.per,
            lock,
        };
        Some((counted, key))
    }

    /// The lock of a source clears both of its sets.
    fn source_step(&self, part: &PerSource, source: Subject<'_>) -> Option<Box<LockStep>> {
        let (_, accounts, pairs) = self.source.as_ref()?;
        let subjects = Subjects::of(&[source]);
        let clear = vec![accounts.key(&subjects), pairs.key(&subjects)];
        let lock = self.source_lock.key(&subjects);
        Some(self.step(Reason::SourceLocked, lock, part.lock, clear))
    }

    fn step(&self, reason: Reason, key: Key, base: Millis, clear: Vec<Key>) -> Box<LockStep> {
        Box::new(LockStep {
            reason,
            pass: KnownGoodPass::Passes,
            lock: self.lock(key, base),
            base,
            clear,
        })
    }
}

/// A login that is refused shows nothing to a backend, and has no place among those that did: what came while a lock fell is not in the set
/// that the lock has cleared. `total` says what came of an operation.
pub(crate) fn taken_back(plan: &Plan<'_>, total: impl Fn(usize) -> Option<u64>) -> Vec<Op> {
    let forget = |check: &Check<'_>| {
        let Ask::Tally { op, at, turn, .. } = check.ask else {
            return None;
        };
        let was_admitted = turn == Turn::Shown && total(op).is_some_and(|total| total <= at);
        match &plan.ops[op] {
            Op::Admit { key, item, .. } if was_admitted => {
                let (key, item) = (key.clone(), *item);
                Some(Op::Forget { key, item })
            }
            _ => None,
        }
    };
    plan.checks.iter().filter_map(forget).collect()
}

fn of_account(account: &Account) -> Subjects {
    Subjects::of(&[Subject::Account(account.as_str())])
}

impl Counted {
    fn ask<'a>(self, rule: RuleView<'a>, plan: &mut Plan<'a>, count: Op, turn: Turn) {
        let Self {
            part,
            what,
            at,
            per,
            lock,
        } = self;
        let op = plan.run(count);
        let ask = Ask::Tally {
            op,
            what,
            at,
            per,
            lock,
            turn,
        };
        plan.check(rule, part.into(), ask);
    }
}

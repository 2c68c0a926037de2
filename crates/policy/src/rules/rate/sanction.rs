//! `onExceed: Restrict`: whoever is over a limit is restricted, once, and not again for what people have forgiven.

use std::collections::BTreeSet;

use super::Exceed;
use crate::address::Account;
use crate::decision::Class;
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::op::{Key, Op};
use crate::plan::Effect;
use crate::rules::Defect;
use crate::rules::limit::LimitPart;
use crate::rules::penalty::{Penalty, Wording};
use crate::snapshot::{KeyPart, Limit, ObjectRef, OnExceed, RateLimit, Restrict, Unit};
use crate::time::{Millis, Timestamp};

/// What restricts the account.
#[derive(Clone, Debug)]
pub(super) struct Restricting {
    pub(super) penalty: Penalty,
    /// Where accounts are counted together with something else nobody knows all tallies of one. Whom people release is let off
    /// until what it had used is out of every window.
    mercy: Option<Mercy>,
}

#[derive(Clone, Debug)]
struct Mercy {
    scope: Scope,
    lasts: Millis,
}

impl Exceed {
    /// Makes ready what being over a limit means. `key` is what is counted apart.
    pub(super) fn new(
        object: &ObjectRef,
        spec: &RateLimit,
        key: &[KeyPart],
    ) -> Result<Self, Defect> {
        let effect = match (spec.on_exceed, &spec.restrict) {
            (OnExceed::Restrict, Some(restrict)) => {
                let by = Restricting::new(object, spec, key, restrict)?;
                return Ok(Self::Account(Box::new(by)));
            }
            (OnExceed::Restrict, None) => {
                return Err(Defect::new(
                    "spec.restrict",
                    "says what onExceed Restrict does",
                ));
            }
            (_, Some(_)) => {
                return Err(Defect::new("spec.restrict", "goes with onExceed Restrict"));
            }
            (OnExceed::Defer, None) => Effect::Defer,
            (OnExceed::Reject, None) => Effect::Reject,
            (OnExceed::RouteSuspect, None) => Effect::Worsen(Class::Suspect),
            (OnExceed::RouteSpam, None) => Effect::Worsen(Class::Spam),
        };
        Ok(Self::Event(effect))
    }
}

impl Restricting {
    fn new(
        object: &ObjectRef,
        spec: &RateLimit,
        key: &[KeyPart],
        restrict: &Restrict,
    ) -> Result<Self, Defect> {
        if !key.contains(&KeyPart::Account) {
            let why = "has no account that could be restricted";
            return Err(Defect::new("spec.key", why));
        }
        let zero = Some(Millis(0));
        if restrict.growth == 0 || restrict.max_for.0 == 0 || restrict.term == zero {
            let why = "for, growth and maxFor cannot be 0";
            return Err(Defect::new("spec.restrict", why));
        }
        if all_limits(spec).any(|limit| is_anybodys(limit.unit)) {
            let why = "has no limit of what anybody can use up who has not logged in";
            return Err(Defect::new(
                "spec.limits",
                format!("onExceed Restrict {why}"),
            ));
        }
        let longest = all_limits(spec).map(|limit| limit.per).max();
        let apart = key == [KeyPart::Account];
        let mercy = longest.filter(|_| !apart).map(|per| Mercy {
            scope: Scope::new(object, Tally::LetOff, Millis(0)),
            lasts: leaves_after(per),
        });
        let wording = Wording {
            level: restrict.level,
            term: restrict.term,
            recipients_per_hour: restrict.recipients_per_hour,
            growth: restrict.growth,
            max_for: restrict.max_for,
        };
        Ok(Self {
            penalty: Penalty::new(object, wording),
            mercy,
        })
    }

    /// What asks whether the account was let off lately, where that has to be asked.
    pub(super) fn ask_mercy(&self, account: &Account) -> Option<Op> {
        let mercy = self.mercy.as_ref()?;
        let key = mercy.key(account);
        Some(Op::Locked { key })
    }

    /// What forgets what of an account's use is from `before` or earlier, or lets it off until that is out of every window. Said again,
    /// and later, it changes nothing more.
    pub(super) fn pardon<'a>(
        &self,
        account: &Account,
        (before, now): (Timestamp, Timestamp),
        limits: impl Iterator<Item = &'a LimitPart>,
    ) -> Vec<Op> {
        let mut ops: Vec<Op> = self.penalty.pardon(account, before).into_iter().collect();
        let Some(mercy) = &self.mercy else {
            let subjects = Subjects::of(&[Subject::Account(account.as_str())]);
            // Limits of overrides share the tallies of those that they take the place of.
            let tallies: BTreeSet<Key> = limits.map(|part| part.scope.key(&subjects)).collect();
            let forgive = |key| Op::Forgive { key, before };
            ops.extend(tallies.into_iter().map(forgive));
            return ops;
        };
        let key = mercy.key(account);
        // One of an earlier release ends, so that this one begins now.
        ops.push(Op::Forgive {
            key: key.clone(),
            before,
        });
        // Heard of late, it lasts no longer for that.
        let left = Millis(mercy.lasts.0.saturating_sub(now.since(before).0));
        if left > Millis(0) {
            ops.push(Op::Lock {
                key,
                base: left,
                growth: 1,
                max: left,
            });
        }
        ops
    }
}

impl Mercy {
    fn key(&self, account: &Account) -> Key {
        let subjects = Subjects::of(&[Subject::Account(account.as_str())]);
        self.scope.key(&subjects)
    }
}

fn all_limits(spec: &RateLimit) -> impl Iterator<Item = &Limit> {
    let overrides = spec.overrides.iter().flat_map(|each| &each.limits);
    spec.limits.iter().chain(overrides)
}

/// Whether who has not logged in to an account can use up what it has.
const fn is_anybodys(unit: Unit) -> bool {
    match unit {
        Unit::Connections | Unit::Attempts => true,
        Unit::Messages | Unit::Recipients | Unit::Bytes => false,
    }
}

/// After how long what was used has left a window, wherever it is counted: the 64th that it fell into, and as much again and ten
/// seconds where the tally lends.
const fn leaves_after(per: Millis) -> Millis {
    Millis(per.0.saturating_add(per.0 / 32).saturating_add(10_000))
}

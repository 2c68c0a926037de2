//! Which networks are known good for which accounts.

use std::sync::Arc;

use crate::address::Account;
use crate::event::{Event, Stage};
use crate::field_path::FieldPath;
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::matching::{account_of, site};
use crate::op::{Item, Key, Op};
use crate::plan::{Ask, Plan};
use crate::ruleset::RuleView;
use crate::snapshot::{Enforcement, KnownGood, ObjectRef};
use crate::time::{Millis, Span};

/// Learns which networks each account logs in from. It works with and without a LoginGuard, because the brake needs it, and keeps
/// its days under the gateway, so that adding or removing a guard forgets nobody.
#[derive(Clone, Debug)]
pub(crate) struct Learner {
    object: Arc<ObjectRef>,
    part: FieldPath,
    scope: Scope,
    /// Where it is noted which days count no more.
    disowned: Scope,
    pub(crate) known_good: KnownGood,
}

impl Learner {
    pub(crate) fn new(
        gateway: &Arc<ObjectRef>,
        guard: Option<(&Arc<ObjectRef>, KnownGood)>,
    ) -> Self {
        let part = if guard.is_some() {
            "spec.knownGood"
        } else {
            "known-good networks"
        };
        let (object, known_good) = guard.unwrap_or((gateway, KnownGood::default()));
        Self {
            object: object.clone(),
            part: part.into(),
            scope: Scope::new(gateway, Tally::GoodDays, known_good.keep),
            disowned: Scope::new(gateway, Tally::Disowned, Millis(0)),
            known_good,
        }
    }

    /// What makes days of this span count for no network of the account, whichever it came from then: they are the thief's, or nobody
    /// knows whose. Days from before stay, and so do those that come after it.
    pub(crate) fn disown(&self, account: &Account, span: Span) -> Op {
        Op::Disown {
            key: self.mark_of(account),
            span,
            keep: self.known_good.keep,
        }
    }

    fn mark_of(&self, account: &Account) -> Key {
        let subjects = Subjects::of(&[Subject::Account(account.as_str())]);
        self.disowned.key(&subjects)
    }

    /// Counts the days before a login; a good login adds its own day, unless something restricts the account: it may be the thief's.
    pub(crate) fn ask<'a>(&'a self, plan: &mut Plan<'a>) {
        let event = plan.event;
        // A network that many clients share is nobody's, and is not learned as anybody's.
        let (Some(account), Some(ip)) = (account_of(event), event.session.source.own_ip()) else {
            return;
        };
        let network = site(ip);
        let key = self.scope.key(&Subjects::of(&[
            Subject::Account(account.as_str()),
            Subject::Prefix(network),
        ]));
        let window = self.known_good.keep;
        // Nobody can tell which networks a thief came from: each is looked at when somebody comes from it.
        plan.run(Op::Heed {
            key: key.clone(),
            mark: self.mark_of(account),
        });
        let op = match event.stage {
            Stage::LoginSucceeded if !is_restricted(event) => {
                let mut item = Item::default();
                item[8..].copy_from_slice(&event.at.day().to_be_bytes());
                Op::Distinct { key, item, window }
            }
            _ => Op::Count { key, window },
        };
        let op = plan.run(op);
        plan.good_days = Some(op);
        let rule = RuleView {
            object: &self.object,
            enforcement: Enforcement::Enforce,
        };
        plan.check(rule, self.part.clone(), Ask::GoodDays { op });
    }
}

fn is_restricted(event: &Event) -> bool {
    let account = event.account.as_ref();
    account.is_some_and(|account| account.standing.is_some())
}

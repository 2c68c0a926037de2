//! What a rule restricts an account to, and for how long: longer with each repetition, for all proxies alike.

use crate::address::Account;
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::op::{Key, Op};
use crate::restriction::Level;
use crate::snapshot::ObjectRef;
use crate::time::{Millis, Timestamp};

/// A restriction as a rule words it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wording {
    pub(crate) level: Level,
    /// How long the first lasts; `None` until somebody releases the account.
    pub(crate) term: Option<Millis>,
    pub(crate) recipients_per_hour: Option<u32>,
    /// Each further one lasts so many times longer.
    pub(crate) growth: u32,
    /// None lasts longer, and after so long without one the first length is back.
    pub(crate) max_for: Millis,
}

/// The same made ready.
#[derive(Clone, Debug)]
pub(crate) struct Penalty {
    pub(crate) wording: Wording,
    /// Where it is kept how often the account had it.
    terms: Scope,
}

impl Penalty {
    pub(crate) fn new(object: &ObjectRef, wording: Wording) -> Self {
        let terms = Scope::new(object, terms_of(wording.level), Millis(0));
        Self { wording, terms }
    }

    /// What says until when it lasts this time, if it has an end. While one lasts, it is that one's end.
    pub(crate) fn ask_term(&self, account: &Account) -> Option<Op> {
        Some(Op::Lock {
            key: self.key(account),
            base: self.wording.term?,
            growth: self.wording.growth,
            max: self.wording.max_for,
        })
    }

    /// What ends the term that began at `before` or earlier: the next begins then, and lasts longer.
    pub(crate) fn pardon(&self, account: &Account, before: Timestamp) -> Option<Op> {
        self.wording.term?;
        let key = self.key(account);
        Some(Op::Forgive { key, before })
    }

    fn key(&self, account: &Account) -> Key {
        let subjects = Subjects::of(&[Subject::Account(account.as_str())]);
        self.terms.key(&subjects)
    }
}

const fn terms_of(level: Level) -> Tally {
    match level {
        Level::Watch => Tally::WatchTerm,
        Level::Limit => Tally::LimitTerm,
        Level::Quarantine => Tally::QuarantineTerm,
        Level::Suspend => Tally::SuspendTerm,
    }
}

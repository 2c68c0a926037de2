//! What speaks against an account now, and what a release forgets of it.

use crate::address::Account;
use crate::id::DecisionId;
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::op::{Op, Outcome, Results};
use crate::rules::abuse::Abuse;
use crate::ruleset::{Armed, Ruleset, Spec};
use crate::signal::Award;
use crate::snapshot::ObjectRef;
use crate::time::{Millis, Span, Timestamp};

/// The points of an account under one rule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// The rule.
    pub rule: ObjectRef,
    /// The sum of what is left now.
    pub score: u32,
    /// Points are gone so long after they were awarded.
    pub decay: Millis,
    /// The points of the next step of its ladder, if there is one above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// What was awarded when, oldest first.
    pub awards: Vec<Award>,
}

/// For how long it is known how many recipients of a message came back. Next hops give up after five days (RFC 5321 4.5.4.1).
const BOUNCED: Millis = Millis(7 * Millis::DAY.0);

impl Ruleset {
    /// What counts that recipients of one message turned out not to exist: the answer is how many did, as far as was reported. Nobody
    /// is charged for more than the message went to, whoever reports it how often.
    #[must_use]
    pub fn bounced(&self, account: &Account, message: DecisionId, count: u64) -> Op {
        let subjects = [Subject::Account(account.as_str()), Subject::Record(message)];
        Op::Meter {
            key: Scope::new(self.gateway_ref(), Tally::Bounced, BOUNCED)
                .key(&Subjects::of(&subjects)),
            cost: count,
            window: BOUNCED,
        }
    }

    /// What forgets all that speaks against an account under `rule`, or under every rule, and is from `before` or earlier: to be applied
    /// when somebody releases it, or what it did before would restrict it again at once. So is what it used of limits that restrict. A
    /// release from everything ends its lock too. What a repetition costs stays. It may be applied again, and late: what came after
    /// `before` stays.
    #[must_use]
    pub fn pardon(
        &self,
        account: &Account,
        rule: Option<&ObjectRef>,
        before: Timestamp,
        now: Timestamp,
    ) -> Vec<Op> {
        let is_meant = |own: &Armed| rule.is_none_or(|rule| *own.object == *rule);
        let pardons = self.abuse().filter(|(own, _)| is_meant(own));
        let points =
            pardons.flat_map(|(_, abuse)| abuse.pardon(account, before, &self.correspondents));
        let restricting = self.restricting.iter().map(|&at| &self.rules[at]);
        let used = restricting
            .filter(|own| is_meant(own))
            .flat_map(|own| match &own.spec {
                Spec::Rate(rate) => rate.pardon(account, (before, now)),
                _ => Vec::new(),
            });
        let guards = self.rules.iter().filter(|_| rule.is_none());
        let locks = guards.flat_map(|own| match &own.spec {
            Spec::Login(guard) => guard.pardon(account, before),
            _ => Vec::new(),
        });
        points.chain(used).chain(locks).collect()
    }

    /// What makes the days of this span count for no network that an account logged in from: to be applied when somebody releases it
    /// from what a thief did meanwhile. It may be applied again, and late.
    #[must_use]
    pub fn disown(&self, account: &Account, span: Span) -> Op {
        self.learner.disown(account, span)
    }

    /// What reads the points of an account, one operation for each rule that counts, in the order of [`Self::scores`].
    #[must_use]
    pub fn ask_scores(&self, account: &Account) -> Vec<Op> {
        let ask = |abuse: &Abuse| Op::Points {
            key: abuse.points_of(account),
            keep: abuse.decay,
        };
        self.abuse().map(|(_, abuse)| ask(abuse)).collect()
    }

    /// The points of an account, by the answers to [`Self::ask_scores`].
    #[must_use]
    pub fn scores(&self, results: &Results, now: Timestamp) -> Vec<Score> {
        let of = |((rule, abuse), outcome): ((&Armed, &Abuse), &Outcome)| {
            let Outcome::Awards(awards) = outcome else {
                return None;
            };
            Some(Score {
                rule: (*rule.object).clone(),
                score: awards.score(abuse.decay, now),
                decay: abuse.decay,
                next: abuse
                    .ladder
                    .iter()
                    .map(|rung| rung.at)
                    .find(|&at| at > awards.score(abuse.decay, now)),
                // What only holds off others is worth nothing.
                awards: awards
                    .list
                    .iter()
                    .copied()
                    .filter(|award| award.points > 0)
                    .collect(),
            })
        };
        self.abuse().zip(&results.0).filter_map(of).collect()
    }
}

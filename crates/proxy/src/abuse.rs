//! What came of an event, followed up: signals are counted, points are awarded, accounts are restricted.
//!
//! Nothing here refuses anything: where counters do not answer, this process counts for itself, and the mail goes on.

mod bounces;
mod pardons;

use sekisho_policy::decision::Decision;
use sekisho_policy::event::{Event, Stage};
use sekisho_policy::op::{Op, Results};
use sekisho_policy::watch::{Score, Watch};
use sekisho_policy::{Account, Finding, Seen, Signal, Timestamp, Unavailable, Upshot};

use crate::engine::{Engine, apply};
use crate::live::Live;
pub(crate) use bounces::see_bounces;
pub(crate) use pardons::{Pardons, pardon_released};

/// Whether what is over a limit is the account's own doing since people last released it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Counted,
    /// It may be what they have just forgiven.
    Forgiven,
}

impl Engine {
    /// What an event's excess is worth, asked before counters are.
    pub(crate) fn trust(&self, event: &Event) -> Trust {
        if self.is_in_doubt(event) {
            Trust::Forgiven
        } else {
            Trust::Counted
        }
    }

    /// Follows up a decision; what is found is added to it.
    pub(crate) async fn follow_up(
        &self,
        live: &Live,
        event: &Event,
        decision: &mut Decision,
        trust: Trust,
    ) {
        let mut watch = live.rules.watch(event, &Seen::Judged(decision));
        if trust == Trust::Forgiven {
            watch = watch.letting_off();
        }
        if !watch.is_empty() {
            // The counters' wait is boxed, so that the session's task is as small as without it.
            let findings = Box::pin(self.follow(live, event, watch)).await;
            decision.findings.extend(findings);
        }
    }

    /// The next hop does not know so many recipients.
    pub(crate) async fn see_unknown(&self, live: &Live, event: &Event, count: u64) -> Vec<Finding> {
        if count == 0 || !live.rules.counts(Signal::UnknownRecipients) {
            return Vec::new();
        }
        Box::pin(self.see(live, event, &Seen::UnknownRecipients(count))).await
    }

    /// Counts what was seen, and restricts the account if that is what rules make of it. What they say is for the record.
    pub(crate) async fn see(&self, live: &Live, event: &Event, seen: &Seen<'_>) -> Vec<Finding> {
        let watch = live.rules.watch(event, seen);
        if watch.is_empty() {
            return Vec::new();
        }
        self.follow(live, event, watch).await
    }

    async fn follow(&self, live: &Live, event: &Event, watch: Watch<'_>) -> Vec<Finding> {
        // What somebody was forgiven must not be held against him because counters did not hear of it.
        if let Some(account) = account_of(event)
            && self.pardons.owes(account)
        {
            self.pardon(live, account, event.at).await;
        }
        let results = self.count(live, event.at, watch.ops()).await;
        let Some(claims) = watch.claims(&results) else {
            return Vec::new();
        };
        let results = self.count(live, event.at, claims.ops()).await;
        let steps = claims.steps(&results);
        let results = self.count(live, event.at, steps.ops()).await;
        let Upshot {
            findings,
            restrictions,
        } = steps.upshot(&results);
        if let Some(account) = account_of(event) {
            for restriction in restrictions {
                tracing::warn!(
                    account = account.as_str(),
                    level = %restriction.level,
                    rule = %restriction.origin,
                    why = %restriction.why,
                    decision = %event.id,
                    "an account is restricted"
                );
                self.restrictions.impose(account, restriction);
            }
        }
        findings
    }

    /// Applies what is only counted. While shared counters do not answer, this process counts for itself.
    pub(super) async fn count(&self, live: &Live, at: Timestamp, ops: &[Op]) -> Results {
        if ops.is_empty() {
            return Results::default();
        }
        let counters = self.tallies.now();
        match apply(&counters, live, at, ops).await {
            Ok((results, _)) => results,
            Err(_) => counters
                .apply_alone(at, ops)
                .map(|(results, _)| results)
                .unwrap_or_default(),
        }
    }

    /// The points of an account.
    ///
    /// # Errors
    /// Counters that do not answer.
    pub(crate) async fn scores(
        &self,
        live: &Live,
        account: &Account,
        at: Timestamp,
    ) -> Result<Vec<Score>, Unavailable> {
        let ops = live.rules.ask_scores(account);
        if ops.is_empty() {
            return Ok(Vec::new());
        }
        let (results, _) = self.tallies.now().apply(at, &ops).await?;
        Ok(live.rules.scores(&results, at))
    }
}

/// The account that an event is about.
fn account_of(event: &Event) -> Option<&Account> {
    match &event.stage {
        Stage::LoginShown { account, .. } => Some(account),
        Stage::Login { account } | Stage::LoginFailed { account, .. } => account.as_ref(),
        _ => event.account.as_ref().map(|account| &account.name),
    }
}

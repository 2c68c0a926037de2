//! Limits that restrict: what they impose holds from the next event on, as at a gateway.

use sekisho_policy::decision::Decision;
use sekisho_policy::event::Event;
use sekisho_policy::op::Results;

use super::Session;

impl Session<'_> {
    /// Restricts the account where it is over a limit that does; what is found is added to the decision.
    pub(super) async fn follow(&mut self, event: &Event, decision: &mut Decision) {
        let rules = self.world.rules;
        let nothing = Results::default();
        let Some(claims) = rules.watch_limits(event, decision).claims(&nothing) else {
            return;
        };
        let steps = claims.steps(&nothing);
        let told = self.apply(steps.ops()).await;
        let upshot = steps.upshot(&told.map(|(results, _)| results).unwrap_or_default());
        decision.findings.extend(upshot.findings);
        self.restrictions.retain(|one| one.holds_at(event.at));
        self.restrictions.extend(upshot.restrictions);
        if let Some(account) = self.account.clone() {
            self.become_of(&account.name, account.network);
        }
    }
}

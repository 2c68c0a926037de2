//! What came of an event, followed up: signals are counted, points are awarded, accounts are restricted.
//!
//! Nothing here refuses anything: where counters do not answer, this process counts for itself, and the mail goes on.

use std::net::Ipv6Addr;
use std::sync::Arc;

use sekisho_policy::decision::Decision;
use sekisho_policy::event::{
    AccountFacts, BeforeGreeting, Event, Fact, HeloForm, Network, SessionFacts, Source,
    SourceTrust, Stage, Tls,
};
use sekisho_policy::op::{Op, Results};
use sekisho_policy::watch::Score;
use sekisho_policy::{Account, Finding, Seen, Signal, Timestamp, Unavailable, Upshot};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::engine::{Engine, apply};
use crate::live::Live;
use crate::restrictions::Released;
use crate::shared::Shared;

impl Engine {
    /// Follows up a decision; what is found is added to it.
    pub(crate) async fn follow_up(&self, live: &Live, event: &Event, decision: &mut Decision) {
        // The counters' wait is boxed, so that the session's task is as small as without it.
        let upshot = {
            let seen = Seen::Judged(decision);
            if live.rules.watch(event, &seen).ops().is_empty() {
                return;
            }
            Box::pin(self.see(live, event, &seen)).await
        };
        decision.findings.extend(upshot);
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
        if watch.ops().is_empty() {
            return Vec::new();
        }
        let results = self.count(live, event.at, watch.ops()).await;
        let Some(claims) = watch.claims(&results) else {
            return Vec::new();
        };
        let results = self.count(live, event.at, claims.ops()).await;
        let steps = claims.steps(&results);
        let results = match steps.ops() {
            [] => Results::default(),
            ops => self.count(live, event.at, ops).await,
        };
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
    async fn count(&self, live: &Live, at: Timestamp, ops: &[Op]) -> Results {
        let counters = self.tallies.now();
        match apply(&counters, live, at, ops).await {
            Ok((results, _)) => results,
            Err(_) => counters
                .apply_alone(at, ops)
                .map(|(results, _)| results)
                .unwrap_or_default(),
        }
    }

    /// Forgets what speaks against an account, here and where counters are shared.
    async fn pardon(&self, live: &Live, account: &Account, at: Timestamp) {
        let ops = live.rules.pardon(account);
        if ops.is_empty() {
            return;
        }
        let counters = self.tallies.now();
        // What was counted alone while they were out is forgotten too.
        counters.apply_alone(at, &ops);
        if let Err(unavailable) = counters.apply(at, &ops).await {
            tracing::warn!(account = account.as_str(), %unavailable, "an account was released, and its old points could not be forgotten");
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
        Stage::Login { account } | Stage::LoginFailed { account, .. } => account.as_ref(),
        _ => event.account.as_ref().map(|account| &account.name),
    }
}

/// Counts recipients that turned out not to exist, as of a session that nobody knows any more.
pub(crate) async fn see_bounces(shared: &Shared, account: &Account, count: u64) {
    let live = shared.live();
    let session = SessionFacts {
        listener: "".into(),
        source: Source {
            ip: Ipv6Addr::UNSPECIFIED.into(),
            country: None,
            asn: None,
            reverse_names: Fact::Unasked,
            trust: SourceTrust::Untrusted,
        },
        tls: Tls::Off,
        helo: None,
        helo_form: HeloForm::default(),
        before_greeting: BeforeGreeting::Silent,
    };
    let facts = AccountFacts::new(account.clone(), Network::New);
    let event = Event {
        id: shared.ids.draw(),
        at: shared.now(),
        session: Arc::new(session),
        account: Some(Arc::new(facts)),
        settings: shared.settings.of(account),
        transaction: None,
        stage: Stage::Mail,
        tripped: shared.engine.brakes.tripped().to_vec(),
        config: shared.config_state(),
    };
    shared.engine.see_unknown(&live, &event, count).await;
}

/// Forgets the points of accounts that somebody releases, until the process drains.
pub(crate) async fn pardon_released(shared: Arc<Shared>, mut released: Receiver<Released>) {
    loop {
        let account = tokio::select! {
            account = released.recv() => account,
            () = shared.shutdown.draining() => return,
        };
        match account {
            Ok(Released { account, .. }) => {
                let (live, now) = (shared.live(), shared.now());
                shared.engine.pardon(&live, &account, now).await;
            }
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(
                    missed,
                    "accounts were released faster than their points could be forgotten"
                );
            }
            Err(RecvError::Closed) => return,
        }
    }
}

//! A session that never was: one event after the other through the engine, with counters of its own that begin empty.

use std::net::IpAddr;
use std::sync::Arc;

use sekisho_counters::{Counters, Limits};
use sekisho_policy::event::{
    AccountFacts, ConfigState, Country, EndFacts, Event, Fact, Network, SessionFacts, Source,
    Stage, Tls, TransactionFacts,
};
use sekisho_policy::op::Results;
use sekisho_policy::record::Step;
use sekisho_policy::snapshot::ListenerTls;
use sekisho_policy::{Account, Address, Class, DecisionId, Need, Ruleset, Timestamp};
use sekisho_proxy::Dns;
use sekisho_runtime::country::Place;

/// Who would connect, to where and when.
pub(super) struct Client<'a> {
    pub(super) listener: &'a sekisho_policy::snapshot::Listener,
    pub(super) source: IpAddr,
    pub(super) place: Place,
    pub(super) helo: &'a str,
    pub(super) at: Timestamp,
}

/// The session so far.
pub(super) struct Session<'a> {
    rules: &'a Ruleset,
    /// Asked only for what some rule needs.
    dns: &'a Dns,
    counters: Counters,
    at: Timestamp,
    facts: Arc<SessionFacts>,
    account: Option<Arc<AccountFacts>>,
    transaction: Option<TransactionFacts>,
    steps: Vec<Step>,
}

impl<'a> Session<'a> {
    pub(super) fn new(rules: &'a Ruleset, dns: &'a Dns, client: &Client<'_>) -> Self {
        let facts = SessionFacts {
            listener: client.listener.name.as_str().into(),
            source: Source {
                ip: client.source.to_canonical(),
                country: client.place.country.and_then(Country::parse),
                asn: client.place.asn,
                reverse_names: Fact::Unasked,
            },
            tls: if client.listener.tls == ListenerTls::Off {
                Tls::Off
            } else {
                Tls::On
            },
            helo: Some(client.helo.into()),
        };
        Self {
            rules,
            dns,
            counters: Counters::memory(Limits::default()),
            at: client.at,
            facts: Arc::new(facts),
            account: None,
            transaction: None,
            steps: Vec::new(),
        }
    }

    /// AUTH as `account` with the right password.
    pub(super) async fn log_in(&mut self, account: &Account) -> bool {
        if !self
            .judge(Stage::Login {
                account: account.clone(),
            })
            .await
        {
            return false;
        }
        self.account = Some(Arc::new(AccountFacts {
            name: account.clone(),
            network: Network::New,
        }));
        self.judge(Stage::LoginSucceeded).await
    }

    /// MAIL.
    pub(super) async fn mail(&mut self, sender: Option<Address>, size: u64) -> bool {
        let class = Class::default();
        self.transaction = Some(TransactionFacts {
            sender,
            declared_size: Some(size),
            recipients: 0,
            class,
        });
        self.judge(Stage::Mail).await
    }

    /// RCPT; one that is refused does not end the transaction.
    pub(super) async fn rcpt(&mut self, recipient: Address) -> bool {
        let taken = self
            .judge(Stage::Rcpt {
                recipient,
                domain: Fact::Unasked,
            })
            .await;
        if let (true, Some(transaction)) = (taken, &mut self.transaction) {
            transaction.recipients += 1;
        }
        taken
    }

    /// The end of the data, and the rate of the pool that the message then leaves by.
    pub(super) async fn end(&mut self, facts: EndFacts) -> bool {
        let bytes = facts.bytes;
        if !self.judge(Stage::End(facts)).await {
            return false;
        }
        let route = Stage::Route { bytes };
        let event = self.event(route.clone());
        let class = event
            .transaction
            .as_ref()
            .map(|transaction| transaction.class);
        !self.rules.asks_route(&event, class.unwrap_or_default()) || self.judge(route).await
    }

    /// Judges what happens next by the same engine as a running gateway; whether it passes.
    pub(super) async fn judge(&mut self, stage: Stage) -> bool {
        let mut event = self.event(stage);
        self.gather(&mut event).await;
        let plan = self.rules.plan(&event);
        let applied = self.counters.apply(self.at, plan.ops()).await;
        let answers = applied.map(|(results, _)| results);
        let decision = plan.decide(answers.as_ref());
        let ops = plan.ops().to_vec();
        // Counters in memory that are new have room for these few keys.
        let _ = self.counters.apply(self.at, &decision.records).await;
        if let Some(transaction) = &mut self.transaction {
            transaction.class = decision.class;
        }
        let passes = decision.verdict.refusal().is_none();
        self.facts = event.session.clone();
        self.steps.push(Step {
            event,
            ops,
            answers: answers.map(|Results(outcomes)| outcomes),
            decision,
        });
        passes
    }

    /// What was judged.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn event(&self, stage: Stage) -> Event {
        Event {
            id: DecisionId::from_random(self.steps.len() as u64 + 1),
            at: self.at,
            session: self.facts.clone(),
            account: self.account.clone(),
            transaction: self.transaction.clone(),
            stage,
            tripped: Vec::new(),
            config: ConfigState::Current,
        }
    }

    async fn gather(&self, event: &mut Event) {
        let needs = self.rules.needs(event);
        if needs.contains(Need::ReverseNames) {
            let names = self.dns.reverse_names(event.session.source.ip).await;
            Arc::make_mut(&mut event.session).source.reverse_names = names;
        }
        if needs.contains(Need::RecipientDomain)
            && let Stage::Rcpt { recipient, domain } = &mut event.stage
        {
            *domain = self.dns.domain_standing(recipient.domain()).await;
        }
    }
}

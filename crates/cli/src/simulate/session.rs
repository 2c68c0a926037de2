//! One event after the other through the engine, as a client would bring them about.

mod gather;
mod restrict;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use sekisho_counters::{Counters, Receipt};
use sekisho_policy::event::{
    AccountFacts, BeforeGreeting, Checked, ConfigState, DomainStanding, Event, Fact, HeloForm,
    Network, SessionFacts, Source, Stage, Tls, TransactionFacts,
};
use sekisho_policy::op::{Op, Results, Unavailable};
use sekisho_policy::record::Step;
use sekisho_policy::snapshot::{Listener, ListenerTls};
use sekisho_policy::{
    Account, Address, Class, ContentNeeds, DecisionId, Item, Opinion, Restriction, Ruleset,
    Settings, Standing, Timestamp,
};
use sekisho_proxy::Dns;
use sekisho_smtp::Mailbox;

use super::message::Message;

/// What the session takes place in.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) rules: &'a Ruleset,
    pub(crate) tallies: Tallies<'a>,
    pub(crate) lookups: Lookups<'a>,
    pub(crate) config: ConfigState,
}

/// Where counting happens.
#[derive(Clone, Copy)]
pub(crate) enum Tallies<'a> {
    Counters(&'a Counters),
    /// Counters that do not answer.
    Out,
}

/// Where costly facts come from; asked only for what some rule needs.
#[derive(Clone, Copy)]
pub(crate) enum Lookups<'a> {
    Dns(&'a Dns),
    Given(&'a Given),
}

/// Facts that somebody made up.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Unasked if nobody did.
    pub(crate) reverse_names: Fact<Vec<Box<str>>>,
    /// By domain in lower case; `*` stands for all others.
    pub(crate) domains: BTreeMap<String, Fact<DomainStanding>>,
    /// Unasked if nobody did.
    pub(crate) opinions: Fact<Vec<Opinion>>,
}

/// Who connects, to where and when.
pub(crate) struct Client<'a> {
    pub(crate) listener: &'a Listener,
    pub(crate) source: Source,
    pub(crate) helo: &'a str,
    pub(crate) before_greeting: BeforeGreeting,
    pub(crate) at: Timestamp,
}

/// What is to be sent.
pub(crate) struct Submission<'m> {
    /// `None` is the null sender.
    pub(crate) sender: Option<Address>,
    pub(crate) recipients: Vec<Address>,
    pub(crate) message: &'m Message,
}

/// The session so far.
pub(crate) struct Session<'a> {
    world: World<'a>,
    at: Timestamp,
    facts: Arc<SessionFacts>,
    account: Option<Arc<AccountFacts>>,
    /// What restricts whoever logs in.
    restrictions: Vec<Restriction>,
    /// What they have set.
    settings: Settings,
    transaction: Option<TransactionFacts>,
    steps: Vec<Step>,
    /// What comes back if the message is not sent.
    charges: Vec<Receipt>,
    /// Facts that rules asked for and that nobody had made up.
    lacking: Vec<String>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(world: World<'a>, client: &Client<'_>) -> Self {
        let facts = SessionFacts {
            listener: client.listener.name.as_str().into(),
            source: client.source.clone(),
            tls: if client.listener.tls == ListenerTls::Off {
                Tls::Off
            } else {
                Tls::On
            },
            helo: Some(client.helo.into()),
            helo_form: HeloForm::of(client.helo, None),
            before_greeting: client.before_greeting,
        };
        Self {
            world,
            at: client.at,
            facts: Arc::new(facts),
            account: None,
            restrictions: Vec::new(),
            settings: Settings::None,
            transaction: None,
            steps: Vec::new(),
            charges: Vec::new(),
            lacking: Vec::new(),
        }
    }

    /// The same by an account that is restricted like this.
    pub(crate) fn restricted(mut self, restrictions: Vec<Restriction>) -> Self {
        self.restrictions = restrictions;
        self
    }

    /// The same by an account that has set this.
    pub(crate) fn set(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    pub(crate) async fn connect(&mut self) -> bool {
        self.judge(Stage::Connect).await
    }

    /// AUTH as `account` with the right password.
    pub(crate) async fn log_in(&mut self, account: &Account) -> bool {
        let name = Some(account.clone());
        if !self.judge(Stage::Login { account: name }).await {
            return false;
        }
        self.become_of(account, self.network());
        if !self.judge(Stage::LoginSucceeded).await {
            return false;
        }
        self.become_of(account, self.network());
        true
    }

    /// AUTH as `account` with a wrong password, of which this is the fingerprint.
    pub(crate) async fn fail_to_log_in(&mut self, account: &Account, password: Item) {
        let (account, password) = (Some(account.clone()), Some(password));
        let name = account.clone();
        if self.judge(Stage::Login { account: name }).await {
            self.judge(Stage::LoginFailed { account, password }).await;
        }
    }

    /// From MAIL to the final dot; whether it goes on. What was counted comes back if not.
    pub(crate) async fn send(&mut self, submission: Submission<'_>) -> bool {
        let sent = self.transact(submission).await;
        for receipt in std::mem::take(&mut self.charges) {
            if let (false, Tallies::Counters(counters)) = (sent, self.world.tallies) {
                counters.give_back(receipt).await;
            }
        }
        sent
    }

    async fn transact(&mut self, submission: Submission<'_>) -> bool {
        let Submission {
            sender,
            recipients,
            message,
        } = submission;
        self.transaction = Some(TransactionFacts {
            sender,
            declared_size: Some(message.octets()),
            recipients: 0,
            class: Class::default(),
            content: Class::default(),
        });
        if !self.judge(Stage::Mail).await {
            return false;
        }
        let mut taken = 0;
        for recipient in recipients {
            taken += u32::from(self.rcpt(recipient).await);
        }
        taken > 0 && self.data(message).await
    }

    /// RCPT; one that is refused does not end the transaction.
    async fn rcpt(&mut self, recipient: Address) -> bool {
        let domain = Fact::Unasked;
        let taken = self.judge(Stage::Rcpt { recipient, domain }).await;
        if let (true, Some(transaction)) = (taken, &mut self.transaction) {
            transaction.recipients += 1;
        }
        taken
    }

    /// The header section, the end of the data, and the rate of the pool that the message then leaves by.
    async fn data(&mut self, message: &Message) -> bool {
        let rules = self.world.rules;
        let needs: ContentNeeds = rules.content(&self.event(Stage::Mail));
        let headers = message.header_facts(rules, needs);
        let end = message.end_facts(rules, needs, &headers);
        if !self.judge(Stage::Headers(headers)).await || !self.judge(Stage::End(end)).await {
            return false;
        }
        let bytes = message.octets();
        let event = self.event(Stage::Route { bytes });
        !rules.asks_route(&event, self.class()) || self.judge(event.stage).await
    }

    /// Judges what happens next; whether it passes.
    async fn judge(&mut self, stage: Stage) -> bool {
        let mut event = self.event(stage);
        self.gather(&mut event).await;
        let plan = self.world.rules.plan(&event);
        let applied = self.apply(plan.ops()).await;
        let mut decision = plan.decide(applied.as_ref().map(|(results, _)| results));
        let ops = plan.ops().to_vec();
        let passes = decision.verdict.refusal().is_none();
        let (answers, receipt) = match applied {
            Ok((Results(outcomes), receipt)) => (Ok(outcomes), receipt),
            Err(unavailable) => (Err(unavailable), None),
        };
        self.settle(&event, receipt, passes).await;
        // What is noted has no answer that anybody waits for.
        let _ = self.apply(&decision.records).await;
        self.follow(&event, &mut decision).await;
        if let Some(transaction) = &mut self.transaction
            && (passes || !matches!(event.stage, Stage::Rcpt { .. }))
        {
            transaction.class = transaction.class.max(decision.class);
            transaction.content = transaction.content.max(decision.content());
        }
        self.facts = event.session.clone();
        self.steps.push(Step {
            event,
            ops,
            answers,
            decision,
        });
        passes
    }

    async fn apply(&self, ops: &[Op]) -> Result<(Results, Option<Receipt>), Unavailable> {
        match self.world.tallies {
            _ if ops.is_empty() => Ok((Results::default(), None)),
            Tallies::Counters(counters) => counters.apply(self.at, ops).await,
            Tallies::Out => Err(Unavailable {
                dependency: "counters".to_owned(),
                why: "an outage".to_owned(),
                ..Unavailable::default()
            }),
        }
    }

    async fn settle(&mut self, event: &Event, receipt: Option<Receipt>, passes: bool) {
        let Some(receipt) = receipt.filter(|_| event.stage.gives_back()) else {
            return;
        };
        match self.world.tallies {
            Tallies::Counters(counters) if !passes => counters.give_back(receipt).await,
            _ => self.charges.push(receipt),
        }
    }

    /// What was judged.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What was judged, and the facts that rules asked for and that nobody had made up.
    pub(crate) fn into_parts(self) -> (Vec<Step>, Vec<String>) {
        (self.steps, self.lacking)
    }

    /// What restricts the account by now.
    pub(crate) fn restrictions(&self) -> &[Restriction] {
        &self.restrictions
    }

    fn class(&self) -> Class {
        let transaction = self.transaction.as_ref();
        transaction.map_or_else(Class::default, |transaction| transaction.class)
    }

    /// What the last decision says of the account's network.
    fn network(&self) -> Network {
        let last = self.steps.last();
        last.map_or_else(Network::default, |step| step.decision.network)
    }

    fn become_of(&mut self, name: &Account, network: Network) {
        let name = name.clone();
        self.account = Some(Arc::new(AccountFacts {
            standing: Standing::of(&self.restrictions, self.at).map(Box::new),
            ..AccountFacts::new(name, network)
        }));
    }

    fn event(&self, stage: Stage) -> Event {
        Event {
            id: DecisionId::from_random(self.steps.len() as u64 + 1),
            at: self.at,
            session: self.facts.clone(),
            account: self.account.clone(),
            settings: self.settings_at(&stage),
            checked: Checked::Here,
            transaction: self.transaction.clone(),
            stage,
            tripped: Vec::new(),
            config: self.world.config,
        }
    }

    /// Whose they are is known once somebody claims to be it.
    fn settings_at(&self, stage: &Stage) -> Settings {
        match stage {
            Stage::Connect | Stage::Login { account: None } => Settings::None,
            _ if self.account.is_none()
                && !matches!(stage, Stage::Login { .. } | Stage::LoginFailed { .. }) =>
            {
                Settings::None
            }
            _ => self.settings.clone(),
        }
    }
}

/// An address as policy sees it, with or without angle brackets.
///
/// # Errors
/// It is none.
pub(crate) fn address(text: &str) -> Result<Address> {
    let bare = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .unwrap_or(text);
    let mailbox = Mailbox::parse(bare).with_context(|| format!("{text:?} is no address"))?;
    Ok(Address::new(
        &mailbox.unquoted_local(),
        &mailbox.ascii_domain(),
    ))
}

//! One mail transaction: what it pins, what it was charged, and the record that it leaves.

use std::net::IpAddr;
use std::sync::Arc;

use sekisho_counters::Receipt;
use sekisho_policy::decision::Reason;
use sekisho_policy::event::{Stage, TransactionFacts};
use sekisho_policy::record::{End, MAX_STEPS, Record, Step};
use sekisho_policy::{Account, Address, Class, DecisionId, Finding, Item, Settings, Timestamp};
use sekisho_runtime::metrics::Outcome;
use sekisho_smtp::command::{MailCommand, RcptCommand};
use tokio::time::Instant;

use super::Session;
use super::forward::Setback;
use super::stream::Transport;
use crate::auth::FleetKey;
use crate::live::Live;
use crate::memory::Claim;
use crate::shared::Shared;
use crate::upstream;

/// From MAIL to the end of the message, or to whatever ends it earlier.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The snapshot that judges all of it.
    pub(super) live: Arc<Live>,
    pub(super) mail: MailCommand,
    pub(super) class: Class,
    /// What its account had set when it began.
    pub(super) settings: Settings,
    /// What its content alone was found to be.
    pub(super) content: Class,
    /// Those that the client was told 250 for.
    pub(super) recipients: Vec<RcptCommand>,
    /// Recipients that policy let through and that the next hop has not answered for.
    pub(super) pending: usize,
    pub(super) hop: Hop,
    /// Until when the client may take to use the open transaction at the next hop.
    pub(super) hop_until: Option<Instant>,
    /// Spreads messages over the members of a pool.
    pub(super) seed: u64,
    pub(super) charges: Charges,
    pub(super) draft: Draft,
    /// All of the message is here, and its content is looked at.
    pub(super) is_whole: bool,
    /// What its recipients take of memory.
    pub(super) kept: Claim,
    /// The last refusal, which is how it ended if the client gives up after it.
    pub(super) refused: Option<End>,
}

/// What was counted for the message and may come back.
#[derive(Debug, Default)]
pub(super) struct Charges {
    /// Up to the header: the sender, the recipients.
    pub(super) envelope: Vec<Receipt>,
    /// At the end of the message: messages and octets, which count what the next hop took.
    pub(super) message: Vec<Receipt>,
}

/// The transaction at a next hop, if there is one.
#[derive(Debug)]
pub(super) enum Hop {
    None,
    /// Open, and every recipient of the transaction was accepted there.
    Open {
        pool: Option<Arc<str>>,
        transaction: Box<upstream::Transaction>,
    },
    /// Given back because the client took its time; every recipient is asked again when it goes on.
    Resting,
    /// No next hop takes the sender now; every recipient is answered like this.
    Refused(Box<Setback>),
}

impl Transaction {
    pub(super) fn facts(&self) -> TransactionFacts {
        TransactionFacts {
            sender: sender(&self.mail),
            declared_size: self.mail.params.size,
            recipients: u32::try_from(self.recipients.len() + self.pending).unwrap_or(u32::MAX),
            class: self.class,
            content: self.content,
        }
    }

    /// The reverse path as MAIL had it, without the angle brackets; empty for the null one.
    pub(super) fn reverse_path(&self) -> String {
        self.mail
            .path
            .mailbox()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// The forward paths as RCPT had them, without the angle brackets.
    pub(super) fn forward_paths(&self) -> Vec<String> {
        self.recipients
            .iter()
            .map(|recipient| match recipient.path.mailbox() {
                Some(mailbox) => mailbox.to_string(),
                None => "postmaster".to_owned(),
            })
            .collect()
    }

    /// The transaction of a MAIL that was just accepted.
    pub(super) fn begin(
        live: Arc<Live>,
        mail: MailCommand,
        class: Class,
        settings: Settings,
        seed: u64,
        draft: Draft,
    ) -> Self {
        Self {
            kept: live.memory.claim(),
            live,
            mail,
            class,
            settings,
            content: Class::default(),
            recipients: Vec::new(),
            pending: 0,
            hop: Hop::None,
            hop_until: None,
            seed,
            charges: Charges::default(),
            draft,
            is_whole: false,
            refused: None,
        }
    }

    /// Those to whom the message goes, as memories of correspondents know them.
    pub(super) fn correspondents(&self, key: &FleetKey) -> Vec<Item> {
        let mailboxes = self.recipients.iter().filter_map(|to| to.path.mailbox());
        mailboxes
            .map(|mailbox| {
                let address = Address::new(&mailbox.unquoted_local(), &mailbox.ascii_domain());
                key.pseudonym(&address.to_string())
            })
            .collect()
    }

    /// Gives the connection to the next hop back while the client takes its time.
    pub(super) fn rest(&mut self) {
        self.hop_until = None;
        match std::mem::replace(&mut self.hop, Hop::Resting) {
            Hop::Open { transaction, .. } => transaction.reset(),
            other => self.hop = other,
        }
    }

    /// How it ended if nothing more comes.
    pub(super) fn abandoned(&self) -> End {
        match &self.refused {
            Some(refused) if self.recipients.is_empty() => refused.clone(),
            _ => End::Abandoned,
        }
    }
}

/// The envelope sender as policy sees it.
pub(super) fn sender(mail: &MailCommand) -> Option<Address> {
    mail.path
        .mailbox()
        .map(|mailbox| Address::new(&mailbox.unquoted_local(), &mailbox.ascii_domain()))
}

/// The record of a transaction, or of a refusal outside one, while it is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    id: DecisionId,
    at: Timestamp,
    steps: Vec<Step>,
    /// What they take of memory.
    octets: u64,
    left_out: u32,
}

impl Draft {
    pub(super) fn new(shared: &Shared) -> Self {
        Self {
            id: shared.ids.draw(),
            at: shared.now(),
            steps: Vec::new(),
            octets: 0,
            left_out: 0,
        }
    }

    /// What its steps take of memory, roughly.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// A step was not kept.
    pub(super) fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// The id that the client gets with the final 250.
    pub(super) fn id(&self) -> DecisionId {
        self.id
    }

    /// Adds a step. Where there are too many, an accepted recipient makes room: refusals are what people ask about. Where there is
    /// none, the newest that restricted nobody does: what this one may lead to is told by its id.
    pub(super) fn add(&mut self, step: Step) {
        if self.steps.len() >= MAX_STEPS {
            self.left_out += 1;
            let accepted = |step: &Step| {
                matches!(step.event.stage, Stage::Rcpt { .. })
                    && step.decision.verdict.refusal().is_none()
                    && !step.decision.restricts()
            };
            let dispensable = self.steps.iter().position(accepted);
            let harmless = |step: &Step| !step.decision.restricts();
            match dispensable.or_else(|| self.steps.iter().rposition(harmless)) {
                Some(dispensable) => self.octets -= self.steps.remove(dispensable).octets(),
                None => return,
            }
        }
        self.octets += step.octets();
        self.steps.push(step);
    }

    /// Adds to what the last step found.
    pub(super) fn note(&mut self, findings: Vec<Finding>) {
        let last = self.steps.last().map(|step| step.event.id);
        if let Some(last) = last {
            self.note_of(last, findings);
        }
    }

    /// Adds to what the step of that event found, if it was kept.
    pub(super) fn note_of(&mut self, event: DecisionId, findings: Vec<Finding>) {
        let mut steps = self.steps.iter_mut().rev();
        if let Some(last) = steps.find(|step| step.event.id == event) {
            let before = last.octets();
            last.decision.findings.extend(findings);
            self.octets += last.octets() - before;
        }
    }

    /// Whether the last word is that the content of the message is refused.
    fn is_refused_for_content(&self) -> bool {
        let Some(Step {
            event, decision, ..
        }) = self.steps.last()
        else {
            return false;
        };
        let reason = decision.verdict.refusal().map(|refusal| refusal.reason);
        matches!(event.stage, Stage::Headers(_) | Stage::End(_))
            && matches!(reason, Some(Reason::ContentRefused | Reason::ClassRefused))
    }

    fn finish(self, live: &Live, now: Timestamp, who: Who, end: End) -> Record {
        Record {
            id: self.id,
            gateway: live.rules.gateway_ref().clone(),
            generation: live.rules.generation(),
            digest: live.rules.digest().clone(),
            at: self.at,
            took: now.since(self.at),
            account: who.account,
            source: who.source,
            class: who.class,
            steps: self.steps,
            steps_left_out: self.left_out,
            end,
        }
    }
}

/// Whose record it is.
#[derive(Debug)]
struct Who {
    account: Option<Account>,
    source: IpAddr,
    class: Class,
}

/// What of the charges comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The message was sent, or may have been.
    Nothing,
    /// Its content was looked at, by the next hop or by us. Messages and octets count what the next hop took; recipients stay
    /// charged, or probing filters would be free.
    Message,
    /// Nothing reached anybody.
    Everything,
}

impl Due {
    fn of(transaction: &Transaction, end: &End) -> Self {
        match end {
            End::Delivered(_) | End::Uncertain(_) => Self::Nothing,
            End::Abandoned if transaction.is_whole => Self::Message,
            _ if transaction.draft.is_refused_for_content() => Self::Message,
            _ => Self::Everything,
        }
    }
}

impl<S: Transport> Session<S> {
    /// Ends a transaction: what is due comes back, and the record goes to the ledger.
    pub(super) async fn conclude(&mut self, transaction: Transaction, end: End) {
        let due = Due::of(&transaction, &end);
        self.finish_off(transaction, end, due).await;
    }

    /// Ends a transaction whose message the next hop refused after its final dot.
    pub(super) async fn refused_at_the_dot(&mut self, transaction: Transaction, end: End) {
        self.finish_off(transaction, end, Due::Message).await;
    }

    async fn finish_off(&mut self, transaction: Transaction, end: End, due: Due) {
        self.grammar.transaction_ended();
        let Transaction {
            live,
            class,
            hop,
            charges,
            draft,
            ..
        } = transaction;
        if let Hop::Open { transaction, .. } = hop {
            transaction.reset();
        }
        self.settle(charges, due).await;
        self.shared.metrics.transaction(outcome(&end));
        let account = self.account_name().cloned();
        self.write_down(&live, draft, account, class, end);
    }

    async fn settle(&self, charges: Charges, due: Due) {
        let Charges { envelope, message } = charges;
        let envelope = if due == Due::Everything {
            envelope
        } else {
            Vec::new()
        };
        let message = if due == Due::Nothing {
            Vec::new()
        } else {
            message
        };
        for receipt in envelope.into_iter().chain(message) {
            self.shared.engine.give_back(receipt).await;
        }
    }

    /// Leaves a record of one decision outside a transaction, under the account that it is about.
    pub(super) fn record_alone(&self, live: &Live, step: Step, end: End) {
        let account = match &step.event.stage {
            Stage::LoginShown { account, .. } => Some(account.clone()),
            Stage::Login { account } | Stage::LoginFailed { account, .. } => account.clone(),
            _ => step
                .event
                .account
                .as_ref()
                .map(|account| account.name.clone()),
        };
        let mut draft = Draft::new(&self.shared);
        draft.at = step.event.at;
        let class = step.decision.class;
        draft.add(step);
        self.write_down(live, draft, account, class, end);
    }

    fn write_down(
        &self,
        live: &Live,
        draft: Draft,
        account: Option<Account>,
        class: Class,
        end: End,
    ) {
        let who = Who {
            account,
            source: self.facts.source.ip,
            class,
        };
        let record = draft.finish(live, self.shared.now(), who, end);
        self.shared
            .ledger
            .write(record, live.rules.gateway().privacy.recipients);
    }
}

fn outcome(end: &End) -> Outcome {
    match end {
        End::Delivered(_) => Outcome::Delivered,
        End::RefusedByPolicy { .. } | End::RefusedByNextHop { .. } | End::Failed { .. } => {
            Outcome::Refused
        }
        End::Uncertain(_) => Outcome::Uncertain,
        End::Abandoned | End::Noted => Outcome::Aborted,
    }
}

//! The fields that we write above a client's message: what it is, whose it is, how it came here, and what it lacked.

use sekisho_policy::event::Stage;
use sekisho_policy::snapshot::{AccountHeader, MissingHeaders, ReceivedPrivacy};
use sekisho_smtp::grammar::{Greeting, Transport as Carrier};
use sekisho_smtp::header::{Edits, Presence};

use super::super::Session;
use super::super::stream::Transport;
use super::{tells_verdict, verdict};
use crate::live::Live;
use crate::received::{Protocol, Received, date};
use crate::upstream;

/// The name of the field that tells the account to whoever has the key.
const ACCOUNT: &str = "X-Sekisho-Account";

impl<S: Transport> Session<S> {
    /// All of them, in the order in which they stand above the message.
    pub(super) fn added_fields(
        &self,
        live: &Live,
        next: &upstream::Transaction,
        edits: Edits,
    ) -> String {
        let gateway = live.rules.gateway();
        let mut fields = self.verdict_field(live, next).unwrap_or_default();
        if gateway.account_header == AccountHeader::Hashed
            && let Some(account) = self.account_name()
        {
            let tag = self.shared.key.account_tag(account);
            fields.extend([ACCOUNT, ": ", &tag, "\r\n"]);
        }
        fields.push_str(&self.received_field(gateway.privacy.client_address_in_received));
        self.add_missing(live, edits, &mut fields);
        fields
    }

    /// The field that tells class and pool, if the gateway wants one.
    fn verdict_field(&self, live: &Live, next: &upstream::Transaction) -> Option<String> {
        let transaction = self.transaction.as_ref()?;
        let pool = next.hop().pool.as_deref();
        tells_verdict(live.rules.gateway())
            .then(|| verdict::field(transaction.class, pool, transaction.draft.id()))
    }

    /// What each message should have (RFC 6409 section 8), where policy has it added.
    fn add_missing(&self, live: &Live, edits: Edits, fields: &mut String) {
        if edits.message_id == Presence::Settled && edits.date == Presence::Settled {
            return;
        }
        let limits = live.rules.message_limits(&self.event(Stage::Mail));
        if limits.missing_headers == MissingHeaders::Keep {
            return;
        }
        if edits.message_id == Presence::Missing
            && let Some(transaction) = &self.transaction
        {
            let (id, host) = (transaction.draft.id(), self.shared.host_name.as_str());
            fields.push_str(&format!("Message-ID: <{id}@{host}>\r\n"));
        }
        if edits.date == Presence::Missing {
            fields.push_str(&format!("Date: {}\r\n", date(self.shared.now())));
        }
    }

    /// How the message came here.
    pub(super) fn received_field(&self, privacy: ReceivedPrivacy) -> String {
        let transaction = self.transaction.as_ref();
        Received {
            helo: self.facts.helo.as_deref(),
            source: self.facts.source.ip,
            privacy,
            host_name: self.shared.host_name.as_str(),
            protocol: Protocol {
                greeting: self.grammar.greeting().unwrap_or(Greeting::Helo),
                tls: self.grammar.transport() == Carrier::Tls,
                authenticated: self.grammar.is_authenticated(),
                smtputf8: transaction.is_some_and(|t| t.mail.params.smtputf8),
            },
            cipher: self.wire.stream().cipher_suite(),
            id: transaction.map_or_else(|| self.shared.ids.draw(), |t| t.draft.id()),
            at: self.shared.now(),
        }
        .field()
    }
}

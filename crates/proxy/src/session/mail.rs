//! MAIL: a transaction begins, and pins the snapshot that judges it.

use std::sync::Arc;

use sekisho_policy::Class;
use sekisho_policy::event::{Event, Stage, TransactionFacts};
use sekisho_policy::record::End;
use sekisho_policy::snapshot::Requirement;
use sekisho_runtime::metrics::Detection;
use sekisho_smtp::command::MailCommand;
use sekisho_smtp::{Refusal, Reply};

use super::io::Gone;
use super::message::RESERVED;
use super::stream::Transport;
use super::transaction::{Draft, Transaction, sender};
use super::{Flow, Session, refused};
use crate::live::Live;

impl<S: Transport> Session<S> {
    pub(super) async fn mail(&mut self, command: MailCommand) -> Result<Flow, Gone> {
        let live = self.live();
        if !self.may_send(&live) {
            return Ok(self.refuse(Refusal::new(530, (5, 7, 0), "Authentication required")));
        }
        self.tally.transactions += 1;
        if self.tally.transactions > live.rules.gateway().limits.transactions_per_session {
            return Ok(self.say(&Reply::new(
                421,
                (4, 7, 0),
                "No more messages in this session; please connect again",
            )));
        }
        if !live.memory.has_room(RESERVED) {
            return Ok(self.lack_memory());
        }
        self.weigh_source();
        let facts = TransactionFacts {
            sender: sender(&command),
            declared_size: command.params.size,
            recipients: 0,
            class: Class::default(),
            content: Class::default(),
        };
        let event = Event {
            transaction: Some(facts),
            ..self.event(Stage::Mail)
        };
        let judged = self.judge(&live, event).await;
        self.pause(&judged).await;
        if let Some(reply) = refused(&judged) {
            let flow = self.say(&reply);
            self.record_alone(
                &live,
                judged.step,
                End::RefusedByPolicy {
                    reply: reply.to_string(),
                },
            );
            return Ok(flow);
        }
        self.grammar.mail_accepted(&command);
        self.open_transaction(live, command, judged);
        Ok(self.say(&Reply::new(250, (2, 1, 0), "Sender OK")))
    }

    fn open_transaction(
        &mut self,
        live: Arc<Live>,
        command: MailCommand,
        judged: crate::engine::Judged,
    ) {
        let mut draft = Draft::new(&self.shared);
        let class = judged.decision().class;
        let settings = judged.step.event.settings.clone();
        draft.add(judged.step);
        let seed = self.shared.ids.number();
        let mut transaction = Transaction::begin(live, command, class, settings, seed, draft);
        transaction.charges.envelope.extend(judged.receipt);
        self.transaction = Some(Box::new(transaction));
        self.prove();
    }

    /// Nothing of a message is here yet that would have to be sent again.
    pub(super) fn lack_memory(&mut self) -> Flow {
        self.shared.metrics.detected(Detection::OutOfMemory);
        self.say(&no_memory())
    }

    /// The grammar knows what was demanded when the client connected; a newer snapshot may demand more.
    fn may_send(&self, live: &Live) -> bool {
        let requirement = live.rules.gateway().authentication.requirement;
        self.grammar.is_authenticated() || requirement == Requirement::Optional
    }
}

/// All that clients may make us keep is kept.
pub(super) fn no_memory() -> Reply {
    Reply::new(
        452,
        (4, 3, 1),
        "Too many messages are on their way; please try again later",
    )
}

//! RCPT: judged by policy, then asked of the next hop that the message would go to.

use sekisho_policy::Address;
use sekisho_policy::event::Fact;
use sekisho_policy::event::Stage;
use sekisho_policy::record::End;
use sekisho_smtp::command::RcptCommand;
use sekisho_smtp::{ForwardPath, Reply};

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session, refused};
use crate::engine::Judged;

impl<S: Transport> Session<S> {
    pub(super) async fn rcpt(&mut self, command: RcptCommand) -> Result<Flow, Gone> {
        if self.is_full() {
            self.tally.refused_recipients += 1;
            return Ok(self.say(&Reply::new(452, (4, 5, 3), "Too many recipients")));
        }
        let live = self.live();
        let stage = Stage::Rcpt {
            recipient: recipient(&command),
            domain: Fact::Unasked,
        };
        let judged = self.judge(&live, self.event(stage)).await;
        self.pause(&judged).await;
        if let Some(reply) = refused(&judged) {
            let end = End::RefusedByPolicy {
                reply: reply.to_string(),
            };
            return Ok(self.refuse_recipient(judged, reply, end).await);
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.class = transaction.class.max(judged.decision().class);
        }
        match self.ask(&live, &command).await {
            Ok(()) => Ok(self.accept_recipient(command, judged)),
            Err(setback) => {
                let reply = setback.reply.clone().tagged(judged.id());
                let end = setback.end(&reply);
                Ok(self.refuse_recipient(judged, reply, end).await)
            }
        }
    }

    fn is_full(&self) -> bool {
        let most = self.shared.limits.recipients;
        self.transaction
            .as_ref()
            .is_some_and(|transaction| transaction.recipients.len() >= most)
    }

    fn accept_recipient(&mut self, command: RcptCommand, judged: Judged) -> Flow {
        if let Some(transaction) = &mut self.transaction {
            transaction.charges.envelope.extend(judged.receipt);
            transaction.draft.add(judged.step);
            transaction.recipients.push(command);
        }
        self.grammar.recipient_accepted();
        self.say(&Reply::new(250, (2, 1, 5), "Recipient OK"))
    }

    async fn refuse_recipient(&mut self, judged: Judged, reply: Reply, end: End) -> Flow {
        self.tally.refused_recipients += 1;
        if let Some(receipt) = judged.receipt {
            self.shared.engine.give_back(receipt).await;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.draft.add(judged.step);
            transaction.refused = Some(end);
        }
        self.say(&reply)
    }
}

/// The recipient as policy sees it. The local postmaster belongs to no domain.
fn recipient(command: &RcptCommand) -> Address {
    match &command.path {
        ForwardPath::Postmaster => Address::new("postmaster", ""),
        ForwardPath::Mailbox(mailbox) => {
            Address::new(&mailbox.unquoted_local(), &mailbox.ascii_domain())
        }
    }
}

//! DATA: the client sends its message, and is told what became of it: 250 only after the next hop's 250. What BDAT does at
//! the end of a message is the same.

use sekisho_policy::event::{Event, Stage};
use sekisho_policy::record::{End, Hop};
use sekisho_policy::{Seen, Signal};
use sekisho_runtime::metrics::{Detection, PoolMetrics};
use sekisho_smtp::Reply;

use super::io::Gone;
use super::mail::no_memory;
use super::message::{Carriage, NO_MEMORY, RESERVED, Stop};
use super::stream::Transport;
use super::transaction::Transaction;
use super::{Flow, Session};
use crate::upstream;

/// A message that was sent to its final dot.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) end: upstream::End,
    pub(super) hop: Hop,
    pub(super) metrics: PoolMetrics,
}

impl<S: Transport> Session<S> {
    pub(super) async fn data(&mut self) -> Result<Flow, Gone> {
        let live = self.live();
        if !live.memory.has_room(RESERVED) {
            let flow = self.lack_memory();
            // A client that does not listen sends its message all the same.
            self.tally.data_refused = true;
            let end = End::Failed {
                why: NO_MEMORY.to_owned(),
                reply: no_memory().to_string(),
            };
            self.end_transaction(end).await;
            return Ok(flow);
        }
        self.say(&Reply::plain(354, "End data with <CR><LF>.<CR><LF>"));
        self.receive(Carriage::Dots).await
    }

    /// Takes the message, passes it on, and answers.
    pub(super) async fn receive(&mut self, carriage: Carriage) -> Result<Flow, Gone> {
        let live = self.live();
        let mut intake = self.intake(&live, carriage);
        let passed = self.pass(&live, &mut intake).await;
        if intake.saw_bare_newlines() {
            self.shared.metrics.detected(Detection::BareNewline);
        }
        if intake.saw_smuggling() {
            self.shared.metrics.detected(Detection::SmugglingAttempt);
        }
        match passed {
            Ok(sent) => self.answer(sent, intake.octets()).await,
            Err(Stop::Gone(gone)) => Err(gone),
            Err(Stop::Dropped) => {
                self.abandon().await;
                Ok(Flow::On)
            }
            Err(Stop::Uncertain { mut hop }) => {
                hop.reply = "the proxy was shut down before the next hop answered".to_owned();
                self.end_transaction(End::Uncertain(hop)).await;
                Err(Gone::Unanswered)
            }
            Err(Stop::Refused { reply, end }) => {
                intake.let_go();
                // First, so that a client that hangs up instead of listening leaves the refusal in the record.
                self.end_transaction(*end).await;
                // The rest of the message is read as what it is, never as commands.
                let drained = self.drain(&mut intake).await?;
                let flow = self.say(&reply);
                Ok(if drained { flow } else { Flow::Close })
            }
        }
    }

    async fn answer(&mut self, sent: Sent, octets: u64) -> Result<Flow, Gone> {
        let Sent {
            end,
            mut hop,
            metrics,
        } = sent;
        let Some(mut transaction) = self.transaction.take() else {
            return Ok(Flow::Close);
        };
        let id = transaction.draft.id();
        match end {
            upstream::End::Accepted(reply) => {
                metrics.message(class_label(transaction.class), octets);
                hop.reply = reply.to_string();
                self.tally.message_sent();
                let enhanced = reply.enhanced().unwrap_or((2, 0, 0).into());
                let reply =
                    Reply::multiline(250, Some(enhanced), reply.lines().to_vec()).tagged(id);
                let flow = self.say(&reply);
                // What follows from it is counted whether or not the client listens, and before its next command.
                let told = self.note_sent(&mut transaction).await;
                self.conclude(*transaction, End::Delivered(hop)).await;
                told.map(|()| flow)
            }
            upstream::End::Refused(reply) => {
                hop.reply = reply.to_string();
                let reply = reply.tagged(id);
                let end = End::RefusedByNextHop {
                    hop,
                    reply: reply.to_string(),
                };
                self.refused_at_the_dot(*transaction, end).await;
                Ok(self.say(&reply))
            }
            upstream::End::Uncertain(failure) => {
                tracing::warn!(record = %id, %failure, "sent, outcome unknown: the client is not answered");
                hop.reply = failure.to_string();
                self.conclude(*transaction, End::Uncertain(hop)).await;
                // Neither "sent" nor "failed" would be surely true. Without an answer the client decides for itself,
                // as it does whenever a connection breaks here (RFC 5321 4.5.3.2.6, RFC 1047).
                Err(Gone::Unanswered)
            }
        }
    }

    /// Notes to whom the next hop took a message, while the client is told so.
    async fn note_sent(&mut self, transaction: &mut Transaction) -> Result<(), Gone> {
        let live = transaction.live.clone();
        if !live.rules.counts(Signal::FirstTimeRecipients) || self.account.is_none() {
            return Ok(());
        }
        let recipients = transaction.correspondents(&self.shared.key);
        let event = Event {
            // What comes of it names the record.
            id: transaction.draft.id(),
            transaction: Some(transaction.facts()),
            ..self.event(Stage::Mail)
        };
        let seen = Seen::Sent(&recipients);
        let shared = self.shared.clone();
        let counting = shared.engine.see(&live, &event, &seen);
        let (findings, told) = Box::pin(self.tell_meanwhile(counting)).await;
        transaction.draft.note(findings);
        told
    }

    /// Sends what was answered while something is done that the client need not wait for; its next command does.
    pub(super) async fn tell_meanwhile<T>(
        &mut self,
        doing: impl Future<Output = T>,
    ) -> (T, Result<(), Gone>) {
        let reply_by = self.reply_by();
        self.wire.flush_meanwhile(reply_by, doing).await
    }

    pub(super) async fn end_transaction(&mut self, end: End) {
        if let Some(transaction) = self.transaction.take() {
            self.conclude(*transaction, end).await;
        }
    }
}

pub(super) fn class_label(class: sekisho_policy::Class) -> sekisho_runtime::metrics::Class {
    use sekisho_runtime::metrics::Class as Label;
    match class {
        sekisho_policy::Class::Unclassified => Label::Unclassified,
        sekisho_policy::Class::Clean => Label::Clean,
        sekisho_policy::Class::Suspect => Label::Suspect,
        sekisho_policy::Class::Spam => Label::Spam,
    }
}

//! RCPT: judged by policy, then asked of the next hop that the message would go to.

use sekisho_policy::event::{Event, Fact, Stage};
use sekisho_policy::record::End;
use sekisho_policy::{Address, Signal};
use sekisho_runtime::metrics::{Detection, ReplyClass};
use sekisho_smtp::command::RcptCommand;
use sekisho_smtp::grammar::Buffered;
use sekisho_smtp::line::{Expect, LineReader, LineStep};
use sekisho_smtp::{Command, ForwardPath, Reply};

use super::forward::{self, Setback};
use super::io::{Gone, Taken};
use super::mail::no_memory;
use super::message::NO_MEMORY;
use super::stream::Transport;
use super::verbs::{self, Verb};
use super::{Flow, Session, refused};
use crate::engine::Judged;
use crate::live::Live;

/// What a recipient takes of memory beside its record, roughly.
const PER_RECIPIENT: u64 = 1024;

/// Recipients that are asked of the next hop together.
const GROUP: usize = 50;

/// A recipient that policy has judged.
#[derive(Debug)]
struct Candidate {
    command: RcptCommand,
    judged: Judged,
    /// What policy says instead of asking the next hop.
    refused: Option<Reply>,
}

/// Recipients of one flight that the next hop does not know.
#[derive(Debug, Default)]
struct Unknown {
    count: u64,
    /// The event of the last of them.
    event: Option<Box<Event>>,
}

impl<S: Transport> Session<S> {
    /// Takes the recipient, and those that came along with it in one flight: they are judged one by one and asked of
    /// the next hop together (RFC 2920), then answered in their order.
    pub(super) async fn rcpt(&mut self, command: RcptCommand) -> Result<Flow, Gone> {
        if self.is_full(0) {
            self.tally.refused_recipients += 1;
            return Ok(self.say(&Reply::new(452, (4, 5, 3), "Too many recipients")));
        }
        let live = self.live();
        let mut candidates = vec![self.weigh(&live, command).await];
        while candidates.len() < GROUP && !self.is_full(candidates.len()) {
            let Some(next) = self.next_recipient() else {
                break;
            };
            candidates.push(self.weigh(&live, next).await);
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.pending = 0;
        }
        let asked: Vec<&RcptCommand> = candidates
            .iter()
            .filter(|c| c.refused.is_none())
            .map(|c| &c.command)
            .collect();
        let mut answers = self.ask(&live, &asked).await.into_iter();
        let mut candidates = candidates.into_iter();
        let mut unknown = Unknown::default();
        let mut flow = Flow::On;
        while let Some(candidate) = candidates.next() {
            let answer = if candidate.refused.is_none() {
                answers.next()
            } else {
                None
            };
            flow = self.answer_recipient(candidate, answer, &mut unknown).await;
            if flow == Flow::Close {
                // The last words were said; what came along is not answered any more.
                self.leave_out(candidates).await;
                break;
            }
            if candidates.len() > 0 {
                self.shared.metrics.command(Verb::Rcpt, self.said);
            }
        }
        self.count_unknown(&live, unknown).await?;
        Ok(flow)
    }

    /// Counts those that the next hop does not know while the client hears of them. What comes of it holds from its next command on:
    /// those of this flight were asked of the next hop together.
    async fn count_unknown(&mut self, live: &Live, unknown: Unknown) -> Result<(), Gone> {
        let Unknown {
            count,
            event: Some(event),
        } = unknown
        else {
            return Ok(());
        };
        if !live.rules.counts(Signal::UnknownRecipients) {
            return Ok(());
        }
        let shared = self.shared.clone();
        let counting = shared.engine.see_unknown(live, &event, count);
        let (findings, told) = Box::pin(self.tell_meanwhile(counting)).await;
        if let Some(transaction) = &mut self.transaction {
            transaction.draft.note_of(event.id, findings);
        }
        told
    }

    /// Judges a recipient. Those before it that were let through count as accepted, although nobody has asked yet.
    async fn weigh(&mut self, live: &Live, command: RcptCommand) -> Candidate {
        let stage = Stage::Rcpt {
            recipient: recipient(&command),
            domain: Fact::Unasked,
        };
        let judged = self.judge(live, self.event(stage)).await;
        self.pause(&judged).await;
        let refused = refused(&judged);
        if let (None, Some(transaction)) = (&refused, &mut self.transaction) {
            transaction.class = transaction.class.max(judged.decision().class);
            transaction.pending += 1;
        }
        Candidate {
            command,
            judged,
            refused,
        }
    }

    /// The next command, if it has arrived and is a RCPT that may come now.
    fn next_recipient(&mut self) -> Option<RcptCommand> {
        let LineStep::Line { line, .. } =
            LineReader::new().next(self.wire.received(), Expect::Command)
        else {
            return None;
        };
        let (Verb::Rcpt, Ok(command)) = verbs::read(line) else {
            return None;
        };
        self.grammar.check(&command, Buffered::Nothing).ok()?;
        let Taken::Line(Command::Rcpt(command)) = self.wire.take_line(Expect::Command, |_| command)
        else {
            return None;
        };
        Some(command)
    }

    async fn answer_recipient(
        &mut self,
        candidate: Candidate,
        answer: Option<Result<(), Setback>>,
        unknown: &mut Unknown,
    ) -> Flow {
        let Candidate {
            command,
            judged,
            refused,
        } = candidate;
        let setback = match (refused, answer) {
            (Some(reply), _) => {
                let end = End::RefusedByPolicy {
                    reply: reply.to_string(),
                };
                return self.refuse_recipient(judged, reply, end).await;
            }
            (None, Some(Ok(()))) if self.has_room(PER_RECIPIENT + judged.step.octets()) => {
                return self.accept_recipient(command, judged);
            }
            (None, Some(Ok(()))) => Setback::failed(NO_MEMORY, no_memory()),
            (None, answer) => answer.and_then(Result::err).unwrap_or_else(forward::lost),
        };
        if setback.unknown > 0 {
            unknown.count += u64::from(setback.unknown);
            unknown.event = Some(Box::new(judged.step.event.clone()));
        }
        let reply = setback.reply.clone().tagged(judged.id());
        let end = setback.end(&reply);
        self.refuse_recipient(judged, reply, end).await
    }

    /// Whether so much more of a transaction can be kept.
    fn has_room(&mut self, octets: u64) -> bool {
        self.transaction.as_mut().is_some_and(|transaction| {
            let kept = transaction.recipients.len() as u64 * PER_RECIPIENT;
            let kept = kept + transaction.draft.octets() + octets;
            transaction.kept.grow_to(kept)
        })
    }

    fn is_full(&self, more: usize) -> bool {
        let most = self.shared.limits.recipients;
        self.transaction
            .as_ref()
            .is_some_and(|transaction| transaction.recipients.len() + more >= most)
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

    /// Refuses a recipient, for want of memory where not even the record of why can be kept.
    async fn refuse_recipient(&mut self, judged: Judged, reply: Reply, end: End) -> Flow {
        self.tally.refused_recipients += 1;
        let id = judged.id();
        let (reply, end) = if self.write_off(judged).await {
            (reply, end)
        } else {
            self.shared.metrics.detected(Detection::OutOfMemory);
            let setback = Setback::failed(NO_MEMORY, no_memory());
            let reply = setback.reply.clone().tagged(id);
            let end = setback.end(&reply);
            (reply, end)
        };
        if let Some(transaction) = &mut self.transaction {
            transaction.refused = Some(end);
        }
        self.say(&reply)
    }

    /// Those that nobody answers any more.
    async fn leave_out(&mut self, candidates: impl Iterator<Item = Candidate>) {
        for candidate in candidates {
            self.write_off(candidate.judged).await;
            self.shared.metrics.command(Verb::Rcpt, ReplyClass::None);
        }
    }

    /// Gives back what a recipient was charged that does not go on, and notes what was decided; `false` if there is no room for
    /// that.
    async fn write_off(&mut self, judged: Judged) -> bool {
        if let Some(receipt) = judged.receipt {
            self.shared.engine.give_back(receipt).await;
        }
        let has_room = self.has_room(judged.step.octets());
        if let Some(transaction) = &mut self.transaction {
            if has_room {
                transaction.draft.add(judged.step);
            } else {
                transaction.draft.leave_out();
            }
        }
        has_room
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

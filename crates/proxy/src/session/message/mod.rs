//! The way of a message: its header is read and judged, the next hop is chosen, then it passes on. It is held until its end
//! where something at its end can still choose another way; otherwise what is longer than a window streams.

mod facts;
mod intake;
mod send;

use std::sync::Arc;

use sekisho_policy::DecisionId;
use sekisho_policy::event::{Scan, Stage};
use sekisho_policy::record::{End, Hop};
use sekisho_smtp::Reply;

use super::data::Sent;
use super::forward::Setback;
use super::io::Gone;
use super::stream::Transport;
use super::{Session, refused};
use crate::live::Live;
pub(super) use intake::Intake;

/// Octets that are read ahead before the next hop is bothered: a message that fits is judged whole.
const WINDOW: usize = 64 * 1024;

/// Why a message does not pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody is there to be told.
    Gone(Gone),
    /// The final dot was sent, and the process ended before its reply came.
    Uncertain { hop: Hop },
    /// The client is told this; it has its id already.
    Refused { reply: Reply, end: Box<End> },
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Self {
        Self::Gone(gone)
    }
}

impl Stop {
    fn setback(setback: Setback, id: DecisionId) -> Self {
        let reply = setback.reply.clone().tagged(id);
        let end = Box::new(setback.end(&reply));
        Self::Refused { reply, end }
    }
}

impl<S: Transport> Session<S> {
    pub(super) fn intake(&self, live: &Live) -> Intake {
        let event = self.event(Stage::Mail);
        let limits = live.rules.message_limits(&event);
        let needs = live.rules.content(&event);
        Intake::new(&self.shared, limits.max_size, needs)
    }

    /// Takes the message from the client and passes it on.
    pub(super) async fn pass(
        &mut self,
        live: &Arc<Live>,
        intake: &mut Intake,
    ) -> Result<Sent, Stop> {
        while !intake.has_header() {
            self.take_in(intake).await?;
        }
        self.judge_header(live, intake).await?;
        // What its parts show may still choose another way, so a message whose parts are looked at is held whole.
        let whole = intake.needs().attachments;
        while !intake.has_ended() && (whole || intake.held.memory_len() < WINDOW) {
            self.take_in(intake).await?;
        }
        if intake.has_ended() {
            self.judge_end(live, intake).await?;
            self.send_whole(live, intake).await
        } else {
            self.stream(live, intake).await
        }
    }

    /// Takes in what the client sent, and waits for it if need be.
    pub(super) async fn take_in(&mut self, intake: &mut Intake) -> Result<(), Stop> {
        if self.wire.received().is_empty() {
            let until = self.until(self.shared.limits.data_block).min(intake.until);
            self.more_in_transaction(until).await?;
        }
        let consumed = intake.take(self.wire.received());
        self.wire.consume(consumed);
        if intake.is_too_large() {
            return Err(self.judge_too_large(intake).await);
        }
        if let Err(error) = intake.held.settle(&self.shared.spool).await {
            return Err(self.stop(Setback::failed(
                format!(
                    "{}: a message cannot be held: {error}",
                    self.shared.spool.display()
                ),
                Reply::new(
                    452,
                    (4, 3, 1),
                    "Insufficient system storage; please try again later",
                ),
            )));
        }
        Ok(())
    }

    async fn judge_header(&mut self, live: &Live, intake: &mut Intake) -> Result<(), Stop> {
        let needs = intake.needs();
        let facts = match intake.header() {
            Some(header) if needs.headers => facts::header(&live.rules, &header.headers()),
            Some(_) => facts::unread_header(Scan::Complete),
            None => facts::unread_header(Scan::OverLimits),
        };
        self.judge_message(live, Stage::Headers(facts)).await
    }

    pub(super) async fn judge_end(&mut self, live: &Live, intake: &mut Intake) -> Result<(), Stop> {
        let facts = intake.end_facts();
        self.judge_message(live, Stage::End(facts)).await
    }

    /// Too large already: the rest is not waited for.
    async fn judge_too_large(&mut self, intake: &mut Intake) -> Stop {
        let live = self.live();
        if let Err(stop) = self.judge_end(&live, intake).await {
            return stop;
        }
        self.stop(Setback::failed(
            "the message is larger than this proxy takes",
            Reply::new(552, (5, 3, 4), "Message is too large"),
        ))
    }

    /// Judges a stage of the message and keeps what comes of it.
    async fn judge_message(&mut self, live: &Live, stage: Stage) -> Result<(), Stop> {
        let judged = self.judge(live, self.event(stage)).await;
        self.pause(&judged).await;
        let refusal = refused(&judged);
        if let Some(transaction) = &mut self.transaction {
            transaction.class = transaction.class.max(judged.decision().class);
            transaction.charges.message.extend(judged.receipt);
            transaction.draft.add(judged.step);
        }
        match refusal {
            None => Ok(()),
            Some(reply) => {
                let end = Box::new(End::RefusedByPolicy {
                    reply: reply.to_string(),
                });
                Err(Stop::Refused { reply, end })
            }
        }
    }

    /// Stops the message for a reason that is no decision; the record's id names it.
    pub(super) fn stop(&self, setback: Setback) -> Stop {
        let id = self
            .transaction
            .as_ref()
            .map_or_else(|| self.shared.ids.draw(), |t| t.draft.id());
        Stop::setback(setback, id)
    }

    /// Reads a refused message to its end; `false` if it is too long for that.
    pub(super) async fn drain(&mut self, intake: &mut Intake) -> Result<bool, Gone> {
        intake.held.clear();
        let most = intake.octets().saturating_add(self.shared.limits.drained);
        while !intake.has_ended() {
            if intake.octets() >= most {
                return Ok(false);
            }
            if self.wire.received().is_empty() {
                let until = self.until(self.shared.limits.data_block).min(intake.until);
                self.more(until).await?;
            }
            let consumed = intake.skip(self.wire.received());
            self.wire.consume(consumed);
        }
        Ok(true)
    }
}

/// The route of a class that policy refuses, where no decision said so in its own words.
fn class_refused() -> Setback {
    Setback::failed(
        "the message's class is refused",
        Reply::new(550, (5, 7, 1), "Message refused"),
    )
}

//! The way of a message: its header is read and judged, the next hop is chosen, then it passes on. It is held until its end
//! where something at its end can still choose another way; otherwise what is longer than a window streams.

mod added;
mod chunks;
mod intake;
mod lone_dot;
mod pace;
mod send;
mod verdict;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::event::{EndFacts, Fact, Scan, Stage};
use sekisho_policy::record::{End, Hop};
use sekisho_policy::snapshot::{Gateway, ReceivedPrivacy, VerdictHeader};
use sekisho_policy::{DecisionId, Need, Opinion};
use sekisho_runtime::metrics::Detection;
use sekisho_smtp::Reply;
use sekisho_smtp::header::{Edits, HeaderReader};
use tokio::time::{Instant, timeout_at};

use super::data::Sent;
use super::forward::{Setback, cut_short};
use super::io::Gone;
use super::mail::no_memory;
use super::stream::Transport;
use super::transaction::Transaction;
use super::{Session, refused};
use crate::classify::Inquiry;
use crate::content;
use crate::held::Content;
use crate::listener::sources::source_of;
use crate::live::Live;
use intake::Letters;
pub(super) use intake::{Carriage, Intake, RESERVED};
pub(super) use pace::Pace;

/// Why something that a client sent is not kept.
pub(super) const NO_MEMORY: &str = "clients make the proxy keep as much as limits.maxBufferedBytes and limits.maxSpooledBytes allow";

/// Octets that are read ahead before the next hop is bothered: a message that fits is judged whole.
const WINDOW: usize = 64 * 1024;

/// Why a message does not pass.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody is there to be told.
    Gone(Gone),
    /// The client gave the message up between two chunks; the command that says so has not been taken.
    Dropped,
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
    pub(super) fn intake(&self, live: &Live, carriage: Carriage) -> Intake {
        let event = self.event(Stage::Mail);
        let limits = live.rules.message_limits(&event);
        let needs = live.rules.content(&event);
        let owner = match self.account_name() {
            Some(account) => live.memory.owner(account),
            None => live.memory.owner(&source_of(
                self.ends.source.ip(),
                live.limits.source_ipv6_prefix,
            )),
        };
        Intake::new(&self.shared, live, owner, carriage, limits.max_size, needs)
    }

    /// Takes the message from the client and passes it on.
    pub(super) async fn pass(
        &mut self,
        live: &Arc<Live>,
        intake: &mut Intake,
    ) -> Result<Sent, Stop> {
        if !intake.reserve() {
            self.shared.metrics.detected(Detection::OutOfMemory);
            return Err(self.stop(Setback::failed(NO_MEMORY, no_memory())));
        }
        while !intake.has_header() {
            self.take_in(intake).await?;
        }
        self.judge_header(live, intake).await?;
        // A field that tells the class must tell the last one.
        let mut whole = intake.needs().hold() || tells_verdict(live.rules.gateway());
        while !intake.has_ended() {
            // A slow client would hold a connection of the next hop for as long as it takes.
            if !whole && intake.held.memory_len() >= WINDOW {
                if intake.may_stream() {
                    break;
                }
                whole = true;
            }
            self.take_in(intake).await?;
        }
        if intake.has_ended() {
            let until = Instant::now() + after_data(live.rules.gateway());
            let content = intake.held.content();
            self.judge_end(live, intake, Some(&content)).await?;
            let how = (intake.edits, intake.letters);
            self.send_whole(live, &content, how, until).await
        } else {
            self.stream(live, intake).await
        }
    }

    /// Takes in what the client sent, and waits for it if need be.
    pub(super) async fn take_in(&mut self, intake: &mut Intake) -> Result<(), Stop> {
        if let Some(chunk) = intake.complete_chunk() {
            self.next_chunk(intake, chunk).await?;
        }
        if intake.wants_octets() && self.wire.received().is_empty() {
            let until = self.next_block(intake);
            self.more_in_transaction(until)
                .await
                .inspect_err(|gone| self.note_slow(*gone))?;
        }
        let consumed = intake.take(self.wire.received());
        self.wire.consume(consumed);
        if intake.is_too_large() {
            return Err(self.judge_too_large(intake).await);
        }
        if !intake.settle_looking() {
            self.shared.metrics.detected(Detection::OutOfMemory);
            return Err(self.stop(Setback::failed(NO_MEMORY, no_memory())));
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

    /// When the next octets of the message must have come.
    fn next_block(&self, intake: &Intake) -> Instant {
        self.until(self.shared.limits.data_block).min(intake.due())
    }

    fn note_slow(&self, gone: Gone) {
        if gone == Gone::Silent {
            self.shared.metrics.detected(Detection::SlowClient);
        }
    }

    async fn judge_header(&mut self, live: &Live, intake: &mut Intake) -> Result<(), Stop> {
        let needs = intake.needs();
        let header = intake.header();
        if let Some(header) = &header {
            intake.edits = Edits::of(&header.headers());
        }
        let said_utf8 = |transaction: &Transaction| transaction.mail.params.smtputf8;
        if self.transaction.as_deref().is_some_and(said_utf8) {
            let section = header.as_ref().map(HeaderReader::section);
            intake.letters = match section {
                Some(section) if section.is_ascii() => Letters::Ascii,
                Some(_) | None => Letters::Utf8,
            };
        }
        let facts = match header {
            Some(header) if needs.headers => {
                let facts = content::header_facts(&live.rules, &header.headers());
                if needs.text {
                    intake.matched.clone_from(&facts.matched);
                }
                facts
            }
            Some(_) => content::unread_header(Scan::Complete),
            None => content::unread_header(Scan::OverLimits),
        };
        self.judge_message(live, Stage::Headers(facts)).await
    }

    /// Judges what is known at the end of the message, and the rate of the pool that it then leaves by. Engines are asked of a
    /// message that is held whole.
    pub(super) async fn judge_end(
        &mut self,
        live: &Arc<Live>,
        intake: &mut Intake,
        whole: Option<&Content>,
    ) -> Result<(), Stop> {
        if let Some(transaction) = &mut self.transaction {
            transaction.is_whole = true;
        }
        let mut facts = intake.end_facts(live).await;
        if let Some(content) = whole {
            facts.opinions = self.opinions(live, intake, &facts, content).await?;
        }
        self.judge_message(live, Stage::End(facts)).await?;
        let bytes = intake.octets();
        let event = self.event(Stage::Route { bytes });
        let class = event
            .transaction
            .as_ref()
            .map(|transaction| transaction.class);
        if live.rules.asks_route(&event, class.unwrap_or_default()) {
            self.judge_message(live, event.stage).await?;
        }
        Ok(())
    }

    /// What the content engines say, if some rule asks. They have half of the time that there is, the next hop has the rest; a
    /// connection to it is not kept for longer than a client may keep one.
    async fn opinions(
        &mut self,
        live: &Live,
        intake: &mut Intake,
        facts: &EndFacts,
        content: &Content,
    ) -> Result<Fact<Vec<Opinion>>, Stop> {
        if !intake.needs().engines {
            return Ok(Fact::Unasked);
        }
        let event = self.event(Stage::End(facts.clone()));
        if !live.rules.needs(&event).contains(Need::Opinions) {
            return Ok(Fact::Unasked);
        }
        // Engines know the address whatever the world is told.
        let received = self.received_field(ReceivedPrivacy::Include);
        let Some(transaction) = &mut self.transaction else {
            return Err(Stop::Gone(Gone::Closed));
        };
        let (sender, recipients) = (transaction.reverse_path(), transaction.forward_paths());
        let inquiry = Inquiry {
            id: transaction.draft.id(),
            account: self.account.as_deref().map(|account| &account.name),
            source: self.facts.source.ip,
            helo: self.facts.helo.as_deref(),
            sender: &sender,
            recipients: &recipients,
            message: content,
            digest: intake.digest(),
            received: &received,
            patience: after_data(live.rules.gateway()) / 2,
        };
        let opinions = {
            let engines = live.rules.engines();
            let asking = self.shared.classifier.opinions(engines, &inquiry);
            tokio::select! {
                biased;
                opinions = resting_meanwhile(transaction, asking) => Some(opinions),
                () = self.wire.gone() => return Err(Stop::Gone(Gone::Closed)),
                () = self.shared.shutdown.aborting() => None,
            }
        };
        opinions
            .map(Fact::Known)
            .ok_or_else(|| self.stop(cut_short()))
    }

    /// Too large already: the rest is not waited for.
    async fn judge_too_large(&mut self, intake: &mut Intake) -> Stop {
        let live = self.live();
        if let Err(stop) = self.judge_end(&live, intake, None).await {
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
            transaction.content = transaction.content.max(judged.decision().content());
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

    /// Reads a refused message to its end, or to that of its chunk; `false` if it is too long for that.
    pub(super) async fn drain(&mut self, intake: &mut Intake) -> Result<bool, Gone> {
        if !self.may_drain(intake.octets_announced()) {
            return Ok(false);
        }
        let most = intake.octets().saturating_add(self.shared.limits.drained);
        while intake.wants_octets() {
            if intake.octets() >= most {
                return Ok(false);
            }
            if self.wire.received().is_empty() {
                let until = self.next_block(intake);
                self.more(until).await?;
            }
            let consumed = intake.skip(self.wire.received());
            self.wire.consume(consumed);
        }
        Ok(true)
    }
}

/// Goes on with something slow, and gives the connection to the next hop back when its time is up.
async fn resting_meanwhile<T>(transaction: &mut Transaction, slow: impl Future<Output = T>) -> T {
    let mut slow = pin!(slow);
    if let Some(rests_at) = transaction.hop_until {
        if let Ok(done) = timeout_at(rests_at, &mut slow).await {
            return done;
        }
        transaction.rest();
    }
    slow.await
}

/// The route of a class that policy refuses, where no decision said so in its own words.
fn class_refused() -> Setback {
    Setback::failed(
        "the message's class is refused",
        Reply::new(550, (5, 7, 1), "Message refused"),
    )
}

/// Whether the next hop is told class and pool.
fn tells_verdict(gateway: &Gateway) -> bool {
    gateway.verdict_header == VerdictHeader::Include
}

/// What there is of time from the end of the client's data to the final dot at the next hop.
fn after_data(gateway: &Gateway) -> Duration {
    Duration::from_millis(gateway.after_data.0)
}

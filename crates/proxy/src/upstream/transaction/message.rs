//! The message: DATA, its octets, the final dot, and what was said to it.

use std::sync::Arc;

use sekisho_runtime::metrics::UpstreamPhase;
use sekisho_smtp::Reply;
use tokio::time::Instant;

use super::{Opening, Stage, Transaction};
use crate::upstream::deadlines::Until;
use crate::upstream::failure::{Failure, Fault};
use crate::upstream::told::{Moment, bounded, for_client, is_done};
use crate::upstream::wire::{Meanwhile, Sent};

/// Octets of a message that are gathered before they are written.
const BLOCK: usize = 64 * 1024;

/// How a message ended that was sent to its final dot.
#[derive(Debug)]
pub(crate) enum End {
    /// The next hop has it. The reply is its own.
    Accepted(Reply),
    /// The next hop refused it; the reply is fit for the client.
    Refused(Reply),
    /// It may or may not have it: there is no saying, and nobody must be told that it failed.
    Uncertain(Failure),
}

impl Transaction {
    /// Announces the message.
    ///
    /// # Errors
    /// [`Fault::Refused`] if the next hop does not want it; otherwise the connection is lost.
    pub(crate) async fn data(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        self.announce()
            .await
            .map_err(|fault| self.fail(UpstreamPhase::Data, fault))?;
        self.metrics().phase(UpstreamPhase::Data, started.elapsed());
        let headers = Arc::clone(&self.headers);
        self.encoder
            .encode_into(&headers, &mut self.connection.wire.output);
        Ok(())
    }

    async fn announce(&mut self) -> Result<(), Fault> {
        self.connection.wire.check_silence()?;
        let until = self.until(|d| d.data);
        let reply = bounded(self.connection.wire.ask(b"DATA\r\n", until).await?);
        match reply.code() {
            354 => {
                self.stage = Stage::Message;
                Ok(())
            }
            421 => Err(Fault::Unwilling(reply)),
            400..=599 => {
                self.connection.hop.reply = reply.to_string();
                self.stage = Stage::Refused;
                Err(Fault::Refused(reply))
            }
            _ => Err(Fault::OutOfPlace(reply)),
        }
    }

    /// Sends octets of the message: lines end with CRLF, dots are not stuffed. They are gathered into blocks.
    ///
    /// # Errors
    /// The connection is lost. If the next hop interrupted with a refusal, that is the failure.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> Result<(), Failure> {
        for part in octets.chunks(BLOCK) {
            self.encoder
                .encode_into(part, &mut self.connection.wire.output);
            if self.connection.wire.output.len() >= BLOCK {
                let until = self.until(|d| d.block);
                let flushed = self
                    .connection
                    .wire
                    .flush(Meanwhile::Interruption, until)
                    .await;
                flushed.map_err(|failure| self.interrupted(failure.fault))?;
            }
        }
        Ok(())
    }

    /// Sends what is left and the final dot, and waits for the verdict. From here on there is no way back, so the
    /// message's deadline does not end the wait, and the caller must not drop this future.
    ///
    /// # Errors
    /// The final dot was surely not sent.
    pub(crate) async fn finish(mut self) -> Result<End, Failure> {
        if self.stage != Stage::Message {
            return Err(self.fail(UpstreamPhase::Final, Fault::Closed));
        }
        let dot = std::mem::take(&mut self.encoder).finish();
        self.connection.wire.output.extend_from_slice(dot);
        // An answer before the question must not be taken for the answer.
        if let Err(fault) = self.connection.wire.check_silence() {
            return Err(self.interrupted(fault));
        }
        let until = self.until(|d| d.block);
        match self
            .connection
            .wire
            .flush(Meanwhile::Interruption, until)
            .await
        {
            Ok(()) => {}
            Err(failure) if failure.sent == Sent::InPart => {
                return Err(self.interrupted(failure.fault));
            }
            Err(failure) => return Ok(self.uncertain(failure.fault)),
        }
        let started = Instant::now();
        let until = Until::phase(self.opening.environment.deadlines.after_dot);
        match self.connection.wire.reply(until).await {
            Ok(reply) => {
                self.metrics()
                    .phase(UpstreamPhase::Final, started.elapsed());
                Ok(self.settle(reply))
            }
            Err(fault) => Ok(self.uncertain(fault)),
        }
    }

    fn settle(mut self, reply: Reply) -> End {
        let reply = bounded(reply);
        self.connection.hop.reply = reply.to_string();
        let silence = self.connection.wire.check_silence();
        let in_step = silence.is_ok();
        if matches!(silence, Err(Fault::Unsolicited)) && !self.connection.wire.holds_farewell() {
            // Two replies to one message: which of them is meant?
            return self.uncertain(Fault::Unsolicited);
        }
        let end = if is_done(&reply) {
            End::Accepted(reply)
        } else if reply.is_completion() || reply.is_intermediate() {
            return self.uncertain(Fault::OutOfPlace(reply));
        } else {
            let told = for_client(&reply, Moment::Dot, self.connection.hop.from);
            if told.code() != reply.code() {
                let hop = &self.connection.hop.address;
                tracing::warn!(%hop, %reply, %told, "a next hop's refusal was not fit for the client");
            }
            End::Refused(told)
        };
        self.connection.unfinished = false;
        let closing =
            matches!(&end, End::Refused(_)) && self.connection.hop.reply.starts_with("421");
        if in_step && !closing {
            let Opening {
                environment,
                group,
                wish,
            } = self.opening;
            group.give_back(&environment, &wish.own, self.connection);
        }
        end
    }

    fn uncertain(&mut self, fault: Fault) -> End {
        End::Uncertain(self.fail(UpstreamPhase::Final, fault))
    }

    /// A failure inside the message: the next hop's own words, if it said why.
    fn interrupted(&mut self, fault: Fault) -> Failure {
        let fault = match self.connection.wire.interruption() {
            Some(reply) if reply.is_closing() => Fault::Unwilling(reply),
            Some(reply) => Fault::Refused(reply),
            None => fault,
        };
        if let Fault::Refused(reply) = &fault {
            self.connection.hop.reply = reply.to_string();
        }
        self.stage = Stage::Broken;
        let failure = self.failure(UpstreamPhase::Data, fault);
        self.opening.group.counted(failure)
    }
}

//! BDAT (RFC 3030): the message comes in chunks of announced length. Whatever is said to one, its octets are read, and
//! never as commands.

use sekisho_runtime::metrics::Detection;
use sekisho_smtp::command::BdatCommand;
use sekisho_smtp::{Refusal, Reply};

use super::io::Gone;
use super::message::{Carriage, Pace};
use super::stream::Transport;
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    /// The first chunk; those after it are taken on the way of the message.
    pub(super) async fn bdat(&mut self, chunk: BdatCommand) -> Result<Flow, Gone> {
        self.grammar.chunk_begun();
        self.receive(Carriage::Chunks(chunk.into())).await
    }

    /// Refuses a chunk out of turn, such as those that a client had sent along with one that was refused. That is no error of the
    /// client's; but it leads nowhere.
    pub(super) async fn refuse_chunk(
        &mut self,
        chunk: BdatCommand,
        refusal: Refusal,
    ) -> Result<Flow, Gone> {
        self.tally.idle_commands += 1;
        if !self.may_drain(chunk.size) {
            self.shared.metrics.detected(Detection::TooManyErrors);
            let reply = Reply::new(
                421,
                (4, 7, 0),
                "More octets than are read for nothing; closing the connection",
            );
            return Ok(self.say(&reply));
        }
        let until = Pace::new(&self.shared.limits, &self.limits).due(chunk.size);
        let mut left = chunk.size;
        while left > 0 {
            if self.wire.received().is_empty() {
                let until = self.until(self.shared.limits.data_block).min(until);
                self.more(until).await?;
            }
            let received = self.wire.received().len();
            let part = received.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.wire.consume(part);
            left -= part as u64;
        }
        Ok(self.say(&refusal.reply))
    }

    /// Whether so many octets more may be read that lead nowhere, counted anew after each message.
    pub(super) fn may_drain(&mut self, octets: u64) -> bool {
        self.tally.drained = self.tally.drained.saturating_add(octets);
        self.tally.drained <= self.shared.limits.drained
    }
}

//! One message at one next hop. Whatever is not surely accepted is not acknowledged.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::record::Hop;
use sekisho_runtime::metrics::{PoolMetrics, UpstreamPhase};
use sekisho_smtp::command::{Body, MailCommand, RcptCommand};
use sekisho_smtp::data::Encoder;
use sekisho_smtp::{Command, Reply};
use tokio::time::Instant;

use super::Environment;
use super::connection::Connection;
use super::deadlines::Until;
use super::failure::{Failure, Fault, for_client};
use super::group::{Freshness, Group, Opened, Wish};
use super::handshake::{expect_done, unexpected};
use super::wire::{Meanwhile, Sent};

/// Octets of a message that are gathered before they are written.
const BLOCK: usize = 64 * 1024;
/// RCPT commands written together, so that their replies fit what either side buffers (RFC 2920 3.1).
const RCPT_GROUP: usize = 50;

/// What it takes to open a way for the same message again.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) environment: Arc<Environment>,
    pub(super) group: Arc<Group>,
    pub(super) wish: Wish,
}

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

/// One message at one next hop. Dropping it drops the connection, which is the only way to abort inside a message.
#[derive(Debug)]
pub(crate) struct Transaction {
    opening: Opening,
    connection: Connection,
    mail: MailCommand,
    headers: Arc<[u8]>,
    encoder: Encoder,
    deadline: Instant,
    stage: Stage,
    /// The connection served somebody before, and nothing has been answered on it since.
    unproven: bool,
    /// RCPT commands sent.
    recipients: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent.
    Opened,
    /// MAIL was sent, and perhaps RCPT.
    Envelope,
    /// MAIL was refused, or DATA: RSET, if anything, and the connection is as good as before.
    Refused,
    /// DATA was accepted.
    Message,
    /// Something went wrong: the connection cannot be trusted.
    Broken,
}

impl Transaction {
    /// Begins on a connection. MAIL waits for the first recipients, to travel with them.
    pub(super) fn begin(
        opening: Opening,
        opened: Opened,
        mail: MailCommand,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let Opened {
            connection,
            headers,
            reused,
        } = opened;
        let transaction = Self {
            opening,
            connection,
            mail,
            headers,
            encoder: Encoder::new(),
            deadline,
            stage: Stage::Opened,
            unproven: reused,
            recipients: 0,
        };
        match transaction.adapted_mail() {
            Ok(_) => Ok(transaction),
            Err(fault) => {
                let failure = transaction.failure(UpstreamPhase::Envelope, fault);
                transaction.reset();
                Err(failure)
            }
        }
    }

    /// Moves the deadline of everything before the final dot.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// Where the message goes. Its reply is the last refusal, or what was said to the final dot.
    pub(crate) fn hop(&self) -> &Hop {
        &self.connection.hop
    }

    /// What the pool counts.
    pub(crate) fn metrics(&self) -> &PoolMetrics {
        &self.opening.group.metrics
    }

    /// Asks for recipients, and for the sender before the first. One reply for each, fit for the client: 2xx where the
    /// next hop takes it.
    ///
    /// # Errors
    /// [`Fault::Refused`] if MAIL was refused; otherwise the connection is lost, and the recipients before with it.
    pub(crate) async fn recipients(
        &mut self,
        recipients: &[RcptCommand],
    ) -> Result<Vec<Reply>, Failure> {
        let started = Instant::now();
        let mut replies = Vec::with_capacity(recipients.len());
        for group in recipients.chunks(RCPT_GROUP) {
            let answered = match self.ask(group).await {
                Err(fault) if self.is_stale(&fault) => {
                    self.replace_connection().await?;
                    self.ask(group).await
                }
                answered => answered,
            };
            replies.extend(answered.map_err(|fault| self.fail(UpstreamPhase::Envelope, fault))?);
        }
        self.metrics()
            .phase(UpstreamPhase::Envelope, started.elapsed());
        Ok(replies)
    }

    /// Whether a connection that was used before turns out to be dead, while nothing was promised on it yet.
    fn is_stale(&self, fault: &Fault) -> bool {
        let gone = matches!(
            fault,
            Fault::Closed
                | Fault::Broken(_)
                | Fault::Unwilling(_)
                | Fault::Unsolicited
                | Fault::OutOfPlace(_)
                | Fault::Protocol(_)
        );
        self.unproven && gone
    }

    async fn replace_connection(&mut self) -> Result<(), Failure> {
        // Else it would wait for its own slot where the pool has only one.
        self.connection.slot = None;
        let Opening {
            environment,
            group,
            wish,
        } = &self.opening;
        let opened = match group
            .open(environment, wish, Freshness::New, self.deadline)
            .await
        {
            Ok(opened) => opened,
            Err(failure) => {
                self.stage = Stage::Broken;
                return Err(failure);
            }
        };
        self.connection = opened.connection;
        self.headers = opened.headers;
        self.unproven = false;
        self.stage = Stage::Opened;
        self.recipients = 0;
        Ok(())
    }

    async fn ask(&mut self, recipients: &[RcptCommand]) -> Result<Vec<Reply>, Fault> {
        // Over the next hop's own limit (RFC 9422) it is told nothing, and the client is told to split.
        let room = self
            .connection
            .capabilities
            .limits
            .rcpt
            .map_or(u32::MAX, |limit| limit - limit.min(self.recipients));
        let fit = recipients
            .len()
            .min(usize::try_from(room).unwrap_or(usize::MAX));
        let (asked, over) = recipients.split_at(fit);
        self.connection.wire.check_silence()?;
        let mut replies = if self.connection.capabilities.pipelining {
            self.ask_together(asked).await?
        } else {
            self.ask_in_turn(asked).await?
        };
        self.unproven = false;
        replies.extend(
            over.iter()
                .map(|_| Reply::new(452, (4, 5, 3), "Too many recipients")),
        );
        Ok(replies)
    }

    /// RSET where one is due, MAIL and RCPTs in one write (RFC 2920).
    async fn ask_together(&mut self, recipients: &[RcptCommand]) -> Result<Vec<Reply>, Fault> {
        let opens = self.stage == Stage::Opened;
        let resets = opens && std::mem::take(&mut self.connection.unfinished);
        if resets {
            Command::Rset
                .write_to(&mut self.connection.wire.output)
                .map_err(|_| Fault::TooLong)?;
        }
        if opens {
            self.put_mail()?;
        }
        for recipient in recipients {
            self.put_rcpt(recipient)?;
        }
        let until = self.until(|d| d.mail);
        self.connection
            .wire
            .flush(Meanwhile::Replies, until)
            .await
            .map_err(|failure| failure.fault)?;
        if resets {
            expect_done(self.connection.wire.reply(self.until(|d| d.mail)).await?)?;
        }
        let mail = if opens {
            Some(self.mail_reply().await?)
        } else {
            None
        };
        let mut replies = Vec::with_capacity(recipients.len());
        for _ in recipients {
            replies.push(self.rcpt_reply().await?);
        }
        self.accept_mail(mail)?;
        Ok(replies)
    }

    async fn ask_in_turn(&mut self, recipients: &[RcptCommand]) -> Result<Vec<Reply>, Fault> {
        if self.stage == Stage::Opened {
            if std::mem::take(&mut self.connection.unfinished) {
                Command::Rset
                    .write_to(&mut self.connection.wire.output)
                    .map_err(|_| Fault::TooLong)?;
                expect_done(self.answer().await?)?;
            }
            self.put_mail()?;
            let until = self.until(|d| d.mail);
            self.connection
                .wire
                .flush(Meanwhile::Replies, until)
                .await
                .map_err(|failure| failure.fault)?;
            let mail = self.mail_reply().await?;
            self.accept_mail(Some(mail))?;
        }
        let mut replies = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            self.put_rcpt(recipient)?;
            let until = self.until(|d| d.rcpt);
            self.connection
                .wire
                .flush(Meanwhile::Replies, until)
                .await
                .map_err(|failure| failure.fault)?;
            replies.push(self.rcpt_reply().await?);
        }
        Ok(replies)
    }

    fn put_mail(&mut self) -> Result<(), Fault> {
        let mail = Command::Mail(self.adapted_mail()?);
        mail.write_to(&mut self.connection.wire.output)
            .map_err(|_| Fault::TooLong)?;
        self.stage = Stage::Envelope;
        self.connection.unfinished = true;
        self.connection.messages += 1;
        Ok(())
    }

    fn put_rcpt(&mut self, recipient: &RcptCommand) -> Result<(), Fault> {
        let recipient = Command::Rcpt(recipient.for_next_hop(&self.connection.capabilities));
        recipient
            .write_to(&mut self.connection.wire.output)
            .map_err(|_| Fault::TooLong)?;
        self.recipients += 1;
        Ok(())
    }

    async fn answer(&mut self) -> Result<Reply, Fault> {
        let until = self.until(|d| d.mail);
        self.connection
            .wire
            .flush(Meanwhile::Replies, until)
            .await
            .map_err(|failure| failure.fault)?;
        self.connection.wire.reply(until).await
    }

    async fn mail_reply(&mut self) -> Result<Reply, Fault> {
        let reply = self.connection.wire.reply(self.until(|d| d.mail)).await?;
        if reply.is_intermediate() || reply.is_closing() {
            Err(unexpected(reply))
        } else {
            Ok(reply)
        }
    }

    fn accept_mail(&mut self, reply: Option<Reply>) -> Result<(), Fault> {
        match reply {
            Some(reply) if !reply.is_completion() => {
                self.connection.hop.reply = reply.to_string();
                self.stage = Stage::Refused;
                Err(Fault::Refused(reply))
            }
            _ => Ok(()),
        }
    }

    /// The next hop's answer to one RCPT, as the client may hear it.
    async fn rcpt_reply(&mut self) -> Result<Reply, Fault> {
        let reply = self.connection.wire.reply(self.until(|d| d.rcpt)).await?;
        if reply.is_intermediate() || reply.is_closing() {
            return Err(unexpected(reply));
        }
        if reply.is_completion() {
            return Ok(reply);
        }
        self.connection.hop.reply = reply.to_string();
        Ok(for_client(&reply))
    }

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
        let reply = self.connection.wire.ask(b"DATA\r\n", until).await?;
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
        self.connection.hop.reply = reply.to_string();
        let silence = self.connection.wire.check_silence();
        let in_step = silence.is_ok();
        if matches!(silence, Err(Fault::Unsolicited)) && !self.connection.wire.holds_farewell() {
            // Two replies to one message: which of them is meant?
            return self.uncertain(Fault::Unsolicited);
        }
        let end = if reply.is_completion() {
            End::Accepted(reply)
        } else if reply.is_intermediate() {
            return self.uncertain(Fault::OutOfPlace(reply));
        } else {
            End::Refused(for_client(&reply))
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

    /// Ends the transaction before its message, if it has come so far, and keeps the connection for the next. RSET
    /// travels with the next MAIL.
    pub(crate) fn reset(self) {
        let Opening {
            environment,
            group,
            wish,
        } = self.opening;
        if matches!(self.stage, Stage::Opened | Stage::Envelope | Stage::Refused) {
            group.give_back(&environment, &wish.own, self.connection);
        }
    }

    /// The MAIL command as the next hop takes it.
    fn adapted_mail(&self) -> Result<MailCommand, Fault> {
        let capabilities = &self.connection.capabilities;
        if self.mail.params.body == Some(Body::EightBitMime) && !capabilities.eight_bit_mime {
            return Err(Fault::EightBitMissing);
        }
        let mut mail = self
            .mail
            .for_next_hop(capabilities)
            .map_err(Fault::Missing)?;
        // What a client claims of the first submitter is not ours to vouch for (RFC 4954 section 5).
        mail.params.auth = None;
        Ok(mail)
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

    fn fail(&mut self, phase: UpstreamPhase, fault: Fault) -> Failure {
        if !matches!(
            fault,
            Fault::Refused(_) | Fault::Missing(_) | Fault::EightBitMissing
        ) {
            self.stage = Stage::Broken;
        }
        let failure = self.failure(phase, fault);
        self.opening.group.counted(failure)
    }

    fn failure(&self, phase: UpstreamPhase, fault: Fault) -> Failure {
        Failure::at(self.connection.hop.clone(), phase, fault)
    }

    fn until(&self, phase: impl Fn(&super::deadlines::Deadlines) -> Duration) -> Until {
        Until::first(phase(&self.opening.environment.deadlines), self.deadline)
    }
}

//! The envelope: MAIL and RCPT, together where the next hop takes them together.

use sekisho_runtime::metrics::UpstreamPhase;
use sekisho_smtp::command::{Body, MailCommand, RcptCommand};
use sekisho_smtp::{Command, Reply};
use tokio::time::Instant;

use super::{Opening, Stage, Transaction};
use crate::upstream::failure::{Failure, Fault};
use crate::upstream::group::Freshness;
use crate::upstream::handshake::{expect_done, unexpected};
use crate::upstream::told::{Moment, bounded, for_client, is_done};

/// RCPT commands written together, so that their replies fit what either side buffers (RFC 2920 3.1).
const RCPT_GROUP: usize = 50;

impl Transaction {
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

    /// Asks for those that the next hop can read.
    async fn ask(&mut self, recipients: &[RcptCommand]) -> Result<Vec<Reply>, Fault> {
        let capabilities = &self.connection.capabilities;
        let readable = |one: &RcptCommand| {
            capabilities.smtputf8 || one.is_ascii() || one.for_next_hop(capabilities).is_ascii()
        };
        if recipients.iter().all(readable) {
            return self.ask_all(recipients).await;
        }
        let readable: Vec<bool> = recipients.iter().map(readable).collect();
        let asked = recipients.iter().zip(&readable).filter(|(_, can)| **can);
        let asked: Vec<RcptCommand> = asked.map(|(one, _)| one.clone()).collect();
        let answers = if asked.is_empty() {
            Vec::new()
        } else {
            self.ask_all(&asked).await?
        };
        let mut answers = answers.into_iter();
        let answer = |can: bool| can.then(|| answers.next()).flatten();
        let answers = readable.into_iter().map(answer);
        Ok(answers
            .map(|answer| answer.unwrap_or_else(unreadable))
            .collect())
    }

    async fn ask_all(&mut self, recipients: &[RcptCommand]) -> Result<Vec<Reply>, Fault> {
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
        self.connection.wire.send(until).await?;
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
            self.connection.wire.send(until).await?;
            let mail = self.mail_reply().await?;
            self.accept_mail(Some(mail))?;
        }
        let mut replies = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            self.put_rcpt(recipient)?;
            let until = self.until(|d| d.rcpt);
            self.connection.wire.send(until).await?;
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
        self.connection.wire.send(until).await?;
        self.connection.wire.reply(until).await
    }

    async fn mail_reply(&mut self) -> Result<Reply, Fault> {
        let reply = bounded(self.connection.wire.reply(self.until(|d| d.mail)).await?);
        if is_answer(&reply) {
            Ok(reply)
        } else {
            Err(unexpected(reply))
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
        let reply = bounded(self.connection.wire.reply(self.until(|d| d.rcpt)).await?);
        if !is_answer(&reply) {
            return Err(unexpected(reply));
        }
        if reply.is_completion() {
            return Ok(reply);
        }
        self.connection.hop.reply = reply.to_string();
        let told = for_client(&reply, Moment::Rcpt, self.connection.hop.from);
        if told.code() != reply.code() {
            let hop = &self.connection.hop.address;
            tracing::warn!(%hop, %reply, %told, "a next hop's refusal was not fit for the client");
        }
        Ok(told)
    }

    /// The MAIL command as the next hop takes it.
    pub(super) fn adapted_mail(&self) -> Result<MailCommand, Fault> {
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
}

/// What is said to a recipient that the next hop cannot read (RFC 6531 section 3.5).
fn unreadable() -> Reply {
    let text = "The next server does not take internationalized addresses";
    Reply::new(553, (5, 6, 7), text)
}

/// Whether a reply can be one to MAIL or RCPT.
fn is_answer(reply: &Reply) -> bool {
    is_done(reply) || reply.is_permanent() || (reply.is_transient() && !reply.is_closing())
}

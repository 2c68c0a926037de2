//! Between the chunks of a message (RFC 3030): each is answered when its octets are here, and the next one is waited for. To
//! whoever reads the message it comes in one piece, as after DATA.

use sekisho_smtp::Command;
use sekisho_smtp::Reply;
use sekisho_smtp::command::BdatCommand;
use sekisho_smtp::grammar::Buffered;
use sekisho_smtp::line::Expect;

use super::super::io::{Gone, Taken};
use super::super::stream::Transport;
use super::super::verbs::{self, Verb};
use super::super::{Flow, Session};
use super::{Intake, Stop};

/// What a command between two chunks means to the message.
enum Next {
    Chunk(BdatCommand),
    /// It was answered, and changes nothing.
    Aside,
    /// It gives the message up, and has not been taken.
    Drops,
}

impl<S: Transport> Session<S> {
    /// Tells the client that `done` is here, and waits for its next chunk. Whatever else may be said meanwhile is answered.
    pub(super) async fn next_chunk(
        &mut self,
        intake: &mut Intake,
        done: BdatCommand,
    ) -> Result<(), Stop> {
        let octets = format!("{} octets received", done.size);
        let flow = self.say(&Reply::new(250, (2, 0, 0), octets));
        self.shared.metrics.command(Verb::Bdat, self.said);
        if done.size == 0 {
            // Else a client could have us answer for nothing for an hour.
            self.tally.idle_commands += 1;
        }
        let mut flow = self.enough().unwrap_or(flow);
        loop {
            if flow == Flow::Close {
                return Err(Stop::Gone(Gone::Finished));
            }
            if self.wire.is_laden() {
                let reply_by = self.reply_by();
                self.wire.flush(reply_by).await?;
            }
            let sins = self.tally.sins();
            match self.command_between(&mut flow) {
                None => {
                    let until = self.until(self.shared.limits.command).min(intake.due());
                    self.more_in_transaction(until).await?;
                }
                Some(Next::Aside) => {
                    if self.tally.sins() > sins {
                        flow = self.repent_unless_over(flow).await?;
                    }
                }
                Some(Next::Drops) => return Err(Stop::Dropped),
                Some(Next::Chunk(announced)) => {
                    self.said = sekisho_runtime::metrics::ReplyClass::None;
                    intake.begin_chunk(announced);
                    return Ok(());
                }
            }
        }
    }

    /// Deals with the next command, if it is here.
    fn command_between(&mut self, flow: &mut Flow) -> Option<Next> {
        if self.drops_message() {
            return Some(Next::Drops);
        }
        let (verb, parsed) = match self.wire.take_line(Expect::Command, verbs::read) {
            Taken::Incomplete => return None,
            Taken::Fault(error) => {
                *flow = self.refuse_line(error);
                return Some(Next::Aside);
            }
            Taken::Line(line) => line,
        };
        let buffered = Buffered::of(self.wire.received());
        let checked =
            parsed.and_then(|command| self.grammar.check(&command, buffered).map(|()| command));
        *flow = match checked {
            Ok(Command::Bdat(announced)) => return Some(Next::Chunk(announced)),
            Ok(Command::Noop) => self.noop(),
            Ok(Command::Help) => self.help(),
            Ok(Command::Vrfy(_)) => self.vrfy(),
            // The grammar lets nothing else through that does not give the message up.
            Ok(_) => Flow::Close,
            Err(refusal) => self.refuse_command(verb, refusal),
        };
        self.shared.metrics.command(verb, self.said);
        if let Some(last) = self.enough() {
            *flow = last;
        }
        Some(Next::Aside)
    }

    /// Whether the next command ends the transaction. It is left to whom it belongs.
    fn drops_message(&self) -> bool {
        let next = self.wire.peek_line(Expect::Command, verbs::read);
        matches!(
            next,
            Some((
                _,
                Ok(Command::Rset | Command::Ehlo(_) | Command::Helo(_) | Command::Quit)
            ))
        )
    }
}

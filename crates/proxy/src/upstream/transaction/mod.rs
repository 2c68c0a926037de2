//! One message at one next hop. Whatever is not surely accepted is not acknowledged.

mod envelope;
mod message;

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::record::Hop;
use sekisho_runtime::metrics::{PoolMetrics, UpstreamPhase};
use sekisho_smtp::command::MailCommand;
use sekisho_smtp::data::Encoder;
use tokio::time::Instant;

use super::Environment;
use super::connection::Connection;
use super::deadlines::{Deadlines, Until};
use super::failure::{Failure, Fault};
use super::group::{Group, Opened, Wish};

pub(crate) use message::End;

/// What it takes to open a way for the same message again.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) environment: Arc<Environment>,
    pub(super) group: Arc<Group>,
    pub(super) wish: Wish,
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

    /// Whether the header section of a message may be beyond ASCII.
    pub(crate) fn takes_utf8(&self) -> bool {
        self.connection.capabilities.smtputf8
    }

    /// What the pool counts.
    pub(crate) fn metrics(&self) -> &PoolMetrics {
        &self.opening.group.metrics
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

    fn until(&self, phase: impl Fn(&Deadlines) -> Duration) -> Until {
        Until::first(phase(&self.opening.environment.deadlines), self.deadline)
    }
}

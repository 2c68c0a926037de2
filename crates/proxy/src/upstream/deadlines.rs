//! How long each phase may take, and whose patience ended.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Fault;

/// The most that each phase may take; RFC 5321 4.5.3.2 where it says something. The caller's deadline comes on top.
#[derive(Clone, Debug)]
pub(crate) struct Deadlines {
    /// For one address of the next hop. Short, so that a dead one leaves time for another.
    pub(crate) connect: Duration,
    pub(crate) greeting: Duration,
    /// EHLO, STARTTLS with its handshake, XCLIENT, AUTH: each.
    pub(crate) hello: Duration,
    pub(crate) mail: Duration,
    pub(crate) rcpt: Duration,
    pub(crate) data: Duration,
    /// For each write of message octets.
    pub(crate) block: Duration,
    /// From the final dot to its reply.
    pub(crate) after_dot: Duration,
    /// How long an unused connection is kept: well below what servers grant (Postfix: 300 s).
    pub(crate) idle: Duration,
    /// No connection is used again when it is older.
    pub(crate) age: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            connect: Duration::from_secs(5),
            greeting: 5 * MINUTE,
            hello: 5 * MINUTE,
            mail: 5 * MINUTE,
            rcpt: 5 * MINUTE,
            data: 2 * MINUTE,
            block: 3 * MINUTE,
            after_dot: 10 * MINUTE,
            idle: Duration::from_secs(30),
            age: 10 * MINUTE,
        }
    }
}

/// The end of a phase: the phase's own, or that of the whole message, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    pub(super) at: Instant,
    whose: Whose,
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    Phase,
    Message,
}

impl Until {
    /// `phase` from now, and no later than `message`.
    pub(super) fn first(phase: Duration, message: Instant) -> Self {
        let own = Self::phase(phase);
        if message < own.at {
            Self {
                at: message,
                whose: Whose::Message,
            }
        } else {
            own
        }
    }

    /// `phase` from now, whatever the message's deadline: for what can no longer be taken back.
    pub(super) fn phase(phase: Duration) -> Self {
        Self {
            at: Instant::now() + phase,
            whose: Whose::Phase,
        }
    }

    /// What it means that it has passed.
    pub(super) fn fault(self) -> Fault {
        match self.whose {
            Whose::Phase => Fault::Timeout,
            Whose::Message => Fault::Deadline,
        }
    }
}

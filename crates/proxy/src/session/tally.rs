//! What a session has made of nothing so far: errors, idle commands, failed logins, refused recipients.

use sekisho_policy::snapshot::GatewayLimits;
use sekisho_smtp::Reply;

/// Refused recipients that weigh as much as one error: a list of honest people has stale addresses in it.
const RECIPIENTS_PER_ERROR: u32 = 10;

/// Counts that end a session when they grow too large.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) errors: u32,
    pub(super) idle_commands: u32,
    pub(super) failed_logins: u32,
    pub(super) refused_recipients: u32,
    /// MAIL commands.
    pub(super) transactions: u32,
    /// Octets of chunks that were refused.
    pub(super) drained: u64,
    /// It should have waited in the tarpit, and that was full.
    pub(super) crowded_out: bool,
    /// The last command was a DATA that was refused.
    pub(super) data_refused: bool,
}

impl Tally {
    /// A message went through: the session is worth something.
    pub(super) fn message_sent(&mut self) {
        self.idle_commands = 0;
        self.refused_recipients = 0;
        self.drained = 0;
    }

    /// Errors as the tarpit counts them.
    pub(super) fn sins(&self) -> u32 {
        let recipients = self.refused_recipients / RECIPIENTS_PER_ERROR;
        self.errors
            .saturating_add(self.failed_logins)
            .saturating_add(recipients)
    }

    /// The last reply, if any bound is reached.
    pub(super) fn exceeded(&self, limits: &GatewayLimits) -> Option<Reply> {
        if self.crowded_out {
            return Some(Reply::new(
                421,
                (4, 7, 0),
                "Too many errors; try again later",
            ));
        }
        let table = [
            (self.errors, limits.errors, "Too many errors"),
            (
                self.idle_commands,
                limits.idle_commands,
                "Too many commands that send nothing",
            ),
            (
                self.failed_logins,
                limits.auth_attempts,
                "Too many failed logins",
            ),
            (
                self.refused_recipients,
                limits.refused_recipients,
                "Too many refused recipients",
            ),
        ];
        let (.., text) = table.into_iter().find(|(count, limit, _)| count >= limit)?;
        Some(Reply::new(421, (4, 7, 0), text))
    }
}

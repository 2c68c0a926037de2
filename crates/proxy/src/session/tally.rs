//! What a session has made of nothing so far: errors, idle commands, failed logins, refused recipients.

use sekisho_smtp::Reply;

use crate::limits::Limits;

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
}

impl Tally {
    /// A message went through: the session is worth something.
    pub(super) fn message_sent(&mut self) {
        self.idle_commands = 0;
        self.refused_recipients = 0;
        self.drained = 0;
    }

    /// The last reply, if any bound is reached.
    pub(super) fn exceeded(&self, limits: &Limits) -> Option<Reply> {
        let table = [
            (self.errors, limits.errors, "Too many errors"),
            (
                self.idle_commands,
                limits.idle_commands,
                "Too many commands that send nothing",
            ),
            (
                self.failed_logins,
                limits.failed_logins,
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

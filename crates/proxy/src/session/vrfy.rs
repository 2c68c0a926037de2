//! VRFY: answered, and never with knowledge (RFC 5321 7.3).

use sekisho_smtp::Reply;

use super::stream::Transport;
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    pub(super) fn vrfy(&mut self) -> Flow {
        self.tally.idle_commands += 1;
        self.say(&Reply::new(
            252,
            (2, 5, 0),
            "Cannot verify, but will take a message and try to deliver it",
        ))
    }
}

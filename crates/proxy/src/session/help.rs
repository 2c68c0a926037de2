//! HELP: points to the standard; what a client needs to know is in the reply to EHLO.

use sekisho_smtp::Reply;

use super::stream::Transport;
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    pub(super) fn help(&mut self) -> Flow {
        self.tally.idle_commands += 1;
        self.say(&Reply::new(
            214,
            (2, 0, 0),
            "Message submission: RFC 6409, RFC 5321",
        ))
    }
}

//! NOOP: says that we are here.

use sekisho_smtp::Reply;

use super::stream::Transport;
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    pub(super) fn noop(&mut self) -> Flow {
        self.tally.idle_commands += 1;
        self.say(&Reply::new(250, (2, 0, 0), "OK"))
    }
}

//! QUIT: the client is done.

use sekisho_smtp::Reply;

use super::stream::Transport;
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    pub(super) fn quit(&mut self) -> Flow {
        self.say(&Reply::new(221, (2, 0, 0), "Goodbye"));
        Flow::Close
    }
}

//! RSET, and every other way in which a transaction ends without a message.

use sekisho_smtp::Reply;

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    pub(super) async fn rset(&mut self) -> Result<Flow, Gone> {
        self.tally.idle_commands += 1;
        self.abandon().await;
        Ok(self.say(&Reply::new(250, (2, 0, 0), "OK")))
    }

    /// Ends a transaction that did not come to a message: what it was charged comes back, and its record is written.
    pub(super) async fn abandon(&mut self) {
        self.grammar.transaction_ended();
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        let end = transaction.abandoned();
        self.conclude(*transaction, end).await;
    }
}

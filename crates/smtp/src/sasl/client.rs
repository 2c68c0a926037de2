//! The client's side of PLAIN and LOGIN, towards an upstream.

use super::{Credentials, Mechanism, Secret};

/// What the client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Send these octets, CRLF included, and pass the reply's code to [`ClientExchange::next`] if it is 334.
    Send(Secret),
    /// The server asks for more than the mechanism has: cancel with `*` CRLF and give up.
    Cancel,
}

/// One exchange.
#[derive(Debug)]
pub struct ClientExchange {
    mechanism: Mechanism,
    /// What is still to be sent, last first.
    pending: Vec<Secret>,
}

impl ClientExchange {
    /// Begins an exchange: the AUTH command to send. An initial response rides on it where it fits in 512 octets.
    pub fn start(mechanism: Mechanism, credentials: &Credentials) -> (Self, Secret) {
        let _ = (mechanism, credentials);
        unimplemented!()
    }

    /// The answer to a 334. What the challenge says does not matter: LOGIN's are not standard, PLAIN's is empty.
    pub fn next(&mut self) -> ClientStep {
        let _ = (&self.mechanism, &self.pending);
        unimplemented!()
    }
}

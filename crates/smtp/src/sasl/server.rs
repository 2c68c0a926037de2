//! The server's side of PLAIN and LOGIN.

use super::{Credentials, Mechanism, Secret};
use crate::Error;

/// What the server does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerStep {
    /// Send `334` with this text (base64 already, perhaps empty) and pass the answer to [`ServerExchange::respond`].
    Challenge(&'static str),
    /// The exchange is over: check these.
    Done(Credentials),
}

/// One exchange.
#[derive(Debug)]
pub struct ServerExchange {
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword { name: String },
    Over,
}

impl ServerExchange {
    /// Begins an exchange with the initial response of the AUTH command, if it had one.
    ///
    /// # Errors
    /// [`Error::SaslResponse`]; [`super::refusal`] gives the reply.
    pub fn start(
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Result<(Self, ServerStep), Error> {
        let _ = (mechanism, initial);
        let _ = (
            State::Plain,
            State::LoginName,
            State::LoginPassword {
                name: String::new(),
            },
            State::Over,
        );
        unimplemented!()
    }

    /// Takes the client's answer to a 334: a line without its CRLF.
    ///
    /// # Errors
    /// [`Error::SaslCancelled`], [`Error::LineTooLong`], [`Error::Base64`], [`Error::SaslResponse`]. The exchange is over.
    pub fn respond(&mut self, line: &[u8]) -> Result<ServerStep, Error> {
        let _ = (&self.state, line);
        unimplemented!()
    }
}

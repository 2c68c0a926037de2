//! The server's side of PLAIN and LOGIN.

use super::identity::identity;
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

/// `Username:` and `Password:`: the words that Outlook and its kin look for.
const NAME_PROMPT: &str = "VXNlcm5hbWU6";
const PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

impl ServerExchange {
    /// Begins an exchange with the initial response of the AUTH command, if it had one.
    ///
    /// # Errors
    /// [`Error::SaslResponse`]; [`super::refusal`] gives the reply.
    pub fn start(
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Result<(Self, ServerStep), Error> {
        let mut exchange = Self {
            state: match mechanism {
                Mechanism::Plain => State::Plain,
                Mechanism::Login => State::LoginName,
            },
        };
        let step = match (initial, mechanism) {
            (Some(response), _) => exchange.take(&response)?,
            (None, Mechanism::Plain) => ServerStep::Challenge(""),
            (None, Mechanism::Login) => ServerStep::Challenge(NAME_PROMPT),
        };
        Ok((exchange, step))
    }

    /// Takes the client's decoded answer to a 334, as [`super::read_response`] gives it.
    ///
    /// # Errors
    /// [`Error::SaslResponse`]. The exchange is over.
    pub fn respond(&mut self, response: &Secret) -> Result<ServerStep, Error> {
        self.take(response)
    }

    fn take(&mut self, response: &Secret) -> Result<ServerStep, Error> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => parse_plain(response.expose()).map(ServerStep::Done),
            State::LoginName => {
                self.state = State::LoginPassword {
                    name: identity(response.expose())?,
                };
                Ok(ServerStep::Challenge(PASSWORD_PROMPT))
            }
            State::LoginPassword { name } => {
                let password = password(response.expose())?;
                Ok(ServerStep::Done(Credentials {
                    authorization: None,
                    authentication: name,
                    password,
                }))
            }
            State::Over => Err(Error::SaslResponse),
        }
    }
}

/// `[authzid] NUL authcid NUL password` (RFC 4616 section 2).
fn parse_plain(message: &[u8]) -> Result<Credentials, Error> {
    let mut parts = message.split(|octet| *octet == 0);
    let (Some(authorization), Some(authentication), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Error::SaslResponse);
    };
    Ok(Credentials {
        authorization: if authorization.is_empty() {
            None
        } else {
            Some(identity(authorization)?)
        },
        authentication: identity(authentication)?,
        password: password(secret)?,
    })
}

/// A password: any octets but NUL, since old clients send whatever charset it was typed in. An empty one is refused:
/// a directory server would take it for an anonymous login (RFC 4513 5.1.2).
fn password(octets: &[u8]) -> Result<Secret, Error> {
    let valid = !octets.is_empty() && memchr::memchr(0, octets).is_none();
    if valid {
        Ok(Secret::new(octets.to_vec()))
    } else {
        Err(Error::SaslResponse)
    }
}

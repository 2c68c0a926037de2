//! The client's side of PLAIN, LOGIN, XOAUTH2 and OAUTHBEARER, towards an upstream.

use super::{Credentials, Mechanism, Secret, TokenMechanism, encode_base64};
use crate::line::MAX_COMMAND;

/// What the client does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Send these octets, CRLF included. If the reply is 334, ask [`ClientExchange::answer`] again.
    Send(Secret),
    /// The server asks for more than the mechanism has: send these octets, which cancel, and give up.
    Cancel(&'static [u8]),
}

/// One exchange.
#[derive(Debug)]
pub struct ClientExchange {
    /// Lines still to be sent, last first.
    pending: Vec<Secret>,
}

impl ClientExchange {
    /// Begins an exchange: the AUTH command to send. PLAIN's response rides on it if the command fits in 512 octets
    /// (RFC 4954 section 4); LOGIN's never does, since old servers do not take it.
    pub fn start(mechanism: Mechanism, credentials: &Credentials) -> (Self, Secret) {
        let command = format!("AUTH {}", mechanism.name());
        match mechanism {
            Mechanism::Plain => {
                let response = encode_base64(plain_message(credentials).expose());
                Self::with_initial(&command, &response, Vec::new())
            }
            Mechanism::Login => {
                let name = encode_base64(credentials.authentication.as_bytes());
                let password = encode_base64(credentials.password.expose());
                let pending = vec![line(&[password.expose()]), line(&[name.expose()])];
                (Self { pending }, line(&[command.as_bytes()]))
            }
        }
    }

    /// Begins an exchange with a bearer token. A server that refuses it says why in a challenge, which is answered with nothing of
    /// interest before the exchange ends.
    pub fn start_token(mechanism: TokenMechanism, account: &str, token: &Secret) -> (Self, Secret) {
        let response = encode_base64(mechanism.message(account, token).expose());
        let acknowledgement = encode_base64(mechanism.acknowledgement());
        let command = format!("AUTH {}", mechanism.name());
        let after = vec![line(&[acknowledgement.expose()])];
        Self::with_initial(&command, &response, after)
    }

    /// The response rides on the command if that stays within 512 octets; `after` is what is sent later, last first.
    fn with_initial(command: &str, response: &Secret, mut after: Vec<Secret>) -> (Self, Secret) {
        let with_response = command.len() + 1 + response.expose().len() + 2;
        let first = if with_response > MAX_COMMAND {
            after.push(line(&[response.expose()]));
            line(&[command.as_bytes()])
        } else {
            line(&[command.as_bytes(), b" ", response.expose()])
        };
        (Self { pending: after }, first)
    }

    /// The answer to a 334. What the challenge says does not matter: LOGIN's are not standard, PLAIN's is empty.
    pub fn answer(&mut self) -> ClientStep {
        match self.pending.pop() {
            Some(line) => ClientStep::Send(line),
            None => ClientStep::Cancel(b"*\r\n"),
        }
    }
}

/// `authzid NUL authcid NUL password` (RFC 4616 section 2).
pub fn plain_message(credentials: &Credentials) -> Secret {
    let authorization = credentials.authorization.as_deref().unwrap_or_default();
    let authentication = credentials.authentication.as_str();
    concat(&[
        authorization.as_bytes(),
        b"\0",
        authentication.as_bytes(),
        b"\0",
        credentials.password.expose(),
    ])
}

fn line(pieces: &[&[u8]]) -> Secret {
    let text = concat(pieces);
    concat(&[text.expose(), b"\r\n"])
}

/// Joins in a buffer that never grows, so that no copy is left behind.
fn concat(pieces: &[&[u8]]) -> Secret {
    let mut joined = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    pieces
        .iter()
        .for_each(|piece| joined.extend_from_slice(piece));
    Secret::new(joined)
}

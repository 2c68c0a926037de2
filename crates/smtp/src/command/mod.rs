//! Commands: one line in, one [`Command`] or the [`Refusal`] to send. What is parsed can be written again, to an upstream.
//!
//! Old senders are honest, so spaces after the colon of `MAIL FROM:` and at the end of a line are read. They are never written.

mod auth;
mod bdat;
mod mail;
mod params;
mod rcpt;

pub use auth::AuthCommand;
pub use bdat::BdatCommand;
pub use mail::{Body, MailCommand, MailParams, Missing, Ret, Submitter};
pub use rcpt::{Notify, OriginalRecipient, RcptCommand, RcptParams};

use crate::Error;
use crate::reply::Refusal;
use crate::xclient::XclientAttributes;

/// A command that follows the grammar. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name` (RFC 5321 4.1.1.1).
    Ehlo(ClientName),
    /// `HELO name`.
    Helo(ClientName),
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `AUTH mechanism [initial-response]` (RFC 4954).
    Auth(AuthCommand),
    /// `MAIL FROM:<path> [parameters]`.
    Mail(MailCommand),
    /// `RCPT TO:<path> [parameters]`.
    Rcpt(RcptCommand),
    /// `DATA`.
    Data,
    /// `BDAT size [LAST]` (RFC 3030). Exactly `size` octets follow, and are to be swallowed even if it is refused.
    Bdat(BdatCommand),
    /// `RSET`.
    Rset,
    /// `NOOP`, whose argument means nothing.
    Noop,
    /// `VRFY` and whom it asks after.
    Vrfy(String),
    /// `QUIT`.
    Quit,
    /// `HELP`.
    Help,
    /// `XCLIENT attributes` (the Postfix XCLIENT protocol).
    Xclient(Box<XclientAttributes>),
}

/// The name that a client gives itself in EHLO or HELO: printable ASCII without spaces, 1 to 255 octets. It proves
/// nothing, and honest clients name themselves oddly, so it is not held to the grammar of domains.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientName(String);

impl ClientName {
    /// Takes a name; `None` if it is empty, too long, or not printable ASCII without spaces.
    pub fn new(name: &str) -> Option<Self> {
        let valid = (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        valid.then(|| Self(name.to_owned()))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Command {
    /// Parses a line without its CRLF.
    ///
    /// # Errors
    /// The reply to send: 500 for an unknown verb or octets that no command may hold, 501 for a malformed argument, 502
    /// for a verb that is known and not offered, 504 and 555 for a parameter's value or name, 550 for an address that
    /// needs SMTPUTF8, 552 for a declared size that is no number we can hold.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(line)
            .map_err(|_| Refusal::new(500, (5, 5, 2), "Command is not UTF-8"))?;
        if text.bytes().any(|b| b.is_ascii_control()) {
            return Err(Refusal::new(
                500,
                (5, 5, 2),
                "Command has a control character",
            ));
        }
        let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
        parse_verb(verb, argument.trim_matches(' '))
    }

    /// Appends the command as it goes on the wire, with its CRLF.
    ///
    /// # Errors
    /// [`Error::LineTooLong`] if it would exceed what RFC 5321 and its extensions let a server expect; nothing is appended.
    pub fn write_to(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Ehlo(name) | Self::Helo(name) => {
                write_line(out, &[self.verb(), " ", name.as_str()])
            }
            Self::Auth(auth) => return auth.write_to(out),
            Self::Mail(mail) => mail.write_to(out),
            Self::Rcpt(rcpt) => rcpt.write_to(out),
            Self::Bdat(bdat) => write_line(out, &[&bdat.to_string()]),
            Self::Xclient(attributes) => out.extend(attributes.to_command()?),
            Self::StartTls | Self::Data | Self::Rset | Self::Noop | Self::Quit | Self::Help => {
                write_line(out, &[self.verb()]);
            }
            Self::Vrfy(whom) => write_line(out, &["VRFY ", whom]),
        }
        Ok(())
    }

    /// The verb in upper case, for logs and metrics: a closed set.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Ehlo(_) => "EHLO",
            Self::Helo(_) => "HELO",
            Self::StartTls => "STARTTLS",
            Self::Auth(_) => "AUTH",
            Self::Mail(_) => "MAIL",
            Self::Rcpt(_) => "RCPT",
            Self::Data => "DATA",
            Self::Bdat(_) => "BDAT",
            Self::Rset => "RSET",
            Self::Noop => "NOOP",
            Self::Vrfy(_) => "VRFY",
            Self::Quit => "QUIT",
            Self::Help => "HELP",
            Self::Xclient(_) => "XCLIENT",
        }
    }
}

fn parse_verb(verb: &str, argument: &str) -> Result<Command, Refusal> {
    let mut upper = [0; 8];
    let upper = upper_case(verb, &mut upper);
    match upper {
        b"EHLO" => client_name(argument).map(Command::Ehlo),
        b"HELO" => client_name(argument).map(Command::Helo),
        b"MAIL" => MailCommand::parse(argument).map(Command::Mail),
        b"RCPT" => RcptCommand::parse(argument).map(Command::Rcpt),
        b"DATA" => bare(Command::Data, argument),
        b"RSET" => bare(Command::Rset, argument),
        b"QUIT" => bare(Command::Quit, argument),
        b"STARTTLS" => bare(Command::StartTls, argument),
        b"NOOP" => Ok(Command::Noop),
        b"HELP" => Ok(Command::Help),
        b"AUTH" => AuthCommand::parse(argument).map(Command::Auth),
        b"BDAT" => BdatCommand::parse(argument).map(Command::Bdat),
        b"VRFY" if argument.is_empty() => Err(syntax("VRFY needs an argument")),
        b"VRFY" => Ok(Command::Vrfy(argument.to_owned())),
        b"XCLIENT" => match XclientAttributes::parse(argument) {
            Ok(attributes) => Ok(Command::Xclient(Box::new(attributes))),
            Err(_) => Err(syntax("Malformed XCLIENT attribute")),
        },
        b"EXPN" | b"ETRN" | b"TURN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" | b"BURL" => {
            Err(Refusal::new(502, (5, 5, 1), "Command not implemented"))
        }
        // A web client that somebody led here: its lines are that somebody's, and none of them is obeyed.
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"OPTIONS" | b"TRACE"
        | b"CONNECT" | b"PRI" => Err(Refusal::closing(500, (5, 5, 2), "This is no web server")),
        _ => Err(Refusal::new(500, (5, 5, 2), "Command not recognized")),
    }
}

/// The verb in upper case; empty, which is no verb, if it does not fit.
fn upper_case<'a>(verb: &str, buffer: &'a mut [u8; 8]) -> &'a [u8] {
    match buffer.get_mut(..verb.len()) {
        Some(upper) => {
            upper.copy_from_slice(verb.as_bytes());
            upper.make_ascii_uppercase();
            upper
        }
        None => &[],
    }
}

fn client_name(argument: &str) -> Result<ClientName, Refusal> {
    ClientName::new(argument).ok_or_else(|| syntax("A host name is needed"))
}

fn bare(command: Command, argument: &str) -> Result<Command, Refusal> {
    if argument.is_empty() {
        Ok(command)
    } else {
        Err(syntax("Command takes no argument"))
    }
}

fn syntax(text: &'static str) -> Refusal {
    Refusal::new(501, (5, 5, 4), text)
}

/// What follows `keyword` and any spaces, such as the path after `FROM:`.
fn after_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let head = argument.get(..keyword.len())?;
    head.eq_ignore_ascii_case(keyword)
        .then(|| argument[keyword.len()..].trim_start_matches(' '))
}

fn write_line(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;

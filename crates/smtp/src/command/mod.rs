//! Commands: one line in, one [`Command`] or the [`Refusal`] to send. What is parsed can be written again, to an upstream.

use crate::address::{ForwardPath, ReversePath};
use crate::ehlo::Capabilities;
use crate::reply::Refusal;
use crate::sasl::Secret;
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
    /// `VRFY`, which is never answered with knowledge, so its argument is not kept.
    Vrfy,
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

/// `AUTH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthCommand {
    /// The mechanism in upper case, 1 to 20 letters, digits, `-` and `_` (RFC 4422 3.1).
    pub mechanism: String,
    /// The decoded initial response; `=` gives an empty one.
    pub initial: Option<Secret>,
}

/// `MAIL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailCommand {
    /// The sender on the envelope.
    pub path: ReversePath,
    /// The extensions asked for.
    pub params: MailParams,
}

/// Parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParams {
    /// `SIZE=` in octets (RFC 1870).
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152).
    pub body: Option<Body>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `AUTH=`, decoded (RFC 4954 section 5).
    pub auth: Option<Submitter>,
    /// `RET=` (RFC 3461 4.3).
    pub ret: Option<Ret>,
    /// `ENVID=`, decoded: 1 to 100 printable ASCII characters (RFC 3461 4.4).
    pub envid: Option<String>,
}

/// `BODY=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    /// `7BIT`.
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// `AUTH=` of MAIL: who submitted the message first, as the client claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitter {
    /// `<>`: not known.
    Unknown,
    /// An address, decoded from xtext.
    Claimed(String),
}

/// `RET=`: how much of the message a failure report returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ret {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// `RCPT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcptCommand {
    /// The recipient.
    pub path: ForwardPath,
    /// The extensions asked for.
    pub params: RcptParams,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParams {
    /// `NOTIFY=` (RFC 3461 4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461 4.2).
    pub orcpt: Option<OriginalRecipient>,
}

/// `NOTIFY=`: which reports the sender asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notify {
    /// None at all.
    Never,
    /// Those named, at least one.
    On {
        /// On delivery.
        success: bool,
        /// On failure.
        failure: bool,
        /// On delay.
        delay: bool,
    },
}

/// `ORCPT=`: whom the sender wrote to at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// The kind of address, such as `rfc822` or `utf-8`.
    pub address_type: String,
    /// The address as it was encoded: xtext, or the like of RFC 6533 for `utf-8`. Re-emitted exactly.
    pub encoded: String,
}

/// `BDAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BdatCommand {
    /// Octets that follow the command line.
    pub size: u64,
    /// Whether this chunk ends the message.
    pub last: bool,
}

/// Something that a message needs and the next hop does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The client asked for SMTPUTF8; refuse with [`Missing::refusal`].
    SmtpUtf8,
    /// The client declared a size beyond the next hop's limit.
    Size,
}

impl Missing {
    /// The reply that tells the client.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::SmtpUtf8 => Refusal::new(
                550,
                (5, 6, 7),
                "The next server does not take internationalized addresses",
            ),
            Self::Size => Refusal::new(
                552,
                (5, 3, 4),
                "Message is larger than the next server takes",
            ),
        }
    }
}

impl Command {
    /// Parses a line without its CRLF.
    ///
    /// # Errors
    /// The reply to send: 500 for an unknown verb, 501 for an argument, 502 for a verb that is known and not offered,
    /// 504 and 555 for a parameter value or name, 553 and 550 for addresses.
    pub fn parse(line: &[u8]) -> Result<Self, Refusal> {
        let _ = line;
        unimplemented!()
    }

    /// Appends the command as it goes on the wire, with its CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let _ = out;
        unimplemented!()
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
            Self::Vrfy => "VRFY",
            Self::Quit => "QUIT",
            Self::Help => "HELP",
            Self::Xclient(_) => "XCLIENT",
        }
    }
}

impl MailCommand {
    /// Appends `MAIL FROM:<path> ...` with CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let _ = out;
        unimplemented!()
    }

    /// The command as `next` can take it: parameters that it does not offer and that only ask for service are left out.
    ///
    /// # Errors
    /// What cannot be left out.
    pub fn for_next_hop(&self, next: &Capabilities) -> Result<Self, Missing> {
        let _ = next;
        unimplemented!()
    }
}

impl RcptCommand {
    /// Appends `RCPT TO:<path> ...` with CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let _ = out;
        unimplemented!()
    }

    /// The command as `next` can take it: without DSN parameters if it does not offer DSN.
    pub fn for_next_hop(&self, next: &Capabilities) -> Self {
        let _ = next;
        unimplemented!()
    }
}

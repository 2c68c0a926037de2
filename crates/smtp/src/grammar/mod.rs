//! The order of commands: what may come when, and what each resets (RFC 5321 4.1.4, RFC 3207, RFC 4954, RFC 2920).
//!
//! The caller asks [`Session::check`] before it acts on a command, and tells the session what came of it.

use crate::command::{Command, MailCommand, RcptCommand};
use crate::reply::Refusal;

/// Whether a protection can be had and must be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Demand {
    /// Not offered.
    Off,
    /// Offered, and not demanded.
    Offered,
    /// Demanded before MAIL.
    Required,
}

/// Where AUTH may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthOver {
    /// Only when the connection is encrypted.
    TlsOnly,
    /// In the clear too.
    AnyTransport,
}

/// What a listener demands of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Demands {
    /// TLS. A listener with implicit TLS starts its sessions with [`Transport::Tls`].
    pub tls: Demand,
    /// Authentication.
    pub auth: Demand,
    /// Whether AUTH works in the clear.
    pub auth_over: AuthOver,
    /// Whether this peer may use XCLIENT.
    pub xclient: Xclient,
}

/// Whether a peer is named among those who may use XCLIENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Xclient {
    /// 550 for it.
    Refused,
    /// It may.
    Trusted,
}

/// How the octets travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In the clear.
    Plain,
    /// Under TLS.
    Tls,
}

/// Whether octets after the command were received already when it was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Buffered {
    /// The buffer is empty.
    Nothing,
    /// More came in the same flight.
    More,
}

impl Buffered {
    /// Whether `received`, what came after the command, is nothing.
    pub fn of(received: &[u8]) -> Self {
        if received.is_empty() {
            Self::Nothing
        } else {
            Self::More
        }
    }
}

/// How a client greeted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Greeting {
    /// `HELO`: no extensions.
    Helo,
    /// `EHLO`.
    Ehlo,
}

/// An SMTP session as its server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    demands: Demands,
    transport: Transport,
    greeting: Option<Greeting>,
    authenticated: bool,
    transaction: Option<Transaction>,
}

/// The mail transaction under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Transaction {
    smtputf8: bool,
    accepted: u32,
    /// A part of the message has come by BDAT.
    chunked: bool,
}

impl Session {
    /// A session that has been greeted with 220 and has said nothing.
    pub fn new(demands: Demands, transport: Transport) -> Self {
        Self {
            demands,
            transport,
            greeting: None,
            authenticated: false,
            transaction: None,
        }
    }

    /// Whether `command` may come now.
    ///
    /// # Errors
    /// The refusal to send; if its `then` is `Close`, what is buffered must not be read.
    pub fn check(&self, command: &Command, buffered: Buffered) -> Result<(), Refusal> {
        if buffered == Buffered::More {
            check_last_of_group(command)?;
        }
        match command {
            Command::StartTls => self.check_starttls(),
            Command::Auth(_) => self.check_auth(),
            Command::Mail(mail) => self.check_mail(mail),
            Command::Rcpt(rcpt) => self.check_rcpt(rcpt),
            Command::Data => self.check_data(),
            Command::Xclient(_) => self.check_xclient(),
            // Its octets follow, whatever the answer: the caller must read them as nothing else.
            Command::Bdat(_) => self.check_bdat(),
            Command::Ehlo(_)
            | Command::Helo(_)
            | Command::Rset
            | Command::Noop
            | Command::Vrfy(_)
            | Command::Quit
            | Command::Help => Ok(()),
        }
    }

    fn check_starttls(&self) -> Result<(), Refusal> {
        match (self.demands.tls, self.transport) {
            (_, Transport::Tls) => Err(sequence("TLS is in use already")),
            (Demand::Off, _) => Err(Refusal::new(502, (5, 5, 1), "STARTTLS is not offered")),
            _ if self.greeting != Some(Greeting::Ehlo) => Err(sequence("Send EHLO first")),
            _ if self.in_transaction() => {
                Err(sequence("STARTTLS is not permitted during a transaction"))
            }
            _ => Ok(()),
        }
    }

    fn check_auth(&self) -> Result<(), Refusal> {
        if self.demands.auth == Demand::Off {
            return Err(Refusal::new(502, (5, 5, 1), "AUTH is not offered"));
        }
        if self.authenticated {
            return Err(sequence("Already authenticated"));
        }
        if self.in_transaction() {
            return Err(sequence("AUTH is not permitted during a transaction"));
        }
        if self.greeting != Some(Greeting::Ehlo) {
            return Err(sequence("Send EHLO first"));
        }
        if self.transport == Transport::Plain && self.demands.auth_over == AuthOver::TlsOnly {
            return Err(Refusal::new(
                538,
                (5, 7, 11),
                "Encryption is required for authentication",
            ));
        }
        Ok(())
    }

    fn check_mail(&self, mail: &MailCommand) -> Result<(), Refusal> {
        let Some(greeting) = self.greeting else {
            return Err(sequence("Send EHLO first"));
        };
        if self.in_transaction() {
            return Err(sequence("A transaction is under way"));
        }
        if self.demands.tls == Demand::Required && self.transport == Transport::Plain {
            return Err(Refusal::new(
                530,
                (5, 7, 0),
                "Must issue a STARTTLS command first",
            ));
        }
        if self.demands.auth == Demand::Required && !self.authenticated {
            return Err(Refusal::new(530, (5, 7, 0), "Authentication required"));
        }
        check_extensions(greeting, mail.params.is_empty())
    }

    fn check_rcpt(&self, rcpt: &RcptCommand) -> Result<(), Refusal> {
        let Some(transaction) = self.transaction else {
            return Err(sequence("Send MAIL first"));
        };
        if transaction.chunked {
            return Err(sequence("The message has begun"));
        }
        if !rcpt.is_ascii() && !transaction.smtputf8 {
            return Err(Refusal::new(
                553,
                (5, 6, 7),
                "Recipient address needs SMTPUTF8",
            ));
        }
        check_extensions(
            self.greeting.unwrap_or(Greeting::Helo),
            rcpt.params.is_empty(),
        )
    }

    fn check_data(&self) -> Result<(), Refusal> {
        match self.transaction {
            None => Err(sequence("Send MAIL first")),
            Some(Transaction { chunked: true, .. }) => Err(sequence("The message comes by BDAT")),
            Some(Transaction { accepted: 0, .. }) => {
                Err(Refusal::new(554, (5, 5, 1), "No valid recipients"))
            }
            Some(_) => Ok(()),
        }
    }

    /// RFC 3030, section 2.
    fn check_bdat(&self) -> Result<(), Refusal> {
        match self.transaction {
            None => Err(sequence("Send MAIL first")),
            Some(_) if self.greeting != Some(Greeting::Ehlo) => {
                Err(Refusal::new(502, (5, 5, 1), "BDAT needs EHLO"))
            }
            Some(Transaction { accepted: 0, .. }) => {
                Err(Refusal::new(554, (5, 5, 1), "No valid recipients"))
            }
            Some(_) => Ok(()),
        }
    }

    fn check_xclient(&self) -> Result<(), Refusal> {
        if self.demands.xclient == Xclient::Refused {
            return Err(Refusal::new(
                550,
                (5, 7, 0),
                "Not authorized to use XCLIENT",
            ));
        }
        if self.in_transaction() {
            return Err(sequence("XCLIENT is not permitted during a transaction"));
        }
        Ok(())
    }

    /// EHLO or HELO was answered with 250: a transaction under way is void.
    pub fn greeted(&mut self, greeting: Greeting) {
        self.greeting = Some(greeting);
        self.transaction = None;
    }

    /// The TLS handshake after STARTTLS succeeded: everything learned before is forgotten.
    pub fn tls_started(&mut self) {
        self.transport = Transport::Tls;
        self.greeting = None;
        self.authenticated = false;
        self.transaction = None;
    }

    /// AUTH was answered with 235.
    pub fn authenticated(&mut self) {
        self.authenticated = true;
    }

    /// XCLIENT was answered with 220: the session starts over; `login` says whether it named an account.
    pub fn xclient_applied(&mut self, login: XclientLogin) {
        self.greeting = None;
        self.transaction = None;
        match login {
            XclientLogin::Given => self.authenticated = true,
            XclientLogin::Cleared => self.authenticated = false,
            XclientLogin::Untouched => {}
        }
    }

    /// MAIL was answered with 250.
    pub fn mail_accepted(&mut self, command: &MailCommand) {
        self.transaction = Some(Transaction {
            smtputf8: command.params.smtputf8,
            accepted: 0,
            chunked: false,
        });
    }

    /// A recipient was answered with 250.
    pub fn recipient_accepted(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.accepted = transaction.accepted.saturating_add(1);
        }
    }

    /// A chunk of the message is coming.
    pub fn chunk_begun(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.chunked = true;
        }
    }

    /// RSET, the end of data, or a failure ended the transaction.
    pub fn transaction_ended(&mut self) {
        self.transaction = None;
    }

    /// How the client greeted, since the last reset.
    pub fn greeting(&self) -> Option<Greeting> {
        self.greeting
    }

    /// How the octets travel.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether AUTH (or XCLIENT LOGIN) succeeded.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// Whether a mail transaction is under way.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Recipients accepted in the transaction under way.
    pub fn recipients(&self) -> u32 {
        self.transaction.map_or(0, |t| t.accepted)
    }

    /// Whether our EHLO reply should offer STARTTLS now.
    pub fn offers_starttls(&self) -> bool {
        self.demands.tls != Demand::Off && self.transport == Transport::Plain
    }

    /// Whether our EHLO reply should offer AUTH now.
    pub fn offers_auth(&self) -> bool {
        let carried =
            self.transport == Transport::Tls || self.demands.auth_over == AuthOver::AnyTransport;
        self.demands.auth != Demand::Off && !self.authenticated && carried
    }

    /// Whether our EHLO reply should offer XCLIENT.
    pub fn offers_xclient(&self) -> bool {
        self.demands.xclient == Xclient::Trusted
    }
}

/// What an XCLIENT command said of LOGIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum XclientLogin {
    /// `LOGIN=name`.
    Given,
    /// `LOGIN=[UNAVAILABLE]`.
    Cleared,
    /// No LOGIN.
    Untouched,
}

/// Whether a command may be followed by more in one flight (RFC 2920 3.1). EHLO, HELO, VRFY, NOOP and QUIT should not
/// be either, and do no harm. After the others the next octets are something else than commands: a TLS handshake, a
/// response, a message. A client that sends them unasked would have them read as what they are not.
fn check_last_of_group(command: &Command) -> Result<(), Refusal> {
    match command {
        Command::StartTls | Command::Auth(_) | Command::Data | Command::Xclient(_) => {
            Err(Refusal::closing(503, (5, 5, 1), "Improper pipelining"))
        }
        _ => Ok(()),
    }
}

fn check_extensions(greeting: Greeting, unextended: bool) -> Result<(), Refusal> {
    if greeting == Greeting::Helo && !unextended {
        return Err(Refusal::new(555, (5, 5, 4), "Parameters need EHLO"));
    }
    Ok(())
}

fn sequence(text: &'static str) -> Refusal {
    Refusal::new(503, (5, 5, 1), text)
}

#[cfg(test)]
mod tests;

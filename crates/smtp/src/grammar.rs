//! The order of commands: what may come when, and what each resets (RFC 5321 4.1.4, RFC 3207, RFC 4954, RFC 2920).
//!
//! The caller asks [`Session::check`] before it acts on a command, and tells the session what came of it.

use crate::Command;
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
        let _ = (command, buffered);
        unimplemented!()
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
    pub fn mail_accepted(&mut self, command: &crate::command::MailCommand) {
        self.transaction = Some(Transaction {
            smtputf8: command.params.smtputf8,
            accepted: 0,
        });
    }

    /// A recipient was answered with 250.
    pub fn recipient_accepted(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.accepted = transaction.accepted.saturating_add(1);
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

//! The extensions of a server: read from an upstream's reply to EHLO, or written as ours (RFC 5321 4.1.1.1).

use crate::reply::Reply;

/// What a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// SIZE (RFC 1870).
    pub size: Option<SizeLimit>,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// AUTH mechanisms in upper case (RFC 4954); empty where AUTH is not offered.
    pub auth: Vec<String>,
    /// XCLIENT attribute names in upper case; empty where XCLIENT is not offered.
    pub xclient: Vec<String>,
    /// LIMITS (RFC 9422).
    pub limits: Limits,
}

/// The argument of SIZE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SizeLimit {
    /// No number, or zero: no fixed limit.
    Unstated,
    /// At most this many octets.
    Octets(u64),
}

/// The limits that a server states (RFC 9422).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// `MAILMAX`: transactions in a session.
    pub mail: Option<u32>,
    /// `RCPTMAX`: recipients in a transaction.
    pub rcpt: Option<u32>,
    /// `RCPTDOMAINMAX`: recipient domains in a transaction.
    pub rcpt_domain: Option<u32>,
}

impl Capabilities {
    /// Reads an upstream's reply to EHLO. Unknown keywords are ignored, and so is a known one with a malformed argument.
    pub fn parse(reply: &Reply) -> Self {
        let _ = reply;
        unimplemented!()
    }

    /// Our reply to EHLO: `hostname` first, with `greeting` after it, then a line for each extension.
    pub fn to_reply(&self, hostname: &str, greeting: &str) -> Reply {
        let _ = (hostname, greeting);
        unimplemented!()
    }

    /// Whether an AUTH mechanism, in any case of letters, is offered.
    pub fn offers_auth(&self, mechanism: &str) -> bool {
        self.auth.iter().any(|m| m.eq_ignore_ascii_case(mechanism))
    }
}

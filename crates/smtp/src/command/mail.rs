//! MAIL (RFC 5321 4.1.1.2) with SIZE, BODY, SMTPUTF8, AUTH and the parameters of DSN.

use std::fmt::Write as _;

use super::params::{self, Param, set_once};
use super::{after_keyword, syntax, write_line};
use crate::address::ReversePath;
use crate::ehlo::{Capabilities, SizeLimit};
use crate::reply::Refusal;
use crate::{Error, xtext};

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

/// Something that a message needs and the next hop does not offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Missing {
    /// An address is beyond ASCII.
    SmtpUtf8,
    /// The header section is beyond ASCII (RFC 6532).
    SmtpUtf8Header,
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
            Self::SmtpUtf8Header => Refusal::new(
                550,
                (5, 6, 9),
                "The next server does not take header fields in UTF-8",
            ),
            Self::Size => Refusal::new(
                552,
                (5, 3, 4),
                "Message is larger than the next server takes",
            ),
        }
    }
}

impl MailCommand {
    pub(super) fn parse(argument: &str) -> Result<Self, Refusal> {
        let path = after_keyword(argument, "FROM:")
            .ok_or_else(|| syntax("Syntax: MAIL FROM:<address>"))?;
        let (path, rest) = ReversePath::parse_prefix(path).map_err(bad_sender)?;
        let mut params = MailParams::default();
        for param in params::split(rest)? {
            params.take(&param?)?;
        }
        if !path.is_ascii() && !params.smtputf8 {
            return Err(Refusal::new(
                550,
                (5, 6, 7),
                "Sender address needs SMTPUTF8",
            ));
        }
        Ok(Self { path, params })
    }

    /// Appends `MAIL FROM:<path> ...` with CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut line = format!("MAIL FROM:{}", self.path);
        self.params.append_to(&mut line);
        write_line(out, &[&line]);
    }

    /// The command as `next` can take it. Parameters that it does not offer and that only ask for service are left
    /// out; so is BODY, since octets above 127 pass every server of today unharmed, and SMTPUTF8 with an ASCII address: some clients
    /// say it of every message. What else of the message is beyond ASCII is the caller's to see (RFC 6531 section 3.2).
    ///
    /// # Errors
    /// What cannot be left out.
    pub fn for_next_hop(&self, next: &Capabilities) -> Result<Self, Missing> {
        let params = &self.params;
        if !self.path.is_ascii() && !next.smtputf8 {
            return Err(Missing::SmtpUtf8);
        }
        if let (Some(size), Some(SizeLimit::Octets(limit))) = (params.size, next.size)
            && size > limit
        {
            return Err(Missing::Size);
        }
        Ok(Self {
            path: self.path.clone(),
            params: MailParams {
                size: params.size.filter(|_| next.size.is_some()),
                body: params.body.filter(|_| next.eight_bit_mime),
                smtputf8: params.smtputf8 && next.smtputf8,
                auth: params.auth.clone().filter(|_| !next.auth.is_empty()),
                ret: params.ret.filter(|_| next.dsn),
                envid: params.envid.clone().filter(|_| next.dsn),
            },
        })
    }
}

impl MailParams {
    /// Whether any extension is asked for, which needs EHLO.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn take(&mut self, param: &Param<'_>) -> Result<(), Refusal> {
        if param.is("SIZE") {
            set_once(&mut self.size, parse_size(param.value()?)?)
        } else if param.is("BODY") {
            set_once(&mut self.body, parse_body(param.value()?)?)
        } else if param.is("SMTPUTF8") {
            self.take_smtputf8(param)
        } else if param.is("AUTH") {
            set_once(&mut self.auth, parse_submitter(param.value()?)?)
        } else if param.is("RET") {
            set_once(&mut self.ret, parse_ret(param.value()?)?)
        } else if param.is("ENVID") {
            set_once(&mut self.envid, parse_envid(param.value()?)?)
        } else {
            Err(params::unknown())
        }
    }

    fn take_smtputf8(&mut self, param: &Param<'_>) -> Result<(), Refusal> {
        if param.value.is_some() || std::mem::replace(&mut self.smtputf8, true) {
            return Err(syntax("SMTPUTF8 takes no value and stands once"));
        }
        Ok(())
    }

    fn append_to(&self, line: &mut String) {
        // Writing to a String cannot fail.
        if let Some(size) = self.size {
            let _ = write!(line, " SIZE={size}");
        }
        match self.body {
            Some(Body::SevenBit) => line.push_str(" BODY=7BIT"),
            Some(Body::EightBitMime) => line.push_str(" BODY=8BITMIME"),
            None => {}
        }
        if self.smtputf8 {
            line.push_str(" SMTPUTF8");
        }
        match &self.auth {
            Some(Submitter::Unknown) => line.push_str(" AUTH=<>"),
            Some(Submitter::Claimed(address)) => {
                let _ = write!(line, " AUTH={}", xtext::encode(address.as_bytes()));
            }
            None => {}
        }
        match self.ret {
            Some(Ret::Full) => line.push_str(" RET=FULL"),
            Some(Ret::Headers) => line.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &self.envid {
            let _ = write!(line, " ENVID={}", xtext::encode(envid.as_bytes()));
        }
    }
}

fn bad_sender(error: Error) -> Refusal {
    let text = match error {
        Error::LocalPartTooLong | Error::DomainTooLong | Error::PathTooLong => {
            "Sender address is too long"
        }
        Error::DomainSyntax => "Malformed domain in the sender address",
        _ => "Malformed sender address",
    };
    Refusal::new(501, (5, 1, 7), text)
}

/// 1 to 20 digits (RFC 1870 section 6). More than 64 bits is a size, and larger than anybody takes.
fn parse_size(value: &str) -> Result<u64, Refusal> {
    if value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(syntax("Malformed SIZE"));
    }
    value
        .parse()
        .map_err(|_| Refusal::new(552, (5, 3, 4), "Message size exceeds the limit"))
}

fn parse_body(value: &str) -> Result<Body, Refusal> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        _ => Err(Refusal::new(504, (5, 5, 4), "BODY type not implemented")),
    }
}

fn parse_submitter(value: &str) -> Result<Submitter, Refusal> {
    let malformed = || syntax("Malformed AUTH parameter");
    let octets = xtext::decode(value).map_err(|_| malformed())?;
    let text = String::from_utf8(octets).map_err(|_| malformed())?;
    match text.as_str() {
        "<>" => Ok(Submitter::Unknown),
        _ if text.is_empty() || text.chars().any(char::is_control) => Err(malformed()),
        _ => Ok(Submitter::Claimed(text)),
    }
}

fn parse_ret(value: &str) -> Result<Ret, Refusal> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Headers),
        _ => Err(syntax("RET is FULL or HDRS")),
    }
}

fn parse_envid(value: &str) -> Result<String, Refusal> {
    let decoded = xtext::decode(value)
        .ok()
        .and_then(|octets| String::from_utf8(octets).ok());
    decoded
        .filter(|text| value.len() <= 100 && text.bytes().all(|b| matches!(b, b' '..=b'~')))
        .ok_or_else(|| syntax("Malformed ENVID"))
}

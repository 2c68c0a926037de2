//! XCLIENT: a trusted peer tells whom it speaks for (the Postfix XCLIENT protocol).

use std::net::IpAddr;

use crate::Error;
use crate::command::ClientName;

/// The attributes we understand, as our EHLO reply offers them.
pub const ATTRIBUTES: [&str; 8] = [
    "NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT",
];

/// What a peer says of one attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Told<T> {
    /// The value.
    Known(T),
    /// `[UNAVAILABLE]`: there is none.
    Unavailable,
    /// `[TEMPUNAVAIL]`: it could not be found out.
    TemporarilyUnavailable,
}

impl<T> Told<T> {
    /// The value, if known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unavailable | Self::TemporarilyUnavailable => None,
        }
    }
}

/// `PROTO=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proto {
    /// HELO.
    Smtp,
    /// EHLO.
    Esmtp,
}

/// The attributes of XCLIENT; `None` was not mentioned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XclientAttributes {
    /// The client's verified name.
    pub name: Option<Told<String>>,
    /// The client's address.
    pub addr: Option<Told<IpAddr>>,
    /// The client's port.
    pub port: Option<Told<u16>>,
    /// How it greeted.
    pub proto: Option<Told<Proto>>,
    /// The name it gave itself.
    pub helo: Option<Told<ClientName>>,
    /// The account it authenticated as.
    pub login: Option<Told<String>>,
    /// The address it connected to.
    pub destaddr: Option<Told<IpAddr>>,
    /// The port it connected to.
    pub destport: Option<Told<u16>>,
}

impl XclientAttributes {
    /// Parses what follows `XCLIENT `.
    ///
    /// # Errors
    /// [`Error::XclientAttribute`] or [`Error::Xtext`].
    pub fn parse(arguments: &str) -> Result<Self, Error> {
        let _ = arguments;
        unimplemented!()
    }

    /// Takes over every attribute that `later` mentions: XCLIENT may be sent in several commands.
    pub fn merge(&mut self, later: Self) {
        let _ = later;
        unimplemented!()
    }

    /// The commands that tell `offered` attributes (an upstream's, from [`crate::Capabilities::xclient`]), each with its
    /// CRLF and within 512 octets. Send one, await its 220, then the next.
    ///
    /// # Errors
    /// [`Error::LineTooLong`] if one attribute alone does not fit.
    pub fn to_commands(&self, offered: &[String]) -> Result<Vec<Vec<u8>>, Error> {
        let _ = offered;
        unimplemented!()
    }
}

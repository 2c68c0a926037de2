//! XCLIENT: a trusted peer tells whom it speaks for (the Postfix XCLIENT protocol).

use std::net::IpAddr;

use crate::command::ClientName;
use crate::line::{MAX_COMMAND, MAX_EXTENDED_COMMAND};
use crate::{Error, xtext};

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
    /// Parses what follows `XCLIENT `: at least one attribute, none twice.
    ///
    /// # Errors
    /// [`Error::XclientAttribute`] or [`Error::Xtext`].
    pub fn parse(arguments: &str) -> Result<Self, Error> {
        let mut attributes = Self::default();
        for word in arguments.split(' ').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').ok_or(Error::XclientAttribute)?;
            attributes.take(name, value)?;
        }
        if attributes == Self::default() {
            return Err(Error::XclientAttribute);
        }
        Ok(attributes)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name.to_ascii_uppercase().as_str() {
            "NAME" => set_once(&mut self.name, value, parse_text),
            "ADDR" => set_once(&mut self.addr, value, parse_address),
            "PORT" => set_once(&mut self.port, value, parse_port),
            "PROTO" => set_once(&mut self.proto, value, parse_proto),
            "HELO" => set_once(&mut self.helo, value, ClientName::new),
            "LOGIN" => set_once(&mut self.login, value, parse_text),
            "DESTADDR" => set_once(&mut self.destaddr, value, parse_address),
            "DESTPORT" => set_once(&mut self.destport, value, parse_port),
            _ => Err(Error::XclientAttribute),
        }
    }

    /// Takes over every attribute that `later` mentions: XCLIENT may be sent in several commands.
    pub fn merge(&mut self, later: Self) {
        self.name = later.name.or(self.name.take());
        self.addr = later.addr.or(self.addr.take());
        self.port = later.port.or(self.port.take());
        self.proto = later.proto.or(self.proto.take());
        self.helo = later.helo.or(self.helo.take());
        self.login = later.login.or(self.login.take());
        self.destaddr = later.destaddr.or(self.destaddr.take());
        self.destport = later.destport.or(self.destport.take());
    }

    /// The commands that tell `offered` attributes (an upstream's, from [`crate::Capabilities::xclient`]), each with its
    /// CRLF and within 512 octets. Send one, await its 220, then the next.
    ///
    /// # Errors
    /// [`Error::LineTooLong`] if one attribute alone does not fit.
    pub fn to_commands(&self, offered: &[String]) -> Result<Vec<Vec<u8>>, Error> {
        let mut commands = Vec::new();
        let mut line = String::new();
        for (name, value) in self.words() {
            if !offered.iter().any(|o| o.eq_ignore_ascii_case(name)) {
                continue;
            }
            let word = format!(" {name}={value}");
            if VERB.len() + word.len() + 2 > MAX_COMMAND {
                return Err(Error::LineTooLong);
            }
            if !line.is_empty() && line.len() + word.len() + 2 > MAX_COMMAND {
                commands.push(finish(std::mem::take(&mut line)));
            }
            if line.is_empty() {
                line.push_str(VERB);
            }
            line.push_str(&word);
        }
        if !line.is_empty() {
            commands.push(finish(line));
        }
        Ok(commands)
    }

    /// All attributes in one command, within the length that we take ourselves.
    pub(crate) fn to_command(&self) -> Result<Vec<u8>, Error> {
        let words: Vec<String> = self
            .words()
            .into_iter()
            .map(|(name, value)| format!(" {name}={value}"))
            .collect();
        let line = finish(format!("{VERB}{}", words.concat()));
        if line.len() > MAX_EXTENDED_COMMAND {
            Err(Error::LineTooLong)
        } else {
            Ok(line)
        }
    }

    /// The attributes mentioned, with their values encoded.
    fn words(&self) -> Vec<(&'static str, String)> {
        let text = |value: &String| encode_text(value);
        let words = [
            ("NAME", word(&self.name, text)),
            ("ADDR", word(&self.addr, write_address)),
            ("PORT", word(&self.port, u16::to_string)),
            ("PROTO", word(&self.proto, |proto| proto.name().to_owned())),
            (
                "HELO",
                word(&self.helo, |name| xtext::encode(name.as_str().as_bytes())),
            ),
            ("LOGIN", word(&self.login, text)),
            ("DESTADDR", word(&self.destaddr, write_address)),
            ("DESTPORT", word(&self.destport, u16::to_string)),
        ];
        words
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

impl Proto {
    fn name(self) -> &'static str {
        match self {
            Self::Smtp => "SMTP",
            Self::Esmtp => "ESMTP",
        }
    }
}

const VERB: &str = "XCLIENT";
const UNAVAILABLE: &str = "[UNAVAILABLE]";
const TEMPORARILY_UNAVAILABLE: &str = "[TEMPUNAVAIL]";

fn set_once<T>(
    slot: &mut Option<Told<T>>,
    value: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<(), Error> {
    let told = if value.eq_ignore_ascii_case(UNAVAILABLE) {
        Told::Unavailable
    } else if value.eq_ignore_ascii_case(TEMPORARILY_UNAVAILABLE) {
        Told::TemporarilyUnavailable
    } else {
        let text = String::from_utf8(xtext::decode(value)?).map_err(|_| Error::XclientAttribute)?;
        Told::Known(parse(&text).ok_or(Error::XclientAttribute)?)
    };
    if slot.replace(told).is_some() {
        Err(Error::XclientAttribute)
    } else {
        Ok(())
    }
}

fn word<T>(told: &Option<Told<T>>, write: impl Fn(&T) -> String) -> Option<String> {
    Some(match told.as_ref()? {
        Told::Known(value) => write(value),
        Told::Unavailable => UNAVAILABLE.to_owned(),
        Told::TemporarilyUnavailable => TEMPORARILY_UNAVAILABLE.to_owned(),
    })
}

/// xtext with a first `[` encoded too, so that no name is taken for `[UNAVAILABLE]`.
fn encode_text(text: &str) -> String {
    let encoded = xtext::encode(text.as_bytes());
    match encoded.strip_prefix('[') {
        Some(rest) => format!("+5B{rest}"),
        None => encoded,
    }
}

/// Names and logins: 1 to 255 octets, without control characters.
fn parse_text(text: &str) -> Option<String> {
    let valid = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    valid.then(|| text.to_owned())
}

/// `192.0.2.1` or `IPV6:2001:db8::1`.
fn parse_address(text: &str) -> Option<IpAddr> {
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPV6:") => text[5..].parse().ok().map(IpAddr::V6),
        _ => text.parse().ok().map(IpAddr::V4),
    }
}

fn write_address(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("IPV6:{v6}"),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn parse_proto(text: &str) -> Option<Proto> {
    [Proto::Smtp, Proto::Esmtp]
        .into_iter()
        .find(|proto| proto.name().eq_ignore_ascii_case(text))
}

fn finish(line: String) -> Vec<u8> {
    let mut line = line.into_bytes();
    line.extend_from_slice(b"\r\n");
    line
}

#[cfg(test)]
mod tests;

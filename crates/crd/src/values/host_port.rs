//! A host and a port, as in `postfix.mail:25`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{forms, string_schema};
use crate::Error;

/// `host:port`: a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    host: Host,
    port: u16,
}

/// The host of a [`HostPort`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A DNS name, as written.
    Name(String),
    /// An address.
    Address(IpAddr),
}

string_schema!(
    HostPort,
    { "minLength": 3, "maxLength": 261, "pattern": forms::HOST_PORT },
    [
        ("int(self.substring(self.lastIndexOf(':') + 1)) <= 65535", "the port must be at most 65535"),
        (
            "!self.startsWith('[') || isIP(self.substring(1, self.lastIndexOf(']')))",
            "what is in brackets must be an IPv6 address"
        ),
        (
            "self.startsWith('[') || !self.substring(0, self.lastIndexOf(':')).matches('^[0-9.]+$') || isIP(self.substring(0, self.lastIndexOf(':')))",
            "the host is neither a name nor an IPv4 address"
        )
    ]
);

impl HostPort {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::HostPort(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let digits =
            !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
        let port = if digits {
            port.parse().map_err(|_| refused())?
        } else {
            return Err(refused());
        };
        let host = match host
            .strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
        {
            Some(inner) => Host::Address(IpAddr::V6(inner.parse().map_err(|_| refused())?)),
            None => parse_host(host).ok_or_else(refused)?,
        };
        Ok(Self { host, port })
    }
}

/// A bare host: an IPv4 address or a name of labels that are not empty.
fn parse_host(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<std::net::Ipv4Addr>() {
        return Some(Host::Address(IpAddr::V4(address)));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    // A name whose last label is all digits is a mistyped IPv4 address (RFC 1123, section 2.1).
    let numeric = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (text.len() <= 253 && text.split('.').all(label) && !numeric)
        .then(|| Host::Name(text.to_owned()))
}

impl TryFrom<String> for HostPort {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(address: HostPort) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_addresses() {
        for text in [
            "postfix.mail:25",
            "a:1",
            "192.0.2.1:65535",
            "[2001:db8::1]:587",
            "_smtp.example.jp:25",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_no_connection_could_use() {
        for text in [
            "",
            "postfix",
            "postfix:",
            ":25",
            "postfix:0",
            "postfix:65536",
            "postfix:+25",
            "postfix:025",
            "2001:db8::1:25",
            "[2001:db8::1]",
            "[192.0.2.1]:25",
            "-a:25",
            "a..b:25",
            "192.0.2.256:25",
            "a b:25",
            "[]:25",
        ] {
            assert_eq!(
                text.parse::<HostPort>(),
                Err(Error::HostPort(text.to_owned())),
                "{text}"
            );
        }
    }
}

//! Where a service listens: a socket in the file system, or a host and a port.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{HostPort, forms, string_schema};
use crate::Error;

/// `unix:/path`, or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ServiceAddress {
    /// A socket in the file system, by its absolute path of at most 107 octets.
    Unix(String),
    /// TCP.
    Tcp(HostPort),
}

string_schema!(
    ServiceAddress,
    { "minLength": 3, "maxLength": 261, "pattern": forms::SERVICE_ADDRESS },
    [
        (
            "self.startsWith('unix:') || int(self.substring(self.lastIndexOf(':') + 1)) <= 65535",
            "the port must be at most 65535"
        ),
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

/// What the kernel has room for in a socket's path, without the octet that ends it.
const LONGEST_PATH: usize = 107;

impl FromStr for ServiceAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::ServiceAddress(text.to_owned());
        let Some(path) = text.strip_prefix("unix:") else {
            return text.parse().map(Self::Tcp).map_err(|_| refused());
        };
        let is_path = path.len() > 1
            && path.len() <= LONGEST_PATH
            && path.starts_with('/')
            && !path.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':');
        if is_path {
            Ok(Self::Unix(path.to_owned()))
        } else {
            Err(refused())
        }
    }
}

impl TryFrom<String> for ServiceAddress {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ServiceAddress> for String {
    fn from(address: ServiceAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sockets_and_hosts() {
        for text in [
            "unix:/run/dovecot/auth-client",
            "dovecot.mail:12345",
            "[::1]:1",
        ] {
            assert_eq!(text.parse::<ServiceAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_no_connection_could_use() {
        let long = format!("unix:/{}", "x".repeat(107));
        for text in [
            "",
            "unix:",
            "unix:/",
            "unix:run/x",
            "unix:/a b",
            "unix:/a:1",
            "/run/x",
            "dovecot",
            &long,
        ] {
            assert_eq!(
                text.parse::<ServiceAddress>(),
                Err(Error::ServiceAddress(text.to_owned())),
                "{text}"
            );
        }
    }
}

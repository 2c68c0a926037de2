//! A network.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::string_schema;
use crate::Error;

/// A network in CIDR notation with no bit set after its prefix, like `192.0.2.0/24`; one address is a `/32` or `/128`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(IpNet);

string_schema!(
    Cidr,
    { "minLength": 4, "maxLength": 43 },
    [
        ("isCIDR(self)", "must be a network in CIDR notation, like 192.0.2.0/24, 192.0.2.1/32 or 2001:db8::/32"),
        (
            "!isCIDR(self) || cidr(self).masked() == cidr(self)",
            "has bits set after its prefix: write the network's own address, or /32 (IPv6: /128) for one address"
        )
    ]
);

impl Cidr {
    /// The network itself.
    pub fn network(self) -> IpNet {
        self.0
    }
}

impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::Cidr(text.to_owned());
        let network: IpNet = text.parse().map_err(|_| refused())?;
        if network.trunc() != network {
            return Err(refused());
        }
        Ok(Self(network))
    }
}

impl TryFrom<String> for Cidr {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.0.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_networks_and_refuses_addresses_inside_them() {
        for text in [
            "0.0.0.0/0",
            "192.0.2.0/24",
            "192.0.2.1/32",
            "2001:db8::/32",
            "::1/128",
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "192.0.2.1",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "2001:db8::1/32",
            "x/8",
            "192.0.2.0/24 ",
        ] {
            assert_eq!(
                text.parse::<Cidr>(),
                Err(Error::Cidr(text.to_owned())),
                "{text}"
            );
        }
    }
}

//! Which addresses a service may be at, where people name it who are not to reach everything that this process reaches: other tenants'
//! services, the API server, the metadata of a cloud, this process itself.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// What is not the public network (IANA's registries of special-purpose addresses), multicast, and the one public address at which a
/// cloud keeps its metadata (Azure's WireServer). Of IPv6 all is closed but 2000::/3,
/// as nothing else has been given out. One range may lie in another.
const RESERVED: [&str; 30] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/3",
    "::/128",
    "::1/128",
    "64:ff9b:1::/48",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "4000::/2",
    "8000::/1",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// NAT64: the last 32 bits are an address of IPv4, and that is where it leads.
const NAT64: &str = "64:ff9b::/96";

/// Which addresses a service may be at.
#[derive(Clone, Debug, Default)]
pub enum Reach {
    /// Whoever names it may reach what this process reaches.
    #[default]
    Anywhere,
    /// On the public network, or where it was opened.
    Public(Public),
}

/// The public network, and what was opened beside it.
#[derive(Clone, Debug)]
pub struct Public {
    closed: Vec<IpNet>,
    opened: Vec<IpNet>,
    nat64: IpNet,
}

/// A network that opens more than one range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not within one private or reserved range, such as 10.0.0.0/8 or fc00::/7; name each network by itself (what is public is open anyway)"
)]
pub struct TooWide(IpNet);

impl Reach {
    /// The public network without the `own` networks, such as those of a cluster's pods and nodes, and besides what is `opened`. A
    /// network opens what lies in the narrowest closed range around it: 10.0.0.0/8 does not open pods at 10.244.0.0/16.
    ///
    /// # Errors
    /// A network to be opened that is not within one closed range.
    pub fn public(own: &[IpNet], opened: &[IpNet]) -> Result<Self, TooWide> {
        let net = |text: &str| text.parse::<IpNet>().expect("the tables hold networks");
        let reserved = RESERVED.into_iter().map(net);
        let closed: Vec<IpNet> = reserved.chain(own.iter().map(IpNet::trunc)).collect();
        for network in opened {
            if !closed.iter().any(|range| range.contains(network)) {
                return Err(TooWide(*network));
            }
        }
        Ok(Self::Public(Public {
            closed,
            opened: opened.to_vec(),
            nat64: net(NAT64),
        }))
    }

    /// Those of the addresses that are within reach; one of the others if there is none.
    pub(super) fn within(&self, addresses: Vec<IpAddr>) -> Result<Vec<IpAddr>, IpAddr> {
        let Self::Public(public) = self else {
            return Ok(addresses);
        };
        let first = addresses.first().copied();
        let within: Vec<IpAddr> = addresses
            .into_iter()
            .filter(|address| public.has(*address))
            .collect();
        match first {
            Some(first) if within.is_empty() => Err(first),
            _ => Ok(within),
        }
    }
}

impl Public {
    fn has(&self, address: IpAddr) -> bool {
        let address = self.led_to(address.to_canonical());
        let around = self.closed.iter().filter(|range| range.contains(&address));
        let Some(narrowest) = around.max_by_key(|range| range.prefix_len()) else {
            return true;
        };
        let opens = |network: &IpNet| network.contains(&address) && narrowest.contains(network);
        self.opened.iter().any(opens)
    }

    /// Where an address leads.
    fn led_to(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V6(v6) if self.nat64.contains(&address) => {
                let octets = v6.octets();
                let last: [u8; 4] = [octets[12], octets[13], octets[14], octets[15]];
                IpAddr::V4(Ipv4Addr::from(last))
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(own: &[&str], opened: &[&str], address: &str) -> bool {
        let nets = |texts: &[&str]| -> Vec<IpNet> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let reach = Reach::public(&nets(own), &nets(opened)).unwrap();
        reach.within(vec![address.parse().unwrap()]).is_ok()
    }

    #[test]
    fn what_is_public_is_open_and_nothing_else() {
        for open in [
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
        ] {
            assert!(has(&[], &[], open), "{open}");
        }
        for closed in [
            "0.0.0.0",
            "10.96.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!has(&[], &[], closed), "{closed}");
        }
    }

    #[test]
    fn a_network_opens_itself_and_no_narrower_range_in_it() {
        let pods = ["10.244.0.0/16", "2a00:1450::/32"];
        for (opened, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "192.168.0.1", false),
            ("10.0.0.0/8", "10.244.1.1", false),
            ("10.244.7.0/24", "10.244.7.1", true),
            ("10.244.7.0/24", "10.244.8.1", false),
            ("127.0.0.0/8", "127.0.0.1", true),
            ("fc00::/7", "fd00::1", true),
            ("8000::/1", "fe80::1", false),
            ("fc00::/7", "2a00:1450:4001::1", false),
            ("2a00:1450:4001::/48", "2a00:1450:4001::1", true),
            ("10.0.0.0/8", "64:ff9b::10.1.2.3", true),
            ("64:ff9b::/96", "64:ff9b::10.1.2.3", false),
        ] {
            assert_eq!(
                has(&pods, &[opened], address),
                expected,
                "{opened} {address}"
            );
        }
        for wide in ["0.0.0.0/0", "8.0.0.0/5", "8.8.8.0/24", "::/0"] {
            let refused = Reach::public(&[], &[wide.parse().unwrap()]).unwrap_err();
            assert!(refused.to_string().contains(wide), "{refused}");
        }
    }

    #[test]
    fn of_several_addresses_those_within_reach_are_left() {
        let reach = Reach::public(&[], &[]).unwrap();
        let all = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let left = reach.within(all(&["127.0.0.1", "8.8.8.8", "10.0.0.1"]));
        assert_eq!(left, Ok(all(&["8.8.8.8"])));
        let none = reach.within(all(&["127.0.0.1", "10.0.0.1"]));
        assert_eq!(none, Err("127.0.0.1".parse().unwrap()));
        assert_eq!(reach.within(Vec::new()), Ok(Vec::new()));
        let anywhere = Reach::Anywhere.within(all(&["127.0.0.1"]));
        assert_eq!(anywhere, Ok(all(&["127.0.0.1"])));
    }
}

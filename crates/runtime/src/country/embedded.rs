//! The registry table that is compiled in: which country a registry assigned an address to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) fn country(address: IpAddr) -> Option<[u8; 2]> {
    if !is_assigned_to_somebody(address) {
        return None;
    }
    iptocc::country_code(address)?.as_bytes().try_into().ok()
}

/// Private, shared, loopback, link-local, documentation, benchmark, multicast and reserved addresses belong to no
/// country, whatever block a registry's statistics count them in (RFC 6890, 9637).
fn is_assigned_to_somebody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !special_v4(v4),
        IpAddr::V6(v6) => !special_v6(v6),
    }
}

fn special_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    match (a, b, c) {
        (0 | 10 | 127, _, _) | (224.., _, _) => true,
        (100, 64..=127, _) | (198, 18..=19, _) => true,
        (192, 0, 0) => true,
        _ => v4.is_private() || v4.is_link_local() || v4.is_documentation(),
    }
}

fn special_v6(v6: Ipv6Addr) -> bool {
    let documentation = matches!(
        v6.segments(),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..]
    );
    // Everything that is routed lies in 2000::/3.
    documentation || v6.segments()[0] & 0xe000 != 0x2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_blocks_and_special_ones() {
        let table = [
            ("202.232.2.1", Some(b"JP")),
            ("2001:240::1", Some(b"JP")),
            ("8.8.8.8", Some(b"US")),
            ("193.0.6.139", Some(b"NL")),
            ("10.1.2.3", None),
            ("172.20.0.1", None),
            ("192.168.1.1", None),
            ("100.64.0.1", None),
            ("127.0.0.1", None),
            ("169.254.1.1", None),
            ("192.0.2.1", None),
            ("198.18.0.1", None),
            ("198.51.100.7", None),
            ("203.0.113.9", None),
            ("224.0.0.1", None),
            ("255.255.255.255", None),
            ("::", None),
            ("::1", None),
            ("fe80::1", None),
            ("fd00::1", None),
            ("2001:db8::1", None),
            ("3fff:fff::1", None),
            ("ff02::1", None),
        ];
        for (address, expected) in table {
            assert_eq!(
                country(address.parse().unwrap()),
                expected.copied(),
                "{address}"
            );
        }
    }
}

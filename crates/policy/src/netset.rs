//! Sets of networks and countries with lookups that stay fast when the lists are long.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::event::Country;

/// A set of networks as merged ranges: a lookup is a binary search.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        let (v4, v6): (Vec<&IpNet>, Vec<&IpNet>) = networks
            .iter()
            .partition(|network| network.addr().is_ipv4());
        Self {
            v4: merge(v4),
            v6: merge(v6),
        }
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        let ranges = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        let at = number(ip);
        let after = ranges.partition_point(|range| range.0 <= at);
        after > 0 && at <= ranges[after - 1].1
    }
}

fn merge(networks: Vec<&IpNet>) -> Vec<(u128, u128)> {
    let mut ranges: Vec<_> = networks
        .iter()
        .map(|net| (number(net.network()), number(net.broadcast())))
        .collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// A set of countries, one bit for each pair of letters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Countries([u64; 11]);

impl Countries {
    pub(crate) fn new(countries: &[Country]) -> Self {
        let mut set = Self::default();
        for country in countries {
            let (word, bit) = place(*country);
            set.0[word] |= bit;
        }
        set
    }

    pub(crate) fn contains(&self, country: Country) -> bool {
        let (word, bit) = place(country);
        self.0[word] & bit != 0
    }
}

fn place(country: Country) -> (usize, u64) {
    let index = country
        .as_str()
        .bytes()
        .fold(0, |index, letter| index * 26 + usize::from(letter - b'A'));
    (index / 64, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn networks_agree_with_each_alone(
            nets in proptest::collection::vec((0u32..64, 26u8..=32), 0..12), v6 in proptest::collection::vec((0u128..64, 122u8..=128), 0..6),
            at in 0u32..70,
        ) {
            let nets: Vec<IpNet> = nets.iter().map(|&(ip, bits)| IpNet::new(IpAddr::V4(ip.into()), bits).unwrap())
                .chain(v6.iter().map(|&(ip, bits)| IpNet::new(IpAddr::V6(ip.into()), bits).unwrap())).collect();
            let set = Networks::new(&nets);
            for ip in [IpAddr::V4(at.into()), IpAddr::V6(u128::from(at).into())] {
                prop_assert_eq!(set.contains(ip), nets.iter().any(|net| net.contains(&ip)));
            }
        }

        #[test]
        fn countries_agree_with_a_list(codes in proptest::collection::vec("[A-Z]{2}", 0..20), asked in "[A-Z]{2}") {
            let parse = |code: &String| Country::try_from(code.clone()).unwrap();
            let list: Vec<_> = codes.iter().map(parse).collect();
            let set = Countries::new(&list);
            prop_assert!(list.iter().all(|&country| set.contains(country)));
            prop_assert_eq!(set.contains(parse(&asked)), list.contains(&parse(&asked)));
        }
    }
}

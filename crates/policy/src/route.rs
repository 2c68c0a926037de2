//! Where a message goes: the pool of its class, and a member of the pool.

use std::sync::Arc;

use crate::address::Account;
use crate::snapshot::{Pool, Selection};

/// Where a class goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// The gateway's own next hop.
    Upstream,
    /// A pool.
    Pool {
        /// Its name in the snapshot.
        name: &'a Arc<str>,
        /// The pool.
        pool: &'a Arc<Pool>,
    },
    /// Nowhere: it is refused.
    Reject,
}

/// The index of the member of `pool` that takes a message; `None` if no healthy member has a weight.
///
/// `seed` is random for each message. Sticky selection keys on the account or the recipient's domain (on `seed` where that is
/// absent) by weighted rendezvous hashing: adding or losing a member moves only the keys that it gains or had.
pub fn choose(
    pool: &Pool,
    seed: u64,
    account: Option<&Account>,
    recipient_domain: Option<&str>,
    healthy: impl Fn(usize) -> bool,
) -> Option<usize> {
    let sticky = match pool.selection {
        Selection::Weighted => None,
        Selection::StickyByAccount => account.map(Account::as_str),
        Selection::StickyByRecipientDomain => recipient_domain,
    };
    let key = sticky.map_or(seed, |text| hash(text.as_bytes()));
    let mut best: Option<(usize, Wait)> = None;
    for (at, member) in pool.members.iter().enumerate() {
        if member.weight == 0 || !healthy(at) {
            continue;
        }
        let wait = Wait {
            steps: neg_log2(mix(key ^ hash(member.name.as_bytes()))),
            weight: member.weight,
        };
        if best.is_none_or(|(_, held)| wait.shorter_than(held)) {
            best = Some((at, wait));
        }
    }
    best.map(|(at, _)| at)
}

/// A draw from an exponential distribution with the member's weight as its rate: the shortest wins, with a chance of its share
/// of all weights. Integers, so that every machine chooses alike.
#[derive(Clone, Copy)]
struct Wait {
    steps: u64,
    weight: u32,
}

impl Wait {
    /// `steps / weight` compared without dividing.
    fn shorter_than(self, other: Self) -> bool {
        u128::from(self.steps) * u128::from(other.weight)
            < u128::from(other.steps) * u128::from(self.weight)
    }
}

const FRACTION_BITS: u32 = 40;

/// `-log2(draw / 2^64)` with [`FRACTION_BITS`] binary places, by repeated squaring.
fn neg_log2(draw: u64) -> u64 {
    let draw = draw | 1;
    let zeros = draw.leading_zeros();
    let mut mantissa = draw << zeros;
    let mut fraction = 0u64;
    for _ in 0..FRACTION_BITS {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let carry = (square >> 64) as u64;
        mantissa = (square >> carry) as u64;
        fraction = fraction << 1 | carry;
    }
    (u64::from(zeros + 1) << FRACTION_BITS) - fraction
}

/// FNV-1a, then mixed: short names that differ in one octet come far apart.
fn hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

/// The finaliser of SplitMix64.
const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::{Kind, Member, ObjectRef};

    fn pool(selection: Selection, weights: &[u32]) -> Pool {
        let member = |(at, &weight): (usize, &u32)| Member {
            name: format!("m{at}"),
            source_address: None,
            helo_name: None,
            weight,
            relay: None,
        };
        Pool {
            object: ObjectRef {
                kind: Kind::EgressPool,
                namespace: "mail".into(),
                name: "clean".into(),
            },
            members: weights.iter().enumerate().map(member).collect(),
            max_connections: 1,
            messages_per_connection: 1,
            rate: None,
            selection,
        }
    }

    #[test]
    fn shares_follow_weights() {
        let pool = pool(Selection::Weighted, &[10, 30, 0, 60]);
        let mut taken = [0u32; 4];
        for seed in 0..20_000u64 {
            taken[choose(&pool, seed, None, None, |_| true).unwrap()] += 1;
        }
        for (taken, expected) in taken.into_iter().zip([2_000u32, 6_000, 0, 12_000]) {
            assert!(
                taken.abs_diff(expected) <= expected / 10,
                "{taken} of {expected}"
            );
        }
    }

    #[test]
    fn the_logarithm_is_one() {
        for draw in [1u64, 3, 1 << 20, 1 << 40, u64::MAX / 3, 1 << 63, u64::MAX] {
            let exact = 64.0 - (draw as f64).log2();
            let found = neg_log2(draw) as f64 / (1u64 << FRACTION_BITS) as f64;
            assert!((found - exact).abs() < 1e-4, "{draw}: {found} {exact}");
        }
    }

    #[test]
    fn nothing_healthy_is_nothing() {
        let pool = pool(Selection::Weighted, &[1, 0, 1]);
        assert_eq!(choose(&pool, 7, None, None, |_| false), None);
        assert_eq!(choose(&pool, 7, None, None, |at| at == 1), None);
        assert_eq!(choose(&pool, 7, None, None, |at| at == 2), Some(2));
    }

    proptest! {
        /// Stickiness, and what an added member takes: only keys for itself.
        #[test]
        fn an_added_member_moves_keys_only_to_itself(
            weights in proptest::collection::vec(1u32..100, 1..8), added in 1u32..100, name in "[a-z]{1,8}", seed: u64, other: u64,
        ) {
            let account = Account::canonical(&name, Some("example.jp"));
            let before = pool(Selection::StickyByAccount, &weights);
            let after = pool(Selection::StickyByAccount, &[&weights[..], &[added]].concat());
            let old = choose(&before, seed, Some(&account), None, |_| true).unwrap();
            prop_assert_eq!(choose(&before, other, Some(&account), None, |_| true), Some(old));
            let new = choose(&after, seed, Some(&account), None, |_| true).unwrap();
            prop_assert!(new == old || new == weights.len());
            // Losing it again gives every key back to where it was.
            prop_assert_eq!(choose(&after, seed, Some(&account), None, |at| at != weights.len()), Some(old));
        }

        #[test]
        fn never_an_unhealthy_or_weightless_member(
            weights in proptest::collection::vec(0u32..3, 1..8), health: [bool; 8], seed: u64,
            selection in proptest::sample::select(vec![Selection::Weighted, Selection::StickyByAccount, Selection::StickyByRecipientDomain]),
        ) {
            let chosen = choose(&pool(selection, &weights), seed, None, Some("example.org"), |at| health[at]);
            match chosen {
                Some(at) => prop_assert!(health[at] && weights[at] > 0),
                None => prop_assert!(weights.iter().zip(health).all(|(&weight, healthy)| weight == 0 || !healthy)),
            }
        }
    }

    #[test]
    fn domains_stick_and_spread() {
        let pool = pool(Selection::StickyByRecipientDomain, &[1, 1, 1]);
        let at = |seed: u64, domain: &str| choose(&pool, seed, None, Some(domain), |_| true);
        assert!((0..50).all(|seed| at(seed, "example.org") == at(0, "example.org")));
        let hops: std::collections::HashSet<_> =
            (0..50).map(|n| at(0, &format!("d{n}.example"))).collect();
        assert_eq!(hops.len(), 3);
    }
}

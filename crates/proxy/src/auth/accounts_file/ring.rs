//! Which account's secrets a stranger is likened to, so that its answers take as long and look like those of somebody.
//!
//! Accounts lie on a ring by their names, and a stranger is like the next one from a place that only the fleet's key tells. So every
//! proxy of the fleet says the same of it, and a file that gains or loses one account changes it for one stranger in so many as there
//! are accounts. Were it drawn anew by their number, whoever measures for weeks would see strangers change, and accounts not.

use sekisho_policy::Account;
use sha2::{Digest as _, Sha256};

use crate::auth::FleetKey;

/// Accounts by their place on the ring.
#[derive(Debug, Default)]
pub(super) struct Ring(Vec<(u64, usize)>);

impl Ring {
    /// Adds the account at `at` of the file.
    pub(super) fn add(&mut self, account: &Account, at: usize) {
        let digest = Sha256::digest(account.as_str());
        let place = digest
            .iter()
            .take(8)
            .fold(0, |place, &octet| place << 8 | u64::from(octet));
        self.0.push((place, at));
    }

    /// All were added.
    pub(super) fn close(&mut self) {
        self.0.sort_unstable();
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where in the file the account is that a stranger of this name is like; `None` if there is none at all.
    pub(super) fn pick(&self, stranger: &Account, key: &FleetKey) -> Option<usize> {
        let place = key.place(stranger);
        let next = self.0.partition_point(|&(there, _)| there < place);
        self.0.get(next).or(self.0.first()).map(|&(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: usize) -> Account {
        Account::canonical(&format!("u{number}@example.jp"), None)
    }

    fn ring(of: impl Iterator<Item = usize>) -> Ring {
        let mut ring = Ring::default();
        of.for_each(|at| ring.add(&account(at), at));
        ring.close();
        ring
    }

    #[test]
    fn one_account_more_or_less_changes_few_strangers() {
        let key = FleetKey::new([7; 32]);
        let (before, after) = (ring(0..100), ring((0..100).filter(|at| *at != 40)));
        let strangers = (1_000..3_000).map(account);
        let changed = strangers.filter(|who| before.pick(who, &key) != after.pick(who, &key));
        let changed = changed.count();
        assert!((1..200).contains(&changed), "{changed} of 2000");
    }

    #[test]
    fn another_fleet_says_something_else() {
        let (ring, one, other) = (ring(0..100), FleetKey::new([7; 32]), FleetKey::new([8; 32]));
        assert!(
            (1_000..1_010)
                .any(|at| ring.pick(&account(at), &one) != ring.pick(&account(at), &other))
        );
        assert_eq!(Ring::default().pick(&account(1), &one), None);
    }
}

//! A failed login as the login guard's sets count it.

use sha2::{Digest, Sha256};

use crate::address::Account;
use crate::key::{Subject, Subjects};
use crate::op::Item;
use crate::time::{Millis, Timestamp};

/// One failed login as members of the guard's sets.
pub(crate) struct Failure {
    pub(crate) password: Item,
    pub(crate) account: Item,
    pub(crate) pair: Item,
}

/// What failures are as members of sets where the mechanism hides the password, so that nobody can tell a stale one from many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// One for each account and source: something else counts how often it fails from there.
    OnePerSource,
    /// One for each account, source and minute.
    OnePerMinute,
}

impl Failure {
    /// Failures that name no account are those of one account without a name. Nothing else counts these, so they are one for each minute.
    pub(crate) fn new(
        account: Option<&Account>,
        password: Option<Item>,
        source: Subject<'_>,
        at: Timestamp,
        hidden: Hidden,
    ) -> Self {
        let name = Subjects::of(&[Subject::Account(account.map_or("", Account::as_str))]);
        let source = Subjects::of(&[source]);
        let hide = |when: &[u8]| digest(&[b"hidden", name.as_bytes(), source.as_bytes(), when]);
        let minute = (at.0 / Millis::MINUTE.0).to_be_bytes();
        let shown = password.unwrap_or_else(|| match hidden {
            Hidden::OnePerSource => hide(b""),
            Hidden::OnePerMinute => hide(&minute),
        });
        // To its source an account's hidden password is always the same one, or a stale program would lock out everybody beside it.
        let of_source = password.unwrap_or_else(|| match account {
            Some(_) => hide(b""),
            None => hide(&minute),
        });
        Self {
            password: shown,
            account: digest(&[b"account", name.as_bytes()]),
            pair: digest(&[b"pair", name.as_bytes(), &of_source]),
        }
    }
}

/// All failures of an account from one place whose passwords nobody saw.
pub(crate) fn hidden_from(account: Option<&Account>, source: Subject<'_>) -> Item {
    let name = Subjects::of(&[Subject::Account(account.map_or("", Account::as_str))]);
    let source = Subjects::of(&[source]);
    digest(&[b"hidden from", name.as_bytes(), source.as_bytes()])
}

/// The parts are framed or of fixed length, so that no two lists run together.
fn digest(parts: &[&[u8]]) -> Item {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let mut item = Item::default();
    item.copy_from_slice(&hash.finalize()[..16]);
    item
}

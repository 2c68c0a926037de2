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

impl Failure {
    /// Where the mechanism hides the password, failures are one item for each account, source and minute. Failures that name
    /// no account are those of one account without a name.
    pub(crate) fn new(
        account: Option<&Account>,
        password: Option<Item>,
        source: Subject<'_>,
        at: Timestamp,
    ) -> Self {
        let name = Subjects::of(&[Subject::Account(account.map_or("", Account::as_str))]);
        let password = password.unwrap_or_else(|| {
            let minute = at.0 / Millis::MINUTE.0;
            digest(&[
                b"hidden",
                name.as_bytes(),
                Subjects::of(&[source]).as_bytes(),
                &minute.to_be_bytes(),
            ])
        });
        Self {
            password,
            account: digest(&[b"account", name.as_bytes()]),
            pair: digest(&[b"pair", name.as_bytes(), &password]),
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

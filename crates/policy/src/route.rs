//! Where a message goes: the pool of its class, and a member of the pool.

use std::sync::Arc;

use crate::address::Account;
use crate::snapshot::Pool;

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
    _pool: &Pool,
    _seed: u64,
    _account: Option<&Account>,
    _recipient_domain: Option<&str>,
    _healthy: impl Fn(usize) -> bool,
) -> Option<usize> {
    todo!()
}

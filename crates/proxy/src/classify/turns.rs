//! How many messages an engine is asked about at once, and how many of them are one account's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sekisho_policy::Account;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lock;

/// An account has a quarter of the turns, those that it waits for included: the rest of its messages wait for its own, and
/// whoever sends one finds no queue of them.
const SHARE: u32 = 4;

/// The turns of one engine.
#[derive(Debug)]
pub(super) struct Turns {
    pub(super) at_once: u32,
    all: Arc<Semaphore>,
    accounts: Mutex<HashMap<Account, Arc<Semaphore>>>,
}

/// Leave to ask about one message.
#[derive(Debug)]
pub(super) struct Turn {
    // Dropped in this order: the account is forgotten after its last turn.
    _of_all: OwnedSemaphorePermit,
    _of_account: Option<OwnedSemaphorePermit>,
    _share: Option<Share>,
}

impl Turns {
    pub(super) fn new(at_once: u32) -> Self {
        Self {
            at_once,
            all: semaphore(at_once),
            accounts: Mutex::default(),
        }
    }

    /// Waits for a turn.
    pub(super) async fn take(self: Arc<Self>, account: Option<&Account>) -> Turn {
        let share = account.map(|account| self.share(account));
        let of_account = match &share {
            Some(share) => Some(permit(&share.semaphore).await),
            None => None,
        };
        Turn {
            _of_all: permit(&self.all).await,
            _of_account: of_account,
            _share: share,
        }
    }

    fn share(self: &Arc<Self>, account: &Account) -> Share {
        let mut accounts = lock(&self.accounts);
        let new = || semaphore((self.at_once / SHARE).max(1));
        let semaphore = accounts.entry(account.clone()).or_insert_with(new).clone();
        Share {
            turns: self.clone(),
            account: account.clone(),
            semaphore,
        }
    }
}

/// An account that has a turn, or waits for one.
#[derive(Debug)]
struct Share {
    turns: Arc<Turns>,
    account: Account,
    semaphore: Arc<Semaphore>,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut accounts = lock(&self.turns.accounts);
        // Ours and the table's: nobody else has it, nor can get it meanwhile.
        if Arc::strong_count(&self.semaphore) <= 2 {
            accounts.remove(&self.account);
        }
    }
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    let permits = usize::try_from(permits).unwrap_or(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

async fn permit(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = semaphore.clone().acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn an_account_has_a_quarter_and_is_forgotten_afterwards() {
        let turns = Arc::new(Turns::new(8));
        let (one, other) = (
            Account::canonical("a@example.jp", None),
            Account::canonical("b@example.jp", None),
        );
        let first = turns.clone().take(Some(&one)).await;
        let _second = turns.clone().take(Some(&one)).await;
        let mut third = Box::pin(turns.clone().take(Some(&one)));
        let waits = std::future::poll_fn(|context| Poll::Ready(third.as_mut().poll(context))).await;
        assert!(waits.is_pending());
        let others = turns.clone().take(Some(&other)).await;
        assert_eq!(turns.all.available_permits(), 8 - 3, "it waits for its own");
        drop(first);
        drop(third.await);
        drop(others);
        assert_eq!(lock(&turns.accounts).len(), 1);
        drop(_second);
        assert_eq!(lock(&turns.accounts).len(), 0);
        // A quarter of one is one.
        let lonely = Arc::new(Turns::new(1));
        drop(lonely.take(Some(&one)).await);
    }
}

//! What is known of restrictions: what is imposed here, what waits to be told, and what the file does not have yet. What the
//! store's word does to it is in [`super::word`].

use std::collections::{HashSet, VecDeque};

use sekisho_policy::restriction::Origin;
use sekisho_policy::states::{Absence, Change, Imposition, Part, States};
use sekisho_policy::{Account, Restriction, Span, Standing, Timestamp};

use super::book::{Book, Entry, MOST, Told};
use super::word::Coming;

/// The most that are queued for the store.
const MOST_WAITING: usize = 50_000;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) book: Book,
    /// Up to where the store was heard.
    pub(super) head: Head,
    /// Whether that was a part of the changes only.
    pub(super) part: Part,
    /// Whether the whole is to be asked for.
    pub(super) wants_whole: bool,
    /// The whole, as far as it has come in.
    pub(super) coming: Option<Coming>,
    /// Those that the store has not heard of, the oldest first.
    queue: VecDeque<(Account, Origin)>,
    /// More of them wait than are queued.
    pub(super) overflowed: bool,
    /// What people released since this was asked last.
    pub(super) released: Vec<Released>,
    unwritten: Unwritten,
}

/// Up to where the store was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Its revision.
    pub(super) revision: u64,
    /// What it is called, if it said so.
    pub(super) store: Option<Box<str>>,
}

/// What the file does not have yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    Of(HashSet<Account>),
    All,
}

impl Default for Unwritten {
    fn default() -> Self {
        Self::Of(HashSet::new())
    }
}

impl Unwritten {
    fn add(&mut self, account: &Account) {
        match self {
            Self::Of(accounts) if accounts.len() >= MOST => *self = Self::All,
            Self::Of(accounts) if !accounts.contains(account) => {
                accounts.insert(account.clone());
            }
            Self::Of(_) | Self::All => {}
        }
    }
}

/// What became of an imposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Imposed {
    Queued,
    /// The same one, or a worse one of its origin, is there.
    Known,
    /// It holds, and too many wait already.
    Unshared,
    Full,
}

/// Somebody released an account. A restriction that ends by itself is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Whom.
    pub account: Account,
    /// From what; `None` is from everything.
    pub origin: Option<Origin>,
    /// When, by the store's clock.
    pub at: Timestamp,
    /// When somebody else may have used it.
    pub disowned: Option<Span>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) accounts: usize,
    pub(super) levels: [usize; 4],
    pub(super) waiting: usize,
}

impl Table {
    /// What an earlier run knew. What had not reached the store is queued again, and the whole is asked for.
    pub(super) fn restored(head: Head, book: Book) -> Self {
        let mut table = Self {
            book,
            head,
            wants_whole: true,
            ..Self::default()
        };
        table.put_all_back();
        table
    }

    pub(super) fn census(&self) -> Census {
        Census {
            accounts: self.book.accounts(),
            levels: self.book.levels(),
            waiting: self.queue.len(),
        }
    }

    pub(super) fn standing(&self, account: &Account, now: Timestamp) -> Option<Standing> {
        let entries = self.book.of(account);
        Standing::of(entries.iter().map(|entry| &entry.restriction), now)
    }

    pub(super) fn impose(&mut self, account: &Account, mut restriction: Restriction) -> Imposed {
        let before = self.book.entry(account, &restriction.origin);
        let was_waiting = match before {
            // An account that stands on a high step is not let down to a lower one by reaching that anew.
            Some(before) => match before.restriction.joined(&restriction, restriction.since) {
                None => return Imposed::Known,
                Some(joined) => {
                    restriction = joined;
                    before.told == Told::Waiting
                }
            },
            None => {
                let origin = &restriction.origin;
                if !self.book.has_room_of_own(account, origin) {
                    self.sweep(restriction.since);
                    if !self.book.has_room_of_own(account, origin) {
                        return Imposed::Full;
                    }
                }
                false
            }
        };
        let is_crowded = !was_waiting && self.queue.len() >= MOST_WAITING;
        let told = if is_crowded {
            Told::Known
        } else {
            Told::Waiting
        };
        if !was_waiting && !is_crowded {
            let origin = restriction.origin.clone();
            self.queue.push_back((account.clone(), origin));
        }
        self.put(account, Entry::new(restriction, told));
        if is_crowded {
            Imposed::Unshared
        } else {
            Imposed::Queued
        }
    }

    /// What was released since this was asked last.
    pub(super) fn take_released(&mut self) -> Vec<Released> {
        std::mem::take(&mut self.released)
    }

    pub(super) fn next_batch(&mut self, most: usize) -> Vec<Imposition> {
        if self.queue.is_empty() && std::mem::take(&mut self.overflowed) {
            self.put_all_back();
        }
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some((account, origin)) = self.queue.pop_front()
        {
            let entry = self.book.entry(&account, &origin);
            if let Some(entry) = entry.filter(|entry| entry.told == Told::Waiting) {
                let restriction = entry.restriction.clone();
                batch.push(Imposition {
                    account,
                    restriction,
                });
            }
        }
        batch
    }

    /// Takes over what the store makes of a batch; how many of it hold here alone.
    pub(super) fn stored(&mut self, batch: &[Imposition], states: &States) -> u64 {
        let mut unshared = 0;
        for imposition in batch {
            let origin = &imposition.restriction.origin;
            let is_same = self.is_as_sent(imposition);
            let theirs = states
                .changes
                .iter()
                .find(|change| change.account == imposition.account && change.origin == *origin);
            let told = Told::At(states.revision);
            match (self.book.entry(&imposition.account, origin), theirs) {
                // It was imposed anew meanwhile.
                _ if !is_same => self.queue_again(imposition),
                // What was heard while this answer was on its way is newer: a release, say.
                (Some(entry), _) if let Some(heard) = entry.heard_after(states.revision) => {
                    self.take_word(&heard, Told::Known);
                }
                (None, _) if self.head.revision > states.revision => {}
                (_, Some(change)) if is_untaken(change) => {
                    unshared += 1;
                    self.set_told(imposition, Told::Known);
                }
                (_, Some(change)) => self.take_word(change, told),
                (_, None) => self.set_told(imposition, told),
            }
        }
        unshared
    }

    pub(super) fn put_back(&mut self, batch: Vec<Imposition>) {
        for imposition in batch.into_iter().rev() {
            let origin = imposition.restriction.origin;
            self.queue.push_front((imposition.account, origin));
        }
    }

    pub(super) fn put_all_back(&mut self) {
        let mut waiting = self.book.all().flat_map(|(account, entries)| {
            let waiting = entries.iter().filter(|entry| entry.told == Told::Waiting);
            waiting.map(|entry| (account.clone(), entry.restriction.origin.clone()))
        });
        self.queue = waiting.by_ref().take(MOST_WAITING).collect();
        self.overflowed = waiting.next().is_some();
    }

    pub(super) fn refused(&mut self, batch: &[Imposition]) {
        for imposition in batch {
            if self.is_as_sent(imposition) {
                self.set_told(imposition, Told::Known);
            } else {
                self.queue_again(imposition);
            }
        }
    }

    fn is_as_sent(&self, imposition: &Imposition) -> bool {
        self.book
            .entry(&imposition.account, &imposition.restriction.origin)
            .is_none_or(|entry| entry.restriction == imposition.restriction)
    }

    fn queue_again(&mut self, imposition: &Imposition) {
        let origin = imposition.restriction.origin.clone();
        let account = imposition.account.clone();
        // What was imposed meanwhile found the one before waiting, and did not queue itself.
        self.queue.push_back((account, origin));
    }

    fn set_told(&mut self, imposition: &Imposition, told: Told) {
        let origin = &imposition.restriction.origin;
        if let Some(entry) = self.book.entry_mut(&imposition.account, origin) {
            entry.settle(told);
            self.unwritten.add(&imposition.account);
        }
    }

    /// Forgets what is over, but for what the store has not heard of.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let unwritten = &mut self.unwritten;
        self.book.sweep(now, |account| unwritten.add(account));
    }

    pub(super) fn put(&mut self, account: &Account, entry: Entry) {
        self.unwritten.add(account);
        self.book.put(account, entry);
    }

    pub(super) fn remove(&mut self, account: &Account, origin: &Origin) {
        if self.book.entry(account, origin).is_some() {
            self.unwritten.add(account);
            self.book.remove(account, origin);
        }
    }

    /// Goes on with another book; the file is to be changed where they differ.
    pub(super) fn turn_to(&mut self, book: Book) {
        let old = std::mem::replace(&mut self.book, book);
        let (new, unwritten) = (&self.book, &mut self.unwritten);
        let gone = old
            .all()
            .map(|(account, _)| account)
            .filter(|account| new.of(account).is_empty());
        let there = new
            .all()
            .map(|(account, _)| account)
            .filter(|account| !new.agrees(&old, account));
        gone.chain(there).for_each(|account| unwritten.add(account));
    }

    /// What the file does not have yet; the caller writes it, or gives it back.
    pub(super) fn take_unwritten(&mut self) -> Unwritten {
        std::mem::take(&mut self.unwritten)
    }

    pub(super) fn give_back_unwritten(&mut self, unwritten: Unwritten) {
        match unwritten {
            Unwritten::All => self.unwritten = Unwritten::All,
            Unwritten::Of(accounts) => accounts.iter().for_each(|one| self.unwritten.add(one)),
        }
    }
}

fn is_untaken(change: &Change) -> bool {
    change.restriction.is_none() && change.absence == Absence::Untaken
}

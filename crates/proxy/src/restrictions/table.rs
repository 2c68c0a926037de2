//! Restrictions by account, each with how far the store has heard of it.

use std::collections::{HashMap, VecDeque};

use sekisho_policy::restriction::Origin;
use sekisho_policy::states::{Absence, Change, Imposition, Onto, Part, Rest, States};
use sekisho_policy::{Account, Restriction, Standing, Timestamp};

use super::kept::{Kept, KeptEntry};
use super::place;

/// The most restrictions that are known of: some 100 MB.
pub(super) const MOST: usize = 250_000;
/// The most that wait for the store.
const MOST_WAITING: usize = 50_000;

type Accounts = HashMap<Account, Vec<Entry>>;

#[derive(Debug, Default)]
pub(super) struct Table {
    accounts: Accounts,
    /// How many of each level there are.
    levels: [usize; 4],
    /// The store's revision up to which the changes are known.
    revision: u64,
    /// Whether that was a part of the changes only.
    part: Part,
    /// The whole, as far as it has come in.
    coming: Option<Coming>,
    /// Those that the store has not heard of, the oldest first.
    queue: VecDeque<(Account, Origin)>,
    /// Accounts of which the store took a restriction.
    released: Vec<Released>,
}

#[derive(Clone, Debug)]
struct Entry {
    restriction: Restriction,
    told: Told,
    /// What the store said otherwise while this waits, at which revision. The answer to what is told here may be an older word.
    heard: Option<Box<(u64, Change)>>,
}

impl Entry {
    fn new(restriction: Restriction, told: Told) -> Self {
        Self {
            restriction,
            told,
            heard: None,
        }
    }

    /// Keeps a word of the store that the answer to what is told here may be older than.
    fn hear(&mut self, revision: u64, change: Change) {
        if self.told == Told::Waiting {
            self.heard = Some(Box::new((revision, change)));
        }
    }

    /// What the store said of it after that revision.
    fn heard_after(&self, revision: u64) -> Option<Change> {
        let (at, change) = self.heard.as_deref()?;
        (*at > revision).then(|| change.clone())
    }
}

/// How far the store has heard of a restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is the store's own word.
    Known,
    /// Not yet.
    Waiting,
    /// Its answer of this revision knew of it. What it says of an older one did not.
    At(u64),
}

#[derive(Debug)]
struct Coming {
    revision: u64,
    changes: Vec<Change>,
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

/// An account of which the store took a restriction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Whose it was.
    pub account: Account,
    /// When it would have been over by itself.
    pub until: Option<Timestamp>,
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) accounts: usize,
    pub(super) levels: [usize; 4],
    pub(super) waiting: usize,
}

impl Table {
    pub(super) fn census(&self) -> Census {
        Census {
            accounts: self.accounts.len(),
            levels: self.levels,
            waiting: self.queue.len(),
        }
    }

    pub(super) fn standing(&self, account: &Account, now: Timestamp) -> Option<Standing> {
        let entries = self.accounts.get(account)?;
        Standing::of(entries.iter().map(|entry| &entry.restriction), now)
    }

    pub(super) fn impose(&mut self, account: &Account, restriction: Restriction) -> Imposed {
        let before = self.entry(account, &restriction.origin);
        let was_waiting = match before {
            // An account that stands on a high step is not let down to a lower one by reaching that anew.
            Some(before) if before.restriction.outlasts(&restriction, restriction.since) => {
                return Imposed::Known;
            }
            Some(before) if before.restriction == restriction => return Imposed::Known,
            Some(before) => before.told == Told::Waiting,
            None if self.len() >= MOST => {
                self.sweep(restriction.since);
                if self.len() >= MOST {
                    return Imposed::Full;
                }
                false
            }
            None => false,
        };
        let is_crowded = !was_waiting && self.queue.len() >= MOST_WAITING;
        if !was_waiting && !is_crowded {
            let origin = restriction.origin.clone();
            self.queue.push_back((account.clone(), origin));
        }
        let told = if is_crowded {
            Told::Known
        } else {
            Told::Waiting
        };
        self.put(account, Entry::new(restriction, told));
        if is_crowded {
            Imposed::Unshared
        } else {
            Imposed::Queued
        }
    }

    /// The revision to be asked about next.
    pub(super) fn question(&self) -> (u64, Part) {
        match &self.coming {
            Some(coming) => (coming.revision, Part::Next),
            None => (self.revision, self.part),
        }
    }

    pub(super) fn ask_for_whole(&mut self) {
        self.revision = 0;
        self.part = Part::First;
        self.coming = None;
    }

    pub(super) fn apply(&mut self, states: &States) {
        if states.onto == Onto::Nothing {
            self.coming = Some(Coming {
                revision: 0,
                changes: Vec::new(),
            });
        }
        let Some(coming) = &mut self.coming else {
            for change in &states.changes {
                self.settle(change, states.revision);
            }
            self.revision = self.revision.max(states.revision);
            self.part = part_after(states);
            return;
        };
        coming.revision = states.revision;
        let room = MOST.saturating_sub(coming.changes.len());
        coming
            .changes
            .extend(states.changes.iter().take(room).cloned());
        if states.rest == Rest::Nothing
            && let Some(whole) = self.coming.take()
        {
            self.replace(whole);
        }
    }

    /// Begins anew with the whole, and keeps of its own what the store did not know of then.
    fn replace(&mut self, whole: Coming) {
        let old = std::mem::take(&mut self.accounts);
        self.levels = [0; 4];
        for change in &whole.changes {
            self.settle(change, whole.revision);
        }
        for (account, entries) in old {
            for mut entry in entries {
                let origin = &entry.restriction.origin;
                let theirs = self.entry(&account, origin);
                let is_newer = match entry.told {
                    Told::Known => false,
                    Told::At(revision) => revision > whole.revision,
                    Told::Waiting => {
                        theirs.is_none_or(|theirs| !stays(&theirs.restriction, &entry.restriction))
                    }
                };
                if is_newer {
                    let said = Change {
                        account: account.clone(),
                        origin: origin.clone(),
                        restriction: theirs.map(|theirs| theirs.restriction.clone()),
                        absence: Absence::Release,
                    };
                    entry.hear(whole.revision, said);
                    self.put(&account, entry);
                }
            }
        }
        self.revision = whole.revision;
        self.part = Part::First;
    }

    /// Takes over what the store says at `revision`, unless it had not heard then of what is here.
    fn settle(&mut self, change: &Change, revision: u64) {
        if let Some(ours) = self.entry(&change.account, &change.origin) {
            let theirs = change.restriction.as_ref();
            let ours_stays = match ours.told {
                Told::Known => false,
                Told::At(at) => at > revision,
                // The store will be asked, and answers what it makes of it.
                Told::Waiting => theirs.is_none_or(|theirs| !stays(theirs, &ours.restriction)),
            };
            if ours_stays {
                if let Some(ours) = self.entry_mut(&change.account, &change.origin) {
                    ours.hear(revision, change.clone());
                }
                return;
            }
        }
        self.take_word(change, Told::Known);
    }

    fn take_word(&mut self, change: &Change, told: Told) {
        match &change.restriction {
            Some(restriction) if self.has_room(&change.account, &change.origin) => {
                let restriction = restriction.clone().bounded();
                self.put(&change.account, Entry::new(restriction, told));
            }
            Some(_) => {}
            None => {
                self.note_release(&change.account, &change.origin);
                self.remove(&change.account, &change.origin);
            }
        }
    }

    fn note_release(&mut self, account: &Account, origin: &Origin) {
        if let Some(entry) = self.entry(account, origin) {
            let until = entry.restriction.until;
            let account = account.clone();
            self.released.push(Released { account, until });
        }
    }

    /// What was released since this was asked last.
    pub(super) fn take_released(&mut self) -> Vec<Released> {
        std::mem::take(&mut self.released)
    }

    fn has_room(&self, account: &Account, origin: &Origin) -> bool {
        self.len() < MOST || self.entry(account, origin).is_some()
    }

    pub(super) fn next_batch(&mut self, most: usize) -> Vec<Imposition> {
        let mut batch = Vec::new();
        while batch.len() < most
            && let Some((account, origin)) = self.queue.pop_front()
        {
            let waiting = self
                .entry(&account, &origin)
                .filter(|entry| entry.told == Told::Waiting);
            if let Some(entry) = waiting {
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
            match (self.entry(&imposition.account, origin), theirs) {
                // It was imposed anew meanwhile.
                _ if !is_same => self.queue_again(imposition),
                // What was heard while this answer was on its way is newer: a release, say.
                (Some(entry), _) if let Some(heard) = entry.heard_after(states.revision) => {
                    self.take_word(&heard, Told::Known);
                }
                (None, _) if self.revision > states.revision => {}
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
        let waiting = self.accounts.iter().flat_map(|(account, entries)| {
            let waiting = entries.iter().filter(|entry| entry.told == Told::Waiting);
            waiting.map(|entry| (account.clone(), entry.restriction.origin.clone()))
        });
        self.queue = waiting.collect();
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
        self.entry(&imposition.account, &imposition.restriction.origin)
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
        if let Some(entry) = self.entry_mut(&imposition.account, origin) {
            entry.told = told;
            entry.heard = None;
        }
    }

    /// Forgets what is over, but for what the store has not heard of.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let levels = &mut self.levels;
        self.accounts.retain(|_, entries| {
            entries.retain(|entry| {
                let is_over = entry.restriction.until.is_some_and(|until| until <= now);
                let goes = is_over && entry.told != Told::Waiting;
                if goes {
                    levels[place(entry.restriction.level)] -= 1;
                }
                !goes
            });
            !entries.is_empty()
        });
    }

    pub(super) fn kept(&self) -> Kept {
        let entries = self.accounts.iter().flat_map(|(account, entries)| {
            entries.iter().map(|entry| KeptEntry {
                account: account.clone(),
                restriction: entry.restriction.clone(),
                told: entry.told.into(),
            })
        });
        Kept {
            revision: self.revision,
            restrictions: entries.collect(),
        }
    }

    pub(super) fn restored(kept: Kept) -> Self {
        let mut table = Self {
            revision: kept.revision,
            ..Self::default()
        };
        for entry in kept.restrictions.into_iter().take(MOST) {
            let KeptEntry {
                account,
                restriction,
                told,
            } = entry;
            let told = Told::from(told);
            if told == Told::Waiting {
                let origin = restriction.origin.clone();
                table.queue.push_back((account.clone(), origin));
            }
            let restriction = restriction.bounded();
            table.put(&account, Entry::new(restriction, told));
        }
        table
    }

    fn len(&self) -> usize {
        self.levels.iter().sum()
    }

    fn entry(&self, account: &Account, origin: &Origin) -> Option<&Entry> {
        let entries = self.accounts.get(account)?;
        entries
            .iter()
            .find(|entry| entry.restriction.origin == *origin)
    }

    fn entry_mut(&mut self, account: &Account, origin: &Origin) -> Option<&mut Entry> {
        let entries = self.accounts.get_mut(account)?;
        entries
            .iter_mut()
            .find(|entry| entry.restriction.origin == *origin)
    }

    fn put(&mut self, account: &Account, entry: Entry) {
        self.remove(account, &entry.restriction.origin);
        self.levels[place(entry.restriction.level)] += 1;
        match self.accounts.get_mut(account) {
            Some(entries) => entries.push(entry),
            None => {
                self.accounts.insert(account.clone(), vec![entry]);
            }
        }
    }

    fn remove(&mut self, account: &Account, origin: &Origin) {
        let Some(entries) = self.accounts.get_mut(account) else {
            return;
        };
        let place_of = |entry: &Entry| entry.restriction.origin == *origin;
        if let Some(at) = entries.iter().position(place_of) {
            let gone = entries.swap_remove(at);
            self.levels[place(gone.restriction.level)] -= 1;
        }
        if entries.is_empty() {
            self.accounts.remove(account);
        }
    }
}

/// Whether what the store says stays where it hears of what is imposed here.
fn stays(theirs: &Restriction, ours: &Restriction) -> bool {
    theirs.outlasts(ours, ours.since)
}

fn is_untaken(change: &Change) -> bool {
    change.restriction.is_none() && change.absence == Absence::Untaken
}

fn part_after(states: &States) -> Part {
    match states.rest {
        Rest::Nothing => Part::First,
        Rest::More => Part::Next,
    }
}

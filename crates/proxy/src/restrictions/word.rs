//! What the store's word does to what is known here: changes, the whole, and another store in the place of the one before.

use std::collections::HashMap;

use sekisho_policy::restriction::Origin;
use sekisho_policy::states::{Absence, Change, Extent, Onto, Part, Release, Rest, States};
use sekisho_policy::{Account, Restriction, Timestamp};

use super::book::{Book, DESK, Entry, MOST, Told};
use super::table::{Head, Released, Table};

/// The most changes of a whole: what rules and people said, and as many releases.
const MOST_COMING: usize = 2 * MOST + DESK;

/// The whole, as far as it has come in.
#[derive(Debug)]
pub(super) struct Coming {
    head: Head,
    changes: Vec<Change>,
}

/// What the whole was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The store that was heard before.
    Same,
    /// Another one, or the same that forgot what it had said: what is missing there was not released.
    Another,
}

impl Table {
    /// The revision to be asked about next.
    pub(super) fn question(&self) -> (u64, Part) {
        match &self.coming {
            Some(coming) => (coming.head.revision, Part::Next),
            None if self.wants_whole => (0, Part::First),
            None => (self.head.revision, self.part),
        }
    }

    pub(super) fn ask_for_whole(&mut self) {
        self.wants_whole = true;
        self.coming = None;
    }

    /// Takes over what the store says; how many restrictions it had not heard of, being another store.
    pub(super) fn apply(&mut self, states: &States) -> usize {
        if states.onto == Onto::Nothing {
            self.coming = Some(Coming {
                head: Head {
                    revision: 0,
                    store: states.store.clone(),
                },
                changes: Vec::new(),
            });
        }
        let before = match &self.coming {
            Some(coming) => &coming.head.store,
            None => &self.head.store,
        };
        if is_other(before.as_deref(), states.store.as_deref()) {
            self.ask_for_whole();
            return 0;
        }
        let Some(coming) = &mut self.coming else {
            for change in &states.changes {
                self.settle(change, states.revision);
            }
            self.head.revision = self.head.revision.max(states.revision);
            self.head.store = states.store.clone().or_else(|| self.head.store.take());
            self.part = part_after(states);
            return 0;
        };
        coming.head.revision = states.revision;
        let room = MOST_COMING.saturating_sub(coming.changes.len());
        coming
            .changes
            .extend(states.changes.iter().take(room).cloned());
        match (states.rest, self.coming.take()) {
            (Rest::Nothing, Some(whole)) => self.replace(whole),
            (_, coming) => {
                self.coming = coming;
                0
            }
        }
    }

    /// Begins anew with the whole, and keeps of its own what the store did not know of then.
    fn replace(&mut self, whole: Coming) -> usize {
        let Coming { head, changes } = whole;
        let is_other = is_other(self.head.store.as_deref(), head.store.as_deref());
        let whose = if is_other || head.revision < self.head.revision {
            Whose::Another
        } else {
            Whose::Same
        };
        let heard = if is_other { 0 } else { self.head.revision };
        // Whoever knew nothing has nothing to pardon.
        let is_first = self.head == Head::default();
        let mut book = Book::default();
        let mut released = Releases::default();
        for change in &changes {
            if let Some(release) = &change.release
                && release.revision > heard
            {
                released.note(change, release);
                if !is_first {
                    self.note_release(change);
                }
            }
            match &change.restriction {
                Some(restriction) if book.has_room(&change.account, &change.origin) => {
                    let restriction = restriction.clone().bounded();
                    book.put(&change.account, Entry::new(restriction, Told::Known));
                }
                Some(_) => {}
                // It ended between one part of the whole and the next.
                None => book.remove(&change.account, &change.origin),
            }
        }
        let mut brought = 0;
        for (account, entries) in self.book.all() {
            for entry in entries {
                let origin = &entry.restriction.origin;
                let theirs = book.entry(account, origin);
                let theirs = theirs.map(|theirs| &theirs.restriction);
                let released = released.at(account, origin);
                let Some(mut kept) = keep(entry, theirs, &head, whose, released) else {
                    continue;
                };
                if kept.told == Told::Waiting {
                    let said = Change {
                        account: account.clone(),
                        origin: origin.clone(),
                        restriction: theirs.cloned(),
                        absence: Absence::Release,
                        release: None,
                    };
                    kept.hear(head.revision, said);
                }
                brought += usize::from(kept.told != entry.told);
                if book.has_room_of_own(account, origin) {
                    book.put(account, kept);
                }
            }
        }
        self.turn_to(book);
        self.head = head;
        self.part = Part::First;
        self.wants_whole = false;
        if brought > 0 {
            self.put_all_back();
        }
        brought
    }

    /// Takes over what the store says at `revision`, unless it had not heard then of what is here.
    fn settle(&mut self, change: &Change, revision: u64) {
        let Some(release) = &change.release else {
            return self.settle_one(change, revision);
        };
        if release.revision > self.head.revision {
            self.note_release(change);
        }
        if release.extent == Extent::Origin {
            return self.settle_one(change, revision);
        }
        let origins: Vec<Origin> = self.book.of(&change.account).iter().map(origin).collect();
        for origin in origins {
            let of_origin = Change {
                origin,
                ..change.clone()
            };
            self.settle_one(&of_origin, revision);
        }
    }

    fn settle_one(&mut self, change: &Change, revision: u64) {
        match self.stays(change, revision) {
            Some(ours) => self.put(&change.account, ours),
            None => self.take_word(change, Told::Known),
        }
    }

    /// What is here goes on as this; `None` if what the store says takes its place.
    fn stays(&self, change: &Change, revision: u64) -> Option<Entry> {
        let ours = self.book.entry(&change.account, &change.origin)?;
        match ours.told {
            Told::At(at) if at > revision => Some(ours.clone()),
            Told::Known | Told::Kept | Told::At(_) => None,
            // The store will be asked, and answers what it makes of it.
            Told::Waiting => {
                let released = change.release.as_ref().map(|release| release.at);
                let theirs = change.restriction.as_ref();
                let restriction = waiting(theirs, &ours.restriction, released)?;
                let mut ours = ours.clone();
                ours.restriction = restriction;
                ours.hear(revision, change.clone());
                Some(ours)
            }
        }
    }

    pub(super) fn take_word(&mut self, change: &Change, told: Told) {
        match &change.restriction {
            Some(restriction) if self.book.has_room(&change.account, &change.origin) => {
                let restriction = restriction.clone().bounded();
                self.put(&change.account, Entry::new(restriction, told));
            }
            Some(_) => {}
            None => self.remove(&change.account, &change.origin),
        }
    }

    fn note_release(&mut self, change: &Change) {
        if let Some(release) = &change.release {
            self.released.push(Released {
                account: change.account.clone(),
                origin: origin_of(change, release.extent).cloned(),
                at: release.at,
                disowned: release.disowned,
            });
        }
    }
}

/// When people released whom, and from what, as the whole tells of it.
#[derive(Default)]
struct Releases<'c>(HashMap<(&'c Account, Option<&'c Origin>), Timestamp>);

impl<'c> Releases<'c> {
    fn note(&mut self, change: &'c Change, release: &Release) {
        let whom = (&change.account, origin_of(change, release.extent));
        let at = self.0.entry(whom).or_insert(release.at);
        *at = release.at.max(*at);
    }

    fn at(&self, account: &Account, origin: &Origin) -> Option<Timestamp> {
        let at = |origin| self.0.get(&(account, origin)).copied();
        at(None).max(at(Some(origin)))
    }
}

/// As what an entry goes on beside the whole, if it does.
fn keep(
    entry: &Entry,
    theirs: Option<&Restriction>,
    whole: &Head,
    whose: Whose,
    released: Option<Timestamp>,
) -> Option<Entry> {
    let told = match (entry.told, whose) {
        (Told::Waiting, _) => Told::Waiting,
        (Told::At(revision), Whose::Same) if revision > whole.revision => entry.told,
        (Told::Known | Told::At(_), Whose::Same) => return None,
        _ if released.is_some() => return None,
        // A proxy does not speak for the desk: what that said holds here until this store says otherwise.
        _ if entry.restriction.origin == Origin::Desk => {
            if theirs.is_some() {
                return None;
            }
            Told::Kept
        }
        // What rules imposed is told anew.
        _ => Told::Waiting,
    };
    let restriction = match told {
        Told::Waiting => waiting(theirs, &entry.restriction, released)?,
        Told::Known | Told::At(_) | Told::Kept => entry.restriction.clone(),
    };
    Some(Entry::new(restriction, told))
}

/// What holds here until the store answers for ours: what it says, and beside that what of ours began after people released the account.
/// `None` if what it says stays as it is.
fn waiting(
    theirs: Option<&Restriction>,
    ours: &Restriction,
    released: Option<Timestamp>,
) -> Option<Restriction> {
    let is_news = |part: &Restriction| released.is_none_or(|at| part.since > at);
    let ours = ours.clone().keeping(is_news)?;
    let Some(theirs) = theirs else {
        return Some(ours);
    };
    if theirs.outlasts(&ours, ours.since) {
        return None;
    }
    Some(theirs.joined(&ours, ours.since).unwrap_or(ours))
}

fn origin(entry: &Entry) -> Origin {
    entry.restriction.origin.clone()
}

/// From what somebody released an account; `None` is from everything.
fn origin_of(change: &Change, extent: Extent) -> Option<&Origin> {
    match extent {
        Extent::Origin => Some(&change.origin),
        Extent::Account => None,
    }
}

/// Whether a store is another one than the one before. One that does not say what it is called may be the same.
fn is_other(before: Option<&str>, now: Option<&str>) -> bool {
    before.zip(now).is_some_and(|(before, now)| before != now)
}

fn part_after(states: &States) -> Part {
    match states.rest {
        Rest::Nothing => Part::First,
        Rest::More => Part::Next,
    }
}

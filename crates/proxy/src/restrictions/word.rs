//! What the store's word does to what is known here: changes, the whole, and another store in the place of the one before.

use std::collections::HashSet;

use sekisho_policy::restriction::Origin;
use sekisho_policy::states::{Absence, Change, Extent, Onto, Part, Rest, States};
use sekisho_policy::{Account, Restriction};

use super::book::{Book, Entry, Told};
use super::table::{Head, MOST, Released, Table};

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
        let room = (2 * MOST).saturating_sub(coming.changes.len());
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
        let mut released = HashSet::new();
        for change in &changes {
            if let Some(release) = &change.release {
                if release.revision > heard {
                    released.insert((&change.account, origin_of(change, release.extent)));
                    if !is_first {
                        self.note_release(change);
                    }
                }
            }
            match &change.restriction {
                Some(restriction) if book.len() < MOST => {
                    let restriction = restriction.clone().bounded();
                    book.put(&change.account, Entry::new(restriction, Told::Known));
                }
                Some(_) => {}
                // It ended between one part of the whole and the next.
                None => book.remove(&change.account, &change.origin),
            }
        }
        let is_released = |account: &Account, origin: &Origin| {
            released.contains(&(account, None)) || released.contains(&(account, Some(origin)))
        };
        let mut brought = 0;
        for (account, entries) in self.book.all() {
            for entry in entries {
                let origin = &entry.restriction.origin;
                let theirs = book.entry(account, origin);
                let is_released = is_released(account, origin);
                let Some(kept) = keep(entry, theirs, &head, whose, is_released) else {
                    continue;
                };
                let mut kept = Entry::new(entry.restriction.clone(), kept);
                if kept.told == Told::Waiting {
                    let said = Change {
                        account: account.clone(),
                        origin: origin.clone(),
                        restriction: theirs.map(|theirs| theirs.restriction.clone()),
                        absence: Absence::Release,
                        release: None,
                    };
                    kept.hear(head.revision, said);
                }
                brought += usize::from(kept.told != entry.told);
                book.put(account, kept);
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
        if let Some(ours) = self.book.entry_mut(&change.account, &change.origin) {
            let theirs = change.restriction.as_ref();
            let ours_stays = match ours.told {
                Told::Known | Told::Kept => false,
                Told::At(at) => at > revision,
                // The store will be asked, and answers what it makes of it.
                Told::Waiting => theirs.is_none_or(|theirs| !stays(theirs, &ours.restriction)),
            };
            if ours_stays {
                return ours.hear(revision, change.clone());
            }
        }
        self.take_word(change, Told::Known);
    }

    pub(super) fn take_word(&mut self, change: &Change, told: Told) {
        match &change.restriction {
            Some(restriction) if self.has_room(&change.account, &change.origin) => {
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
            });
        }
    }

    fn has_room(&self, account: &Account, origin: &Origin) -> bool {
        self.book.len() < MOST || self.book.entry(account, origin).is_some()
    }
}

/// As what an entry goes on beside the whole, if it does.
fn keep(
    entry: &Entry,
    theirs: Option<&Entry>,
    whole: &Head,
    whose: Whose,
    is_released: bool,
) -> Option<Told> {
    let is_worse = || theirs.is_none_or(|theirs| !stays(&theirs.restriction, &entry.restriction));
    match (entry.told, whose) {
        (Told::Waiting, _) => is_worse().then_some(Told::Waiting),
        (Told::At(revision), Whose::Same) => (revision > whole.revision).then_some(entry.told),
        (Told::Known, Whose::Same) => None,
        _ if is_released => None,
        // A proxy does not speak for the desk: what that said holds here until this store says otherwise.
        (Told::Kept | Told::Known | Told::At(_), _) if entry.restriction.origin == Origin::Desk => {
            theirs.is_none().then_some(Told::Kept)
        }
        // What rules imposed is told anew.
        _ => is_worse().then_some(Told::Waiting),
    }
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

/// Whether what the store says stays where it hears of what is imposed here.
fn stays(theirs: &Restriction, ours: &Restriction) -> bool {
    theirs.outlasts(ours, ours.since)
}

fn part_after(states: &States) -> Part {
    match states.rest {
        Rest::Nothing => Part::First,
        Rest::More => Part::Next,
    }
}

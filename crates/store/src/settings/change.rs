//! One change, of one account or of a batch of them, within a transaction that holds the namespace.

use std::collections::HashMap;

use sekisho_policy::{Account, AccountSettings, Timestamp};

use super::patch::{Chooser, Keep, OwnChoices, SettingsPatch};
use super::rows::{Event, Revision, Row};
use super::tables::Tables;
use super::{Backend, Fault, MOST_ACCOUNTS, SettingsStore, StoredSettings, parse, to_json};
use crate::records::number;
use crate::states::in_transaction;
use crate::{Mandate, StoreError};

/// What became of an account's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// They are these now.
    Now(StoredSettings),
    /// It has none any more.
    Reset,
    /// They were so before.
    Unchanged(StoredSettings),
    /// It had none, and has none.
    Nothing,
    /// It had none, and there is no room for more accounts with settings in the namespace.
    Full,
}

impl SettingsStore {
    /// Changes what an account has set.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn change(
        &self,
        namespace: &str,
        account: &Account,
        patch: &SettingsPatch,
        chooser: Chooser,
        mandate: &Mandate,
    ) -> Result<Changed, StoreError> {
        let wishes = [Wish {
            account: account.as_str(),
            patch,
        }];
        let terms = Terms {
            chooser,
            keep: Keep::Nothing,
            at: mandate.at,
            job: None,
            who: &mandate.who,
            why: &mandate.why,
        };
        let (outcome, after) =
            in_transaction!(self, tables => one(tables, namespace, &wishes, &terms).await);
        if outcome.changed > 0 {
            self.changed(namespace);
        }
        let after = after.map(|row| StoredSettings::of(&row)).transpose();
        let after = after.map_err(|fault| self.failed(fault))?;
        Ok(match (after, outcome.changed > 0) {
            (Some(after), true) => Changed::Now(after),
            (Some(after), false) => Changed::Unchanged(after),
            (None, true) => Changed::Reset,
            (None, false) if outcome.full > 0 => Changed::Full,
            (None, false) => Changed::Nothing,
        })
    }
}

/// Changes one account; what it has set after that.
async fn one(
    tables: &mut impl Tables,
    namespace: &str,
    wishes: &[Wish<'_>; 1],
    terms: &Terms<'_>,
) -> Result<(Outcome, Option<Row>), Fault> {
    let found = tables.lock(namespace).await?;
    let outcome = batch(tables, namespace, found, wishes, terms).await?;
    let rows = tables.rows(namespace, &[wishes[0].account]).await?;
    let standing = rows.into_iter().find(|row| row.reset_at.is_none());
    Ok((outcome, standing))
}

/// What somebody wants of an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) account: &'a str,
    pub(super) patch: &'a SettingsPatch,
}

/// Who wants it, and what it leaves alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) chooser: Chooser,
    pub(super) keep: Keep,
    pub(super) at: Timestamp,
    pub(super) job: Option<i64>,
    pub(super) who: &'a str,
    pub(super) why: &'a str,
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) changed: i64,
    /// How many could not be, for want of room.
    pub(super) full: i64,
    /// How many could not be, as what they had set cannot be read.
    pub(super) unreadable: i64,
}

/// What becomes of each account of a batch. Nothing is written.
pub(super) struct Draft {
    rows: Vec<Row>,
    events: Vec<Event>,
    revision: Revision,
    pub(super) outcome: Outcome,
}

/// Makes the changes, and notes them.
pub(super) async fn batch(
    tables: &mut impl Tables,
    namespace: &str,
    found: Revision,
    wishes: &[Wish<'_>],
    terms: &Terms<'_>,
) -> Result<Outcome, Fault> {
    let draft = draft(tables, namespace, found, wishes, terms).await?;
    if !draft.rows.is_empty() {
        tables.put(namespace, &draft.rows).await?;
        tables.note(namespace, &draft.events).await?;
        tables.advance(namespace, draft.revision).await?;
    }
    Ok(draft.outcome)
}

/// Works out what the changes come to.
pub(super) async fn draft(
    tables: &mut impl Tables,
    namespace: &str,
    found: Revision,
    wishes: &[Wish<'_>],
    terms: &Terms<'_>,
) -> Result<Draft, Fault> {
    let mut accounts: Vec<&str> = wishes.iter().map(|wish| wish.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let rows = tables.rows(namespace, &accounts).await?;
    let known = rows.into_iter().map(|row| (row.account.clone(), row));
    let mut now = Now {
        known: known.collect(),
        at: number(terms.at.0),
        terms: *terms,
        draft: Draft {
            rows: Vec::new(),
            events: Vec::new(),
            // One more than the last, or the time if that is more, so that it grows even after a restore.
            revision: Revision {
                revision: found.revision.max(number(terms.at.0) - 1),
                ..found
            },
            outcome: Outcome::default(),
        },
    };
    for wish in wishes {
        now.take(wish)?;
    }
    Ok(now.finish())
}

/// What an account had set.
enum Before {
    Was((AccountSettings, OwnChoices)),
    /// It cannot be read, and what takes its place needs nothing of it.
    Replaced,
    /// It cannot be read, and keeps no change of many from going on.
    LeftAlone,
}

/// A batch being worked out.
struct Now<'t> {
    known: HashMap<String, Row>,
    at: i64,
    terms: Terms<'t>,
    draft: Draft,
}

impl Now<'_> {
    fn take(&mut self, wish: &Wish<'_>) -> Result<(), Fault> {
        let row = self.known.get(wish.account);
        let had = row.is_some_and(|row| row.reset_at.is_none());
        let before = match self.before(wish)? {
            Before::Was(before) => Some(before),
            Before::Replaced => None,
            Before::LeftAlone => return Ok(()),
        };
        let nothing = (AccountSettings::default(), OwnChoices::default());
        let after = wish.patch.apply(
            before.as_ref().unwrap_or(&nothing),
            self.terms.chooser,
            self.terms.keep,
        );
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        let has = !after.0.is_empty();
        let Draft {
            revision,
            outcome,
            events,
            ..
        } = &mut self.draft;
        if !had && has && revision.accounts >= i64::from(MOST_ACCOUNTS) {
            outcome.full += 1;
            return Ok(());
        }
        revision.revision += 1;
        revision.accounts += i64::from(has) - i64::from(had);
        outcome.changed += 1;
        let json = to_json("settings", &after.0)?;
        let (who, why) = match self.terms.job {
            Some(_) => ("", ""),
            None => (self.terms.who, self.terms.why),
        };
        events.push(Event {
            revision: revision.revision,
            account: wish.account.to_owned(),
            at: self.at,
            job: self.terms.job,
            who: who.to_owned(),
            why: why.to_owned(),
            json: json.clone(),
        });
        let row = Row {
            account: wish.account.to_owned(),
            revision: revision.revision,
            own: after.1.bits(),
            reset_at: (!has).then_some(self.at),
            json,
        };
        self.known.insert(wish.account.to_owned(), row);
        Ok(())
    }

    fn before(&mut self, wish: &Wish<'_>) -> Result<Before, Fault> {
        let row = self.known.get(wish.account);
        let Some(row) = row.filter(|row| row.reset_at.is_none()) else {
            return Ok(Before::Was(Default::default()));
        };
        match parse(&row.account, &row.json) {
            Ok(settings) => Ok(Before::Was((settings, OwnChoices::from_bits(row.own)))),
            Err(_) if wish.patch.is_whole() => Ok(Before::Replaced),
            Err(fault) if self.terms.job.is_some() => {
                tracing::error!(
                    account = ?wish.account, ?fault,
                    "settings of an account cannot be read, and a change of many leaves them alone: reset them"
                );
                self.draft.outcome.unreadable += 1;
                Ok(Before::LeftAlone)
            }
            Err(fault) => Err(fault),
        }
    }

    /// An account that was named twice has one row, the last.
    fn finish(mut self) -> Draft {
        let first = self
            .draft
            .events
            .first()
            .map_or(i64::MAX, |event| event.revision);
        let changed = self.known.into_values().filter(|row| row.revision >= first);
        self.draft.rows = changed.collect();
        self.draft
    }
}

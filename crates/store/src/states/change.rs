//! What changes account states: impositions of proxies, and what people do.

use sekisho_policy::restriction::Origin;
use sekisho_policy::states::{Imposition, Onto, Rest, States, disowned_by_both, incident};
use sekisho_policy::{Account, Millis, Restriction, Span, Timestamp};

use super::history::AccountAction;
use super::impose::{Impositions, impose};
use super::tables::{Event, Mark, Row, Tables};
use super::{AccountStates, Backend, Fault, in_transaction, parse, release_of, to_json};
use crate::records::number;
use crate::{Letters, Mandate, Posted, StoreError};

impl AccountStates {
    /// Takes what a proxy imposed, each once however often it comes, and answers what now holds of each. What people released
    /// since it was imposed stays released, and a worse one of the same origin stays. What is taken and is worse than what held
    /// before is told of by `letters`, which wait from then on. All or nothing is written.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn impose(
        &self,
        namespace: &str,
        impositions: &[Imposition],
        proxy: &str,
        now: Timestamp,
        letters: &Letters<'_>,
    ) -> Result<Imposed, StoreError> {
        let who = format!("proxy {proxy}");
        let what = Impositions {
            namespace,
            list: impositions,
            who: &who,
            now,
            letters,
        };
        let done = in_transaction!(self, tables => impose(tables, &what).await);
        self.outbox.note(&done.posted);
        Ok(Imposed {
            states: States {
                revision: self.note(namespace, done.revision),
                onto: Onto::Known,
                rest: Rest::Nothing,
                changes: done.verdicts,
                store: None,
            },
            posted: done.posted,
        })
    }

    /// Restricts an account because somebody says so; it takes the place of the desk's restriction before.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn restrict(
        &self,
        namespace: &str,
        account: &Account,
        restriction: &Restriction,
        mandate: &Mandate,
    ) -> Result<u64, StoreError> {
        let what = What::of(namespace, account, AccountAction::Restricted, mandate);
        let revision = in_transaction!(self, tables => restrict(tables, &what, restriction).await);
        Ok(self.note(namespace, revision))
    }

    /// Ends restrictions of an account; answers those that stood. What a proxy imposed before and tells later is not taken, whether or
    /// not anything stood.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn release(
        &self,
        namespace: &str,
        account: &Account,
        from: ReleaseFrom<'_>,
        mandate: &Mandate,
    ) -> Result<Released, StoreError> {
        let what = What::of(namespace, account, AccountAction::Released, mandate);
        let (revision, released) =
            in_transaction!(self, tables => release(tables, &what, from).await);
        self.note(namespace, revision);
        Ok(released)
    }
}

/// From what an account is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseFrom<'a> {
    /// One origin's restriction.
    Origin(&'a Origin),
    /// Everything: locks of logins too.
    Everything {
        /// So long ago somebody else began to use the account. By default that goes by the restrictions that stood
        /// ([`sekisho_policy::states::incident`]).
        since: Option<Millis>,
    },
}

impl Default for ReleaseFrom<'_> {
    fn default() -> Self {
        Self::Everything { since: None }
    }
}

/// What came of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// The restrictions that stood.
    pub restrictions: Vec<Restriction>,
    /// Of when it is forgotten which networks the account came from.
    pub disowned: Option<Span>,
}

/// What became of impositions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imposed {
    /// What now holds of each.
    pub states: States,
    /// What became of the messages about them.
    pub posted: Posted,
}

/// What is done to whom, by whom and why.
pub(super) struct What<'a> {
    pub(super) namespace: &'a str,
    pub(super) account: &'a Account,
    pub(super) action: AccountAction,
    pub(super) at: Timestamp,
    pub(super) who: &'a str,
    pub(super) why: &'a str,
}

impl<'a> What<'a> {
    fn of(
        namespace: &'a str,
        account: &'a Account,
        action: AccountAction,
        mandate: &'a Mandate,
    ) -> Self {
        Self {
            namespace,
            account,
            action,
            at: mandate.at,
            who: &mandate.who,
            why: &mandate.why,
        }
    }

    pub(super) fn event(&self, revision: i64, json: &str) -> Event {
        Event {
            revision,
            namespace: self.namespace.to_owned(),
            account: self.account.to_string(),
            at: number(self.at.0),
            action: self.action.name().to_owned(),
            who: self.who.to_owned(),
            why: self.why.to_owned(),
            json: json.to_owned(),
        }
    }
}

async fn restrict(
    tables: &mut impl Tables,
    what: &What<'_>,
    restriction: &Restriction,
) -> Result<i64, Fault> {
    tables.lock(what.namespace).await?;
    put(tables, what, &restriction.clone().bounded()).await
}

pub(super) async fn put(
    tables: &mut impl Tables,
    what: &What<'_>,
    restriction: &Restriction,
) -> Result<i64, Fault> {
    let json = to_json(restriction)?;
    let now = number(what.at.0);
    let revision = tables.advance(what.namespace, now).await?;
    tables.note(&what.event(revision, &json)).await?;
    let row = Row {
        namespace: what.namespace.to_owned(),
        account: what.account.to_string(),
        origin: restriction.origin.to_string(),
        revision,
        until_at: restriction.over_at().map(|until| number(until.0)),
        ended_at: None,
        json,
    };
    tables.put(&row).await?;
    Ok(revision)
}

async fn release(
    tables: &mut impl Tables,
    what: &What<'_>,
    from: ReleaseFrom<'_>,
) -> Result<(i64, Released), Fault> {
    tables.lock(what.namespace).await?;
    let now = number(what.at.0);
    let wanted = match from {
        ReleaseFrom::Origin(origin) => Some(origin.to_string()),
        ReleaseFrom::Everything { .. } => None,
    };
    let rows = tables
        .of_account(what.namespace, what.account.as_str())
        .await?;
    let is_meant = |row: &Row| {
        row.ended_at.is_none() && wanted.as_ref().is_none_or(|wanted| row.origin == *wanted)
    };
    let (mut restrictions, mut ended) = (Vec::new(), 0_u32);
    for row in rows.into_iter().filter(is_meant) {
        // One that cannot be read is to be got rid of too.
        restrictions.extend(parse(&row.account, &row.json).ok());
        let revision = tables.advance(what.namespace, now).await?;
        tables.note(&what.event(revision, &row.json)).await?;
        let gone = Row {
            revision,
            ended_at: Some(now),
            ..row
        };
        tables.put(&gone).await?;
        ended += 1;
    }
    // The last of them, so that whoever knows of its revision has heard of all.
    let revision = tables.advance(what.namespace, now).await?;
    if ended == 0 {
        tables.note(&what.event(revision, "")).await?;
    }
    let disowned = disowned(what, from, &restrictions);
    let mark = Mark {
        account: what.account.to_string(),
        origin: wanted.unwrap_or_default(),
        revision,
        at: now,
        disowned: None,
    };
    put_mark(tables, what, mark, disowned).await?;
    let released = Released {
        restrictions,
        disowned,
    };
    Ok((revision, released))
}

fn disowned(what: &What<'_>, from: ReleaseFrom<'_>, restrictions: &[Restriction]) -> Option<Span> {
    let ReleaseFrom::Everything { since } = from else {
        return None;
    };
    let first = restrictions.iter().map(|one| one.since).min();
    incident(what.at, since, first)
}

/// A release that takes the place of an earlier one goes on to tell what that disowned.
async fn put_mark(
    tables: &mut impl Tables,
    what: &What<'_>,
    mut mark: Mark,
    disowned: Option<Span>,
) -> Result<(), Fault> {
    let (namespace, account) = (what.namespace, what.account.as_str());
    let earlier = if mark.origin.is_empty() {
        tables.mark(namespace, account, "").await?
    } else {
        None
    };
    let earlier = earlier.and_then(|earlier| release_of(&earlier).disowned);
    let span = disowned_by_both(earlier, disowned);
    mark.disowned = span.map(|span| (number(span.from.0), number(span.to.0)));
    tables.put_mark(namespace, &mark).await?;
    Ok(())
}

/// Up to when a release reaches. One that lies ahead was made by a clock that was wrong, then or now: it reaches up to now.
pub(super) fn end_of(released: i64, now: Timestamp) -> i64 {
    let now = number(now.0);
    if released > now { now - 1 } else { released }
}

pub(super) fn origin_of(text: &str) -> Result<Origin, Fault> {
    text.parse().map_err(|error| Fault::Unreadable {
        what: "the origin of a restriction".to_owned(),
        why: format!("{error}"),
    })
}

//! What changes account states: impositions of proxies, what people do, and the time.

use sekisho_policy::restriction::Origin;
use sekisho_policy::states::{Absence, Change, Imposition, Onto, Rest, States};
use sekisho_policy::{Account, Restriction, Timestamp};

use super::history::AccountAction;
use super::tables::{Event, Row, Tables};
use super::{
    AccountStates, Backend, Fault, MOST_HISTORY, MOST_STANDING, in_transaction, parse, to_json,
};
use crate::records::number;
use crate::{Mandate, StoreError};

/// Restrictions that lift in one transaction.
const AT_A_TIME: i64 = 500;
/// Who lifts what is over.
const TIME: &str = "the time that was set";

impl AccountStates {
    /// Takes what a proxy imposed, each once however often it comes, and answers what now holds of each. What people released
    /// since it was imposed stays released, and a worse one of the same origin stays. All or nothing is written.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn impose(
        &self,
        namespace: &str,
        impositions: &[Imposition],
        proxy: &str,
        now: Timestamp,
    ) -> Result<States, StoreError> {
        let who = format!("proxy {proxy}");
        let (revision, changes) = in_transaction!(self, tables => {
            impose(tables, namespace, impositions, &who, now).await
        });
        Ok(States {
            revision: self.note(revision),
            onto: Onto::Known,
            rest: Rest::Nothing,
            changes,
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
        let what = What {
            namespace,
            account,
            action: AccountAction::Restricted,
            at: mandate.at,
            who: &mandate.who,
            why: &mandate.why,
        };
        let revision = in_transaction!(self, tables => restrict(tables, &what, restriction).await);
        Ok(self.note(revision))
    }

    /// Ends restrictions of an account, of one origin or of all; answers those that stood.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn release(
        &self,
        namespace: &str,
        account: &Account,
        origin: Option<&Origin>,
        mandate: &Mandate,
    ) -> Result<Vec<Restriction>, StoreError> {
        let what = What {
            namespace,
            account,
            action: AccountAction::Released,
            at: mandate.at,
            who: &mandate.who,
            why: &mandate.why,
        };
        let (revision, released) =
            in_transaction!(self, tables => release(tables, &what, origin).await);
        self.note(revision);
        Ok(released)
    }

    /// Notes in the history which restrictions are over. They bite no more either way: whoever looks at one looks at its end.
    ///
    /// # Errors
    /// [`StoreError`]; what was noted until then stays noted.
    pub async fn lift(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut lifted = 0;
        loop {
            let some = in_transaction!(self, tables => lift(tables, now).await);
            lifted += some;
            if some < AT_A_TIME.unsigned_abs() {
                return Ok(lifted);
            }
        }
    }

    /// Forgets the history from before `history`, and restrictions that ended before `ended`: proxies that heard nothing for
    /// longer are told the whole.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget(&self, history: Timestamp, ended: Timestamp) -> Result<u64, StoreError> {
        let forgotten = in_transaction!(self, tables => {
            forget(tables, number(history.0), number(ended.0)).await
        });
        Ok(forgotten)
    }
}

/// What is done to whom, by whom and why.
struct What<'a> {
    namespace: &'a str,
    account: &'a Account,
    action: AccountAction,
    at: Timestamp,
    who: &'a str,
    why: &'a str,
}

impl What<'_> {
    fn event(&self, revision: i64, json: &str) -> Event {
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

    fn row(&self, revision: i64, restriction: &Restriction, json: String) -> Row {
        Row {
            namespace: self.namespace.to_owned(),
            account: self.account.to_string(),
            origin: restriction.origin.to_string(),
            revision,
            until_at: restriction.until.map(|until| number(until.0)),
            ended_at: None,
            json,
        }
    }
}

async fn impose(
    tables: &mut impl Tables,
    namespace: &str,
    impositions: &[Imposition],
    who: &str,
    now: Timestamp,
) -> Result<(i64, Vec<Change>), Fault> {
    let mut revision = tables.lock().await?.revision;
    let most = i64::from(MOST_STANDING);
    let mut standing = tables.count(namespace, most).await?;
    let mut verdicts = Vec::with_capacity(impositions.len());
    for imposition in impositions {
        let account = &imposition.account;
        let mut restriction = imposition.restriction.clone().bounded();
        // A clock that is ahead must not make a restriction that nobody could release.
        restriction.since = restriction.since.min(now);
        let origin = restriction.origin.clone();
        let before = tables
            .row(namespace, account.as_str(), &origin.to_string())
            .await?;
        let is_new = before.as_ref().is_none_or(|row| row.ended_at.is_some());
        let (holds, absence) = match judge(tables, before.as_ref(), restriction, now).await? {
            Holds::TheNew(_) if is_new && standing >= most => (None, Absence::Untaken),
            Holds::TheNew(restriction) => {
                let what = What {
                    namespace,
                    account,
                    action: AccountAction::Imposed,
                    at: now,
                    who,
                    why: &restriction.why,
                };
                revision = put(tables, &what, &restriction).await?;
                standing += i64::from(is_new);
                (Some(restriction), Absence::default())
            }
            Holds::TheOld(restriction) => (Some(restriction), Absence::default()),
            Holds::Nothing(absence) => (None, absence),
        };
        verdicts.push(Change {
            account: account.clone(),
            origin,
            restriction: holds,
            absence,
        });
    }
    Ok((revision, verdicts))
}

/// What holds after an imposition.
enum Holds {
    TheNew(Restriction),
    /// It is the same, or worse, or people released the new one before.
    TheOld(Restriction),
    /// It was released, or over, after the new one had been imposed; or the new one is over.
    Nothing(Absence),
}

async fn judge(
    tables: &mut impl Tables,
    before: Option<&Row>,
    new: Restriction,
    now: Timestamp,
) -> Result<Holds, Fault> {
    let is_over = !new.holds_at(now);
    let ended = before.and_then(|row| Some((row, row.ended_at?)));
    if let Some((row, ended)) = ended
        && (number(new.since.0) <= ended || is_told_again(row, &new))
    {
        return Ok(Holds::Nothing(Absence::Release));
    }
    let Some(row) = before.filter(|row| row.ended_at.is_none()) else {
        return Ok(if is_over {
            Holds::Nothing(Absence::Untaken)
        } else {
            Holds::TheNew(new)
        });
    };
    let old = parse(&row.account, &row.json)?;
    if is_over || old == new || old.outlasts(&new, now) {
        return Ok(Holds::TheOld(old));
    }
    let may_be_late = new.since < old.since;
    Ok(
        if may_be_late && was_released(tables, row, new.since).await? {
            Holds::TheOld(old)
        } else {
            Holds::TheNew(new)
        },
    )
}

/// Whether this is what the row was of before it ended. A clock that is ahead has its `since` cut to each arrival, which says nothing
/// then.
fn is_told_again(row: &Row, new: &Restriction) -> bool {
    parse(&row.account, &row.json).is_ok_and(|old| {
        let since = new.since;
        Restriction { since, ..old } == *new
    })
}

/// Whether people released the account from this origin at that time or later, though something new stands since.
async fn was_released(
    tables: &mut impl Tables,
    row: &Row,
    since: Timestamp,
) -> Result<bool, Fault> {
    let most = i64::from(MOST_HISTORY);
    let events = tables.history(&row.namespace, &row.account, most).await?;
    Ok(events.iter().any(|event| {
        event.action == AccountAction::Released.name()
            && event.at >= number(since.0)
            && parse(&event.account, &event.json)
                .is_ok_and(|released| released.origin.to_string() == row.origin)
    }))
}

async fn restrict(
    tables: &mut impl Tables,
    what: &What<'_>,
    restriction: &Restriction,
) -> Result<i64, Fault> {
    tables.lock().await?;
    put(tables, what, &restriction.clone().bounded()).await
}

async fn put(
    tables: &mut impl Tables,
    what: &What<'_>,
    restriction: &Restriction,
) -> Result<i64, Fault> {
    let json = to_json(restriction)?;
    let revision = tables.advance(number(what.at.0)).await?;
    tables.note(&what.event(revision, &json)).await?;
    tables.put(&what.row(revision, restriction, json)).await?;
    Ok(revision)
}

async fn release(
    tables: &mut impl Tables,
    what: &What<'_>,
    origin: Option<&Origin>,
) -> Result<(i64, Vec<Restriction>), Fault> {
    let mut revision = tables.lock().await?.revision;
    let wanted = origin.map(ToString::to_string);
    let rows = tables
        .of_account(what.namespace, what.account.as_str())
        .await?;
    let is_meant = |row: &Row| {
        row.ended_at.is_none() && wanted.as_ref().is_none_or(|wanted| row.origin == *wanted)
    };
    let mut released = Vec::new();
    for row in rows.into_iter().filter(is_meant) {
        released.push(parse(&row.account, &row.json)?);
        revision = tables.advance(number(what.at.0)).await?;
        tables.note(&what.event(revision, &row.json)).await?;
        let ended = Row {
            revision,
            ended_at: Some(number(what.at.0)),
            ..row
        };
        tables.put(&ended).await?;
    }
    Ok((revision, released))
}

/// The revisions of rows stay: everybody sees by the time that they are over.
async fn lift(tables: &mut impl Tables, now: Timestamp) -> Result<u64, Fault> {
    tables.lock().await?;
    let due = tables.due(number(now.0), AT_A_TIME).await?;
    let lifted = due.len() as u64;
    for row in due {
        let account = Account::canonical(&row.account, None);
        let what = What {
            namespace: &row.namespace,
            account: &account,
            action: AccountAction::Lifted,
            at: now,
            who: TIME,
            why: "",
        };
        let revision = tables.advance(number(now.0)).await?;
        let mut event = what.event(revision, &row.json);
        event.account.clone_from(&row.account);
        tables.note(&event).await?;
        let ended_at = row.until_at;
        tables.put(&Row { ended_at, ..row }).await?;
    }
    Ok(lifted)
}

async fn forget(tables: &mut impl Tables, history: i64, ended: i64) -> Result<u64, Fault> {
    tables.lock().await?;
    tables.forget_ended(ended).await?;
    Ok(tables.forget_history(history).await?)
}

pub(super) fn origin_of(text: &str) -> Result<Origin, Fault> {
    text.parse().map_err(|error| Fault::Unreadable {
        what: "the origin of a restriction".to_owned(),
        why: format!("{error}"),
    })
}

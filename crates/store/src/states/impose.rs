//! What proxies impose: what is made of it, given what stands and what people released.

use sekisho_policy::states::{Absence, Change, Imposition, Release};
use sekisho_policy::{Millis, Restriction, Timestamp};

use super::change::{What, end_of, put};
use super::history::AccountAction;
use super::tables::{Mark, Row, Tables};
use super::{Fault, MOST_STANDING, parse, release_of};
use crate::records::number;

/// What a rule did to one account is kept so often in its history.
const MOST_IMPOSED: i64 = 100;
/// What is over for longer is not taken. Until then it is: whose clock is right nobody knows, and whoever hears of it goes by his own.
const LATE: Millis = Millis::DAY;

pub(super) async fn impose(
    tables: &mut impl Tables,
    namespace: &str,
    impositions: &[Imposition],
    who: &str,
    now: Timestamp,
) -> Result<(i64, Vec<Change>), Fault> {
    let place = tables.lock(namespace).await?;
    let most = i64::from(MOST_STANDING);
    let mut revision = place.revision;
    let mut standing = tables.count(namespace, most).await?;
    let mut verdicts = Vec::with_capacity(impositions.len());
    for imposition in impositions {
        let account = &imposition.account;
        let mut restriction = imposition.restriction.clone().bounded();
        // A clock that is ahead must not make a restriction that nobody could release.
        restriction.since = restriction.since.min(now);
        let origin = restriction.origin.clone();
        let name = origin.to_string();
        let found = Found {
            before: tables.row(namespace, account.as_str(), &name).await?,
            mark: tables.mark(namespace, account.as_str(), &name).await?,
            forgotten: place.forgotten,
        };
        let is_new = found.standing().is_none();
        let holds = match found.judge(restriction, now) {
            Holds::TheNew(_) if is_new && standing >= most => Holds::Untaken,
            holds => holds,
        };
        if let Holds::TheNew(restriction) = &holds {
            let what = What {
                namespace,
                account,
                action: AccountAction::Imposed,
                at: now,
                who,
                why: &restriction.why,
            };
            revision = put(tables, &what, restriction).await?;
            tables
                .trim(namespace, account.as_str(), MOST_IMPOSED)
                .await?;
            standing += i64::from(is_new);
        }
        verdicts.push(holds.told(imposition));
    }
    Ok((revision, verdicts))
}

/// What holds after an imposition.
enum Holds {
    TheNew(Restriction),
    /// It is the same, or worse, or people released the new one before.
    TheOld(Restriction),
    /// People released the account after the new one had been imposed.
    Nothing(Release),
    /// The new one is over, or there is no room for it.
    Untaken,
}

impl Holds {
    fn told(self, imposition: &Imposition) -> Change {
        let (restriction, absence, release) = match self {
            Self::TheNew(holds) | Self::TheOld(holds) => (Some(holds), Absence::Release, None),
            Self::Nothing(release) => (None, Absence::Release, Some(release)),
            Self::Untaken => (None, Absence::Untaken, None),
        };
        Change {
            account: imposition.account.clone(),
            origin: imposition.restriction.origin.clone(),
            restriction,
            absence,
            release,
        }
    }
}

/// What is known of an account and an origin before an imposition.
struct Found {
    before: Option<Row>,
    /// The last time that people released it.
    mark: Option<Mark>,
    /// Releases up to this time may have been forgotten.
    forgotten: i64,
}

impl Found {
    /// What stands. What cannot be read gives way to anything: it restricts nobody.
    fn standing(&self) -> Option<Restriction> {
        let row = self.before.as_ref().filter(|row| row.ended_at.is_none())?;
        parse(&row.account, &row.json).ok()
    }

    fn judge(&self, new: Restriction, now: Timestamp) -> Holds {
        let since = number(new.since.0);
        let old = self.standing();
        let told_again = self.ended_as(&new);
        if let Some(mark) = &self.mark
            && (since <= end_of(mark.at, now) || told_again.is_some_and(|ended| ended <= mark.at))
        {
            return old.map_or_else(|| Holds::Nothing(release_of(mark)), Holds::TheOld);
        }
        let is_over = !new.holds_at(now);
        let is_late = !new.holds_at(Timestamp(now.0.saturating_sub(LATE.0)));
        if is_late || since <= self.forgotten || told_again.is_some() {
            return old.map_or(Holds::Untaken, Holds::TheOld);
        }
        let Some(old) = old else {
            return Holds::TheNew(new);
        };
        // Of two that are both over it is asked which was worse when the later one came about.
        let at = if is_over { new.since } else { now };
        let keeps = is_over && old.holds_at(now);
        match old.joined(&new, at).filter(|_| !keeps) {
            Some(joined) => Holds::TheNew(joined),
            None => Holds::TheOld(old),
        }
    }

    /// When the row ended, if the new one is what it was of. A clock that is ahead has its `since` cut to each arrival, which says
    /// nothing then.
    fn ended_as(&self, new: &Restriction) -> Option<i64> {
        let row = self.before.as_ref()?;
        let ended = row.ended_at?;
        let old = parse(&row.account, &row.json).ok()?;
        let since = new.since;
        (Restriction { since, ..old } == *new).then_some(ended)
    }
}

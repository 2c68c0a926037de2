//! What proxies impose: what is made of it, given what stands and what people released, and who is told.

use sekisho_policy::states::{Absence, Change, Imposition, Release};
use sekisho_policy::{Account, Millis, Origin, Restriction, Timestamp};

use super::change::{What, end_of, put};
use super::history::AccountAction;
use super::tables::{Mark, Row, Tables};
use super::{Fault, MOST_STANDING, parse, release_of};
use crate::outbox::{self, Room};
use crate::records::number;
use crate::{Letters, Posted};

/// What a rule did to one account is kept so often in its history.
const MOST_IMPOSED: i64 = 100;
/// So many rules may restrict one account; beyond it proxies' impositions are not taken.
const MOST_OF_ACCOUNT: usize = 32;
/// What is over for longer is not taken. Until then it is: whose clock is right nobody knows, and whoever hears of it goes by his own.
const LATE: Millis = Millis::DAY;

/// What a proxy imposed.
pub(super) struct Impositions<'a> {
    pub(super) namespace: &'a str,
    pub(super) list: &'a [Imposition],
    pub(super) who: &'a str,
    pub(super) now: Timestamp,
    /// Writes the messages about one.
    pub(super) letters: &'a Letters<'a>,
}

/// What became of it.
pub(super) struct Done {
    pub(super) revision: i64,
    pub(super) verdicts: Vec<Change>,
    pub(super) posted: Posted,
}

pub(super) async fn impose(
    tables: &mut (impl Tables + outbox::Tables),
    impositions: &Impositions<'_>,
) -> Result<Done, Fault> {
    let (namespace, now) = (impositions.namespace, impositions.now);
    let place = tables.lock(namespace).await?;
    let most = i64::from(MOST_STANDING);
    let mut revision = place.revision;
    let mut standing = tables.count(namespace, most).await?;
    let mut room = Room::of(namespace);
    let mut verdicts = Vec::with_capacity(impositions.list.len());
    for imposition in impositions.list {
        let account = &imposition.account;
        let bounded = imposition.restriction.clone().bounded();
        let name = bounded.origin.to_string();
        let found = Found {
            before: tables.row(namespace, account.as_str(), &name).await?,
            mark: tables.mark(namespace, account.as_str(), &name).await?,
            forgotten: place.forgotten,
        };
        let is_new = found.standing().is_none();
        let is_worse = found.is_outdone_by(&bounded);
        let mut holds = found.judge(bounded.clone().begun_by(now), now);
        if is_new && matches!(holds, Holds::TheNew(_)) {
            let has_room = standing < most && has_room(tables, namespace, account).await?;
            if !has_room {
                holds = Holds::Untaken;
            }
        }
        if let Holds::TheNew(restriction) = &holds {
            let what = What {
                namespace,
                account,
                action: AccountAction::Imposed,
                at: now,
                who: impositions.who,
                why: &restriction.why,
            };
            revision = put(tables, &what, restriction).await?;
            tables
                .trim(namespace, account.as_str(), MOST_IMPOSED)
                .await?;
            standing += i64::from(is_new);
            // Of what people released in part, the rest is no news.
            if is_worse && restriction.parts().any(|part| is_same(part, &bounded)) {
                let letters = (impositions.letters)(imposition);
                room.post(tables, letters).await?;
            }
        }
        verdicts.push(holds.told(imposition));
    }
    Ok(Done {
        revision,
        verdicts,
        posted: room.posted,
    })
}

/// Whether one more rule may restrict an account.
async fn has_room(
    tables: &mut impl Tables,
    namespace: &str,
    account: &Account,
) -> Result<bool, Fault> {
    let rows = tables.of_account(namespace, account.as_str()).await?;
    let desk = Origin::Desk.to_string();
    let by_rules = rows
        .iter()
        .filter(|row| row.ended_at.is_none() && row.origin != desk);
    Ok(by_rules.count() < MOST_OF_ACCOUNT)
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

    /// Whether nothing as bad stood when the new one was imposed, by the clock of who did. Else people have heard of it: another proxy
    /// found the same a moment before, or the same goes on for longer.
    fn is_outdone_by(&self, new: &Restriction) -> bool {
        let rank = |restriction: &Restriction| {
            let (level, recipients, _) = restriction.weight();
            (level, recipients)
        };
        let standing = self.standing();
        let held = standing.as_ref().and_then(|old| old.in_force(new.since));
        held.is_none_or(|held| rank(held) < rank(new))
    }

    fn judge(&self, new: Restriction, now: Timestamp) -> Holds {
        let old = self.standing();
        let released = self.mark.as_ref().map(|mark| end_of(mark.at, now));
        let ended = self.ended();
        // A clock that is ahead has its `since` cut to each arrival, which says nothing then.
        let is_told_again = |part: &Restriction| {
            let ended = ended.as_ref();
            ended.is_some_and(|(ended, _)| ended.parts().any(|ended| is_same(ended, part)))
        };
        let ended_by_people = self
            .mark
            .as_ref()
            .zip(ended.as_ref())
            .is_some_and(|(mark, (_, at))| *at <= mark.at);
        let is_released =
            |part: &Restriction| released.is_some_and(|end| number(part.since.0) <= end);
        let was_released =
            |part: &Restriction| is_released(part) || (ended_by_people && is_told_again(part));
        if let Some(mark) = &self.mark
            && new.parts().all(was_released)
        {
            return old.map_or_else(|| Holds::Nothing(release_of(mark)), Holds::TheOld);
        }
        // What was released does not come back as what goes on after something new.
        let is_news = |part: &Restriction| {
            let is_known = number(part.since.0) > self.forgotten;
            is_known && !is_released(part) && !is_told_again(part)
        };
        let Some(new) = new.keeping(is_news) else {
            return old.map_or(Holds::Untaken, Holds::TheOld);
        };
        let is_over = !new.holds_at(now);
        if !new.holds_at(Timestamp(now.0.saturating_sub(LATE.0))) {
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

    /// What the row was of, and when that ended.
    fn ended(&self) -> Option<(Restriction, i64)> {
        let row = self.before.as_ref()?;
        let ended = row.ended_at?;
        Some((parse(&row.account, &row.json).ok()?, ended))
    }
}

/// Whether two parts are one, but for when they began.
fn is_same(one: &Restriction, other: &Restriction) -> bool {
    one.level == other.level
        && one.until == other.until
        && one.why == other.why
        && one.decision == other.decision
        && one.recipients_per_hour == other.recipients_per_hour
}

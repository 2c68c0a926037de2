//! What time does to account states. A clock that is wrong must not end anything for good: whoever looks at a restriction judges by
//! his own clock whether it is over, and what is deleted goes by a cautious one, which is never further on than the time that went
//! by while somebody looked.

use sekisho_policy::{Account, Millis, Timestamp};

use super::change::What;
use super::history::AccountAction;
use super::tables::{Keep, Row, Tables};
use super::{AccountStates, Backend, Fault, MOST_STANDING, in_transaction, reading};
use crate::StoreError;
use crate::records::number;

/// Restrictions that lift in one transaction.
const AT_A_TIME: i64 = 500;
/// Who lifts what is over.
pub(super) const TIME: &str = "the time that was set";
/// What rules did in one namespace is kept so often.
const MOST_IMPOSED: i64 = 500_000;
/// A clock that went on by more since somebody looked was set, or nobody looked for so long.
const SUDDEN: i64 = Millis::HOUR.0.cast_signed();

/// What is kept how long, and how fast time goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tending {
    /// Entries of the audit trail.
    pub history: Millis,
    /// Restrictions that ended. A proxy that heard nothing for longer is told the whole.
    pub ended: Millis,
    /// That people released an account. What was imposed before, and is told when that is forgotten, is not taken.
    pub releases: Millis,
    /// So long after its end a restriction is still told: proxies judge by their own clocks.
    pub grace: Millis,
    /// The most that time goes by between two looks. It is more than what goes by, so that time off is caught up with.
    pub step: Millis,
}

impl Default for Tending {
    /// For a look each minute.
    fn default() -> Self {
        Self {
            history: Millis(400 * Millis::DAY.0),
            ended: Millis(7 * Millis::DAY.0),
            releases: Millis(30 * Millis::DAY.0),
            grace: Millis::DAY,
            step: Millis(120_000),
        }
    }
}

impl AccountStates {
    /// Looks what time it is: notes which restrictions have been over for long, and forgets what is old; answers how many lifted.
    /// They bite no more either way: whoever looks at one looks at its end.
    ///
    /// # Errors
    /// [`StoreError`]; what was done until then stays done.
    pub async fn tend(&self, now: Timestamp, tending: Tending) -> Result<u64, StoreError> {
        let (before, cautious) =
            in_transaction!(self, tables => tick(tables, now, tending.step).await);
        tell_of_jumps(number(now.0) - before, now, cautious);
        let places = reading!(self, tables => tables.places().await.map_err(Fault::from));
        let mut lifted = 0;
        for (namespace, _) in places {
            loop {
                let some = in_transaction!(self, tables => {
                    tend(tables, &namespace, cautious, tending).await
                });
                lifted += some;
                if some < AT_A_TIME.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(lifted)
    }
}

/// When somebody looked before, and the cautious time.
async fn tick(tables: &mut impl Tables, now: Timestamp, step: Millis) -> Result<(i64, i64), Fault> {
    let (now, step) = (number(now.0), number(step.0));
    let before = tables.seen_at().await?;
    let cautious = tables.tick(now, step).await?;
    if now < before {
        // Else what is imposed until then would be taken for older than the release.
        tables.clamp_releases(now).await?;
    }
    let before = if before == 0 { now } else { before };
    Ok((before, cautious))
}

fn tell_of_jumps(gone_by: i64, now: Timestamp, cautious: i64) {
    let behind = Millis(number(now.0).saturating_sub(cautious).unsigned_abs());
    if gone_by > SUDDEN {
        let gone_by = Millis(gone_by.unsigned_abs());
        tracing::warn!(
            %gone_by, %behind,
            "nobody looked at the restrictions for long, or the clock was set: nothing is deleted until as much time has gone by"
        );
    } else if gone_by < -SUDDEN {
        tracing::warn!(
            back = %Millis(gone_by.unsigned_abs()),
            "the clock was set back since the restrictions were looked at: check the clocks of this node and of the other replicas"
        );
    }
}

async fn tend(
    tables: &mut impl Tables,
    namespace: &str,
    cautious: i64,
    tending: Tending,
) -> Result<u64, Fault> {
    let ago = |span: Millis| cautious - number(span.0);
    tables.lock(namespace).await?;
    let due = tables.due(namespace, ago(tending.grace), AT_A_TIME).await?;
    let lifted = due.len() as u64;
    for row in due {
        lift(tables, row, cautious).await?;
    }
    let most = i64::from(MOST_STANDING);
    let keep = Keep {
        history: (ago(tending.history), MOST_IMPOSED),
        ended: (ago(tending.ended), most),
        releases: (ago(tending.releases), most),
    };
    tables.forget(namespace, keep).await?;
    Ok(lifted)
}

/// Its revision stays: everybody sees by the time that it is over.
async fn lift(tables: &mut impl Tables, row: Row, cautious: i64) -> Result<(), Fault> {
    let account = Account::canonical(&row.account, None);
    let until = row.until_at.unwrap_or(cautious);
    let what = What {
        namespace: &row.namespace,
        account: &account,
        action: AccountAction::Lifted,
        at: Timestamp(until.unsigned_abs()),
        who: TIME,
        why: "",
    };
    let revision = tables.advance(&row.namespace, 0).await?;
    let mut event = what.event(revision, &row.json);
    event.account.clone_from(&row.account);
    tables.note(&event).await?;
    let ended_at = Some(until);
    tables.put(&Row { ended_at, ..row }).await?;
    Ok(())
}

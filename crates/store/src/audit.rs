//! Erasing what is known of an account, and the trail of who asked for it.

use sekisho_policy::{Account, Timestamp};
use sqlx::{Row, Sqlite, Transaction};

use crate::records::number;
use crate::{Store, StoreError};

/// Records deleted in one transaction.
const BATCH: i64 = 1_000;

/// Who wants something done, and why: what the audit trail keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked.
    pub who: String,
    /// Why, e.g. a ticket.
    pub why: String,
}

/// What people do to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditAction {
    /// [`Store::erase_account`].
    EraseAccount,
}

impl AuditAction {
    const fn name(self) -> &'static str {
        match self {
            Self::EraseAccount => "EraseAccount",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        (name == Self::EraseAccount.name()).then_some(Self::EraseAccount)
    }
}

/// One line of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who, when and why.
    pub mandate: Mandate,
    /// What.
    pub action: AuditAction,
    /// To what: the account's name.
    pub subject: String,
    /// How many records it changed.
    pub affected: u64,
}

impl Store {
    /// Deletes every record that was made for an account or by somebody who claimed to be it, and notes that in the
    /// audit trail, which keeps the account's name. What is deleted is overwritten in the file. Records that are still on
    /// their way to the store are not touched: erase again once the [`Writer`](crate::Writer) has written them.
    ///
    /// # Errors
    /// [`StoreError`]; the audit trail says how much was deleted until then.
    pub async fn erase_account(
        &self,
        account: &Account,
        mandate: &Mandate,
    ) -> Result<u64, StoreError> {
        let mut erased = 0;
        let mut transaction = self.begin().await?;
        let entry = note(&mut transaction, account, mandate)
            .await
            .map_err(|error| self.failed(error))?;
        loop {
            let deleted = erase_some(&mut transaction, account, entry)
                .await
                .map_err(|error| self.failed(error))?;
            transaction
                .commit()
                .await
                .map_err(|error| self.failed(error))?;
            erased += deleted;
            if deleted == 0 {
                break;
            }
            transaction = self.begin().await?;
        }
        self.give_space_back().await?;
        // The log still holds the pages as they were. A reader may hold this up; then a later checkpoint does it.
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_all(&self.writing)
            .await;
        checkpoint.map_err(|error| self.failed(error))?;
        Ok(erased)
    }

    /// The audit trail, the newest first, at most `limit` entries.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        const TRAIL: &str =
            "SELECT at, who, action, subject, why, affected FROM audit ORDER BY id DESC LIMIT ?1";
        let rows = sqlx::query(TRAIL)
            .bind(i64::from(limit))
            .fetch_all(&self.reading)
            .await;
        let rows = rows.map_err(|error| self.failed(error))?;
        rows.iter().map(|row| self.entry(row)).collect()
    }

    fn entry(&self, row: &sqlx::sqlite::SqliteRow) -> Result<AuditEntry, StoreError> {
        let text = |at: usize| {
            row.try_get::<String, _>(at)
                .map_err(|error| self.failed(error))
        };
        let count = |at: usize| {
            row.try_get::<i64, _>(at)
                .map_err(|error| self.failed(error))
        };
        let action = text(2)?;
        Ok(AuditEntry {
            mandate: Mandate {
                at: Timestamp(count(0)?.unsigned_abs()),
                who: text(1)?,
                why: text(4)?,
            },
            action: AuditAction::parse(&action).ok_or_else(|| {
                self.unreadable("an audit entry", format!("unknown action {action:?}"))
            })?,
            subject: text(3)?,
            affected: count(5)?.unsigned_abs(),
        })
    }
}

type Tx = Transaction<'static, Sqlite>;

async fn note(
    transaction: &mut Tx,
    account: &Account,
    mandate: &Mandate,
) -> Result<i64, sqlx::Error> {
    const NOTE: &str = "
        INSERT INTO audit (at, who, action, subject, why, affected) VALUES (?1, ?2, ?3, ?4, ?5, 0) RETURNING id";
    let row = sqlx::query(NOTE)
        .bind(number(mandate.at.0))
        .bind(&mandate.who)
        .bind(AuditAction::EraseAccount.name())
        .bind(account.as_str())
        .bind(&mandate.why)
        .fetch_one(&mut **transaction)
        .await?;
    row.try_get(0)
}

/// Deletes some records and adds their number to the entry, together.
async fn erase_some(
    transaction: &mut Tx,
    account: &Account,
    entry: i64,
) -> Result<u64, sqlx::Error> {
    const ERASE: &str = "
        DELETE FROM records WHERE seq IN (
            SELECT seq FROM records WHERE account = ?1 UNION SELECT record FROM claims WHERE account = ?1 LIMIT ?2)";
    let erase = sqlx::query(ERASE).bind(account.as_str()).bind(BATCH);
    let deleted = erase.execute(&mut **transaction).await?.rows_affected();
    sqlx::query("UPDATE audit SET affected = affected + ?1 WHERE id = ?2")
        .bind(number(deleted))
        .bind(entry)
        .execute(&mut **transaction)
        .await?;
    Ok(deleted)
}

//! The steps by which tables come to a version, for either database.

use sqlx::AssertSqlSafe;

/// One step. It never changes once it was released.
pub(crate) struct Step {
    pub(crate) version: i64,
    /// The oldest version of this list whose code can still work on the result: itself where the step changes what is there, an earlier
    /// one where it only adds.
    pub(crate) works_for: i64,
    pub(crate) sql: &'static str,
}

/// All steps of a database, the oldest first.
pub(crate) struct Steps {
    pub(crate) all: &'static [Step],
    /// The table that says of which version the others are.
    pub(crate) table: &'static str,
    /// Draws what the store of account states is called, if it has no name yet.
    pub(crate) name: &'static str,
}

impl Steps {
    const fn last(&self) -> &Step {
        &self.all[self.all.len() - 1]
    }

    /// The version that they come to.
    pub(crate) const fn known(&self) -> i64 {
        self.last().version
    }

    /// What brings tables of a version to this one, to be run in one transaction; nothing for those that are.
    pub(crate) fn after(&self, version: i64) -> Vec<AssertSqlSafe<String>> {
        let last = self.last();
        if version >= last.version {
            return Vec::new();
        }
        let steps = self.all.iter().filter(|step| step.version > version);
        let noted = format!(
            "UPDATE {} SET version = {}, works_for = {}",
            self.table, last.version, last.works_for
        );
        let statements = steps.map(|step| step.sql.to_owned());
        // All of it is written here and in `migrations`.
        statements
            .chain([noted, self.name.to_owned()])
            .map(AssertSqlSafe)
            .collect()
    }

    /// Makes the table that says the version.
    pub(crate) fn begin(&self) -> AssertSqlSafe<String> {
        let table = self.table;
        AssertSqlSafe(format!(
            "CREATE TABLE {table} (version BIGINT NOT NULL, works_for BIGINT NOT NULL);
             INSERT INTO {table} VALUES (0, 0)"
        ))
    }
}
